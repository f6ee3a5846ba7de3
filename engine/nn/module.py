"""``Module``: what holds parameters, buffers and other modules; and ``Parameter``."""

from __future__ import annotations

import functools
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, Self

from engine.dtypes import bfloat16, float16, float32, float64
from engine.dtypes import dtype as DType
from engine.hooks import RemovableHandle, register
from engine.modes import is_grad_enabled, no_grad
from engine.nn.parameter import Parameter
from engine.tensor import Tensor


class IncompatibleKeys(NamedTuple):
    """What ``load_state_dict`` did not find, and what it did not expect."""

    missing_keys: list[str]
    unexpected_keys: list[str]

    def __repr__(self) -> str:
        if not self.missing_keys and not self.unexpected_keys:
            return "<All keys matched successfully>"
        return f"IncompatibleKeys(missing_keys={self.missing_keys}, unexpected_keys={self.unexpected_keys})"


entering: list[Callable[[Module], None]] = []
"""Called with each module that is about to compute."""


class Module:
    """The base of all layers and networks: subclasses set attributes in ``__init__`` and compute in ``forward``."""

    training: bool
    _parameters: dict[str, Parameter | None]
    _buffers: dict[str, Tensor | None]
    _modules: dict[str, Module | None]

    def __init__(self) -> None:
        for name in ("_parameters", "_buffers", "_modules", "_forward_hooks", "_forward_pre_hooks", "_backward_hooks"):
            object.__setattr__(self, name, OrderedDict())
        object.__setattr__(self, "_transient", set())
        object.__setattr__(self, "_with_kwargs", set())
        self.training = True

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError(f'Module [{type(self).__name__}] is missing the required "forward" function')

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        for tell in entering:
            tell(self)
        for key, hook in list(self._forward_pre_hooks.items()) if self._forward_pre_hooks else ():
            if key in self._with_kwargs:
                changed = hook(self, args, kwargs)
                args, kwargs = (args, kwargs) if changed is None else changed
                continue
            changed = hook(self, args)
            if changed is not None:
                args = changed if isinstance(changed, tuple) else (changed,)
        try:
            if self._backward_hooks and is_grad_enabled():
                args, y = self._watched(args, kwargs)
            else:
                y = self.forward(*args, **kwargs)
        except Exception as error:
            self._locate(error)
            raise
        for key, hook in list(self._forward_hooks.items()) if self._forward_hooks else ():
            changed = hook(self, args, kwargs, y) if key in self._with_kwargs else hook(self, args, y)
            y = y if changed is None else changed
        return y

    def _locate(self, error: Exception) -> None:
        """Notes on an error which layer it came from: its path from the outermost module down, and its text."""
        child, path, text = getattr(error, "_layer", (None, "", f"{type(self).__name__}({self.extra_repr()})"))
        name = next((n for n, m in self._modules.items() if m is child), "") if child is not None else ""
        path = ".".join(part for part in (name, path) if part)
        note = f"in layer {path}: {text}" if path else f"in {text}"
        if child is None:
            error.add_note(note)
        else:
            error.__notes__[-1] = note
        error._layer = (self, path, text)  # type: ignore[attr-defined]  # for the module that called this one

    def _watched(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], Any]:
        """A forward whose gradients, of outputs and then of inputs, the backward hooks get to see."""
        inputs = tuple(a.view_as(a) if isinstance(a, Tensor) and a.requires_grad else a for a in args)
        y = self.forward(*inputs, **kwargs)
        outputs = y if isinstance(y, tuple) else (y,)
        arrived: list[Any] = [None] * len(outputs)
        for i, out in enumerate(outputs):
            if isinstance(out, Tensor) and out.requires_grad:
                out.register_hook(functools.partial(arrived.__setitem__, i))
        for i, x in enumerate(inputs):
            if isinstance(x, Tensor) and x.requires_grad:
                x.register_hook(functools.partial(self._seen, i, len(inputs), arrived))
        return inputs, y

    def _seen(self, i: int, n: int, arrived: list[Any], g: Tensor) -> Tensor:
        for hook in list(self._backward_hooks.values()):
            changed = hook(self, tuple(g if j == i else None for j in range(n)), tuple(arrived))
            g = g if changed is None else changed[i]
        return g

    # -- registration

    def __setattr__(self, name: str, value: Any) -> None:
        kinds = self.__dict__
        if "_parameters" not in kinds:
            if isinstance(value, Parameter | Module):
                raise AttributeError("cannot assign module or parameters before Module.__init__() call")
            object.__setattr__(self, name, value)
            return
        home: dict[str, Any] | None = None
        if isinstance(value, Parameter):
            home = self._parameters
        elif isinstance(value, Module):
            home = self._modules
        elif isinstance(value, Tensor) and name in self._buffers:
            home = self._buffers
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

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        self._parameters[name] = param

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """A tensor that is part of the state but not trained."""
        self._buffers[name] = tensor
        if not persistent:
            self._transient.add(name)

    def add_module(self, name: str, module: Module | None) -> None:
        self._modules[name] = module

    register_module = add_module

    def register_forward_hook(self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False) -> RemovableHandle:
        """``hook(module, args, output)`` runs after each forward; what it returns replaces the output."""
        return self._registered(self._forward_hooks, hook, prepend, with_kwargs)

    def register_forward_pre_hook(self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False) -> RemovableHandle:
        """``hook(module, args)`` runs before each forward; what it returns replaces the arguments."""
        return self._registered(self._forward_pre_hooks, hook, prepend, with_kwargs)

    def register_full_backward_hook(self, hook: Callable[..., Any], prepend: bool = False) -> RemovableHandle:
        """``hook(module, grad_input, grad_output)`` runs once the gradient of an input is known; what it returns replaces ``grad_input``.

        With several inputs it runs for each, the other entries of ``grad_input`` being None.
        """
        return self._registered(self._backward_hooks, hook, prepend, False)

    def _registered(self, hooks: dict[int, Any], hook: Callable[..., Any], prepend: bool, with_kwargs: bool) -> RemovableHandle:
        handle = register(hooks, hook, prepend)
        if with_kwargs:
            self._with_kwargs.add(handle.id)
        return handle

    # -- walking

    def named_modules(self, memo: set[int] | None = None, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """This module and all below it, each once, with its dotted name."""
        memo = set() if memo is None else memo
        if id(self) in memo:
            return
        memo.add(id(self))
        yield prefix, self
        for name, child in self._modules.items():
            if child is not None:
                yield from child.named_modules(memo, f"{prefix}.{name}" if prefix else name)

    def modules(self) -> Iterator[Module]:
        return (m for _, m in self.named_modules())

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """Each module once, under the first of its names."""
        seen: set[Module] = set()
        for name, module in self._modules.items():
            if module is not None and module not in seen:
                seen.add(module)
                yield name, module

    def children(self) -> Iterator[Module]:
        return (m for _, m in self.named_children())

    def _named(self, kind: str, recurse: bool) -> Iterator[tuple[str, Any]]:
        seen: set[int] = set()
        for prefix, module in self.named_modules() if recurse else [("", self)]:
            for name, x in getattr(module, kind).items():
                if x is not None and id(x) not in seen:
                    seen.add(id(x))
                    yield f"{prefix}.{name}" if prefix else name, x

    def named_parameters(self, recurse: bool = True) -> Iterator[tuple[str, Parameter]]:
        return self._named("_parameters", recurse)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        return (p for _, p in self.named_parameters(recurse))

    def named_buffers(self, recurse: bool = True) -> Iterator[tuple[str, Tensor]]:
        return self._named("_buffers", recurse)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        return (b for _, b in self.named_buffers(recurse))

    def get_submodule(self, target: str) -> Module:
        module: Module = self
        for part in target.split(".") if target else []:
            module = getattr(module, part)
        return module

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

    # -- changing

    def apply(self, fn: Callable[[Module], Any]) -> Self:
        """Calls ``fn`` on every module below, then on this one."""
        for child in self.children():
            child.apply(fn)
        fn(self)
        return self

    def train(self, mode: bool = True) -> Self:
        for m in self.modules():
            m.training = mode
        return self

    def eval(self) -> Self:
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        for p in self.parameters():
            p.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        for p in self.parameters():
            if p.grad is not None:
                p.grad = None if set_to_none else p.grad.detach() * 0

    def to(self, *args: Any, dtype: DType | None = None, device: Any = None) -> Self:
        """Moves or casts all parameters and floating-point buffers, in place."""
        dtype = next((a for a in args if isinstance(a, DType)), dtype)
        device = next((a for a in args if not isinstance(a, DType)), device)
        for m in self.modules():
            for home in (m._parameters, m._buffers):
                for x in home.values():
                    if x is not None:
                        x.data = x.detach().to(dtype=dtype if x.is_floating_point() else None, device=device)
                        if x.grad is not None:
                            x.grad = x.grad.to(dtype=dtype, device=device)
        return self

    def cuda(self, device: int = 0) -> Self:
        return self.to(f"cuda:{device}")

    def cpu(self) -> Self:
        return self.to("cpu")

    def float(self) -> Self:
        return self.to(float32)

    def double(self) -> Self:
        return self.to(float64)

    def half(self) -> Self:
        return self.to(float16)

    def bfloat16(self) -> Self:
        return self.to(bfloat16)

    def type(self, dst_type: Any) -> Self:
        return self.to(getattr(dst_type, "dtype", dst_type))

    def share_memory(self) -> Self:
        """Itself: worker processes get batches, not modules."""
        return self

    # -- state

    def state_dict(self, prefix: str = "") -> OrderedDict[str, Tensor]:
        """Parameters and persistent buffers by dotted name, sharing memory with the module."""
        state: OrderedDict[str, Tensor] = OrderedDict()
        for path, m in self.named_modules():
            at = f"{prefix}{path}." if path else prefix
            for name, x in m._parameters.items():
                if x is not None:
                    state[at + name] = x.detach()
            for name, b in m._buffers.items():
                if b is not None and name not in m._transient:
                    state[at + name] = b.detach()
        return state

    def load_state_dict(self, state_dict: Any, strict: bool = True) -> IncompatibleKeys:
        """Copies values in by name. Raises RuntimeError naming every key that is missing, unexpected or of another shape."""
        own = self.state_dict()
        keys = IncompatibleKeys([k for k in own if k not in state_dict], [k for k in state_dict if k not in own])
        problems = []
        if strict and keys.unexpected_keys:
            problems.append("Unexpected key(s) in state_dict: " + ", ".join(f'"{k}"' for k in keys.unexpected_keys) + ". ")
        if strict and keys.missing_keys:
            problems.append("Missing key(s) in state_dict: " + ", ".join(f'"{k}"' for k in keys.missing_keys) + ". ")
        for k, x in own.items():
            if k in state_dict and state_dict[k].shape != x.shape:
                problems.append(
                    f"size mismatch for {k}: copying a param with shape {state_dict[k].shape} from checkpoint, the shape in current model is {x.shape}."
                )
        if problems:
            raise RuntimeError(f"Error(s) in loading state_dict for {type(self).__name__}:\n\t" + "\n\t".join(problems))
        with no_grad():
            for k, x in own.items():
                if k in state_dict:
                    x.copy_(state_dict[k])
        return keys

    # -- text

    def extra_repr(self) -> str:
        return ""

    def __repr__(self) -> str:
        extra = self.extra_repr()
        lines = [f"({name}): " + repr(m).replace("\n", "\n  ") for name, m in self._modules.items()]
        if not lines:
            return f"{type(self).__name__}({extra})"
        return f"{type(self).__name__}(\n  " + "\n  ".join(([extra] if extra else []) + lines) + "\n)"
