"""A compiled step whose Python values change between calls: each call gives what the step gives as it is."""

from __future__ import annotations

import collections
import copy
import dataclasses
import enum
import functools
import logging
import math
import types
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import engine as torch
from engine import nn
from engine.nn import functional as F

X = torch.tensor([[1.0, -2.0, 3.0], [-0.5, 0.25, 4.0]])
Case = tuple[Callable[..., Any], list[Callable[[], Any]]]
CASES: dict[str, Callable[[], Case]] = {}


def case(make: Callable[[], Case]) -> Callable[[], Case]:
    """Makes a step and what is done between its calls."""
    CASES[make.__name__] = make
    return make


FACTOR = 2.0
TABLE = {"beta": 1.0, "other": 5}


class State:
    factor = 1.0


class Mode(enum.Enum):
    PLUS = 1
    MINUS = -1


@dataclasses.dataclass
class Config:
    scale: float = 1.0
    shift: tuple[float, ...] = (0.0, 1.0, 2.0)


class Slots:
    __slots__ = ("scale",)

    def __init__(self) -> None:
        self.scale = 1.0


class Computed:
    def __init__(self) -> None:
        self.base = 1.0

    @property
    def scale(self) -> float:
        return self.base * 2

    def __getattr__(self, name: str) -> Any:
        if name == "dynamic":
            return self.base * 3
        raise AttributeError(name)


def helper(x: Any, weight: float = 1.0, *, bias: float = 0.0) -> Any:
    return x * weight + bias


def _set(holder: Any, **values: Any) -> Callable[[], None]:
    def change() -> None:
        for name, value in values.items():
            setattr(holder, name, value)

    return change


def _module_variable(value: float) -> Callable[[], None]:
    return lambda: globals().update(FACTOR=value)


@case
def variable_of_the_module() -> Case:
    globals().update(FACTOR=2.0)
    return lambda x: x * FACTOR, [_module_variable(3.0), _module_variable(2.0)]


@case
def variable_of_an_enclosing_function() -> Case:
    beta = 0.5

    def change(value: float) -> Callable[[], None]:
        def change() -> None:
            nonlocal beta
            beta = value

        return change

    return lambda x: x * beta, [change(0.25), change(-1.0), change(0.5)]


@case
def attribute_of_a_class() -> Case:
    State.factor = 1.0
    return lambda x: x * State.factor, [_set(State, factor=10.0), _set(State, factor=0.5)]


@case
def attribute_of_a_class_seen_through_an_object() -> Case:
    State.factor, state = 1.0, State()
    return lambda x: x * state.factor, [_set(State, factor=10.0), _set(state, factor=3.0), lambda: delattr(state, "factor")]


@case
def attribute_of_an_object() -> Case:
    config = Config()
    return lambda x: x * config.scale, [_set(config, scale=2.0), _set(config, scale=3)]


@case
def attribute_that_is_there_later() -> Case:
    config = types.SimpleNamespace()
    return lambda x: x * getattr(config, "scale", 1.0), [_set(config, scale=2.0)]


@case
def attribute_whose_name_is_made() -> Case:
    config = Config()
    return lambda x: x * getattr(config, "sca" + "le"), [_set(config, scale=2.0)]


@case
def slot_of_an_object() -> Case:
    slots = Slots()
    return lambda x: x * slots.scale, [_set(slots, scale=2.0)]


@case
def property_of_an_object() -> Case:
    computed = Computed()
    return lambda x: x * computed.scale, [_set(computed, base=2.0)]


@case
def attribute_that_is_computed() -> Case:
    computed = Computed()
    return lambda x: x * computed.dynamic, [_set(computed, base=2.0)]


@case
def object_replaced() -> Case:
    held = types.SimpleNamespace(config=Config())
    return lambda x: x * held.config.scale, [_set(held, config=Config(4.0)), _set(held, config=Config(5.0))]


@case
def objects_in_a_list() -> Case:
    configs = [Config(1.0), Config(2.0)]
    return lambda x: sum(x * c.scale for c in configs), [_set(configs[1], scale=7.0), lambda: configs.append(Config(3.0)), configs.pop]


@case
def object_that_a_call_returns() -> Case:
    pool = {"one": Config(1.0)}

    def find(name: str) -> Config:
        return pool[name]

    return lambda x: x * find("one").scale, [_set(pool["one"], scale=3.0), lambda: pool.update(one=Config(5.0))]


@case
def copy_of_an_object() -> Case:
    config = Config()
    return lambda x: x * copy.copy(config).scale, [_set(config, scale=2.0)]


