"""The tutorial's listings on initializers, Sequential, Module and Conv2d, import lines changed and typos mended."""

from collections import OrderedDict
from typing import Any

import pytest

import engine as torch
import engine.nn.functional as F
from engine import nn


class dnn_generator(nn.Module):
    # Weight Initialization [we initialize weights here]
    def weight_init(self) -> None:
        nn.init.xavier_uniform_(self.fc1.weight)
        nn.init.xavier_uniform_(self.fc2.weight)
        nn.init.xavier_uniform_(self.fc3.weight)
        nn.init.xavier_uniform_(self.out.weight)
        nn.init.xavier_uniform_(self.fc1.bias)
        nn.init.xavier_uniform_(self.fc2.bias)
        nn.init.xavier_uniform_(self.fc3.bias)
        nn.init.xavier_uniform_(self.out.bias)

    def __init__(self, G_in: int, G_out: int, w1: int, w2: int, w3: int) -> None:
        super(dnn_generator, self).__init__()
        self.fc1 = nn.Linear(G_in, w1)
        self.fc2 = nn.Linear(w1, w2)
        self.fc3 = nn.Linear(w2, w3)
        self.out = nn.Linear(w3, G_out)
        # self.weight_init()

    # Deep neural network [you are passing data layer-to-layer]
    def forward(self, x: Any) -> Any:
        x = F.relu(self.fc1(x))
        x = F.relu(self.fc2(x))
        x = F.relu(self.fc3(x))
        x = self.out(x)
        return x


def test_generator() -> None:
    net = dnn_generator(4, 2, 8, 8, 8)
    assert net(torch.ones(3, 4)).shape == (3, 2)
    with pytest.raises(ValueError, match="fewer than 2 dimensions"):
        net.weight_init()  # a bias has no fan


def test_initializers() -> None:
    tensor = torch.empty(3, 5)
    for fill in (
        lambda: torch.nn.init.uniform_(tensor, a=0, b=1), lambda: torch.nn.init.normal_(tensor, mean=0, std=1), lambda: torch.nn.init.constant_(tensor, 0.3),
        lambda: torch.nn.init.ones_(tensor), lambda: torch.nn.init.zeros_(tensor), lambda: torch.nn.init.xavier_uniform_(tensor, gain=1.0),
        lambda: torch.nn.init.xavier_normal_(tensor, gain=1), lambda: torch.nn.init.kaiming_uniform_(tensor, a=0, mode="fan_in", nonlinearity="leaky_relu"),
    ):  # fmt: skip
        assert fill() is tensor
    assert float(tensor.abs().max()) <= (6 / 5) ** 0.5  # of the last: gain sqrt(3 / fan_in)


def test_sequential() -> None:
    model = nn.Sequential(nn.Conv2d(1, 20, 5), nn.ReLU(), nn.Conv2d(20, 64, 5), nn.ReLU())
    model1 = nn.Sequential(
        OrderedDict([("conv1", nn.Conv2d(1, 20, 5)), ("relu1", nn.ReLU()), ("conv2", nn.Conv2d(20, 64, 5)), ("relu2", nn.ReLU())])
    )
    model1.load_state_dict({k: v for k, v in zip(model1.state_dict(), model.state_dict().values(), strict=True)})
    x = torch.randn(1, 1, 12, 12)
    assert model(x).shape == (1, 64, 4, 4) and bool((model(x) == model1(x)).all())


