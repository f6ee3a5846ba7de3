"""What optimizers share: parameter groups, state, and applying an update rule to every parameter.

An algorithm is one rule on one element: ``rule(m, p, g, *slots, **hyperparameters)`` gives the new ``p`` and slots; it runs as an
op, through ``launch``, writing in place.
"""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any, ClassVar

from engine.backend import Array, array_module
from engine.dispatch import Call, Op, launch_each, unseen
from engine.hooks import Hooks, RemovableHandle, register, replaced
from engine.modes import enable_grad, no_grad
from engine.tensor import Tensor


def update_op(name: str, slots: tuple[str, ...], rule: Callable[..., tuple[Array, ...]]) -> Op:
    """The op that replaces a parameter and its slots by what ``rule`` makes of them and the gradient."""

    def kernel(outs: Any, *ins: Array, **hyper: Any) -> None:
        outs = outs if isinstance(outs, list) else [outs]
        for out, value in zip(outs, rule(array_module(outs[0]), *ins, **hyper), strict=True):
            out[...] = value

    def infer(*ins: Array, **hyper: Any) -> Any:
        return [(x.shape, x.dtype) for i, x in enumerate(ins) if i != 1]

    return Op(name, ["p", "g", *slots], infer=infer, kernel=kernel, flops=lambda outs, ins, attrs: 4 * len(ins) * ins[0].size, rule=rule)


stepping: list[Callable[[Tensor, dict[str, Any]], None]] = []
"""Called with each parameter that is about to be updated, and its state."""


class Hyper(dict[str, Any]):
    """What updates are launched with, one for all parameters that go the same way, and where it comes from: whoever repeats them asks there again."""

    def __init__(self, values: dict[str, Any], optimizer: Optimizer, group: dict[str, Any]) -> None:
        super().__init__(values)
        self.optimizer, self.group = optimizer, group


def downhill(p: Array, g: Array, weight_decay: float, maximize: bool) -> Array:
    """The gradient to descend by: turned round for a maximum, with the derivative of the L2 penalty."""
    g = -g if maximize else g
    return g + weight_decay * p if weight_decay else g


def check_range(name: str, value: float, low: float = 0.0, below: float | None = None) -> None:
    """Raises ValueError, naming the hyperparameter, for a value out of range."""
    if isinstance(value, Tensor) and value.numel() != 1:
        raise ValueError(f"{name}: a tensor must be 1-element, got one of size {list(value.shape)}")
    if not low <= value or (below is not None and not value < below):
        raise ValueError(f"Invalid {name}: {value}")


def check_betas(betas: tuple[float, float]) -> None:
    if not isinstance(betas, tuple | list) or len(betas) != 2 or isinstance(betas[0], Tensor) != isinstance(betas[1], Tensor):
        raise ValueError(f"betas must be either both floats or both Tensors, got {betas!r}")
    for i, beta in enumerate(betas):
        check_range(f"beta parameter at index {i}", beta, below=1.0)


