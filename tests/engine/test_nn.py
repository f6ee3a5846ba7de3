"""Modules, containers, initial values, optimizers' errors, data, images."""

import io
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import engine as torch
from engine import nn
from engine.nn import functional as F
from engine.nn import init
from engine.state import load, save_file
from engine.utils.data import (
    BatchSampler,
    ConcatDataset,
    DataLoader,
    IterableDataset,
    SequentialSampler,
    Subset,
    TensorDataset,
    random_split,
)
from engine.vision import transforms
from engine.vision.datasets import ImageFolder


def test_convolution_is_its_definition() -> None:
    """Against loops over every element, with every argument at once."""
    rng = np.random.default_rng(0)
    x, w, b = rng.normal(size=(2, 4, 7, 8)), rng.normal(size=(6, 2, 3, 2)), rng.normal(size=6)
    stride, padding, dilation, groups = (2, 1), (1, 2), (1, 3), 2
    y = F.conv2d(torch.tensor(x), torch.tensor(w), torch.tensor(b), stride, padding, dilation, groups).numpy()
    xp = np.pad(x, ((0, 0), (0, 0), (1, 1), (2, 2)))
    expected = np.zeros_like(y)
    for n, o, i, j in np.ndindex(y.shape):
        for c, p, q in np.ndindex(2, 3, 2):
            expected[n, o, i, j] += xp[n, o // 3 * 2 + c, i * 2 + p, j + q * 3] * w[o, c, p, q]
    np.testing.assert_allclose(y, expected + b[None, :, None, None], rtol=1e-10)


def test_seeds_stack_has_its_sizes() -> None:
    layers: list[nn.Module] = [
        nn.Conv2d(1, 32, 7, 2, 3),
        nn.ReLU(True),
        nn.Conv2d(32, 64, 3, 1, 1),
        nn.ReLU(True),
        nn.MaxPool2d(3, (3, 2), 1),
    ]
    assert nn.Sequential(*layers)(torch.zeros(1, 1, 100, 40)).shape == (1, 64, 17, 10)
    assert repr(nn.Sequential()) == "Sequential()"


def test_containers() -> None:
    net = nn.Sequential(OrderedDict([("conv1", nn.Conv2d(1, 20, 5)), ("relu1", nn.ReLU())]))
    assert list(net.state_dict()) == ["conv1.weight", "conv1.bias"] and net[0] is net.conv1 and len(net[:1]) == 1 and net[-1] is net.relu1
    several = nn.ModuleList([nn.Linear(1, 1)])
    several.append(nn.ReLU())
    assert len(list(several.parameters())) == 2 and isinstance(several[1], nn.ReLU)
    with pytest.raises(IndexError):
        several[2]
    assert nn.Residual(nn.Linear(3, 3))(torch.ones(2, 3)).shape == (2, 3)
    with pytest.raises(RuntimeError, match="different shapes"):
        nn.Residual(nn.Linear(3, 2))(torch.ones(2, 3))
    assert nn.Parallel(nn.Linear(3, 2), nn.Linear(3, 4))(torch.ones(5, 3)).shape == (5, 6)


def test_modules_register_and_refuse() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.hidden = nn.Linear(2, 3)
            self.register_buffer("count", torch.zeros(1))
            self.scale = nn.Parameter(torch.ones(1))

        def forward(self, x: torch.Tensor) -> Any:
            return self.hidden(x) * self.scale

    net = Net()
    assert [n for n, _ in net.named_parameters()] == ["scale", "hidden.weight", "hidden.bias"] and list(net.state_dict())[:2] == [
        "scale",
        "count",
    ]
    assert net.eval().hidden.training is False
    with pytest.raises(RuntimeError) as error:
        net.load_state_dict({"scale": torch.ones(2), "other": torch.ones(1)})
    for part in ('Unexpected key(s) in state_dict: "other"', '"hidden.weight"', "size mismatch for scale"):
        assert part in str(error.value)
    assert net.load_state_dict({"scale": torch.ones(1)}, strict=False).missing_keys == ["count", "hidden.weight", "hidden.bias"]
    seen: list[Any] = []
    handle = net.hidden.register_forward_hook(lambda m, args, y: seen.append(y.shape))
    net(torch.ones(4, 2))
    handle.remove()
    net(torch.ones(4, 2))
    assert seen == [(4, 3)]
    assert net.double().scale.dtype is torch.float64
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = net.nothing


def test_safetensors_round_trip(tmp_path: Path) -> None:
    state = {"a": torch.randn(2, 3), "n": torch.tensor(3), "t": torch.randn(2, 3).t()}
    save_file(state, tmp_path / "x.safetensors")
    for k, v in load(tmp_path / "x.safetensors").items():
        np.testing.assert_array_equal(v.numpy(), state[k].numpy())


@pytest.mark.parametrize(
    ("fill", "variance"),
    [
        (lambda w: init.xavier_uniform_(w, gain=2), 4 * 2 / (288 + 576)), (lambda w: init.xavier_normal_(w), 2 / (288 + 576)),
        (lambda w: init.kaiming_uniform_(w, nonlinearity="relu"), 2 / 288), (lambda w: init.kaiming_normal_(w, mode="fan_out", a=1), 1 / 576),
        (lambda w: init.uniform_(w, -1, 3), 16 / 12), (lambda w: init.normal_(w, 1, 0.5), 0.25), (lambda w: init.trunc_normal_(w), 0.774),
    ],
)  # fmt: skip
def test_initializers_have_their_variance(fill: Any, variance: float) -> None:
    w = torch.empty(64, 32, 3, 3, requires_grad=True)
    assert fill(w) is w
    assert w.detach().numpy().var() == pytest.approx(variance, rel=0.05)


def test_other_initializers() -> None:
    q = init.orthogonal_(torch.empty(5, 3, 2)).reshape(5, 6)
    np.testing.assert_allclose((q @ q.t()).numpy(), np.eye(5), atol=1e-6)
    assert init.eye_(torch.empty(2, 3)).tolist() == [[1, 0, 0], [0, 1, 0]] and init.constant_(torch.empty(2), 3).tolist() == [3, 3]
    x = torch.randn(1, 4, 5, 5)
    np.testing.assert_array_equal(F.conv2d(x, init.dirac_(torch.empty(4, 2, 3, 3), groups=2), padding=1, groups=2).numpy(), x.numpy())
    assert init.calculate_gain("leaky_relu", 1) == 1 and init.calculate_gain("tanh") == pytest.approx(5 / 3)
    for fill in (init.xavier_uniform_, init.xavier_normal_, init.kaiming_uniform_, init.kaiming_normal_):
        with pytest.raises(ValueError, match="fewer than 2 dimensions"):
            fill(torch.empty(3))
    for broken in (
        lambda: init.eye_(torch.empty(2)),
        lambda: init.dirac_(torch.empty(2, 2)),
        lambda: init.orthogonal_(torch.empty(2)),
        lambda: init.calculate_gain("x"),
    ):
        with pytest.raises(ValueError):
            broken()


def test_optimizers_refuse_what_pytorch_refuses() -> None:
    p = nn.Parameter(torch.ones(1))
    for broken in (
        lambda: torch.optim.SGD([p], lr=-1), lambda: torch.optim.SGD([p], nesterov=True), lambda: torch.optim.Adam([p], betas=(1.0, 0.9)), lambda: torch.optim.Adam([]),
        lambda: torch.optim.SGD([{"params": [p]}, {"params": [p]}]), lambda: torch.optim.SGD([torch.ones(1, requires_grad=True) * 2]),
    ):  # fmt: skip
        with pytest.raises(ValueError):
            broken()
    with pytest.raises(TypeError):
        torch.optim.SGD(p)
    groups = torch.optim.SGD([{"params": [p], "lr": 0.5}, {"params": [nn.Parameter(torch.ones(1))]}], lr=0.1).param_groups
    assert [g["lr"] for g in groups] == [0.5, 0.1]


def test_loader() -> None:
    x, y = torch.linspace(1, 10, 10), torch.linspace(10, 1, 10)
    torch.manual_seed(0)
    for drop_last, sizes in ((False, [4, 4, 2]), (True, [4, 4])):
        loader = DataLoader(TensorDataset(x, y), batch_size=4, shuffle=True, drop_last=drop_last)
        batches = list(loader)
        assert [len(a) for a, _ in batches] == sizes and len(loader) == len(sizes)
        assert all((a + b).tolist() == [11] * len(a) for a, b in batches)
    assert [b.tolist() for b in DataLoader(torch.arange(6), batch_size=4)] == [[0, 1, 2, 3], [4, 5]]
    assert [b.shape for b in DataLoader([1.5, 2.5])] == [(1,), (1,)]

    class Stream(IterableDataset):
        def __iter__(self) -> Any:
            return iter(range(5))

    assert [b.tolist() for b in DataLoader(Stream(), batch_size=2)] == [[0, 1], [2, 3], [4]]
    mapped = next(iter(DataLoader([{"a": 1, "b": "x"}, {"a": 2, "b": "y"}], batch_size=2)))
    assert mapped["a"].tolist() == [1, 2] and mapped["b"] == ["x", "y"]
    loader = DataLoader([1, 2], batch_sampler=BatchSampler(SequentialSampler([1, 2]), 2, False))
    with pytest.raises(ValueError, match="should not be set"):
        loader.batch_size = 3
    for options in (
        {"batch_size": 0},
        {"num_workers": -1},
        {"timeout": -1},
        {"shuffle": True, "sampler": [0]},
        {"batch_sampler": [[0]], "batch_size": 2},
        {"batch_size": None, "drop_last": True},
    ):
        with pytest.raises(ValueError):
            DataLoader([1], **options)
    with pytest.raises(ValueError, match="IterableDataset"):
        DataLoader(Stream(), shuffle=True)


def test_datasets() -> None:
    x = torch.arange(10)
    parts = random_split(TensorDataset(x), [0.7, 0.3])
    assert [len(p) for p in parts] == [7, 3] and sorted(int(s[0]) for p in parts for s in p) == list(range(10))
    both = TensorDataset(x) + Subset(TensorDataset(x), [3])
    assert isinstance(both, ConcatDataset) and len(both) == 11 and int(both[-1][0]) == 3
    with pytest.raises(AssertionError):
        TensorDataset(x, torch.arange(3))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("dog", "cat"):
        (tmp_path / name).mkdir()
        for i in range(2):
            Image.fromarray(np.full((6, 5, 3), 40 * i + (100 if name == "dog" else 0), np.uint8)).save(tmp_path / name / f"{i}.png")
    return tmp_path


def test_image_folder(folder: Path) -> None:
    data = ImageFolder(folder, transform=transforms.ToTensor(), target_transform=lambda t: t + 10)
    assert data.classes == ["cat", "dog"] and data.class_to_idx == {"cat": 0, "dog": 1} and len(data) == 4
    x, y = data[3]
    assert x.shape == (3, 6, 5) and y == 11 and float(x[0, 0, 0]) == pytest.approx(140 / 255)
    (folder / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="empty"):
        ImageFolder(folder)


def test_transforms_on_images_and_tensors_agree() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8)
    image, x = Image.fromarray(pixels), torch.tensor(pixels.transpose(2, 0, 1).copy())
    for t in (transforms.CenterCrop((5, 4)), transforms.RandomCrop(6, 2), transforms.RandomHorizontalFlip(1.0), transforms.RandomVerticalFlip(1.0), transforms.Resize((4, 8)),
              transforms.Resize(4), transforms.Grayscale(), transforms.Grayscale(3)):  # fmt: skip
        torch.manual_seed(5)
        a = transforms.ToTensor()(t(image))
        torch.manual_seed(5)
        b = transforms.ToTensor()(t(x))
        np.testing.assert_array_equal(a.numpy(), b.numpy(), err_msg=repr(t))
    y = transforms.Compose([transforms.ToTensor(), transforms.Normalize([0.5] * 3, [0.25] * 3)])(image)
    np.testing.assert_allclose(y.numpy(), (pixels.transpose(2, 0, 1) / 255 - 0.5) / 0.25, rtol=1e-5, atol=1e-6)
    with pytest.raises(ValueError, match="larger"):
        transforms.RandomCrop(20)(image)
    with pytest.raises(TypeError, match="ToTensor"):
        transforms.Normalize([0.5], [0.5])(x)


