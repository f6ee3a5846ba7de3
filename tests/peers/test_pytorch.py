"""The engine beside PyTorch: the same numbers, names and texts. Skipped where PyTorch is not installed (scripts/test --peers)."""

import copy
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import engine
from engine import nn
from engine.state import save_file

torch = pytest.importorskip("torch", reason="PyTorch is not installed; scripts/test --peers brings it")
pytestmark = pytest.mark.peer
rng = np.random.default_rng(3)


@pytest.fixture(autouse=True)
def _the_same_numbers(request: pytest.FixtureRequest) -> None:
    """Each test draws the same numbers, whichever run before it."""
    global rng
    rng = np.random.default_rng(zlib.crc32(request.node.name.encode()))
    engine.manual_seed(0)
    torch.manual_seed(0)


def both(*size: int) -> tuple[Any, Any]:
    x = rng.normal(size=size).astype(np.float32)
    return engine.tensor(x).requires_grad_(), torch.tensor(x, requires_grad=True)


def close(ours: Any, theirs: Any, tolerance: float = 1e-5) -> None:
    np.testing.assert_allclose(ours.detach().numpy(), theirs.detach().numpy(), rtol=tolerance, atol=tolerance)


def stack(lib: Any) -> Any:
    return lib.Sequential(
        lib.Conv2d(3, 8, 3, padding=1), lib.BatchNorm2d(8), lib.ReLU(True), lib.MaxPool2d(3, (2, 1), 1), lib.Conv2d(8, 6, (3, 2), stride=(1, 2), groups=2, dilation=(1, 2)),
        lib.ReLU(), lib.AvgPool2d(2), lib.Flatten(), lib.Dropout(0.5), lib.Linear(6 * 3, 5),
    )  # fmt: skip


def test_a_saved_file_loads_strictly_and_gives_the_same_outputs(tmp_path: Path) -> None:
    import safetensors.torch as safetensors

    ours, theirs = stack(nn), stack(torch.nn)
    x = rng.normal(size=(16, 3, 16, 8)).astype(np.float32)
    for _ in range(3):  # running statistics that are not those of the start
        ours(engine.tensor(x))
    save_file(ours.state_dict(), tmp_path / "model.safetensors", {"format": "pt"})
    theirs.load_state_dict(safetensors.load_file(tmp_path / "model.safetensors"), strict=True)
    close(ours.eval()(engine.tensor(x)), theirs.eval()(torch.tensor(x)))
    assert repr(ours) == repr(theirs)


