"""Functions of functions, forgotten activations and averaged models beside PyTorch's."""

import copy
import importlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import engine
from tests.peers.sides import refused

torch = pytest.importorskip("torch", reason="PyTorch is not installed; scripts/test --peers brings it")
pytestmark = [pytest.mark.peer, pytest.mark.filterwarnings("ignore")]  # PyTorch warns of much that is compared here
X, Y = np.random.default_rng(0).normal(size=(2, 3)), np.random.default_rng(1).normal(size=3)
LIBS = (engine, torch)


def numbers(x: Any) -> Any:
    if isinstance(x, dict):
        return {k: numbers(v) for k, v in x.items()}
    return [numbers(v) for v in x] if isinstance(x, list | tuple) else x.detach().numpy() if hasattr(x, "detach") else x


def same(ours: Any, theirs: Any) -> None:
    """Numbers in the same nest of lists."""
    if isinstance(theirs, dict):
        assert ours.keys() == theirs.keys()
        for k in theirs:
            same(ours[k], theirs[k])
    elif isinstance(theirs, list):
        assert isinstance(ours, list) and len(ours) == len(theirs)
        for a, b in zip(ours, theirs, strict=True):
            same(a, b)
    else:
        np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-9)


def agree(compute: Callable[[Any], Any]) -> None:
    ours, theirs = (numbers(compute(lib)) for lib in LIBS)
    same(ours, theirs)


def F(lib: Any) -> Any:
    return importlib.import_module(f"{lib.__name__}.autograd.functional")


FUNCTIONAL: dict[str, Callable[[Any], Any]] = {
    "jacobian": lambda lib: F(lib).jacobian(lambda x: x.exp() @ lib.tensor(Y), lib.tensor(X)),
    "jacobian of two": lambda lib: F(lib).jacobian(lambda x, y: (x * y, x.sum()), (lib.tensor(X), lib.tensor(Y))),
    "jacobian without use": lambda lib: F(lib).jacobian(lambda x: lib.tensor(Y) * 2, lib.tensor(X)),
    "hessian": lambda lib: F(lib).hessian(lambda x: (x**3).sum() * x[0], lib.tensor(Y)),
    "hessian of two": lambda lib: F(lib).hessian(lambda x, y: (x.tanh() @ y).sum(), (lib.tensor(X), lib.tensor(Y))),
    "vjp": lambda lib: F(lib).vjp(lambda x: x.sin(), lib.tensor(Y), lib.tensor(Y)),
    "vjp of two": lambda lib: F(lib).vjp(lambda x, y: (x * y).sum(), (lib.tensor(X), lib.tensor(Y))),
    "jvp": lambda lib: F(lib).jvp(lambda x: x.sin() * x.sum(), lib.tensor(Y), lib.tensor(Y * 2)),
    "hvp": lambda lib: F(lib).hvp(lambda x: (x**3).sum() * x[0], lib.tensor(Y), lib.tensor(Y * 2)),
    "vhp of two": lambda lib: F(lib).vhp(lambda x, y: (x.tanh() @ y).sum(), (lib.tensor(X), lib.tensor(Y)), (lib.tensor(X), lib.tensor(Y))),
    "grad": lambda lib: lib.func.grad(lambda x, y: (x.sin() * y).sum(), argnums=(0, 1))(lib.tensor(X), lib.tensor(Y)),
    "grad of grad": lambda lib: lib.func.grad(lambda x: lib.func.grad(lambda z: (z**4).sum())(x).sum())(lib.tensor(Y)),
    "grad of a dict": lambda lib: lib.func.grad(lambda p, x: ((x @ p["w"]) ** 2 + p["b"]).sum())({"w": lib.tensor(Y), "b": lib.tensor(1.0)}, lib.tensor(X)),
    "grad with more": lambda lib: lib.func.grad(lambda x: ((x**2).sum(), x * 2), has_aux=True)(lib.tensor(Y)),
    "grad_and_value": lambda lib: lib.func.grad_and_value(lambda x: (x**2).sum())(lib.tensor(Y)),
    "func.vjp": lambda lib: lib.func.vjp(lambda x: x.sin(), lib.tensor(Y))[1](lib.tensor(Y)),
    "func.jvp": lambda lib: lib.func.jvp(lambda x: x.sin(), (lib.tensor(Y),), (lib.tensor(Y),)),
    "jacrev": lambda lib: lib.func.jacrev(lambda x, y: x.exp() @ y, argnums=1)(lib.tensor(X), lib.tensor(Y)),
    "func.hessian": lambda lib: lib.func.hessian(lambda x: (x**3).sum() * x[0])(lib.tensor(Y)),
    "vmap": lambda lib: lib.vmap(lambda x, y: (x * y).sum(), in_dims=(0, None))(lib.tensor(X), lib.tensor(Y)),
    "vmap of columns": lambda lib: lib.vmap(lambda x: (x * 2, x.sum()), in_dims=1, out_dims=(1, 0))(lib.tensor(X)),
    "gradients of each sample": lambda lib: lib.vmap(lib.func.grad(lambda w, x: (w @ x).tanh()), in_dims=(None, 0))(lib.tensor(Y), lib.tensor(X)),
}  # fmt: skip