def test_images_that_are_not_pictures_are_refused(tmp_path: Path) -> None:
    from engine.vision.io import read_image

    (tmp_path / "x.png").write_bytes(b"not a picture")
    with pytest.raises(OSError):
        read_image(tmp_path / "x.png")
    out = io.BytesIO()
    Image.new("RGB", (2, 3)).save(out, "PNG")
    (tmp_path / "y.png").write_bytes(out.getvalue())
    assert read_image(tmp_path / "y.png").shape == (3, 3, 2)


def test_save_and_load_hold_tensors_and_refuse_code(tmp_path: Path) -> None:
    net = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    state = {
        "model": net.state_dict(),
        "epoch": 3,
        "p": net[0].weight,
        "half": torch.ones(2, dtype=torch.bfloat16),
        "none": [None, (1, 2.5, "x")],
        "array": np.arange(6.0).reshape(2, 3)[:, ::2],
        "number": np.float32(1.5),
    }
    torch.save(state, tmp_path / "state.pt")
    loaded = torch.load(tmp_path / "state.pt", map_location="cpu")
    assert (
        loaded["epoch"] == 3
        and loaded["none"] == state["none"]
        and isinstance(loaded["p"], nn.Parameter)
        and loaded["half"].dtype is torch.bfloat16
    )
    assert loaded["array"].tolist() == [[0, 2], [3, 5]] and loaded["number"] == 1.5
    assert nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3)).load_state_dict(loaded["model"]) == ([], [])
    torch.save(net, tmp_path / "net.pt")
    with pytest.raises(Exception, match="weights_only=False"):
        torch.load(tmp_path / "net.pt")
    assert repr(torch.load(tmp_path / "net.pt", weights_only=False)) == repr(net)
    (tmp_path / "evil.pt").write_bytes(b"cos\nsystem\n(S'echo evil'\ntR.")
    with pytest.raises(Exception, match="could run code"):
        torch.load(tmp_path / "evil.pt")