MODULES: list[tuple[str, tuple[Any, ...], dict[str, Any], tuple[int, ...]]] = [
    ("Linear", (4, 3), {}, (2, 5, 4)), ("Linear", (4, 3), {"bias": False}, (2, 4)), ("Conv1d", (4, 6, 3), {"padding": 2, "dilation": 2, "groups": 2}, (2, 4, 9)),
    ("Conv2d", (4, 6, 3), {}, (2, 4, 7, 8)), ("Conv2d", (4, 6, (3, 2)), {"stride": (2, 1), "padding": (1, 0), "groups": 2, "bias": False}, (2, 4, 7, 8)),
    ("Conv2d", (2, 4, 4), {"padding": "same", "padding_mode": "reflect"}, (1, 2, 7, 8)), ("Conv2d", (2, 4, 3), {"padding": 2, "padding_mode": "circular"}, (1, 2, 7, 8)),
    ("Conv2d", (2, 4, 3), {"padding": 1, "padding_mode": "replicate", "dilation": 2}, (2, 7, 8)), ("Conv2d", (2, 4, 3), {"padding": "valid"}, (1, 2, 7, 8)),
    ("BatchNorm1d", (3,), {}, (5, 3)), ("BatchNorm1d", (3,), {"affine": False}, (5, 3, 4)), ("BatchNorm2d", (3,), {"momentum": None}, (5, 3, 4, 4)),
    ("BatchNorm2d", (3,), {"track_running_stats": False}, (5, 3, 4, 4)), ("LayerNorm", (4,), {}, (2, 3, 4)), ("LayerNorm", ([3, 4],), {"bias": False}, (2, 3, 4)),
    ("MaxPool2d", (3,), {"stride": (3, 2), "padding": 1}, (2, 3, 10, 9)), ("MaxPool2d", (2,), {"ceil_mode": True, "dilation": 2}, (2, 3, 10, 9)),
    ("AvgPool2d", (3,), {"stride": 2, "padding": 1, "count_include_pad": False}, (2, 3, 7, 8)), ("AvgPool2d", (3,), {"ceil_mode": True}, (2, 3, 7, 8)),
    ("AdaptiveAvgPool2d", ((3, 2),), {}, (2, 3, 7, 8)), ("ReLU", (), {}, (2, 3)), ("LeakyReLU", (0.2,), {}, (2, 3)), ("ELU", (), {}, (2, 3)), ("Sigmoid", (), {}, (2, 3)),
    ("Tanh", (), {}, (2, 3)), ("SiLU", (), {}, (2, 3)), ("Softmax", (1,), {}, (2, 3)), ("LogSoftmax", (0,), {}, (2, 3)), ("Flatten", (), {}, (2, 3, 4)),
    ("Identity", (), {}, (2, 3)), ("Dropout", (0.0,), {}, (2, 3)), ("Dropout2d", (0.0,), {}, (2, 3, 2, 2)), ("PixelShuffle", (2,), {}, (2, 8, 3, 2)),
    ("GroupNorm", (2, 6), {}, (3, 6, 4)), ("GroupNorm", (3, 6), {"affine": False}, (3, 6)), ("ConvTranspose2d", (4, 6, 3), {}, (2, 4, 5, 4)),
    ("ConvTranspose2d", (4, 6, (3, 2)), {"stride": (2, 3), "padding": 1, "output_padding": (1, 2), "groups": 2, "bias": False}, (2, 4, 5, 4)),
    ("ConvTranspose2d", (2, 4, 3), {"dilation": 2, "stride": 2}, (2, 5, 4)), ("RNNCell", (3, 4), {}, (2, 3)), ("GRUCell", (3, 4), {"bias": False}, (2, 3)),
]  # fmt: skip


@pytest.mark.parametrize(("name", "args", "options", "size"), MODULES)
def test_module(name: str, args: tuple[Any, ...], options: dict[str, Any], size: tuple[int, ...]) -> None:
    """Outputs, input gradients, parameter gradients, buffers and the text."""
    ours, theirs = getattr(nn, name)(*args, **options), getattr(torch.nn, name)(*args, **options)
    assert repr(ours) == repr(theirs)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    theirs.load_state_dict({k: torch.tensor(v.numpy()) for k, v in ours.state_dict().items()})
    for mode in (True, False):
        a, b = both(*size)
        y, z = ours.train(mode)(a), theirs.train(mode)(b)
        close(y, z)
        weights = rng.normal(size=tuple(y.shape)).astype(np.float32)
        (y * engine.tensor(weights)).sum().backward()
        (z * torch.tensor(weights)).sum().backward()
        close(a.grad, b.grad, 1e-4)
        for (n, p), q in zip(ours.named_parameters(), theirs.parameters(), strict=True):
            np.testing.assert_allclose(p.grad.numpy(), q.grad.numpy(), rtol=1e-3, atol=1e-4, err_msg=n)
    for p, q in zip(ours.buffers(), theirs.buffers(), strict=True):
        close(p, q)


CLASSES = np.array([1, 0, 3, 2], np.int64)
LOSSES: list[tuple[str, dict[str, Any], Any]] = [
    ("MSELoss", {}, None), ("L1Loss", {"reduction": "sum"}, None), ("SmoothL1Loss", {"beta": 0.5}, None), ("BCEWithLogitsLoss", {"reduction": "none"}, None),
    ("CrossEntropyLoss", {}, CLASSES), ("CrossEntropyLoss", {"label_smoothing": 0.2, "ignore_index": 3}, CLASSES), ("CrossEntropyLoss", {"reduction": "none"}, CLASSES),
    ("CrossEntropyLoss", {"label_smoothing": 0.2, "reduction": "sum"}, None), ("NLLLoss", {"ignore_index": 2}, CLASSES), ("HuberLoss", {"delta": 0.3}, None), ("KLDivLoss", {"reduction": "batchmean"}, None), ("KLDivLoss", {"log_target": True}, None),
]  # fmt: skip


