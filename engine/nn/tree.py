"""``Tree``: what holds parameters, buffers and other modules by name, walks them, and gives and takes their values."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from engine.hooks import RemovableHandle, register
from engine.modes import no_grad
from engine.nn.parameter import Buffer, Parameter
from engine.tensor import Tensor

if TYPE_CHECKING:
    from engine.nn.module import Module

EXTRA = "_extra_state"
"""The key of what ``get_extra_state`` gives."""


class IncompatibleKeys(NamedTuple):
    """What ``load_state_dict`` did not find, and what it did not expect."""

    missing_keys: list[str]
    unexpected_keys: list[str]

    def problems(self) -> list[str]:
        """A line for each kind of key that does not match."""
        kinds = (("Missing", self.missing_keys), ("Unexpected", self.unexpected_keys))
        return [f"{kind} key(s) in state_dict: " + ", ".join(f'"{k}"' for k in keys) + ". " for kind, keys in kinds if keys]

    def __repr__(self) -> str:
        if not self.missing_keys and not self.unexpected_keys:
            return "<All keys matched successfully>"
        return f"IncompatibleKeys(missing_keys={self.missing_keys}, unexpected_keys={self.unexpected_keys})"


class Tree:
    """Named parameters, buffers and children of the same kind; attributes are registered as what they are."""

    _parameters: dict[str, Parameter | None]
    _buffers: dict[str, Tensor | None]
    _modules: dict[str, Module | None]

    def __init__(self) -> None:
        for name in ("_parameters", "_buffers", "_modules"):
            object.__setattr__(self, name, {})
        for name in ("_state_pre_hooks", "_state_hooks", "_load_pre_hooks", "_load_hooks"):
            object.__setattr__(self, name, OrderedDict())
        object.__setattr__(self, "_transient", set())

    # -- registration

    def __setattr__(self, name: str, value: Any) -> None:
        kinds = self.__dict__
        if "_parameters" not in kinds:
            if isinstance(value, Parameter | Buffer | Tree):
                raise AttributeError("cannot assign module or parameters before Module.__init__() call")
            object.__setattr__(self, name, value)
            return
        home: dict[str, Any] | None = None
        if isinstance(value, Parameter):
            home = self._parameters
        elif isinstance(value, Tree):
            home = self._modules
        elif isinstance(value, Tensor) and (name in self._buffers or isinstance(value, Buffer)):
            home = self._buffers
            if isinstance(value, Buffer):
                (self._transient.discard if value.persistent else self._transient.add)(name)
        elif name in self._parameters and value is not None:
            raise TypeError(f"cannot assign '{type(value).__name__}' as parameter '{name}' (torch.nn.Parameter or None expected)")
        elif value is None:
            home = next((h for h in (self._parameters, self._buffers, self._modules) if name in h), None)
        for other in (self._parameters, self._buffers, self._modules):
            if other is not home:
                other.pop(name, None)
        if home is None:
            object.__setattr__(self, name, value)
        else:
            self.__dict__.pop(name, None)
            home[name] = value

    def __getattr__(self, name: str) -> Any:
        for kind in ("_parameters", "_buffers", "_modules"):
            home = self.__dict__.get(kind)
            if home is not None and name in home:
                return home[name]
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")

    def __delattr__(self, name: str) -> None:
        for home in (self._parameters, self._buffers, self._modules):
            if name in home:
                del home[name]
                return
        object.__delattr__(self, name)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self._parameters, *self._buffers, *self._modules})

    def _checked(self, kind: str, name: str, value: Any, allowed: type, home: Mapping[str, Any]) -> None:
        """Raises KeyError for a name that cannot be registered, TypeError for a value that cannot."""
        if not isinstance(name, str):
            raise TypeError(f"{kind} name should be a string. Got {type(name).__name__}")
        if "." in name or not name:
            raise KeyError(f'{kind} name can\'t contain ".", got {name!r}' if name else f'{kind} name can\'t be empty string ""')
        if name not in home and hasattr(self, name):
            raise KeyError(f"attribute '{name}' already exists")
        if value is not None and not isinstance(value, allowed):
            raise TypeError(f"cannot assign '{type(value).__name__}' object to {kind} '{name}' ({allowed.__name__} or None required)")

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        self._checked("parameter", name, param, Parameter, self._parameters)
        self._parameters[name] = param

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """A tensor that is part of the state but not trained."""
        self._checked("buffer", name, tensor, Tensor, self._buffers)
        self._buffers[name] = tensor
        (self._transient.discard if persistent else self._transient.add)(name)

    def add_module(self, name: str, module: Module | None) -> None:
        self._checked("module", name, module, Tree, self._modules)
        self._modules[name] = module

    register_module = add_module

    # -- walking

    def named_modules(self, memo: set[Any] | None = None, prefix: str = "", remove_duplicate: bool = True) -> Iterator[tuple[str, Module]]:
        """This module and all below it with their dotted names, each once or, without ``remove_duplicate``, wherever it stands."""
        memo = set() if memo is None else memo
        if self in memo:
            return
        if remove_duplicate:
            memo.add(self)
        yield prefix, self  # type: ignore[misc]  # every tree is a Module
        for name, child in self._modules.items():
            if child is not None:
                yield from child.named_modules(memo, f"{prefix}.{name}" if prefix else name, remove_duplicate)

    def modules(self, remove_duplicate: bool = True) -> Iterator[Module]:
        return (m for _, m in self.named_modules(remove_duplicate=remove_duplicate))

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """Each module once, under the first of its names."""
        seen: set[Any] = set()
        for name, module in self._modules.items():
            if module is not None and module not in seen:
                seen.add(module)
                yield name, module

    def children(self) -> Iterator[Module]:
        return (m for _, m in self.named_children())

    def _named(self, kind: str, prefix: str, recurse: bool, once: bool) -> Iterator[tuple[str, Any]]:
        seen: set[int] = set()
        for path, module in self.named_modules(None, prefix, once) if recurse else [(prefix, self)]:
            for name, x in getattr(module, kind).items():
                if x is not None and id(x) not in seen:
                    if once:
                        seen.add(id(x))
                    yield f"{path}.{name}" if path else name, x

    def named_parameters(self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True) -> Iterator[tuple[str, Parameter]]:
        return self._named("_parameters", prefix, recurse, remove_duplicate)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        return (p for _, p in self.named_parameters(recurse=recurse))

    def named_buffers(self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True) -> Iterator[tuple[str, Tensor]]:
        return self._named("_buffers", prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        return (b for _, b in self.named_buffers(recurse=recurse))

    def get_submodule(self, target: str) -> Module:
        """The module of a dotted name. Raises AttributeError where there is none."""
        module: Any = self
        for part in target.split(".") if target else []:
            module = getattr(module, part)
            if not isinstance(module, Tree):
                raise AttributeError(f"`{part}` is not an nn.Module")
        return module

    def set_submodule(self, target: str, module: Module) -> None:
        """Puts a module in the place of the one with a dotted name. Raises AttributeError where its parent is not."""
        path, _, name = target.rpartition(".")
        if not name:
            raise ValueError("Cannot set the submodule without a target name!")
        parent = self.get_submodule(path)
        if isinstance(getattr(parent, name, module), Tree):
            setattr(parent, name, module)
        else:
            raise AttributeError(f"`{name}` is not an nn.Module")

    def get_parameter(self, target: str) -> Parameter:
        """The parameter of a dotted name. Raises AttributeError where there is none."""
        path, _, name = target.rpartition(".")
        found = getattr(self.get_submodule(path), name)
        if not isinstance(found, Parameter):
            raise AttributeError(f"`{name}` is not an nn.Parameter")
        return found

    def get_buffer(self, target: str) -> Tensor:
        """The buffer of a dotted name. Raises AttributeError where there is none."""
        path, _, name = target.rpartition(".")
        owner = self.get_submodule(path)
        if owner._buffers.get(name) is None:
            raise AttributeError(f"`{name}` is not a buffer")
        return getattr(owner, name)

    # -- state

    def get_extra_state(self) -> Any:
        """What a subclass keeps besides parameters and buffers; ``set_extra_state`` takes it back."""
        raise RuntimeError(f"{type(self).__name__} has no extra state: define get_extra_state and set_extra_state")

    def set_extra_state(self, state: Any) -> None:
        raise RuntimeError(f"{type(self).__name__} takes no extra state: define get_extra_state and set_extra_state")

    def state_dict(self, destination: Any = None, prefix: str = "", keep_vars: bool = False) -> Any:
        """Parameters and persistent buffers by dotted name, sharing memory with the module; themselves with ``keep_vars``."""
        state: Any = OrderedDict() if destination is None else destination
        for hook in list(self._state_pre_hooks.values()):
            hook(self, prefix, keep_vars)
        for home, left_out in ((self._parameters, ()), (self._buffers, self._transient)):
            for name, x in home.items():
                if x is not None and name not in left_out:
                    state[prefix + name] = x if keep_vars else x.detach()
        if type(self).get_extra_state is not Tree.get_extra_state:
            state[prefix + EXTRA] = self.get_extra_state()
        for name, child in self._modules.items():
            if child is not None:
                child.state_dict(destination=state, prefix=f"{prefix}{name}.", keep_vars=keep_vars)
        for hook in list(self._state_hooks.values()):
            changed = hook(self, state, prefix, {})
            state = state if changed is None else changed
        return state

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> IncompatibleKeys:
        """Copies values in by name, or with ``assign`` takes the tensors themselves.

        Raises RuntimeError naming every key that is missing, unexpected or of another shape; nothing is changed then.
        """
        if not isinstance(state_dict, Mapping):
            raise TypeError(f"Expected state_dict to be dict-like, got {type(state_dict)}.")
        given, keys, problems = OrderedDict(state_dict), IncompatibleKeys([], []), list[str]()
        places = [(f"{path}." if path else "", m) for path, m in self.named_modules(remove_duplicate=False)]
        told: Mapping[str, Any] = getattr(state_dict, "_metadata", {})  # by PyTorch, of each module
        for prefix, module in places:
            metadata = told.get(prefix[:-1], {})
            for hook in list(module._load_pre_hooks.values()):
                hook(module, given, prefix, metadata, strict, keys.missing_keys, keys.unexpected_keys, problems)
        self.upgrade(given, told)
        own = self.state_dict()
        keys.missing_keys.extend(k for k in own if k not in given)
        keys.unexpected_keys.extend(k for k in given if k not in own)
        for k, x in own.items():
            if k not in given or not isinstance(x, Tensor):
                continue
            if not hasattr(given[k], "shape"):
                problems.append(f'While copying the parameter named "{k}", expected a tensor, got {type(given[k]).__name__}.')
            elif tuple(given[k].shape) != tuple(x.shape):
                problems.append(
                    f"size mismatch for {k}: copying a param with shape {given[k].shape} from checkpoint, the shape in current model is {x.shape}."
                )
        amended = any(m._load_hooks for _, m in places)
        self._refuse((keys.problems() if strict and not amended else []) + problems)
        with no_grad():
            for prefix, module in places:
                module._take(given, prefix, assign)
        for _, module in reversed(places):
            for hook in list(module._load_hooks.values()):
                hook(module, keys)
        self._refuse(keys.problems() if strict else [])
        return keys

    def upgrade(self, state: dict[str, Any], metadata: Mapping[str, Any] = MappingProxyType({})) -> None:
        """Brings the names of a state that an earlier version of a module here has written to today's, and adds what it does not have.

        ``metadata``: what PyTorch notes of each module; its ``version``, 1 where it is not known.
        """
        for path, module in self.named_modules(remove_duplicate=False):
            module._upgrade(state, f"{path}." if path else "", metadata.get(path, {}).get("version") or 1)

    def _upgrade(self, given: dict[str, Any], prefix: str, version: int) -> None:
        """Brings what a state of an earlier ``version`` of this module has to today's."""

    def _refuse(self, problems: list[str]) -> None:
        if problems:
            raise RuntimeError(f"Error(s) in loading state_dict for {type(self).__name__}:\n\t" + "\n\t".join(problems))

    def _take(self, given: Mapping[str, Any], prefix: str, assign: bool) -> None:
        """The values for this module alone."""
        homes: tuple[dict[str, Any], ...] = (self._parameters, self._buffers)
        for home in homes:
            for name, x in home.items():
                if x is None or name in self._transient or prefix + name not in given:
                    continue
                value = given[prefix + name]
                if not assign:
                    x.copy_(value)
                elif home is self._parameters:
                    home[name] = (
                        value.requires_grad_(x.requires_grad) if isinstance(value, Parameter) else Parameter(value, x.requires_grad)
                    )
                else:
                    home[name] = value
        if prefix + EXTRA in given and type(self).set_extra_state is not Tree.set_extra_state:
            self.set_extra_state(given[prefix + EXTRA])

    def register_state_dict_pre_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """``hook(module, prefix, keep_vars)`` runs before ``state_dict`` reads the module."""
        return register(self._state_pre_hooks, hook)

    def register_state_dict_post_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """``hook(module, state_dict, prefix, local_metadata)`` runs when ``state_dict`` has read the module and those below."""
        return register(self._state_hooks, hook)

    def register_load_state_dict_pre_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """``hook(module, state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs)`` may change what is loaded."""
        return register(self._load_pre_hooks, hook)

    def register_load_state_dict_post_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """``hook(module, incompatible_keys)`` runs after loading; keys that it takes out are no error."""
        return register(self._load_hooks, hook)