class net(nn.Module):
    def __init__(self, in_channel: int, out_channel: int) -> None:
        super(net, self).__init__()
        self.layer1 = nn.Sequential(nn.Conv2d(in_channel, in_channel // 4, kernel_size=1), nn.BatchNorm2d(in_channel // 4), nn.ReLU())
        self.layer2 = nn.Sequential(
            nn.Conv2d(in_channel // 4, in_channel // 4, kernel_size=3, padding=1), nn.BatchNorm2d(in_channel // 4), nn.ReLU()
        )
        self.layer3 = nn.Sequential(nn.Conv2d(in_channel // 4, out_channel, kernel_size=1), nn.BatchNorm2d(out_channel), nn.ReLU())

    def forward(self, x: Any) -> Any:
        x = self.layer1(x)
        x = self.layer2(x)
        x = self.layer3(x)
        return x


def test_bottleneck_and_residual() -> None:
    y = net(16, 32)(torch.randn(2, 16, 5, 5))
    assert y.shape == (2, 32, 5, 5) and float(y.min()) == 0

    class Sum(nn.Module):
        def __init__(self, num_input: int, num_hidden: int) -> None:
            super(Sum, self).__init__()
            self.layer1 = nn.Linear(num_input, num_hidden)
            self.layer2 = nn.Sequential(nn.Linear(num_input, num_hidden), nn.ReLU())

        def forward(self, x: Any) -> Any:
            x1 = self.layer1(x)
            x2 = self.layer2(x)
            x = x1 + x2
            return x

    assert Sum(3, 4)(torch.ones(2, 3)).shape == (2, 4)


class Net(torch.nn.Module):
    def __init__(self, n_feature: int, n_hidden: int, n_output: int) -> None:
        super(Net, self).__init__()
        self.hidden = torch.nn.Linear(n_feature, n_hidden)
        self.predict = torch.nn.Linear(n_hidden, n_output)

    def forward(self, x: Any) -> Any:
        x = F.relu(self.hidden(x))
        x = self.predict(x)
        return x


def test_what_networks_look_like(capsys: pytest.CaptureFixture[str]) -> None:
    net1 = Net(1, 10, 1)
    net2 = torch.nn.Sequential(torch.nn.Linear(1, 10), torch.nn.Linear(10, 1))
    print(net1)
    print(net2)
    lower_layers: list[nn.Module] = []
    net3 = nn.Sequential(*lower_layers)
    print(net3)
    inception_layers: list[nn.Module] = []
    inception_layers += [nn.Conv2d(1, 128, 3, padding=1)]
    inception_layers += [nn.ReLU(True)]
    inception_layers += [nn.Conv2d(128, 256, 3, padding=1)]
    inception_layers += [nn.ReLU(True)]
    inception_layers += [nn.Conv2d(256, 128, 3, padding=1)]
    inception_layers += [nn.ReLU(True)]
    net4 = nn.Sequential(*inception_layers)
    print(net4)
    assert (
        capsys.readouterr().out
        == """\
Net(
  (hidden): Linear(in_features=1, out_features=10, bias=True)
  (predict): Linear(in_features=10, out_features=1, bias=True)
)
Sequential(
  (0): Linear(in_features=1, out_features=10, bias=True)
  (1): Linear(in_features=10, out_features=1, bias=True)
)
Sequential()
Sequential(
  (0): Conv2d(1, 128, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1))
  (1): ReLU(inplace=True)
  (2): Conv2d(128, 256, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1))
  (3): ReLU(inplace=True)
  (4): Conv2d(256, 128, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1))
  (5): ReLU(inplace=True)
)
"""
    )
    assert net4(torch.zeros(1, 1, 6, 6)).shape == (1, 128, 6, 6)


def test_the_deep_stack_of_convolutions() -> None:
    lower_layers: list[nn.Module] = []
    lower_layers += [nn.Conv2d(1, 32, 7, 2, 3)]
    lower_layers += [nn.ReLU(True)]
    lower_layers += [nn.Conv2d(32, 64, 3, 1, 1)]
    lower_layers += [nn.ReLU(True)]
    lower_layers += [nn.MaxPool2d(3, (3, 2), 1)]
    lower_layers += [nn.Conv2d(64, 128, 3, 1, 1)]
    lower_layers += [nn.ReLU(True)]
    lower_layers += [nn.MaxPool2d(3, (4, 2), 1)]
    lower_layers += [nn.Conv2d(128, 256, 3, 1, 1)]
    lower_layers += [nn.ReLU(True)]
    lower_layers += [nn.MaxPool2d(3, (3, 2), 1)]
    lower_layers += [nn.Conv2d(256, 256, 3, 1, 1)]
    lower_layers += [nn.ReLU(True)]
    x = torch.randn(1, 1, 200, 40, requires_grad=True)
    y = nn.Sequential(*lower_layers)(x)
    assert y.shape == (1, 256, 3, 3)  # floor((n + 2 padding - dilation (kernel - 1) - 1) / stride + 1) at every layer
    y.sum().backward()
    assert x.grad is not None and bool(x.grad.isfinite().all())


def test_the_handwriting_network_has_79_510_parameters() -> None:
    mlp = nn.Sequential(nn.Linear(784, 100), nn.ReLU(), nn.Linear(100, 10))
    assert sum(p.numel() for p in mlp.parameters()) == 79_510