@pytest.mark.parametrize(("name", "options", "target"), LOSSES)
@pytest.mark.filterwarnings("ignore:reduction")
def test_loss(name: str, options: dict[str, Any], target: Any) -> None:
    a, b = both(4, 5)
    target = rng.uniform(size=(4, 5)).astype(np.float32) if target is None else target
    y = getattr(nn, name)(**options)(a, engine.tensor(target))
    z = getattr(torch.nn, name)(**options)(b, torch.tensor(target))
    close(y, z)
    y.sum().backward()
    z.sum().backward()
    close(a.grad, b.grad)


def test_class_weights() -> None:
    a, b = both(4, 5)
    weight = [0.5, 1.0, 2.0, 0.1, 1.5]
    for smoothing in (0.0, 0.3):
        y = nn.CrossEntropyLoss(weight, label_smoothing=smoothing)(a, engine.tensor(CLASSES))
        close(y, torch.nn.CrossEntropyLoss(torch.tensor(weight), label_smoothing=smoothing)(b, torch.tensor(CLASSES)))


OPTIMIZERS: list[tuple[str, dict[str, Any]]] = [
    ("SGD", {"lr": 0.1}), ("SGD", {"lr": 0.1, "momentum": 0.8, "weight_decay": 0.01}), ("SGD", {"lr": 0.1, "momentum": 0.8, "nesterov": True}),
    ("SGD", {"lr": 0.1, "momentum": 0.8, "dampening": 0.3, "maximize": True}), ("RMSprop", {"alpha": 0.9}),
    ("RMSprop", {"centered": True, "momentum": 0.5, "weight_decay": 0.01}), ("Adam", {"betas": (0.9, 0.99)}), ("Adam", {"amsgrad": True, "weight_decay": 0.1}),
    ("AdamW", {"lr": 0.01}), ("AdamW", {"amsgrad": True, "maximize": True}), ("Adagrad", {"lr_decay": 0.1, "weight_decay": 0.01}),
    ("Adagrad", {"initial_accumulator_value": 0.5, "maximize": True}), ("Adadelta", {}), ("Adadelta", {"rho": 0.8, "weight_decay": 0.1, "maximize": True}), ("Adamax", {}),
    ("Adamax", {"weight_decay": 0.1, "maximize": True}), ("NAdam", {}), ("NAdam", {"weight_decay": 0.1, "decoupled_weight_decay": True, "maximize": True}), ("RAdam", {}),
    ("RAdam", {"betas": (0.8, 0.9), "weight_decay": 0.1}), ("RAdam", {"weight_decay": 0.1, "decoupled_weight_decay": True}), ("Rprop", {}), ("Rprop", {"etas": (0.3, 1.5)}),
    ("ASGD", {"lr": 0.1}), ("ASGD", {"t0": 3, "lambd": 0.1, "weight_decay": 0.1}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "options"), OPTIMIZERS)
def test_optimizer_trajectory(name: str, options: dict[str, Any]) -> None:
    ours, theirs = (
        nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1)),
        torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1)),
    )
    theirs.load_state_dict({k: torch.tensor(v.numpy()) for k, v in ours.state_dict().items()})
    a, b = getattr(engine.optim, name)(ours.parameters(), **options), getattr(torch.optim, name)(theirs.parameters(), **options)
    for _ in range(10):
        x = rng.normal(size=(16, 4)).astype(np.float32)
        for lib, net, optimizer in ((engine, ours, a), (torch, theirs, b)):
            optimizer.zero_grad()
            net(lib.tensor(x)).square().mean().backward()
            optimizer.step()
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
        close(p, q, 1e-4)
    mine, other = a.state_dict(), b.state_dict()
    assert mine["param_groups"][0]["params"] == other["param_groups"][0]["params"]
    assert set(mine["state"].get(0, {})) == set(other["state"].get(0, {})) - (
        {"momentum_buffer"} if options.get("momentum", 0) == 0 else set()
    )


