"""Parametrizations: a tensor of a module that is computed from others whenever it is asked for (``torch.nn.utils.parametrize``)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from engine.modes import no_grad
from engine.nn.container import ModuleDict, ModuleList
from engine.nn.module import Module
from engine.nn.parameter import Parameter
from engine.tensor import Tensor

_cache: dict[tuple[int, str], Tensor] | None = None


@contextlib.contextmanager
def cached() -> Iterator[None]:
    """Inside, a parametrized tensor is computed once."""
    global _cache
    outer, _cache = _cache, {} if _cache is None else _cache
    try:
        yield
    finally:
        _cache = outer


class ParametrizationList(ModuleList):
    """The parametrizations of one tensor, applied in order, and what it is made from: ``original``, or ``original0``, ``original1`` .."""

    def __init__(self, modules: Any, original: Tensor, unsafe: bool = False) -> None:
        super().__init__(modules)
        self.unsafe = unsafe
        values = self._inverted(original)
        self.is_tensor = isinstance(values, Tensor)
        for name, value in self._named_originals(values):
            if isinstance(original, Parameter):
                self.register_parameter(name, Parameter(value.detach(), original.requires_grad))
            else:
                self.register_buffer(name, value.detach())

    def _named_originals(self, values: Any) -> list[tuple[str, Tensor]]:
        return [("original", values)] if self.is_tensor else [(f"original{i}", v) for i, v in enumerate(values)]

    def _inverted(self, value: Any) -> Any:
        """What the parametrizations make ``value`` from, as far as they know: one tensor or several."""
        with no_grad():
            for module in reversed(list(self)):
                inverse: Any = getattr(module, "right_inverse", None)
                if inverse is not None:
                    with contextlib.suppress(NotImplementedError):
                        value = inverse(value)
        return value

    def right_inverse(self, value: Tensor) -> None:
        """Sets what the tensor is made from, so that it becomes ``value``."""
        with no_grad():
            for name, new in self._named_originals(self._inverted(value)):
                getattr(self, name).copy_(new)

    def forward(self) -> Tensor:
        first, *others = self
        homes = {**self._parameters, **self._buffers}
        value: Tensor = first(*homes.values())
        for module in others:
            value = module(value)
        return value


def is_parametrized(module: Module, tensor_name: str | None = None) -> bool:
    """Whether a module has parametrized tensors, or that one."""
    found = module._modules.get("parametrizations")
    return isinstance(found, ModuleDict) and (len(found) > 0 if tensor_name is None else tensor_name in found)


def type_before_parametrizations(module: Module) -> type:
    return type(module).__bases__[0] if is_parametrized(module) else type(module)


def register_parametrization(module: Module, tensor_name: str, parametrization: Module, *, unsafe: bool = False) -> Module:
    """From now on ``module.tensor_name`` is what ``parametrization`` makes of the parameter or buffer of that name.

    Raises ValueError where there is none, or, unless ``unsafe``, where the result has another shape or dtype.
    """
    parametrization.train(module.training)
    if is_parametrized(module, tensor_name):
        made: Any = module.parametrizations[tensor_name]
        made.append(parametrization)
    elif tensor_name in module._parameters or tensor_name in module._buffers:
        original = getattr(module, tensor_name)
        made = ParametrizationList([parametrization], original, unsafe)
        value = made()
        if not unsafe and (value.shape != original.shape or value.dtype is not original.dtype):
            raise ValueError(
                f"Registering a parametrization may not change the shape or the dtype of the tensor, unless the `unsafe` flag is enabled: {tensor_name} is {list(original.shape)} {original.dtype}, "
                f"parametrized it is {list(value.shape)} {value.dtype}"
            )
        delattr(module, tensor_name)
        if not is_parametrized(module):
            module.parametrizations = ModuleDict()
        module.parametrizations[tensor_name] = made
        _reclass(module)
    else:
        raise ValueError(
            f"Module '{type(module).__name__}' does not have a parameter, a buffer, or a parametrized element with name '{tensor_name}'"
        )
    return module


def remove_parametrizations(module: Module, tensor_name: str, leave_parametrized: bool = True) -> Module:
    """Makes the tensor an ordinary one again: with the value that it has, or with what that was made from."""
    if not is_parametrized(module, tensor_name):
        raise ValueError(f"Module {type(module).__name__} does not have a parametrization on {tensor_name}")
    made: Any = module.parametrizations[tensor_name]
    if not leave_parametrized and not made.is_tensor:
        raise ValueError(
            "Cannot leave unparametrized (`leave_parametrized=False`) a tensor that is parametrized in terms of a sequence of tensors."
        )
    with no_grad():
        value = (getattr(module, tensor_name) if leave_parametrized else made.original).detach().clone()
    trained = [p.requires_grad for p in made._parameters.values()]
    kind = type_before_parametrizations(module)
    del module.parametrizations[tensor_name]
    if len(module.parametrizations):
        _reclass(module, kind)
    else:
        del module.parametrizations
        module.__class__ = kind
    if trained:
        module.register_parameter(tensor_name, Parameter(value, any(trained)))
    else:
        module.register_buffer(tensor_name, value)
    return module


def _reclass(module: Module, kind: type | None = None) -> None:
    """Gives a module a class of its own, in which each parametrized tensor is a property."""
    kind = kind or next(c for c in type(module).__mro__ if "_parametrized" not in c.__dict__)
    properties = {name: _property(name) for name in module.parametrizations}
    module.__class__ = type(f"Parametrized{kind.__name__}", (kind,), {"_parametrized": True, **properties})


def _property(name: str) -> property:
    def get(module: Module) -> Tensor:
        if _cache is None:
            return module.parametrizations[name]()
        key = (id(module), name)
        if key not in _cache:
            _cache[key] = module.parametrizations[name]()
        return _cache[key]

    return property(get, lambda module, value: module.parametrizations[name].right_inverse(value))
