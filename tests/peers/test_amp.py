"""Mixed precision beside PyTorch's."""

import contextlib
import importlib
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import engine

torch = pytest.importorskip("torch", reason="PyTorch is not installed; scripts/test --peers brings it")
pytestmark = [pytest.mark.peer, pytest.mark.filterwarnings("ignore")]  # PyTorch warns of much that is compared here
RANDOM = np.random.default_rng(0)
X, IMAGES, KERNEL = (RANDOM.normal(size=s).astype(np.float32) for s in ((6, 6), (2, 3, 8, 8), (4, 3, 3, 3)))
CLASSES = np.array([0, 2, 1, 5, 3, 3])
FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "linear": lambda lib: lib.nn.functional.linear(lib.tensor(X), lib.tensor(X), lib.tensor(X[0])),
    "matmul": lambda lib: lib.tensor(X) @ lib.tensor(X),
    "mixed": lambda lib: lib.tensor(X).bfloat16() @ lib.tensor(X),
    "addmm": lambda lib: lib.addmm(lib.tensor(X), lib.tensor(X), lib.tensor(X)),
    "bmm": lambda lib: lib.bmm(lib.tensor(X[None]), lib.tensor(X[None])),
    "einsum": lambda lib: lib.einsum("ij,kj->ik", lib.tensor(X), lib.tensor(X)),
    "double": lambda lib: lib.tensor(X).double() @ lib.tensor(X).double(),
    "conv2d": lambda lib: lib.nn.functional.conv2d(lib.tensor(IMAGES), lib.tensor(KERNEL)),
    "conv_transpose2d": lambda lib: lib.nn.functional.conv_transpose2d(lib.tensor(IMAGES), lib.tensor(KERNEL.transpose(1, 0, 2, 3))),
    "attention": lambda lib: lib.nn.functional.scaled_dot_product_attention(*[lib.tensor(X[None])] * 3),
    "softmax": lambda lib: lib.nn.functional.softmax(lib.tensor(X).bfloat16(), 1),
    "sum": lambda lib: lib.tensor(X).bfloat16().sum(),
    "add": lambda lib: lib.tensor(X).bfloat16() + lib.tensor(X),
    "layer_norm": lambda lib: lib.nn.LayerNorm(6)(lib.tensor(X).bfloat16()),
    "batch_norm": lambda lib: lib.nn.BatchNorm2d(3)(lib.tensor(IMAGES).bfloat16()),
    "mse_loss": lambda lib: lib.nn.functional.mse_loss(lib.tensor(X).bfloat16(), lib.tensor(X)),
    "l1_loss": lambda lib: lib.nn.L1Loss()(lib.tensor(X).bfloat16(), lib.tensor(X * 2).bfloat16()),
    "cross_entropy": lambda lib: lib.nn.functional.cross_entropy(lib.tensor(X).bfloat16(), lib.tensor(CLASSES)),
    "margin": lambda lib: lib.nn.functional.multi_margin_loss(lib.tensor(X).bfloat16(), lib.tensor(CLASSES)),
    "off": lambda lib: off(lib),
}


def off(lib: Any) -> Any:
    with lib.autocast("cpu", enabled=False):
        return lib.tensor(X) @ lib.tensor(X)


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_dtypes_and_values(name: str, dtype: str) -> None:
    found = []
    for lib in (engine, torch):
        with lib.autocast("cpu", dtype=getattr(lib, dtype)):
            found.append(FUNCTIONS[name](lib).detach())
    assert str(found[0].dtype) == str(found[1].dtype)
    right = found[1].float().numpy()
    np.testing.assert_allclose(found[0].float().numpy(), right, atol=2**-7 * np.abs(right).max())