@case
def entry_of_a_dict() -> Case:
    table = dict(TABLE)
    return lambda x: x * table["beta"], [lambda: table.update(beta=2.0), lambda: table.update(other=1), lambda: table.update(beta=3)]


@case
def entries_of_a_dict() -> Case:
    table = {"a": 1.0, "b": 2.0}

    def step(x: Any) -> Any:
        for value in table.values():
            x = x * 2 + value
        return x

    return step, [lambda: table.update(a=3.0), lambda: table.update(a=table.pop("b"), b=table.pop("a")), lambda: table.update(c=1.0)]


@case
def order_of_a_dict() -> Case:
    table = collections.OrderedDict(a=1.0, b=2.0)

    def step(x: Any) -> Any:
        for value in table.values():
            x = x * 2 + value
        return x

    return step, [lambda: table.move_to_end("a")]


@case
def dict_in_a_dict() -> Case:
    table = {"loss": {"beta": 1.0}}
    return lambda x: x * table["loss"]["beta"], [lambda: table["loss"].update(beta=2.0), lambda: table.update(loss={"beta": 5.0})]


@case
def keyword_arguments() -> Case:
    given = {"weight": 2.0, "bias": 1.0}
    return lambda x: helper(x, **given), [lambda: given.update(bias=3.0)]


@case
def element_of_a_list() -> Case:
    factors = [1.0, 2.0]
    return lambda x: x * factors[1], [lambda: factors.__setitem__(1, 5.0)]


@case
def long_list() -> Case:
    factors = [float(i) for i in range(100)]
    return lambda x: x * sum(factors), [lambda: factors.__setitem__(50, -5.0)]


@case
def nested_lists() -> Case:
    rows = [[1.0, 2.0], [3.0]]
    return lambda x: x * sum(map(sum, rows)), [lambda: rows[1].append(1.0)]


@case
def set_and_deque() -> Case:
    names, recent = {"a"}, collections.deque([1.0, 2.0], 2)
    return lambda x: x * len(names) * sum(recent), [lambda: names.add("b"), lambda: recent.append(4.0)]


@case
def tuple_replaced() -> Case:
    config = Config()
    return lambda x: x + torch.tensor(config.shift), [_set(config, shift=(0.0, 1.0, 2.0)), _set(config, shift=(0.0, 1.0, -2.0))]


@case
def loop_count() -> Case:
    held = types.SimpleNamespace(n=1)

    def step(x: Any) -> Any:
        for _ in range(held.n):
            x = x * 1.5
        return x

    return step, [_set(held, n=3), _set(held, n=0)]


@case
def flag() -> Case:
    held = types.SimpleNamespace(negative=False)
    return lambda x: -x if held.negative else x * 2, [_set(held, negative=True), _set(held, negative=False), _set(held, negative=1)]


@case
def threshold() -> Case:
    held = types.SimpleNamespace(epoch=1)
    return lambda x: x * 2 if held.epoch > 3 else x * 3, [_set(held, epoch=2), _set(held, epoch=4)]


@case
def text() -> Case:
    held = types.SimpleNamespace(mode="mean")
    return lambda x: getattr(x, held.mode)(), [_set(held, mode="sum"), _set(held, mode="".join(["s", "um"]))]


@case
def member_of_an_enum() -> Case:
    held = types.SimpleNamespace(mode=Mode.PLUS)
    return lambda x: x * held.mode.value, [_set(held, mode=Mode.MINUS)]


@case
def nothing_became_something() -> Case:
    held = types.SimpleNamespace(scale=None)
    return lambda x: x if held.scale is None else x * held.scale, [_set(held, scale=2.0), _set(held, scale=None)]


@case
def integer_became_float() -> Case:
    held, whole = types.SimpleNamespace(scale=2), torch.tensor([1, 2])
    return lambda x: x.sum() + (whole * held.scale).sum() / 2 + (whole * held.scale).dtype.itemsize, [
        _set(held, scale=2.0),
        _set(held, scale=True),
    ]


@case
def zero_became_negative() -> Case:
    held = types.SimpleNamespace(scale=0.0)
    return lambda x: 1 / (torch.ones(2) * held.scale) + x.sum(), [_set(held, scale=-0.0)]


@case
def infinity_became_nan() -> Case:
    held = types.SimpleNamespace(scale=math.inf)
    return lambda x: x * held.scale, [_set(held, scale=math.nan), _set(held, scale=float("nan"))]


@case
def numpy_number() -> Case:
    held = types.SimpleNamespace(scale=np.float32(2))
    return lambda x: x * float(held.scale), [_set(held, scale=np.float32(3)), _set(held, scale=np.float32(3))]