class Optimizer:
    """The base of all optimizers. ``params`` is an iterable of tensors, or of dicts: groups with hyperparameters of their own.

    A parameter's state holds its ``slots``, tensors, and its ``numbers``, which change from step to step: "step" counts them.
    """

    update: ClassVar[Op]
    slots: ClassVar[tuple[str, ...]] = ()
    numbers: ClassVar[tuple[str, ...]] = ()

    def __init__(self, params: Any, defaults: dict[str, Any]) -> None:
        if isinstance(params, Tensor):
            raise TypeError(
                "params argument given to the optimizer should be an iterable of Tensors or dicts, but got " + type(params).__name__
            )
        self.defaults = defaults
        self.state: defaultdict[Tensor, dict[str, Any]] = defaultdict(dict)
        self.param_groups: list[dict[str, Any]] = []
        self._hooks: defaultdict[str, Hooks] = defaultdict(dict)
        self.changes = 0  # how often state was made or replaced: who holds on to it looks again
        groups = list(params)
        if not groups:
            raise ValueError("optimizer got an empty parameter list")
        for group in groups if isinstance(groups[0], dict) else [{"params": groups}]:
            self.add_param_group(group)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Adds a group; what it leaves out comes from the defaults. Raises ValueError for a parameter that is in a group already."""
        given = param_group["params"]
        params = [given] if isinstance(given, Tensor) else list(given)
        named = [isinstance(p, tuple) for p in params]
        if any(named) and not all(named):
            raise ValueError("all optimizer params should be with/without names. Some param names are missing")
        if any(named):
            param_group = {**param_group, "param_names": [name for name, _ in params]}
            params = [p for _, p in params]
        if self.param_groups and ("param_names" in param_group) != ("param_names" in self.param_groups[0]):
            raise ValueError("all optimizer param groups should be with/without names")
        held = {id(p) for group in self.param_groups for p in group["params"]}
        if len({id(p) for p in params}) != len(params):
            warnings.warn(
                "optimizer contains a parameter group with duplicate parameters; in future, this will cause an error", stacklevel=3
            )
        for p in params:
            if not isinstance(p, Tensor):
                raise TypeError(f"optimizer can only optimize Tensors, but one of the params is {type(p).__name__}")
            if not p.is_leaf:
                raise ValueError("can't optimize a non-leaf Tensor")
            if id(p) in held:
                raise ValueError("some parameters appear in more than one parameter group")
        self.changes += 1
        self.param_groups.append({**self.defaults, **param_group, "params": params})

    def zero_grad(self, set_to_none: bool = True) -> None:
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    p.grad = None if set_to_none else p.grad.detach().zero_()

    def hyperparameters(self, group: dict[str, Any], state: dict[str, Any]) -> dict[str, Any]:
        """What the rule is called with, besides arrays. Parameters of a group agree in it while they agree in ``pace``."""
        raise NotImplementedError

    def advance(self, group: dict[str, Any], state: dict[str, Any]) -> dict[str, Any]:
        """Brings a parameter's numbers to its next step; what the rule is called with in that step."""
        if "step" in self.numbers:
            state["step"] = state.get("step", 0) + 1
        rate = group.get("lr")
        if isinstance(rate, Tensor):
            unseen("a learning rate that the step computes", rate._data)
            group = {**group, "lr": rate._data.item()}
        return self.hyperparameters(group, state)

    def pace(self, group: dict[str, Any], state: dict[str, Any]) -> list[Any]:
        """Where a parameter is on its way: its numbers, and whether it has been updated before."""
        slots = self.active_slots(group)
        return [*map(state.get, self.numbers), not slots or slots[0] in state]

    def active_slots(self, group: dict[str, Any]) -> tuple[str, ...]:
        """The slots that a group's settings need."""
        return self.slots

    @no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One update of every parameter that has a gradient; ``closure`` recomputes the loss, which is returned."""
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        self.changes += 1
        for group in self.param_groups:
            self._update(group)
        return loss

    def _update(self, group: dict[str, Any]) -> None:
        slots = self.active_slots(group)
        updated = [p for p in group["params"] if p.grad is not None]
        calls: list[Call] = []
        changing = bool(slots or self.numbers)
        before = now = hyper = None
        numbers: dict[str, Any] = {}
        for p in updated:
            state = self.state[p]
            for tell in stepping:
                tell(p, state)
            if changing:
                now = self.pace(group, state)
            if hyper is not None and now == before:
                state.update(numbers)
            else:
                hyper, before = Hyper(self.advance(group, state), self, group), now
                numbers = {name: state[name] for name in self.numbers}
            for slot in slots:
                if slot not in state:
                    state[slot] = p.new_full(p.shape, self.initial(slot, group))
            arrays = [state[slot]._data for slot in slots]
            calls.append(([p._data, *arrays], [p._data, p.grad._data, *arrays], hyper))
        launch_each(self.update, calls)
        for p in updated:
            p._version[0] += 1

    def initial(self, slot: str, group: dict[str, Any]) -> float:
        """What a slot starts from."""
        return 0.0

    def state_dict(self) -> dict[str, Any]:
        """State and groups with parameters by their number, as PyTorch lays them out."""
        for hook in list(self._hooks["saving"].values()):
            hook(self)
        numbers = {p: i for i, p in enumerate(p for group in self.param_groups for p in group["params"])}
        groups = [{**{k: v for k, v in g.items() if k != "params"}, "params": [numbers[p] for p in g["params"]]} for g in self.param_groups]
        state = {"state": {numbers[p]: dict(s) for p, s in self.state.items()}, "param_groups": groups}
        return replaced(self._hooks["saved"], state, self)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes over a state saved from the same groups. Raises ValueError where their sizes differ."""
        state_dict = replaced(self._hooks["loading"], state_dict, self)
        groups = state_dict["param_groups"]
        if [len(g["params"]) for g in groups] != [len(g["params"]) for g in self.param_groups]:
            raise ValueError(
                "loaded state dict has a different number of parameter groups, or a group that doesn't match the size of optimizer's group"
            )
        by_number = {
            n: p for saved, own in zip(groups, self.param_groups, strict=True) for n, p in zip(saved["params"], own["params"], strict=True)
        }
        for saved, own in zip(groups, self.param_groups, strict=True):
            own.update({k: v for k, v in saved.items() if k != "params"})
        self.state = defaultdict(dict)
        self.changes += 1
        for n, state in state_dict["state"].items():
            p = by_number[int(n)]
            self.state[p] = {k: v.detach().to(p.device).clone() if isinstance(v, Tensor) else v for k, v in state.items()}
        for hook in list(self._hooks["loaded"].values()):
            hook(self)

    def register_step_pre_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """``hook(optimizer, args, kwargs)`` runs before each step, ``args`` being the optimizer and the step's; what it returns replaces both."""
        return self._around_step("before", hook)

    def register_step_post_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """``hook(optimizer, args, kwargs)`` runs after each step."""
        return self._around_step("after", hook)

    def _around_step(self, when: str, hook: Callable[..., Any]) -> RemovableHandle:
        if "step" not in self.__dict__:  # only who has hooks pays for looking them up
            plain = self.step

            def step(*args: Any, **kwargs: Any) -> Any:
                args = (self, *args)
                for before in list(self._hooks["before"].values()):
                    changed = before(self, args, kwargs)
                    args, kwargs = (args, kwargs) if changed is None else changed
                result = plain(*args[1:], **kwargs)
                for after in list(self._hooks["after"].values()):
                    after(self, args, kwargs)
                return result

            self.step = step  # type: ignore[method-assign]  # of this optimizer alone
        return register(self._hooks[when], hook)

    def register_state_dict_pre_hook(self, hook: Callable[..., Any], prepend: bool = False) -> RemovableHandle:
        """``hook(optimizer)`` runs before ``state_dict`` reads the state."""
        return register(self._hooks["saving"], hook, prepend)

    def register_state_dict_post_hook(self, hook: Callable[..., Any], prepend: bool = False) -> RemovableHandle:
        """``hook(optimizer, state_dict)`` runs on what ``state_dict`` made; what it returns replaces it."""
        return register(self._hooks["saved"], hook, prepend)

    def register_load_state_dict_pre_hook(self, hook: Callable[..., Any], prepend: bool = False) -> RemovableHandle:
        """``hook(optimizer, state_dict)`` runs before loading; what it returns is loaded in place of ``state_dict``."""
        return register(self._hooks["loading"], hook, prepend)

    def register_load_state_dict_post_hook(self, hook: Callable[..., Any], prepend: bool = False) -> RemovableHandle:
        """``hook(optimizer)`` runs after loading."""
        return register(self._hooks["loaded"], hook, prepend)

    def __repr__(self) -> str:
        lines = [f"{type(self).__name__} ("]
        for i, group in enumerate(self.param_groups):
            lines += [f"Parameter Group {i}", *(f"    {k}: {group[k]}" for k in sorted(group) if k != "params")]
        return "\n".join([*lines, ")"])


Params = Iterable[Tensor] | Iterable[dict[str, Any]]