@pytest.mark.parametrize("name", FUNCTIONAL)
def test_functions_of_functions(name: str) -> None:
    agree(FUNCTIONAL[name])


@pytest.mark.parametrize(
    "wrong",
    [
        lambda lib: F(lib).jacobian(lambda x: x * 2, 3.0),
        lambda lib: F(lib).hessian(lambda x: x * 2, lib.tensor(Y)),
        lambda lib: F(lib).vjp(lambda x: x * 2, lib.tensor(Y)),
        lambda lib: F(lib).vjp(lambda x: x * 2, lib.tensor(Y), lib.tensor(X)),
        lambda lib: F(lib).jacobian(lambda x: lib.tensor(Y) * 2, lib.tensor(X), strict=True),
        lambda lib: lib.func.grad(lambda x: x * 2)(lib.tensor(Y)),
        lambda lib: lib.vmap(lambda x, y: x + y)(lib.tensor(X), lib.tensor(Y)),
        lambda lib: lib.func.functional_call(lib.nn.Linear(2, 2), {"wrong": lib.zeros(2)}, lib.zeros(2), strict=True),
        lambda lib: lib.func.functional_call(lib.nn.Linear(2, 2), {"bias": lib.zeros(2)}, lib.zeros(2), strict=True),
        lambda lib: lib.optim.swa_utils.SWALR(lib.optim.SGD([lib.zeros(1)], lr=1.0), 0.1, anneal_strategy="steps"),
        lambda lib: lib.optim.swa_utils.SWALR(lib.optim.SGD([lib.zeros(1)], lr=1.0), [0.1, 0.2]),
        lambda lib: lib.optim.swa_utils.get_ema_avg_fn(1.5),
        lambda lib: lib.optim.swa_utils.AveragedModel(lib.nn.Linear(1, 1), avg_fn=max, multi_avg_fn=max),
    ],
)
def test_errors_are_pytorchs(wrong: Any) -> None:
    assert refused(lambda: wrong(engine)) == refused(lambda: wrong(torch))


def net(lib: Any) -> Any:
    made = lib.nn.Sequential(lib.nn.Linear(3, 4), lib.nn.BatchNorm1d(4), lib.nn.Tanh(), lib.nn.Linear(4, 2)).to(lib.float64)
    random = np.random.default_rng(2)
    made.load_state_dict({k: lib.tensor(random.uniform(0.1, 1, tuple(v.shape))).to(v.dtype) for k, v in made.state_dict().items()})
    return made


def test_a_module_called_with_other_parameters() -> None:
    def compute(lib: Any) -> Any:
        model = net(lib).eval()
        own = model[0].weight
        given = {k: v.detach() * 2 for k, v in model.named_parameters()}
        gradients = lib.func.grad(lambda p: lib.func.functional_call(model, p, (lib.tensor(X),)).sum())(given)
        assert model[0].weight is own
        with pytest.raises(RuntimeError):
            lib.func.functional_call(model, given, lib.zeros(2, 7))
        assert model[0].weight is own
        return gradients

    agree(compute)


