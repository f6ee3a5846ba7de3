"""Modules as trees, their states and hooks, beside PyTorch."""

from collections import OrderedDict
from typing import Any

import numpy as np
import pytest

import engine
from tests.peers.sides import both, refused, values

torch = pytest.importorskip("torch", reason="PyTorch is not installed; scripts/test --peers brings it")
pytestmark = [pytest.mark.peer, pytest.mark.filterwarnings("ignore")]  # PyTorch warns of much that is compared here


def network(lib: Any) -> Any:
    """A network with a layer in two places, a tied weight and two buffers, one of them not kept."""
    shared = lib.nn.Linear(3, 3)
    net = lib.nn.Sequential(OrderedDict(a=shared, norm=lib.nn.BatchNorm1d(3), b=shared, tied=lib.nn.Linear(3, 3)))
    net.tied.weight = shared.weight
    net.register_buffer("kept", lib.ones(2))
    net.register_buffer("passing", lib.ones(2), persistent=False)
    return net


def test_names() -> None:
    def names(lib: Any) -> Any:
        net = network(lib)
        return [
            list(net.state_dict()),
            list(net.state_dict(prefix="x.", destination=OrderedDict(first=1))),
            [n for n, _ in net.named_parameters()],
            [n for n, _ in net.named_parameters("p", remove_duplicate=False)],
            [n for n, _ in net.named_parameters("p", recurse=False)],
            [n for n, _ in net.named_buffers(prefix="q")],
            [n for n, _ in net.named_modules(remove_duplicate=False)],
            [n for n, _ in net.named_modules(prefix="r")],
            [p is q for p, q in zip(net.state_dict(keep_vars=True).values(), net.parameters(), strict=False)][:2],
        ]

    both(names)


def test_what_cannot_be_registered() -> None:
    def errors(lib: Any) -> list[str]:
        net, p = lib.nn.Linear(2, 2), lib.nn.Parameter(lib.zeros(2))
        return [
            refused(lambda: net.register_parameter("a.b", p)), refused(lambda: net.register_parameter("", p)), refused(lambda: net.register_parameter("forward", p)),
            refused(lambda: net.register_parameter("q", lib.zeros(2))), refused(lambda: net.register_buffer("weight", lib.zeros(2))),
            refused(lambda: net.register_buffer("q", 3)), refused(lambda: net.add_module("bias", lib.nn.ReLU())), refused(lambda: net.add_module("m", 3)),
            refused(lambda: net.load_state_dict(3)), refused(lambda: net.to(lib.int64)), refused(lambda: net.get_submodule("weight")),
        ]  # fmt: skip

    both(errors)


def test_loading() -> None:
    def loaded(lib: Any) -> Any:
        net = lib.nn.Sequential(lib.nn.Linear(2, 2), lib.nn.Linear(2, 1))
        state = OrderedDict((k, lib.ones(*v.shape) * i) for i, (k, v) in enumerate(net.state_dict().items()))
        found: list[Any] = []
        given = OrderedDict([("old.weight", state.pop("0.weight")), *state.items(), ("more", lib.zeros(1))])
        with pytest.raises(RuntimeError, match=r"Missing key(?s:.*)Unexpected key"):
            net.load_state_dict(given)
        keys = net.load_state_dict(given, strict=False)
        found.append([keys.missing_keys, keys.unexpected_keys])

        def renamed(module: Any, state_dict: Any, prefix: str, *rest: Any) -> None:
            if "old.weight" in state_dict:
                state_dict["0.weight"] = state_dict.pop("old.weight")

        net.register_load_state_dict_pre_hook(renamed)
        net.register_load_state_dict_post_hook(lambda module, keys: keys.unexpected_keys.clear())
        found.append(str(net.load_state_dict(given)))
        found += [values(p) for p in net.parameters()]
        mine = OrderedDict((k, v.detach() * 2) for k, v in net.state_dict().items())
        net.load_state_dict(mine, assign=True)
        found += [net[0].weight.requires_grad, type(net[0].weight).__name__, values(net[0].weight)]
        mine["0.weight"][0, 0] = 7.0
        return [*found, values(net[0].weight)]

    both(loaded)


def test_extra_state() -> None:
    def kept(lib: Any) -> Any:
        class Counting(lib.nn.Module):  # type: ignore[name-defined,misc]  # a class of either library
            def __init__(self) -> None:
                super().__init__()
                self.count = 3

            def get_extra_state(self) -> Any:
                return {"count": self.count}

            def set_extra_state(self, state: Any) -> None:
                self.count = state["count"] + 1

        net, seen = lib.nn.Sequential(Counting(), lib.nn.Linear(1, 1)), []
        net.register_state_dict_pre_hook(lambda module, prefix, keep_vars: seen.append((prefix, keep_vars)))
        net.register_state_dict_post_hook(lambda module, state, prefix, metadata: seen.append(list(state)))
        state = net.state_dict()
        net.load_state_dict(state)
        return seen[:2], state["0._extra_state"], net[0].count

    both(kept)