@pytest.mark.parametrize("options", [{}, {"lr": 0.5, "history_size": 3}, {"max_iter": 4, "max_eval": 3}])
def test_lbfgs_trajectory(options: dict[str, Any]) -> None:
    rng = np.random.default_rng(0)  # a line search may take another way where rounding decides
    engine.manual_seed(0)
    ours, theirs = (
        nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 1)).double(),
        torch.nn.Sequential(torch.nn.Linear(4, 6), torch.nn.Tanh(), torch.nn.Linear(6, 1)).double(),
    )
    theirs.load_state_dict({k: torch.tensor(v.numpy()) for k, v in ours.state_dict().items()})
    x, y = rng.normal(size=(20, 4)), rng.normal(size=(20, 1))
    losses = []
    for lib, net in ((engine, ours), (torch, theirs)):
        optimizer = lib.optim.LBFGS(net.parameters(), **options)

        def closure(lib: Any = lib, net: Any = net, optimizer: Any = optimizer) -> Any:
            optimizer.zero_grad()
            loss = (net(lib.tensor(x)) - lib.tensor(y)).square().mean()
            loss.backward()
            return loss

        losses.append([float(optimizer.step(closure).detach()) for _ in range(4)])
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-6)
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
        close(p, q, 1e-5)


TENSORS = [
    [1.0, 2.0], [1.5, -2.25], [1e-8, 1.0], [1e9, 2.0], [0.0], [float("nan"), 1.0], [float("inf"), -1.5], [[1, 2], [3, 400]], [True, False], 3, 2.5, [[[0.1, 0.2]]], [], 1e10,
    [[1e-5, 123.456], [1.0, 2.0]], list(range(30)), [0.0, 0.5, 1000.25],
]  # fmt: skip


@pytest.mark.parametrize("data", TENSORS, ids=str)
def test_text_of_tensors(data: Any) -> None:
    assert repr(engine.tensor(data)) == repr(torch.tensor(data))
    assert repr(engine.tensor(data, dtype=engine.float64)) == repr(torch.tensor(data, dtype=torch.float64))


def test_text_of_large_tensors() -> None:
    for size in ((2000,), (50, 60), (3, 20, 30)):
        x = rng.normal(size=size)
        assert repr(engine.tensor(x)) == repr(torch.tensor(x))


def test_promotion() -> None:
    types = ["bool", "uint8", "int8", "int16", "int32", "int64", "float16", "bfloat16", "float32", "float64"]
    for a in types:
        for b in types:
            x, y = getattr(engine, a), getattr(engine, b)
            for p, q in ((1, 1), (0, 1), (1, 0)):
                ours = engine.result_type(engine.ones((2,) * p, dtype=x), engine.ones((2,) * q, dtype=y))
                theirs = torch.result_type(torch.ones((2,) * p, dtype=getattr(torch, a)), torch.ones((2,) * q, dtype=getattr(torch, b)))
                assert repr(ours) == repr(theirs), (a, b, p, q)
        for scalar in (True, 2, 2.5):
            assert repr(engine.result_type(engine.ones(2, dtype=x), scalar)) == repr(
                torch.result_type(torch.ones(2, dtype=getattr(torch, a)), scalar)
            )


def test_default_start_has_pytorchs_distribution() -> None:
    engine.manual_seed(0)
    torch.manual_seed(0)
    ours, theirs = nn.Conv2d(16, 1024, 3), torch.nn.Conv2d(16, 1024, 3)
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert abs(float(p.detach().std()) / float(q.detach().std()) - 1) < 0.1
        assert float(p.detach().abs().max()) <= 1 / np.sqrt(16 * 9)


def test_deepcopy_and_errors_agree() -> None:
    net = nn.Sequential(nn.Linear(2, 2))
    twin = copy.deepcopy(net)
    assert twin[0].weight is not net[0].weight and bool((twin[0].weight == net[0].weight).all())
    for lib in (engine, torch):
        x = lib.ones(2, 3).requires_grad_()
        with pytest.raises(RuntimeError, match="grad can be implicitly created only for scalar outputs"):
            (x * 2).backward()
        y = (x * 2).sum()
        y.backward()
        with pytest.raises(RuntimeError, match="second time"):
            y.backward()
        with pytest.raises(RuntimeError, match="leaf Variable that requires grad"):
            x.add_(1)
        z = x.exp()
        z.mul_(2)
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            z.sum().backward()


