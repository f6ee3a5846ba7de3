"""The tutorial's comparison of four optimizers, import lines changed."""

from pathlib import Path
from typing import Any

import matplotlib
import pytest

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from PIL import Image

import engine as torch
import engine.nn.functional as F
import engine.utils.data as Data
from engine.autograd import Variable


def test_four_optimizers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.manual_seed(1)  # reproducible
    LR = 0.01
    BATCH_SIZE = 32
    EPOCH = 12
    # fake dataset
    x = torch.unsqueeze(torch.linspace(-1, 1, 1000), dim=1)
    y = x.pow(2) + 0.1 * torch.normal(torch.zeros(*x.size()))
    # plot dataset
    plt.scatter(x.numpy(), y.numpy())
    plt.savefig(tmp_path / "data.png")
    plt.close()
    torch_dataset = Data.TensorDataset(x, y)
    loader = Data.DataLoader(dataset=torch_dataset, batch_size=BATCH_SIZE, shuffle=True, num_workers=0)

    class Net(torch.nn.Module):
        def __init__(self) -> None:
            super(Net, self).__init__()
            self.hidden = torch.nn.Linear(1, 20)  # hidden layer
            self.predict = torch.nn.Linear(20, 1)  # output layer

        def forward(self, x: Any) -> Any:
            x = F.relu(self.hidden(x))  # activation function for hidden layer
            x = self.predict(x)  # linear output
            return x

    net_SGD = Net()
    net_Momentum = Net()
    net_RMSprop = Net()
    net_Adam = Net()
    nets = [net_SGD, net_Momentum, net_RMSprop, net_Adam]
    opt_SGD = torch.optim.SGD(net_SGD.parameters(), lr=LR)
    opt_Momentum = torch.optim.SGD(net_Momentum.parameters(), lr=LR, momentum=0.8)
    opt_RMSprop = torch.optim.RMSprop(net_RMSprop.parameters(), lr=LR, alpha=0.9)
    opt_Adam = torch.optim.Adam(net_Adam.parameters(), lr=LR, betas=(0.9, 0.99))
    optimizers = [opt_SGD, opt_Momentum, opt_RMSprop, opt_Adam]
    loss_func = torch.nn.MSELoss()
    losses_his: list[list[float]] = [[], [], [], []]
    for epoch in range(EPOCH):
        print("Epoch: ", epoch)
        for step, (batch_x, batch_y) in enumerate(loader):
            b_x = Variable(batch_x)
            b_y = Variable(batch_y)
            for net, opt, l_his in zip(nets, optimizers, losses_his):
                output = net(b_x)  # get output for every net
                loss = loss_func(output, b_y)  # compute loss for every net
                opt.zero_grad()  # clear gradients for next train
                loss.backward()  # backpropagation, compute gradients
                opt.step()  # apply gradients
                l_his.append(loss.item())  # loss recoder
    labels = ["SGD", "Momentum", "RMSprop", "Adam"]
    for i, l_his in enumerate(losses_his):
        plt.plot(l_his, label=labels[i])
    plt.legend(loc="best")
    plt.savefig(tmp_path / "losses.png")
    plt.close()
    assert capsys.readouterr().out.splitlines() == [f"Epoch:  {i}" for i in range(12)]
    assert [len(h) for h in losses_his] == [12 * 32] * 4
    ends = [sum(h[-32:]) / 32 for h in losses_his]
    assert all(e < sum(h[:8]) / 8 for e, h in zip(ends, losses_his, strict=True))
    assert max(ends[2:]) < 0.02 and ends[0] > max(ends[1:])  # the adaptive ones are at the noise, plain SGD is last
    for name in ("data.png", "losses.png"):
        with Image.open(tmp_path / name) as image:
            assert image.size[0] > 300