@case
def numpy_array() -> Case:
    weights = np.array([1.0, 2.0, 3.0], np.float32)
    return lambda x: x * torch.tensor(weights), [lambda: weights.__setitem__(1, 9.0)]


@case
def numpy_array_in_a_loop() -> Case:
    weights = np.array([1.0, 2.0])
    return lambda x: sum(x * float(w) for w in weights), [lambda: weights.__setitem__(0, -4.0)]


@case
def numpy_array_that_shares_its_memory() -> Case:
    weights = np.array([1.0, 2.0, 3.0], np.float32)
    shared = torch.from_numpy(weights)
    return lambda x: x * shared, [lambda: weights.__setitem__(1, 9.0)]


@case
def tensor_replaced() -> Case:
    held = types.SimpleNamespace(prior=torch.tensor([1.0, 1.0, 1.0]))
    return lambda x: x * held.prior, [_set(held, prior=torch.tensor([5.0, 4.0, 3.0])), lambda: held.prior.mul_(2)]


@case
def tensors_in_a_list() -> Case:
    held = [torch.ones(3), torch.zeros(3)]
    return lambda x: sum(x * t for t in held), [lambda: held.__setitem__(1, torch.ones(3)), lambda: held.append(torch.ones(3))]


@case
def default_of_an_argument() -> Case:
    def step(x: Any) -> Any:
        return helper(x)

    return step, [
        _set(helper, __defaults__=(3.0,)),
        _set(helper, __kwdefaults__={"bias": 2.0}),
        _set(helper, __defaults__=(1.0,), __kwdefaults__={"bias": 0.0}),
    ]


@case
def default_that_is_a_list() -> Case:
    held = [1.0]

    def step(x: Any, factors: list[float] = held) -> Any:
        return x * factors[0]

    return step, [lambda: held.__setitem__(0, 3.0)]


@case
def function_replaced() -> Case:
    held = types.SimpleNamespace(act=F.relu)
    return lambda x: held.act(x), [
        _set(held, act=F.silu),
        _set(held, act=lambda x: x * 3),
        _set(held, act=functools.partial(F.leaky_relu, negative_slope=0.5)),
    ]


@case
def code_of_a_function_replaced() -> Case:
    def inner(x: Any) -> Any:
        return x * 2

    def other(x: Any) -> Any:
        return x * 5

    return lambda x: inner(x), [_set(inner, __code__=other.__code__)]


@case
def arguments_of_a_partial() -> Case:
    given: dict[str, Any] = {"weight": 2.0}
    scaled = functools.partial(lambda x, table: x * table["weight"], table=given)
    return lambda x: scaled(x), [lambda: given.update(weight=7.0)]


@case
def function_of_a_module_replaced() -> Case:
    lib = types.ModuleType("lib")
    lib.act = F.relu  # type: ignore[attr-defined]  # made here
    return lambda x: lib.act(x), [_set(lib, act=F.silu)]


@case
def method_hidden_by_an_attribute() -> Case:
    layer = nn.ReLU()
    return lambda x: layer(x), [_set(layer, forward=lambda x: x * 4)]


@case
def class_of_an_object_changed() -> Case:
    layer: Any = nn.ReLU(inplace=False)
    return lambda x: layer(x), [_set(layer, __class__=nn.SiLU)]


@case
def method_of_a_class_replaced() -> Case:
    class Own(nn.Module):
        def forward(self, x: Any) -> Any:
            return x * 2

    layer = Own()
    return lambda x: layer(x), [_set(Own, forward=lambda self, x: x * 7)]


@case
def dropout() -> Case:
    layer = nn.Dropout(0.0).train()
    return lambda x: layer(x), [_set(layer, p=1.0), layer.eval, _set(layer, p=0.0)]


@case
def label_smoothing() -> Case:
    loss = nn.CrossEntropyLoss()
    return lambda x: loss(x, torch.tensor([0, 2])), [
        _set(loss, label_smoothing=0.5),
        _set(loss, reduction="sum"),
        _set(loss, ignore_index=2),
    ]


@case
def slope() -> Case:
    layer = nn.LeakyReLU(0.1)
    return lambda x: layer(x), [_set(layer, negative_slope=0.7)]


@case
def settings_of_normalization() -> Case:
    layer = nn.BatchNorm1d(3)
    return lambda x: layer(x).sum(0) + layer.running_mean, [
        _set(layer, momentum=0.9),
        _set(layer, eps=1.0),
        layer.eval,
        _set(layer, momentum=None),
    ]