SELECTIONS: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
    ("tril", (1,), {}), ("triu", (-1,), {}), ("roll", (2,), {}), ("roll", ((1, -3), (0, 1)), {}), ("narrow", (1, 1, 2), {}), ("narrow", (0, -2, 2), {}), ("flip", ([0, 1],), {}),
    ("diag", (), {}), ("diag", (-2,), {}), ("diag", (1,), {}), ("argsort", (), {"descending": True, "dim": 0}), ("cumsum", (1,), {}), ("amax", (0,), {}), ("logsumexp", (1,), {}),
    ("norm", (), {}), ("std", (1,), {}), ("prod", (1,), {}), ("argmin", (1,), {}), ("clamp", (-0.5, 0.5), {}), ("softmax", (0,), {}), ("chunk", (3, 1), {}), ("split", ([1, 3], 0), {}),
    ("trace", (), {}), ("log2", (), {}), ("unsqueeze", (1,), {}), ("flatten", (), {}), ("reciprocal", (), {}), ("floor_divide", (0.3,), {}), ("remainder", (0.7,), {}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "args", "options"), SELECTIONS)
def test_function(name: str, args: tuple[Any, ...], options: dict[str, Any]) -> None:
    a, b = both(4, 5)
    ours, theirs = getattr(engine, name)(a.detach(), *args, **options), getattr(torch, name)(b.detach(), *args, **options)
    for y, z in zip(*(r if isinstance(r, tuple | list) else [r] for r in (ours, theirs)), strict=True):
        close(y, z)


def test_sorting_is_stable_like_pytorchs() -> None:
    x = rng.integers(0, 3, (4, 30))
    for descending in (False, True):
        ours, theirs = engine.tensor(x).sort(1, descending), torch.tensor(x).sort(dim=1, descending=descending, stable=True)
        assert ours.values.tolist() == theirs.values.tolist() and ours.indices.tolist() == theirs.indices.tolist()
    ours, theirs = engine.tensor(x * 1.0).topk(2, largest=False), torch.tensor(x * 1.0).topk(2, largest=False)
    assert ours.values.tolist() == theirs.values.tolist()


def test_diagonals_of_vectors() -> None:
    for k in (-2, 0, 1):
        close(engine.diag(engine.arange(3), k), torch.diag(torch.arange(3), k))


RECURRENT: list[tuple[str, dict[str, Any], tuple[int, ...]]] = [
    ("RNN", {}, (5, 2, 3)), ("RNN", {"nonlinearity": "relu", "num_layers": 2, "batch_first": True}, (2, 5, 3)), ("LSTM", {"bidirectional": True}, (5, 2, 3)),
    ("LSTM", {"num_layers": 2, "batch_first": True}, (2, 5, 3)), ("LSTM", {}, (5, 3)), ("GRU", {"num_layers": 2, "bidirectional": True}, (5, 2, 3)), ("GRU", {"bias": False}, (5, 2, 3)),
]  # fmt: skip


@pytest.mark.parametrize(("name", "options", "size"), RECURRENT)
def test_recurrent(name: str, options: dict[str, Any], size: tuple[int, ...]) -> None:
    ours, theirs = getattr(nn, name)(3, 4, **options), getattr(torch.nn, name)(3, 4, **options)
    assert repr(ours) == repr(theirs) and list(ours.state_dict()) == list(theirs.state_dict())
    theirs.load_state_dict({k: torch.tensor(v.numpy()) for k, v in ours.state_dict().items()})
    a, b = both(*size)
    (y, s), (z, t) = ours(a), theirs(b)
    for p, q in ((y, z), *(zip(s, t, strict=True) if isinstance(t, tuple) else [(s, t)])):
        close(p, q)
    again, _ = ours(a, tuple(x.detach() for x in s) if isinstance(s, tuple) else s.detach())
    close(again, theirs(b, tuple(x.detach() for x in t) if isinstance(t, tuple) else t.detach())[0])
    y.square().sum().backward()
    z.square().sum().backward()
    close(a.grad, b.grad, 1e-4)
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
        close(p.grad, q.grad, 1e-4)


def test_lstm_cell() -> None:
    ours, theirs = nn.LSTMCell(3, 4), torch.nn.LSTMCell(3, 4)
    theirs.load_state_dict({k: torch.tensor(v.numpy()) for k, v in ours.state_dict().items()})
    a, b = both(2, 3)
    s, t = None, None
    for _ in range(3):
        s, t = ours(a, s), theirs(b, t)
    for p, q in zip(s or (), t or (), strict=True):
        close(p, q)


