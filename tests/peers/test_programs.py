"""Programs of the kind that people write for PyTorch, written once and run on both: the same loss from the same start.

Each follows the structure of a well-known public example (MNIST with convolutions, polynomial regression, a variational
autoencoder, sequences by LSTM cells and L-BFGS, a residual network, four optimizers side by side). What is random in them is drawn
by NumPy for both sides.
"""

from __future__ import annotations

import copy
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import engine

torch = pytest.importorskip("torch", reason="PyTorch is not installed; scripts/test --peers brings it")
pytestmark = pytest.mark.peer
TOLERANCE = 1e-3  # of a loss, relative
NEAR_TIES = 2  # images of which rounding may choose the class


@pytest.fixture(scope="module")
def digits() -> tuple[Any, Any]:
    """Handwritten digits, 28 x 28, in [0, 1], and their classes."""
    images, labels = [], []
    with zipfile.ZipFile(Path(__file__).parents[2] / "examples" / "digits.zip") as archive:
        names = sorted(n for n in archive.namelist() if n.endswith(".png"))
        for name in np.random.default_rng(0).permutation(names)[:256]:
            with archive.open(str(name)) as file:
                images.append(np.asarray(Image.open(file).convert("L").resize((28, 28)), np.float32) / 255)
            labels.append(int(str(name).split("/")[-2]))
    return np.stack(images)[:, None], np.array(labels)


def same_start(mine: Any, theirs: Any) -> None:
    """Both networks from PyTorch's weights."""
    mine.load_state_dict({k: engine.tensor(v.numpy()) for k, v in theirs.state_dict().items()})