def test_multinomial_draws_by_weight() -> None:
    torch.manual_seed(0)
    drawn = torch.multinomial(torch.tensor([[1.0, 0.0, 3.0], [0.0, 1.0, 0.0]]), 20_000, replacement=True).numpy()
    assert set(drawn[0]) == {0, 2} and abs((drawn[0] == 2).mean() - 0.75) < 0.02 and set(drawn[1]) == {1}
    firsts = [tuple(torch.multinomial(torch.tensor([1.0, 1.0, 2.0]), 3).tolist()) for _ in range(400)]
    assert all(sorted(f) == [0, 1, 2] for f in firsts) and abs(np.mean([f[0] == 2 for f in firsts]) - 0.5) < 0.1
    for bad in ([-1.0, 1.0], [0.0, 0.0], [float("nan"), 1.0]):
        with pytest.raises(RuntimeError):
            torch.multinomial(torch.tensor(bad), 1)
    with pytest.raises(RuntimeError, match="without replacement"):
        torch.multinomial(torch.ones(2), 3)


def test_an_error_names_the_layer_it_came_from() -> None:
    net = nn.Sequential(nn.Linear(2, 3), nn.Sequential(nn.ReLU(), nn.Linear(4, 1)))
    with pytest.raises(RuntimeError, match="2x3 and 4x1") as caught:
        net(torch.zeros(2, 2))
    assert caught.value.__notes__ == ["in layer 1.1: Linear(in_features=4, out_features=1, bias=True)"]
    with pytest.raises(RuntimeError) as caught:
        nn.Linear(4, 1)(torch.zeros(2, 2))
    assert caught.value.__notes__ == ["in Linear(in_features=4, out_features=1, bias=True)"]


def test_sparse_initialization() -> None:
    w = nn.init.sparse_(torch.empty(10, 4), 0.3)
    assert (w == 0).sum(0).tolist() == [3, 3, 3, 3]
    with pytest.raises(ValueError, match="2 dimensions"):
        nn.init.sparse_(torch.empty(3), 0.1)


@pytest.mark.parametrize(
    "name", ["celu", "elu", "hardsigmoid", "hardswish", "hardtanh", "leaky_relu", "mish", "relu", "relu6", "selu", "silu"]
)
def test_an_activation_in_place_has_the_same_derivative(name: str) -> None:
    function, x = getattr(torch.nn.functional, name), torch.randn(5, 7, requires_grad=True)
    gradients = []
    for inplace in (False, True):
        y = x * 3
        function(y, inplace=inplace).square().sum().backward()
        gradients.append(x.grad)
        x.grad = None
    assert torch.equal(*gradients)