@pytest.mark.parametrize("padding", [None, 2, -1])
def test_embedding(padding: int | None) -> None:
    ours, theirs = nn.Embedding(5, 3, padding), torch.nn.Embedding(5, 3, padding)
    assert repr(ours) == repr(theirs)
    theirs.load_state_dict({k: torch.tensor(v.numpy()) for k, v in ours.state_dict().items()})
    index = rng.integers(0, 5, (2, 7))
    y, z = ours(engine.tensor(index)), theirs(torch.tensor(index))
    close(y, z)
    y.square().sum().backward()
    z.square().sum().backward()
    close(ours.weight.grad, theirs.weight.grad)


@pytest.mark.parametrize("kind", [2.0, 1.0, float("inf")])
def test_clipping(kind: float) -> None:
    ours, theirs = nn.Linear(3, 2), torch.nn.Linear(3, 2)
    theirs.load_state_dict({k: torch.tensor(v.numpy()) for k, v in ours.state_dict().items()})
    x = rng.normal(size=(4, 3)).astype(np.float32)
    for lib, net in ((engine, ours), (torch, theirs)):
        net(lib.tensor(x)).square().sum().backward()
    close(nn.utils.clip_grad_norm_(ours.parameters(), 0.5, kind), torch.nn.utils.clip_grad_norm_(theirs.parameters(), 0.5, kind), 1e-4)
    nn.utils.clip_grad_value_(ours.parameters(), 0.1)
    torch.nn.utils.clip_grad_value_(theirs.parameters(), 0.1)
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
        close(p.grad, q.grad, 1e-4)


@pytest.mark.parametrize("batch_first", [True, False])
def test_attention(batch_first: bool) -> None:
    options = {"batch_first": batch_first}
    ours, theirs = nn.MultiheadAttention(8, 2, **options), torch.nn.MultiheadAttention(8, 2, **options)
    assert repr(ours) == repr(theirs) and list(ours.state_dict()) == list(theirs.state_dict())
    theirs.load_state_dict({k: torch.tensor(v.numpy()) for k, v in ours.state_dict().items()})
    (a, b), (c, d) = both(3, 3, 8), both(3, 3, 8)
    mask, padding = np.triu(np.ones((3, 3), bool), 1), np.array([[False, False, True], [False, False, False], [False, True, True]])
    for m, p in ((None, None), (mask, None), (mask, padding)):
        given = [
            {"attn_mask": None if m is None else lib.tensor(m), "key_padding_mask": None if p is None else lib.tensor(p)}
            for lib in (engine, torch)
        ]
        (y, w), (z, v) = ours(a, c, c, **given[0]), theirs(b, d, d, **given[1])
        close(y, z)
        close(w, v)
        assert ours(a, c, c, need_weights=False)[1] is None
    y.square().sum().backward()
    z.square().sum().backward()
    close(a.grad, b.grad, 1e-4)
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
        close(p.grad, q.grad, 1e-4)
    one, two = both(4, 8)
    close(ours(one, one, one)[0], theirs(two, two, two)[0])


@pytest.mark.parametrize("norm_first", [True, False])
@pytest.mark.filterwarnings("ignore:enable_nested_tensor")
def test_encoder(norm_first: bool) -> None:
    options = {"dim_feedforward": 16, "dropout": 0.0, "batch_first": True, "norm_first": norm_first}
    ours = nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, **options), 2, nn.LayerNorm(8))
    theirs = torch.nn.TransformerEncoder(torch.nn.TransformerEncoderLayer(8, 2, **options), 2, torch.nn.LayerNorm(8))
    assert repr(ours) == repr(theirs) and list(ours.state_dict()) == list(theirs.state_dict())
    theirs.load_state_dict({k: torch.tensor(v.numpy()) for k, v in ours.state_dict().items()})
    a, b = both(2, 5, 8)
    y, z = ours(a), theirs(b)
    close(y, z)
    y.square().sum().backward()
    z.square().sum().backward()
    close(a.grad, b.grad, 1e-3)


def test_text_of_lists() -> None:
    for widths in ([], [3], [3, 3, 4, 3, 3, 3]):
        assert repr(nn.ModuleList(nn.Linear(2, n) for n in widths)) == repr(torch.nn.ModuleList(torch.nn.Linear(2, n) for n in widths))