@case
def activation_of_a_module() -> Case:
    model = nn.Sequential(nn.Linear(3, 3), nn.ReLU())
    return lambda x: model(x), [lambda: model.__setitem__(1, nn.Tanh()), lambda: model.append(nn.Sigmoid()), lambda: model.__delitem__(1)]


@case
def list_of_modules() -> Case:
    layers = nn.ModuleList([nn.Linear(3, 3)])

    def step(x: Any) -> Any:
        for layer in layers:
            x = layer(x)
        return x

    return step, [lambda: layers.append(nn.Linear(3, 3)), lambda: layers.__setitem__(0, nn.Identity())]


@case
def attribute_of_the_users_module() -> Case:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.alpha, self.sizes = nn.Linear(3, 3), 0.5, [1, 2]

        def forward(self, x: Any) -> Any:
            return self.layer(x) * self.alpha + len(self.sizes)

    net = Net()
    return lambda x: net(x), [_set(net, alpha=2.0), lambda: net.sizes.append(1), _set(net, layer=nn.Linear(3, 3))]


@case
def parameter_replaced() -> Case:
    layer = nn.Linear(3, 3)
    return lambda x: layer(x), [
        _set(layer, weight=nn.Parameter(torch.ones(3, 3))), _set(layer, bias=None), lambda: layer.weight.__setattr__("data", torch.zeros(3, 3)),
    ]  # fmt: skip


@case
def buffer_replaced() -> Case:
    layer = nn.BatchNorm1d(3).eval()
    return lambda x: layer(x), [_set(layer, running_mean=torch.ones(3)), lambda: layer.running_var.mul_(4)]


@case
def recurrent_weights_replaced() -> Case:
    layer = nn.RNN(3, 2)
    return lambda x: layer(x)[0], [
        _set(layer, weight_ih_l0=nn.Parameter(torch.ones(2, 3))),
        _set(layer, bias_hh_l0=nn.Parameter(torch.ones(2))),
    ]


@case
def hooks_of_a_module() -> Case:
    layer, handles = nn.Linear(3, 3), list[Any]()
    return lambda x: layer(x), [
        lambda: handles.append(layer.register_forward_hook(lambda m, args, y: y * 2)), lambda: handles[0].remove(),
        lambda: layer.register_forward_pre_hook(lambda m, args: (args[0] + 1,)), layer._forward_pre_hooks.clear,
    ]  # fmt: skip


@case
def what_a_hook_reads() -> Case:
    layer, held = nn.Linear(3, 3), types.SimpleNamespace(scale=2.0)
    layer.register_forward_hook(lambda m, args, y: y * held.scale)
    return lambda x: layer(x), [_set(held, scale=5.0)]


@case
def default_dtype() -> Case:
    return lambda x: torch.ones(3) + torch.tensor([0.1]), [
        lambda: torch.set_default_dtype(torch.float64),
        lambda: torch.set_default_dtype(torch.float32),
    ]


@case
def autocast_inside() -> Case:
    held, layer = types.SimpleNamespace(on=False), nn.Linear(3, 3)

    def step(x: Any) -> Any:
        with torch.autocast("cpu", torch.bfloat16, enabled=held.on):
            return layer(x).float()

    return step, [_set(held, on=True), _set(held, on=False)]


@case
def mode_set_in_the_step() -> Case:
    layer, held = nn.Dropout(0.5), types.SimpleNamespace(scale=1.0)

    def step(x: Any) -> Any:
        layer.eval()
        y = layer(x) * held.scale
        layer.train()
        return y

    return step, [_set(held, scale=2.0), layer.eval]


@pytest.mark.parametrize("name", CASES)
def test_a_changed_value_takes_effect(name: str, caplog: pytest.LogCaptureFixture) -> None:
    """Steps and changes are made twice, one after the other, so that the eager and the compiled step see the same ones."""

    def results(compiled: bool) -> list[Any]:
        torch.manual_seed(0)
        step, changes = CASES[name]()
        run: Any = torch.compile(step, fuse=False) if compiled else step
        found: list[Any] = []
        try:
            with torch.no_grad():
                for change in [lambda: None, *changes]:
                    change()
                    found += [run(X).numpy().copy() for _ in range(2)]
        finally:
            torch.set_default_dtype(torch.float32)
        assert not compiled or all(run.programs.values()), caplog.text
        return found

    with caplog.at_level(logging.INFO, "engine.capture"):
        for expected, got in zip(results(False), results(True), strict=True):
            assert expected.dtype == got.dtype
            np.testing.assert_array_equal(got, expected)
