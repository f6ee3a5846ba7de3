"""Modules made of modules."""

from __future__ import annotations

import operator
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from typing import Any, Self

from engine.nn.facts import Facts
from engine.nn.module import Module
from engine.nn.parameter import Parameter
from engine.tensor import Tensor


class _Indexed(Module):
    """Numbered children, as a list has them."""

    def _key(self, index: int) -> str:
        at = operator.index(index)
        if not -len(self) <= at < len(self):
            raise IndexError(f"index {at} is out of range")
        return list(self._modules)[at]

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Module]:
        return iter([m for m in self._modules.values() if m is not None])

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            kind: Any = type(self)
            items = list(self._modules.items())[index]
            return kind(OrderedDict(items)) if isinstance(self, Sequential) else kind([m for _, m in items])
        return self._modules[self._key(index)]

    def __setitem__(self, index: int, module: Module) -> None:
        self._modules[self._key(index)] = module

    def __delitem__(self, index: int | slice) -> None:
        for key in list(self._modules)[index] if isinstance(index, slice) else [self._key(index)]:
            del self._modules[key]
        self._modules = {str(i): m for i, m in enumerate(self._modules.values())}

    def __add__(self, other: Iterable[Module]) -> Any:
        kind: Any = type(self)
        both = [*self, *other]
        return kind(*both) if isinstance(self, Sequential) else kind(both)

    def __iadd__(self, other: Iterable[Module]) -> Self:
        return self.extend(other)

    def append(self, module: Module) -> Self:
        self.add_module(str(len(self)), module)
        return self

    def extend(self, modules: Iterable[Module]) -> Self:
        for m in list(modules):
            self.append(m)
        return self

    def insert(self, index: int, module: Module) -> Self:
        """Puts a module before the one at ``index``; those behind it move on by a number."""
        if not isinstance(module, Module):
            raise AssertionError(f"module should be of type: {Module}, got {type(module).__name__}")
        if not -len(self) <= index <= len(self):
            raise IndexError(f"Index out of range: {index}, where there are {len(self)} modules")
        all_modules: list[Module | None] = list(self._modules.values())
        all_modules.insert(index, module)
        self._modules = {str(i): m for i, m in enumerate(all_modules)}
        return self

    def pop(self, key: int | slice) -> Any:
        """The module at ``key``, which is taken out."""
        module = self[key]
        del self[key]
        return module


class Sequential(_Indexed):
    """Each module is applied to the result of the one before: given in order, or in an ``OrderedDict`` with names."""

    spec_facts = Facts(role="container")

    def __init__(self, *args: Module | OrderedDict[str, Module]) -> None:
        super().__init__()
        first = args[0] if len(args) == 1 else None
        named: Iterable[tuple[str, Any]] = first.items() if isinstance(first, OrderedDict) else ((str(i), m) for i, m in enumerate(args))
        for name, module in named:
            if not isinstance(module, Module):
                raise TypeError(f"{type(module).__name__} is not a Module subclass")
            self.add_module(name, module)

    def forward(self, input: Any) -> Any:
        for module in self._modules.values():
            if module is not None:
                input = module(input)
        return input


class ModuleList(_Indexed):
    """A list of modules; it has no ``forward``."""

    spec_facts = Facts(excluded="holds modules and computes nothing")

    def __init__(self, modules: Iterable[Module] = ()) -> None:
        super().__init__()
        self.extend(modules)

    def __repr__(self) -> str:
        """Equal neighbours in one line: ``(0-3): 4 x Linear(...)``."""
        lines: list[str] = []
        start = 0
        texts = [repr(m).replace("\n", "\n  ") for m in self]
        for i, text in enumerate(texts):
            if i + 1 < len(texts) and texts[i + 1] == text:
                continue
            lines.append(f"({start}): {text}" if start == i else f"({start}-{i}): {i + 1 - start} x {text}")
            start = i + 1
        name = type(self).__name__
        return f"{name}(\n  " + "\n  ".join(lines) + "\n)" if lines else f"{name}()"


