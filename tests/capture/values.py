"""Python values that a step reads, and how they change: variables, attributes, containers, numbers."""

from __future__ import annotations

import collections
import copy
import dataclasses
import enum
import math
import types
from collections.abc import Callable
from typing import Any

import numpy as np

import engine as torch

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


def set_to(holder: Any, **values: Any) -> Callable[[], None]:
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
    return lambda x: x * State.factor, [set_to(State, factor=10.0), set_to(State, factor=0.5)]


@case
def attribute_of_a_class_seen_through_an_object() -> Case:
    State.factor, state = 1.0, State()
    return lambda x: x * state.factor, [set_to(State, factor=10.0), set_to(state, factor=3.0), lambda: delattr(state, "factor")]


@case
def attribute_of_an_object() -> Case:
    config = Config()
    return lambda x: x * config.scale, [set_to(config, scale=2.0), set_to(config, scale=3)]


@case
def attribute_that_is_there_later() -> Case:
    config = types.SimpleNamespace()
    return lambda x: x * getattr(config, "scale", 1.0), [set_to(config, scale=2.0)]


@case
def attribute_whose_name_is_made() -> Case:
    config = Config()
    return lambda x: x * getattr(config, "sca" + "le"), [set_to(config, scale=2.0)]


@case
def slot_of_an_object() -> Case:
    slots = Slots()
    return lambda x: x * slots.scale, [set_to(slots, scale=2.0)]


@case
def property_of_an_object() -> Case:
    computed = Computed()
    return lambda x: x * computed.scale, [set_to(computed, base=2.0)]


@case
def attribute_that_is_computed() -> Case:
    computed = Computed()
    return lambda x: x * computed.dynamic, [set_to(computed, base=2.0)]


@case
def object_replaced() -> Case:
    held = types.SimpleNamespace(config=Config())
    return lambda x: x * held.config.scale, [set_to(held, config=Config(4.0)), set_to(held, config=Config(5.0))]


@case
def objects_in_a_list() -> Case:
    configs = [Config(1.0), Config(2.0)]
    return lambda x: sum(x * c.scale for c in configs), [set_to(configs[1], scale=7.0), lambda: configs.append(Config(3.0)), configs.pop]


@case
def object_that_a_call_returns() -> Case:
    pool = {"one": Config(1.0)}

    def find(name: str) -> Config:
        return pool[name]

    return lambda x: x * find("one").scale, [set_to(pool["one"], scale=3.0), lambda: pool.update(one=Config(5.0))]


@case
def copy_of_an_object() -> Case:
    config = Config()
    return lambda x: x * copy.copy(config).scale, [set_to(config, scale=2.0)]


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
    return lambda x: x + torch.tensor(config.shift), [set_to(config, shift=(0.0, 1.0, 2.0)), set_to(config, shift=(0.0, 1.0, -2.0))]


@case
def loop_count() -> Case:
    held = types.SimpleNamespace(n=1)

    def step(x: Any) -> Any:
        for _ in range(held.n):
            x = x * 1.5
        return x

    return step, [set_to(held, n=3), set_to(held, n=0)]


@case
def flag() -> Case:
    held = types.SimpleNamespace(negative=False)
    return lambda x: -x if held.negative else x * 2, [set_to(held, negative=True), set_to(held, negative=False), set_to(held, negative=1)]


@case
def threshold() -> Case:
    held = types.SimpleNamespace(epoch=1)
    return lambda x: x * 2 if held.epoch > 3 else x * 3, [set_to(held, epoch=2), set_to(held, epoch=4)]


@case
def text() -> Case:
    held = types.SimpleNamespace(mode="mean")
    return lambda x: getattr(x, held.mode)(), [set_to(held, mode="sum"), set_to(held, mode="".join(["s", "um"]))]


@case
def member_of_an_enum() -> Case:
    held = types.SimpleNamespace(mode=Mode.PLUS)
    return lambda x: x * held.mode.value, [set_to(held, mode=Mode.MINUS)]


@case
def nothing_became_something() -> Case:
    held = types.SimpleNamespace(scale=None)
    return lambda x: x if held.scale is None else x * held.scale, [set_to(held, scale=2.0), set_to(held, scale=None)]


@case
def integer_became_float() -> Case:
    held, whole = types.SimpleNamespace(scale=2), torch.tensor([1, 2])
    return lambda x: x.sum() + (whole * held.scale).sum() / 2 + (whole * held.scale).dtype.itemsize, [
        set_to(held, scale=2.0),
        set_to(held, scale=True),
    ]


@case
def zero_became_negative() -> Case:
    held = types.SimpleNamespace(scale=0.0)
    return lambda x: 1 / (torch.ones(2) * held.scale) + x.sum(), [set_to(held, scale=-0.0)]


@case
def infinity_became_nan() -> Case:
    held = types.SimpleNamespace(scale=math.inf)
    return lambda x: x * held.scale, [set_to(held, scale=math.nan), set_to(held, scale=float("nan"))]


@case
def numpy_number() -> Case:
    held = types.SimpleNamespace(scale=np.float32(2))
    return lambda x: x * float(held.scale), [set_to(held, scale=np.float32(3)), set_to(held, scale=np.float32(3))]


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
    return lambda x: x * held.prior, [set_to(held, prior=torch.tensor([5.0, 4.0, 3.0])), lambda: held.prior.mul_(2)]


@case
def tensors_in_a_list() -> Case:
    held = [torch.ones(3), torch.zeros(3)]
    return lambda x: sum(x * t for t in held), [lambda: held.__setitem__(1, torch.ones(3)), lambda: held.append(torch.ones(3))]
