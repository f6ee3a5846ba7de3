"""Python values that a step reads, and how they change: functions, layers, settings."""

from __future__ import annotations

import functools
import types
from typing import Any

import engine as torch
from engine import nn
from engine.nn import functional as F
from tests.capture.values import CASES, Case, Config, case, helper, set_to


@case
def default_of_an_argument() -> Case:
    def step(x: Any) -> Any:
        return helper(x)

    return step, [
        set_to(helper, __defaults__=(3.0,)),
        set_to(helper, __kwdefaults__={"bias": 2.0}),
        set_to(helper, __defaults__=(1.0,), __kwdefaults__={"bias": 0.0}),
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
        set_to(held, act=F.silu),
        set_to(held, act=lambda x: x * 3),
        set_to(held, act=functools.partial(F.leaky_relu, negative_slope=0.5)),
    ]


@case
def code_of_a_function_replaced() -> Case:
    def inner(x: Any) -> Any:
        return x * 2

    def other(x: Any) -> Any:
        return x * 5

    return lambda x: inner(x), [set_to(inner, __code__=other.__code__)]


@case
def arguments_of_a_partial() -> Case:
    given: dict[str, Any] = {"weight": 2.0}
    scaled = functools.partial(lambda x, table: x * table["weight"], table=given)
    return lambda x: scaled(x), [lambda: given.update(weight=7.0)]


@case
def function_of_a_module_replaced() -> Case:
    lib = types.ModuleType("lib")
    lib.act = F.relu  # type: ignore[attr-defined]  # made here
    return lambda x: lib.act(x), [set_to(lib, act=F.silu)]


@case
def method_hidden_by_an_attribute() -> Case:
    layer = nn.ReLU()
    return lambda x: layer(x), [set_to(layer, forward=lambda x: x * 4)]


@case
def class_of_an_object_changed() -> Case:
    layer: Any = nn.ReLU(inplace=False)
    return lambda x: layer(x), [set_to(layer, __class__=nn.SiLU)]


@case
def method_of_a_class_replaced() -> Case:
    class Own(nn.Module):
        def forward(self, x: Any) -> Any:
            return x * 2

    layer = Own()
    return lambda x: layer(x), [set_to(Own, forward=lambda self, x: x * 7)]


@case
def dropout() -> Case:
    layer = nn.Dropout(0.0).train()
    return lambda x: layer(x), [set_to(layer, p=1.0), layer.eval, set_to(layer, p=0.0)]


@case
def label_smoothing() -> Case:
    loss = nn.CrossEntropyLoss()
    return lambda x: loss(x, torch.tensor([0, 2])), [
        set_to(loss, label_smoothing=0.5),
        set_to(loss, reduction="sum"),
        set_to(loss, ignore_index=2),
    ]


@case
def slope() -> Case:
    layer = nn.LeakyReLU(0.1)
    return lambda x: layer(x), [set_to(layer, negative_slope=0.7)]


@case
def settings_of_normalization() -> Case:
    layer = nn.BatchNorm1d(3)
    return lambda x: layer(x).sum(0) + layer.running_mean, [
        set_to(layer, momentum=0.9),
        set_to(layer, eps=1.0),
        layer.eval,
        set_to(layer, momentum=None),
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
    return lambda x: net(x), [set_to(net, alpha=2.0), lambda: net.sizes.append(1), set_to(net, layer=nn.Linear(3, 3))]


@case
def parameter_replaced() -> Case:
    layer = nn.Linear(3, 3)
    return lambda x: layer(x), [
        set_to(layer, weight=nn.Parameter(torch.ones(3, 3))), set_to(layer, bias=None), lambda: layer.weight.__setattr__("data", torch.zeros(3, 3)),
    ]  # fmt: skip


@case
def buffer_replaced() -> Case:
    layer = nn.BatchNorm1d(3).eval()
    return lambda x: layer(x), [set_to(layer, running_mean=torch.ones(3)), lambda: layer.running_var.mul_(4)]


@case
def recurrent_weights_replaced() -> Case:
    layer = nn.RNN(3, 2)
    return lambda x: layer(x)[0], [
        set_to(layer, weight_ih_l0=nn.Parameter(torch.ones(2, 3))),
        set_to(layer, bias_hh_l0=nn.Parameter(torch.ones(2))),
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
    return lambda x: layer(x), [set_to(held, scale=5.0)]


@case
def weight_that_a_hook_computes() -> Case:
    layer = nn.utils.weight_norm(nn.Linear(3, 3))
    return lambda x: layer(x), [lambda: layer.weight_g.data.mul_(2), set_to(layer, weight_v=nn.Parameter(torch.ones(3, 3)))]


@case
def method_of_an_optional_name() -> Case:
    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second, self.n, self.act = nn.Linear(3, 3), nn.Linear(3, 3), 2, "relu"

        def forward(self, x: Any) -> Any:
            for name in ("first", "second")[: self.n]:
                x = getattr(F, self.act)(getattr(self, name)(x))
            return x

    own = Own()
    return lambda x: own(x), [set_to(own, n=1), set_to(own, act="silu"), set_to(own, first=nn.Linear(3, 3))]


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

    return step, [set_to(held, on=True), set_to(held, on=False)]


@case
def object_that_the_first_step_makes() -> Case:
    held = types.SimpleNamespace(config=None, table={})

    def step(x: Any) -> Any:
        if held.config is None:
            held.config = Config()
        return x * held.config.scale * held.table.setdefault("scales", [2.0])[0]

    return step, [lambda: setattr(held.config, "scale", 3.0), lambda: held.table["scales"].__setitem__(0, 5.0), set_to(held, config=None)]


@case
def mode_set_in_the_step() -> Case:
    layer, held = nn.Dropout(0.5), types.SimpleNamespace(scale=1.0)

    def step(x: Any) -> Any:
        layer.eval()
        y = layer(x) * held.scale
        layer.train()
        return y

    return step, [set_to(held, scale=2.0), layer.eval]


__all__ = ["CASES"]