class _Named:
    """What the two dictionaries share: they are read as dicts are. ``_home`` names where the entries live."""

    _home: str

    def __getitem__(self, name: str) -> Any:
        return getattr(self, self._home)[name]

    def __delitem__(self, name: str) -> None:
        del getattr(self, self._home)[name]

    def __len__(self) -> int:
        return len(getattr(self, self._home))

    def __iter__(self) -> Iterator[str]:
        return iter(getattr(self, self._home))

    def __contains__(self, name: str) -> bool:
        return name in getattr(self, self._home)

    def keys(self) -> Iterable[str]:
        return getattr(self, self._home).keys()

    def values(self) -> Iterable[Any]:
        return getattr(self, self._home).values()

    def items(self) -> Iterable[tuple[str, Any]]:
        return getattr(self, self._home).items()

    def clear(self) -> None:
        getattr(self, self._home).clear()

    def pop(self, name: str) -> Any:
        """The entry of that name, which is taken out."""
        return getattr(self, self._home).pop(name)


class ModuleDict(_Named, Module):
    """Modules by name."""

    spec_facts = Facts(excluded="holds modules and computes nothing")

    _home = "_modules"

    def __init__(self, modules: Any = None) -> None:
        super().__init__()
        self.update(modules or {})

    def update(self, modules: Any) -> None:
        """Adds modules from a mapping, or from pairs of name and module."""
        for name, m in modules.items() if hasattr(modules, "items") else modules:
            self[name] = m

    def __setitem__(self, name: str, module: Module) -> None:
        self.add_module(name, module)


class ParameterList(Module):
    """A list of parameters."""

    spec_facts = Facts(excluded="holds parameters and computes nothing")

    def __init__(self, values: Iterable[Tensor] = ()) -> None:
        super().__init__()
        self.extend(values)

    def append(self, value: Tensor) -> Self:
        self.register_parameter(str(len(self)), _parameter(value))
        return self

    def extend(self, values: Iterable[Tensor]) -> Self:
        for x in values:
            self.append(x)
        return self

    __iadd__ = extend

    def __len__(self) -> int:
        return len(self._parameters)

    def __getitem__(self, index: int | slice) -> Any:
        found = list(self._parameters.values())[index]
        return ParameterList(found) if isinstance(found, list) else found  # type: ignore[arg-type]  # none of them is None

    def __setitem__(self, index: int, value: Tensor) -> None:
        self._parameters[list(self._parameters)[index]] = _parameter(value)

    def __iter__(self) -> Iterator[Any]:
        return iter(list(self._parameters.values()))


class ParameterDict(_Named, Module):
    """Parameters by name."""

    spec_facts = Facts(excluded="holds parameters and computes nothing")

    _home = "_parameters"

    def __init__(self, parameters: Any = None) -> None:
        super().__init__()
        self.update(parameters or {})

    def update(self, parameters: Any) -> None:
        """Adds parameters from a mapping, or from pairs of name and tensor."""
        for name, x in parameters.items() if hasattr(parameters, "items") else parameters:
            self[name] = x

    def __setitem__(self, name: str, x: Tensor) -> None:
        self.register_parameter(name, _parameter(x))

    def get(self, name: str, default: Any = None) -> Any:
        return self._parameters.get(name, default)

    def setdefault(self, name: str, default: Tensor | None = None) -> Any:
        """The parameter of that name; ``default``, which is added, where there is none."""
        if name not in self:
            self.register_parameter(name, None if default is None else _parameter(default))
        return self[name]

    def popitem(self) -> tuple[str, Any]:
        """The newest entry, which is taken out."""
        name = list(self._parameters)[-1]
        return name, self.pop(name)

    def copy(self) -> ParameterDict:
        return ParameterDict(self)


def _parameter(x: Tensor) -> Parameter:
    return x if isinstance(x, Parameter) else Parameter(x)
