"""What programs use around their mathematics, beside PyTorch: default devices, buffers, comparisons in place, and comparing in tests."""

import copy
import pickle
from typing import Any

import numpy as np
import pytest

import engine
from tests.peers.sides import both, refused

torch = pytest.importorskip("torch", reason="PyTorch is not installed; scripts/test --peers brings it")
pytestmark = [pytest.mark.peer, pytest.mark.filterwarnings("ignore")]  # PyTorch warns of much that is compared here


def test_default_devices() -> None:
    def run(lib: Any) -> Any:
        seen = []
        with lib.device("meta"):
            layer = lib.nn.Sequential(lib.nn.Linear(2, 3), lib.nn.BatchNorm1d(3))
            seen += [str(t.device) for t in (*layer.state_dict().values(), lib.zeros(2), lib.tensor([1.0]), lib.zeros(2, device="cpu"))]
            with lib.device("cpu"):
                seen.append(str(lib.ones(1).device))
        seen.append(str(lib.ones(1).device))
        try:
            lib.set_default_device("meta")
            seen += [str(lib.get_default_device()), str(lib.empty(3).device)]
        finally:
            lib.set_default_device(None)
        return [*seen, str(lib.get_default_device()), str(lib.arange(3).device)]

    both(run)


def test_buffers() -> None:
    def run(lib: Any) -> Any:
        class Net(lib.nn.Module):  # type: ignore[misc, name-defined]  # whichever library it is
            def __init__(self) -> None:
                super().__init__()
                self.kept = lib.nn.Buffer(lib.ones(2))
                self.passing = lib.nn.Buffer(lib.zeros(1), persistent=False)

        net = Net()
        net.kept = lib.full((2,), 3.0)
        other = copy.deepcopy(net)
        other.passing = lib.nn.Buffer(lib.zeros(1) + 5)
        return [
            [k for k, _ in net.named_buffers()], list(net.state_dict()), net.kept.tolist(), list(net.parameters()), list(other.state_dict()),
            other.passing.tolist(), isinstance(lib.nn.Buffer(lib.ones(1)), lib.nn.Parameter), (lib.nn.Buffer(lib.ones(2)) * 2).tolist(),
        ]  # fmt: skip

    both(run)
    again = pickle.loads(pickle.dumps(engine.nn.Buffer(engine.ones(2), persistent=False)))
    assert again.tolist() == [1, 1] and not again.persistent


@pytest.mark.parametrize(
    "name", ["eq_", "ne_", "lt_", "le_", "gt_", "ge_", "less_", "greater_equal_", "logical_and_", "logical_or_", "logical_xor_"]
)
@pytest.mark.parametrize("dtype", ["float32", "int64", "bool"])
def test_comparisons_in_place(name: str, dtype: str) -> None:
    a, b = np.array([0.0, 1, 2, 3]), np.array([1.0, 1, 0, 3])

    def run(lib: Any) -> Any:
        x = lib.tensor(a).to(getattr(lib, dtype))
        assert getattr(x, name)(lib.tensor(b)) is x
        return [str(x.dtype).removeprefix("engine.").removeprefix("torch."), x.tolist(), x.logical_not_().tolist()]

    both(run)


def test_small_questions() -> None:
    def run(lib: Any) -> Any:
        x = lib.tensor([1.5, -2.0])
        shared = x.share_memory_()
        return [
            shared is x, x.is_signed(), lib.zeros(1, dtype=lib.uint8).is_signed(), lib.zeros(1, dtype=lib.bool).is_signed(), x.is_same_size(lib.zeros(2)),
            x.is_same_size(lib.zeros(3)), x.is_inference(), x.apply_(lambda v: v * v + 1).tolist(), isinstance(lib.seed(), int),
            isinstance(lib.random.initial_seed(), int),
        ]  # fmt: skip

    both(run)


def test_the_generator_goes_on_where_it_was() -> None:
    def run(lib: Any) -> Any:
        lib.manual_seed(3)
        first = lib.rand(2).tolist()
        lib.manual_seed(3)
        with lib.random.fork_rng():
            lib.rand(100)
        return lib.rand(2).tolist() == first

    assert both(run)


CLOSE: list[tuple[Any, Any, dict[str, Any]]] = [
    ([1.0, 2.0], [1.0, 2.0 + 1e-7], {}), ([1.0, 2.0], [1.0, 2.1], {}), ([1.0, 2.0], [1.0, 2.1], {"rtol": 0.1, "atol": 0.0}), ([1.0], [1.0, 2.0], {}),
    ([float("nan")], [float("nan")], {}), ([float("nan")], [float("nan")], {"equal_nan": True}), ([float("inf")], [float("inf")], {}), ([1.0], [1.0], {"rtol": 1.0}),
    ([[1.0, 2.0], [3.0, 4.0]], [[1.0, 2.0], [3.0, 5.0]], {}), (1.0, 1.0 + 1e-9, {}), (1.0, 1.1, {}), (3, 3, {}),
]  # fmt: skip


@pytest.mark.parametrize(("a", "b", "options"), CLOSE)
@pytest.mark.parametrize("kind", ["tensor", "as it is", "dict", "half"])
def test_what_is_close(a: Any, b: Any, options: dict[str, Any], kind: str) -> None:
    def verdict(lib: Any) -> str:
        def made(x: Any) -> Any:
            t = lib.tensor(x)
            return {"tensor": t, "as it is": x, "dict": {"k": [t, t]}, "half": t.to(lib.float16)}[kind]

        try:
            lib.testing.assert_close(made(a), made(b), **options)
        except (AssertionError, ValueError) as error:
            return f"{type(error).__name__} {str(error).splitlines()[0]}" if type(error) is AssertionError else type(error).__name__
        return "close"

    ours, theirs = verdict(engine), verdict(torch)
    assert ours.split()[0] == theirs.split()[0]


def test_what_is_compared_besides_numbers() -> None:
    compare = [
        lambda lib: lib.testing.assert_close(lib.zeros(2), lib.zeros(2, dtype=lib.float64)),
        lambda lib: lib.testing.assert_close(lib.zeros(2), 0.0),
        lambda lib: lib.testing.assert_close("a", "a"),
        lambda lib: lib.testing.assert_close({"a": lib.zeros(1)}, {"b": lib.zeros(1)}),
        lambda lib: lib.testing.assert_close([lib.zeros(1)], [lib.zeros(1)] * 2),
        lambda lib: lib.testing.assert_close(lib.zeros(2, 3), lib.zeros(3, 2).t(), check_stride=True),
    ]
    for wrong in compare:
        assert refused(lambda w=wrong: w(engine)) == refused(lambda w=wrong: w(torch))  # type: ignore[misc]  # of this round
    engine.testing.assert_close(engine.zeros(2), engine.zeros(2, dtype=engine.float64), check_dtype=False)
    with pytest.raises(AssertionError, match=r"Mismatched elements: 1 / 4 \(25\.0%\)[\s\S]*index \(1, 1\)"):
        engine.testing.assert_close(engine.tensor([[1.0, 2], [3, 4]]), engine.tensor([[1.0, 2], [3, 5]]))