def test_tied_parameters_are_replaced_together() -> None:
    def compute(lib: Any) -> Any:
        first = lib.nn.Linear(3, 3, bias=False, dtype=lib.float64)
        second = lib.nn.Linear(3, 3, bias=False, dtype=lib.float64)
        second.weight = first.weight
        model = lib.nn.Sequential(first, second)
        return lib.func.functional_call(model, {"0.weight": lib.eye(3, dtype=lib.float64) * 3}, lib.tensor(X))

    agree(compute)


@pytest.mark.parametrize("through_input", [False, True])
def test_what_is_forgotten_is_computed_again(through_input: bool) -> None:
    def compute(lib: Any) -> Any:
        checkpoint = importlib.import_module(f"{lib.__name__}.utils.checkpoint")
        model, x = net(lib).eval(), lib.tensor(X, requires_grad=through_input)
        calls: list[int] = []

        def part(x: Any, scale: float, *, shift: float) -> Any:
            calls.append(1)
            return model[:3](x) * scale + shift

        y = model[3](checkpoint.checkpoint(part, x, 2.0, shift=1.0, use_reentrant=False)) + checkpoint.checkpoint_sequential(
            model, 2, x, use_reentrant=False
        )
        y.square().sum().backward()
        assert len(calls) == 2
        return [y, *(p.grad for p in model.parameters()), *([x.grad] if through_input else [])]

    agree(compute)


def test_the_same_numbers_are_drawn_again() -> None:
    """The gradient of dropout is where the forward pass kept elements; numbers drawn in between are not disturbed."""
    x = engine.ones(1000, requires_grad=True)
    engine.manual_seed(0)
    y = engine.utils.checkpoint.checkpoint(engine.nn.Dropout(0.5), x)
    between = engine.get_rng_state()
    y.sum().backward()
    assert x.grad is not None
    assert (x.grad.numpy() == y.detach().numpy()).all() and engine.get_rng_state() == between and 300 < (x.grad == 0).sum() < 700


@pytest.mark.parametrize("kind", ["mean", "ema", "own", "buffers"])
def test_averaged_models(kind: str) -> None:
    def compute(lib: Any) -> Any:
        swa = lib.optim.swa_utils
        model = net(lib)
        options: dict[str, Any] = {
            "mean": {}, "ema": {"multi_avg_fn": swa.get_ema_multi_avg_fn(0.9)}, "own": {"avg_fn": lambda a, c, n: 0.3 * a + 0.7 * c},
            "buffers": {"use_buffers": True, "avg_fn": swa.get_ema_avg_fn(0.5)},
        }[kind]  # fmt: skip
        average = swa.AveragedModel(model, **options)
        optimizer = lib.optim.SGD(model.parameters(), lr=0.05)
        for i in range(4):
            optimizer.zero_grad()
            model(lib.tensor(X + i)).square().sum().backward()
            optimizer.step()
            average.update_parameters(model)
        swa.update_bn([lib.tensor(X), (lib.tensor(X * 2), 0)], average)
        return {k: v.double() for k, v in average.state_dict().items()} | {"y": average.eval()(lib.tensor(X))}

    agree(compute)


@pytest.mark.parametrize("options", [{}, {"anneal_strategy": "linear", "anneal_epochs": 3}, {"anneal_epochs": 0}])
def test_the_rate_goes_to_that_of_averaging(options: dict[str, Any]) -> None:
    def compute(lib: Any) -> Any:
        a, b = (lib.zeros(1, requires_grad=True) for _ in range(2))
        optimizer = lib.optim.SGD([{"params": [a], "lr": 0.5}, {"params": [b], "lr": 0.1}], lr=1.0)
        schedule, rates = lib.optim.swa_utils.SWALR(optimizer, [0.05, 0.2], **options), []
        for i in range(13):
            optimizer.step()
            schedule.step()
            rates.append([g["lr"] for g in optimizer.param_groups])
            if i == 5:
                state = copy.deepcopy(schedule.state_dict())
                schedule.load_state_dict(state)
        return rates

    agree(compute)