def trained(lib: Any, cast: bool, start: dict[str, Any]) -> tuple[list[float], list[Any]]:
    """Ten steps with a scaler that meets one overflow; the losses, the scales and the last gradient's dtype."""
    net = lib.nn.Sequential(lib.nn.Linear(6, 16), lib.nn.Tanh(), lib.nn.Linear(16, 6))
    net.load_state_dict({k: lib.tensor(v) for k, v in start.items()})
    optimizer, scaler = lib.optim.SGD(net.parameters(), lr=0.1), lib.amp.GradScaler("cpu", init_scale=2.0**10, growth_interval=3)
    losses, scales = [], []
    for step in range(10):
        optimizer.zero_grad()
        with lib.autocast("cpu") if cast else contextlib.nullcontext():
            loss = lib.nn.functional.cross_entropy(net(lib.tensor(X)), lib.tensor(CLASSES)) * (float("inf") if step == 4 else 1)
        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        lib.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        scaler.step(optimizer)
        scaler.update()
        losses.append(loss.item())
        scales.append(scaler.get_scale())
    return losses, [*scales, scaler.state_dict(), str(net[0].weight.grad.dtype)]


@pytest.mark.parametrize("cast", [False, True])
def test_a_scaled_training(cast: bool) -> None:
    start = {
        k: v.numpy() for k, v in torch.nn.Sequential(torch.nn.Linear(6, 16), torch.nn.Tanh(), torch.nn.Linear(16, 6)).state_dict().items()
    }
    (ours, mine), (theirs, right) = trained(engine, cast, start), trained(torch, cast, start)
    assert mine == right
    np.testing.assert_allclose(ours, theirs, rtol=2e-2 if cast else 1e-5)


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "LSTMCell"])
def test_recurrent_layers(kind: str) -> None:
    with engine.autocast("cpu"):
        y = getattr(engine.nn, kind)(6, 4)(engine.tensor(X))
    assert y[0].dtype is engine.bfloat16


def test_backward_passes_are_not_lowered() -> None:
    x = engine.tensor(X, requires_grad=True)
    loss = (x @ engine.tensor(X)).square().sum()
    (right,) = engine.autograd.grad(loss, x, retain_graph=True)
    with engine.autocast("cpu"):
        (found,) = engine.autograd.grad(loss, x)
    np.testing.assert_array_equal(found.numpy(), right.numpy())


@pytest.mark.parametrize(
    "wrong",
    [
        lambda lib, s, o: s.step(o),
        lambda lib, s, o: s.update(),
        lambda lib, s, o: [s.scale(lib.ones(1)), s.unscale_(o), s.unscale_(o)],
        lambda lib, s, o: [s.scale(lib.ones(1)), s.step(o), s.step(o)],
        lambda lib, s, o: [s.scale(lib.ones(1)), s.step(o), s.unscale_(o)],
        lambda lib, s, o: s.scale(3),
        lambda lib, s, o: s.load_state_dict({}),
        lambda lib, s, o: lib.amp.GradScaler("cpu", growth_factor=1.0),
        lambda lib, s, o: lib.amp.GradScaler("cpu", backoff_factor=1.0),
        lambda lib, s, o: lib.autocast("nothing"),
    ],
)
def test_errors_are_pytorchs(wrong: Any) -> None:
    kinds = []
    for lib in (engine, torch):
        weight = lib.nn.Parameter(lib.ones(2))
        weight.grad = lib.ones(2)
        with pytest.raises(Exception) as caught:
            wrong(lib, lib.amp.GradScaler("cpu"), lib.optim.SGD([weight], lr=0.1))
        kinds.append(caught.type)
    assert kinds[0] is kinds[1]


@pytest.mark.skipif(engine.cuda.is_available(), reason="there is a GPU")
def test_without_cuda_it_warns_and_does_nothing() -> None:
    for lib in (engine, torch):
        amp = importlib.import_module(f"{lib.__name__}.cuda.amp")
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            with amp.autocast():
                assert (lib.tensor(X) @ lib.tensor(X)).dtype is lib.float32
            scaler = amp.GradScaler()
        assert sum("Disabling" in str(w.message) for w in told) == 2
        assert scaler.scale(3) == 3 and scaler.state_dict() == {} and not scaler.is_enabled() and scaler.get_scale() == 1.0