def drawn(lib: Any, monkeypatch: pytest.MonkeyPatch, seed: int = 0) -> None:
    """Dropout masks and normal noise from NumPy."""
    rng = np.random.default_rng(seed)

    def dropout(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
        mask = (rng.random(tuple(input.shape)) >= p).astype(np.float32) / (1 - p)
        return input * lib.tensor(mask) if training else input

    def randn_like(input: Any) -> Any:
        return lib.tensor(rng.normal(size=tuple(input.shape)).astype(np.float32))

    monkeypatch.setattr(lib.nn.functional, "dropout", dropout)
    monkeypatch.setattr(lib, "randn_like", randn_like)


def compare(program: Callable[[Any], tuple[Any, Callable[[], list[float]]]], monkeypatch: pytest.MonkeyPatch, falls: bool = True) -> None:
    """Runs ``program(lib)`` on both sides: it gives its network, or None, and what trains it, which gives losses and counts of hits."""
    torch.manual_seed(0)
    (mine, train), (theirs, train_theirs) = program(engine), program(torch)
    if theirs is not None:
        same_start(mine, theirs)
    losses = []
    for lib, run in ((engine, train), (torch, train_theirs)):
        with monkeypatch.context() as patch:
            drawn(lib, patch)
            losses.append(run())
    for mine, theirs in zip(*losses, strict=True):
        assert mine == pytest.approx(theirs, rel=TOLERANCE, abs=NEAR_TIES if isinstance(theirs, int) else 0)
    assert not falls or losses[0][-1] < losses[0][0]


def test_mnist_with_convolutions(digits: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    images, labels = digits

    def program(torch: Any) -> Any:
        nn, F = torch.nn, torch.nn.functional

        class Net(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.conv1 = nn.Conv2d(1, 8, 3, 1)
                self.conv2 = nn.Conv2d(8, 16, 3, 1)
                self.fc1 = nn.Linear(2304, 32)
                self.fc2 = nn.Linear(32, 10)

            def forward(self, x: Any) -> Any:
                x = F.relu(self.conv1(x))
                x = F.relu(self.conv2(x))
                x = F.max_pool2d(x, 2)
                x = F.dropout(x, 0.25, self.training)
                x = torch.flatten(x, 1)
                x = F.relu(self.fc1(x))
                x = F.dropout(x, 0.5, self.training)
                return F.log_softmax(self.fc2(x), dim=1)

        model = Net().to(torch.device("cuda" if torch.cuda.is_available() else "cpu"))

        def train() -> list[float]:
            optimizer = torch.optim.Adadelta(model.parameters(), lr=1.0)
            scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.7)
            data = torch.utils.data.TensorDataset(torch.tensor(images), torch.tensor(labels))
            losses = []
            for _ in range(3):
                model.train()
                for x, target in torch.utils.data.DataLoader(data, batch_size=64):
                    optimizer.zero_grad()
                    loss = F.nll_loss(model(x), target)
                    loss.backward()
                    optimizer.step()
                    losses.append(loss.item())
                scheduler.step()
                model.eval()
                with torch.no_grad():
                    output = model(torch.tensor(images[:100]))
                    prediction = output.argmax(dim=1, keepdim=True)
                    correct = prediction.eq(torch.tensor(labels[:100]).view_as(prediction)).sum().item()
                    losses += [F.nll_loss(output, torch.tensor(labels[:100]), reduction="sum").item(), correct]
            return losses

        return model, train

    compare(program, monkeypatch, falls=False)


def test_polynomial_regression(monkeypatch: pytest.MonkeyPatch) -> None:
    def program(torch: Any) -> Any:
        fc = torch.nn.Linear(4, 1)

        def train() -> list[float]:
            rng = np.random.default_rng(2)
            target_w, target_b = (
                torch.tensor(rng.normal(size=(4, 1)).astype(np.float32)) * 5,
                torch.tensor(rng.normal(size=1).astype(np.float32)) * 5,
            )
            losses = []
            for _ in range(60):
                x = torch.tensor(rng.normal(size=32).astype(np.float32)).unsqueeze(1)
                features = torch.cat([x**i for i in range(1, 5)], 1)
                target = features.mm(target_w) + target_b.item()
                fc.zero_grad()
                output = torch.nn.functional.smooth_l1_loss(fc(features), target)
                output.backward()
                for param in fc.parameters():
                    param.data.add_(-0.1 * param.grad)
                losses.append(output.item())
            return losses

        return fc, train

    compare(program, monkeypatch)


def test_variational_autoencoder(digits: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    images, _ = digits

    def program(torch: Any) -> Any:
        nn, F = torch.nn, torch.nn.functional

        class VAE(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.fc1, self.fc21, self.fc22 = nn.Linear(784, 64), nn.Linear(64, 8), nn.Linear(64, 8)
                self.fc3, self.fc4 = nn.Linear(8, 64), nn.Linear(64, 784)

            def forward(self, x: Any) -> Any:
                h1 = F.relu(self.fc1(x.view(-1, 784)))
                mu, logvar = self.fc21(h1), self.fc22(h1)
                std = torch.exp(0.5 * logvar)
                z = mu + torch.randn_like(std) * std
                return torch.sigmoid(self.fc4(F.relu(self.fc3(z)))), mu, logvar

        model = VAE()

        def train() -> list[float]:
            optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
            losses = []
            for _ in range(10):
                for i in range(0, 256, 64):
                    data = torch.tensor(images[i : i + 64])
                    optimizer.zero_grad()
                    recon, mu, logvar = model(data)
                    bce = F.binary_cross_entropy(recon, data.view(-1, 784), reduction="sum")
                    kld = -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())
                    loss = bce + kld
                    loss.backward()
                    losses.append(loss.item())
                    optimizer.step()
            return losses

        return model, train

    compare(program, monkeypatch)


def test_sequences_by_lstm_cells_and_lbfgs(monkeypatch: pytest.MonkeyPatch) -> None:
    def program(torch: Any) -> Any:
        nn = torch.nn

        class Sequence(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.lstm1, self.lstm2, self.linear = nn.LSTMCell(1, 11), nn.LSTMCell(11, 11), nn.Linear(11, 1)

            def forward(self, input: Any, future: int = 0) -> Any:
                outputs = []
                h_t, c_t, h_t2, c_t2 = (torch.zeros(input.size(0), 11, dtype=torch.double) for _ in range(4))
                for input_t in input.split(1, dim=1):
                    h_t, c_t = self.lstm1(input_t, (h_t, c_t))
                    h_t2, c_t2 = self.lstm2(h_t, (h_t2, c_t2))
                    output = self.linear(h_t2)
                    outputs += [output]
                for _ in range(future):
                    h_t, c_t = self.lstm1(output, (h_t, c_t))
                    h_t2, c_t2 = self.lstm2(h_t, (h_t2, c_t2))
                    output = self.linear(h_t2)
                    outputs += [output]
                return torch.cat(outputs, dim=1)

        seq = Sequence()
        seq.double()

        def train() -> list[float]:
            x = np.arange(40) + np.random.default_rng(2).integers(-80, 80, 6)[:, None]
            data = np.sin(x / 8.0).astype("float64")
            input, target = torch.from_numpy(data[2:, :-1]), torch.from_numpy(data[2:, 1:])
            criterion = nn.MSELoss()
            optimizer = torch.optim.LBFGS(seq.parameters(), lr=0.8, max_iter=6)
            losses = []

            def closure() -> Any:
                optimizer.zero_grad()
                loss = criterion(seq(input), target)
                losses.append(loss.item())
                loss.backward()
                return loss

            for _ in range(3):
                optimizer.step(closure)
            with torch.no_grad():
                ahead = seq(torch.from_numpy(data[:2, :-1]), future=10)
                losses.append(criterion(ahead[:, :-10], torch.from_numpy(data[:2, 1:])).item())
            return losses

        return seq, train

    compare(program, monkeypatch)


def test_residual_network(digits: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    images, labels = digits

    def program(torch: Any) -> Any:
        nn = torch.nn

        def conv3x3(i: int, o: int, stride: int = 1) -> Any:
            return nn.Conv2d(i, o, kernel_size=3, stride=stride, padding=1, bias=False)

        class Block(nn.Module):
            def __init__(self, i: int, o: int, stride: int = 1, downsample: Any = None) -> None:
                super().__init__()
                self.conv1, self.bn1, self.relu = conv3x3(i, o, stride), nn.BatchNorm2d(o), nn.ReLU(inplace=True)
                self.conv2, self.bn2, self.downsample = conv3x3(o, o), nn.BatchNorm2d(o), downsample

            def forward(self, x: Any) -> Any:
                residual = x
                out = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
                if self.downsample:
                    residual = self.downsample(x)
                out += residual
                return self.relu(out)

        class ResNet(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.in_channels = 4
                self.conv, self.bn, self.relu = conv3x3(1, 4), nn.BatchNorm2d(4), nn.ReLU(inplace=True)
                self.layer1, self.layer2, self.layer3 = self.make(4, 1), self.make(8, 2), self.make(16, 2)
                self.avg_pool, self.fc = nn.AvgPool2d(7), nn.Linear(16, 10)

            def make(self, o: int, stride: int) -> Any:
                downsample = None
                if stride != 1 or self.in_channels != o:
                    downsample = nn.Sequential(conv3x3(self.in_channels, o, stride=stride), nn.BatchNorm2d(o))
                layers = [Block(self.in_channels, o, stride, downsample), Block(o, o)]
                self.in_channels = o
                return nn.Sequential(*layers)

            def forward(self, x: Any) -> Any:
                out = self.layer3(self.layer2(self.layer1(self.relu(self.bn(self.conv(x))))))
                out = self.avg_pool(out)
                return self.fc(out.view(out.size(0), -1))

        model = ResNet()

        def train() -> list[float]:
            criterion, optimizer = nn.CrossEntropyLoss(), torch.optim.Adam(model.parameters(), lr=0.001)
            losses = []
            for epoch in range(2):
                for i in range(0, 256, 64):
                    outputs = model(torch.tensor(images[i : i + 64]))
                    loss = criterion(outputs, torch.tensor(labels[i : i + 64]))
                    optimizer.zero_grad()
                    loss.backward()
                    optimizer.step()
                    losses.append(loss.item())
                for group in optimizer.param_groups:
                    group["lr"] = 0.001 / (3 * (epoch + 1))
            _, predicted = torch.max(outputs.data, 1)
            losses.append(float((predicted == torch.tensor(labels[192:])).sum().item() + 1))
            return losses

        return model, train

    compare(program, monkeypatch, falls=False)


def test_four_optimizers_side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    def program(torch: Any) -> Any:
        F = torch.nn.functional

        class Net(torch.nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.hidden, self.predict = torch.nn.Linear(1, 20), torch.nn.Linear(20, 1)

            def forward(self, x: Any) -> Any:
                return self.predict(F.relu(self.hidden(x)))

        first = Net()

        def train() -> list[float]:
            rng = np.random.default_rng(1)
            x = torch.unsqueeze(torch.linspace(-1, 1, 200), dim=1)
            y = x.pow(2) + 0.1 * torch.tensor(rng.normal(size=(200, 1)).astype(np.float32))
            nets = [copy.deepcopy(first) for _ in range(4)]
            optimizers = [
                torch.optim.SGD(nets[0].parameters(), lr=0.01), torch.optim.SGD(nets[1].parameters(), lr=0.01, momentum=0.8),
                torch.optim.RMSprop(nets[2].parameters(), lr=0.01, alpha=0.9), torch.optim.Adam(nets[3].parameters(), lr=0.01, betas=(0.9, 0.99)),
            ]  # fmt: skip
            loss_func = torch.nn.MSELoss()
            losses = []
            loader = torch.utils.data.DataLoader(dataset=torch.utils.data.TensorDataset(x, y), batch_size=32, shuffle=False, num_workers=0)
            for _ in range(6):
                for b_x, b_y in loader:
                    for net, opt in zip(nets, optimizers, strict=True):
                        loss = loss_func(net(b_x), b_y)
                        opt.zero_grad()
                        loss.backward()
                        opt.step()
                        losses.append(loss.data.numpy().item())
            return losses

        return first, train

    compare(program, monkeypatch)