def test_backward_hooks_of_a_first_layer() -> None:
    def seen(lib: Any) -> Any:
        calls: list[Any] = []
        net = lib.nn.Linear(2, 1).double()
        with lib.no_grad():
            net.weight.fill_(1.0)
            net.bias.zero_()
        net.register_full_backward_pre_hook(lambda m, go: calls.append(go[0].tolist()) or (go[0] * 3,))
        net.register_full_backward_hook(lambda m, gi, go: calls.append([gi, go[0].tolist()]))
        net(lib.ones(2, 2).double()).sum().backward()
        return calls, net.weight.grad.tolist()

    both(seen)


def test_a_hook_that_is_always_called() -> None:
    def seen(lib: Any) -> Any:
        calls: list[Any] = []
        net = lib.nn.Linear(2, 1)
        net.register_forward_hook(lambda m, args, y: calls.append("ran"))
        net.register_forward_hook(lambda m, args, y: calls.append(y is None), always_call=True)
        with pytest.raises(RuntimeError):
            net(lib.ones(2, 3))
        net(lib.ones(2, 2))
        return calls

    both(seen)


def test_containers() -> None:
    def changed(lib: Any) -> Any:
        nn, P = lib.nn, lambda *s: lib.ones(*s)
        a = nn.Sequential(nn.ReLU(), nn.Tanh())
        a.insert(1, nn.Sigmoid())
        popped = a.pop(0)
        b = a + nn.Sequential(nn.GELU())
        modules = nn.ModuleList([nn.ReLU(), nn.ReLU(), nn.Tanh()])
        modules.insert(0, nn.GELU())
        modules += [nn.Identity()]
        del modules[1:3]
        named = nn.ModuleDict([["x", nn.ReLU()], ["y", nn.Tanh()]])
        gone = named.pop("x")
        parameters = nn.ParameterList([P(1), P(2)])
        parameters += [P(3)]
        parameters[0] = nn.Parameter(P(4))
        table = nn.ParameterDict({"u": P(1), "v": P(2)})
        table.setdefault("w", P(3))
        last = table.popitem()[0]
        sizes = [len(p) for p in parameters[1:]], [len(p) for p in parameters], list(table), last, table.get("none"), list(table.copy())
        named.clear()
        table.clear()
        return [str(x) for x in (a, popped, b, modules, gone, named)], sizes, len(named), len(table)

    both(changed)


def test_names_at_the_top_level() -> None:
    def called(lib: Any) -> Any:
        x = lib.arange(-2.0, 2.0).reshape(1, 1, 4)
        found = [
            lib.conv1d(x, lib.ones(1, 1, 2)), lib.layer_norm(x, (4,)), lib.max_pool1d(x, 2), lib.cosine_similarity(x, x + 1, dim=2), lib.dropout(x, 0.5, False),
            lib.selu(x), lib.threshold(x, 0.5, 9.0), lib.asarray([1, 2], dtype=lib.float32), x[lib.newaxis], lib.detach(x), lib.relu_(x.clone()), lib.sigmoid_(x.clone()),
            lib.clamp_(x.clone(), -1, 1), lib.nn.functional.max_pool1d(input=x, kernel_size=2),
        ]  # fmt: skip
        a = np.ones(3, np.float32)
        shared = lib.asarray(a)
        copied = lib.asarray(a, copy=True)
        a[0] = 5
        lib.set_float32_matmul_precision("high")
        flags = [
            lib.is_nonzero(lib.ones(1)),
            lib.is_same_size(x, x),
            lib.is_signed(x),
            lib.is_signed(lib.zeros(1, dtype=lib.uint8)),
            lib.get_float32_matmul_precision(),
        ]
        lib.set_float32_matmul_precision("highest")
        return [values(y) for y in found], flags, values(shared), values(copied)

    both(called)


def test_recurrent_layers_take_the_calls_of_training_programs() -> None:
    for name in ("RNN", "LSTM", "GRU"):
        layer = getattr(engine.nn, name)(2, 3)
        before = values(layer.weight_hh_l0)
        layer.flatten_parameters()
        layer.reset_parameters()
        assert values(layer.weight_hh_l0) != before


@pytest.mark.parametrize(
    "text",
    ["BatchNorm1d(3)", "BatchNorm2d(3, track_running_stats=False)", "InstanceNorm2d(3, affine=True, track_running_stats=True)", "LayerNorm((2, 3))", "LayerNorm(3, bias=False)", "GroupNorm(1, 3)", "RMSNorm(3)", "PReLU(3, init=0.4)"],
)  # fmt: skip
def test_layers_begin_anew(text: str) -> None:
    """All tensors of the state are what they were at the start."""

    def run(lib: Any) -> Any:
        layer = eval(f"nn.{text}", {"nn": lib.nn})
        for t in layer.state_dict().values():
            t.fill_(7)
        layer.reset_parameters()
        return {k: values(v) for k, v in layer.state_dict().items()}

    both(run)


def test_bilinear_layers_begin_anew() -> None:
    layer = engine.nn.Bilinear(4, 5, 6)
    layer.weight.data.fill_(7)
    layer.reset_parameters()
    assert float(layer.weight.abs().max()) <= 0.5 and float(layer.weight.std()) > 0.1
