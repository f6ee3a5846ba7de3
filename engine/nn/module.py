"""``Module``: a tree of parameters and layers that computes."""

from __future__ import annotations

import functools
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any, ClassVar, Self

from engine.dtypes import bfloat16, float16, float32, float64
from engine.dtypes import dtype as DType
from engine.hooks import RemovableHandle, register
from engine.modes import is_grad_enabled
from engine.nn.facts import Facts
from engine.nn.tree import Tree
from engine.tensor import Tensor

entering: list[Callable[[Module], None]] = []
"""Called with each module that is about to compute."""


compilers: list[Callable[..., Any]] = []
"""What ``compile`` calls, which stands above."""


class Module(Tree):
    """The base of all layers and networks: subclasses set attributes in ``__init__`` and compute in ``forward``."""

    training: bool
    spec_facts: ClassVar[Facts] = Facts()
    """What a spec has to know of the layer."""

    def __init__(self) -> None:
        super().__init__()
        for name in ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks"):
            object.__setattr__(self, name, OrderedDict())
        object.__setattr__(self, "_with_kwargs", set())
        object.__setattr__(self, "_always", set())
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
            if (self._backward_hooks or self._backward_pre_hooks) and is_grad_enabled():
                args, y = self._watched(args, kwargs)
            else:
                y = self.forward(*args, **kwargs)
        except Exception as error:
            self._locate(error)
            self._after(args, kwargs, None, self._always)
            raise
        return self._after(args, kwargs, y, self._forward_hooks) if self._forward_hooks else y

    def _after(self, args: Any, kwargs: Any, y: Any, which: Iterable[int]) -> Any:
        """The output as the forward hooks leave it."""
        for key in list(which):
            hook = self._forward_hooks.get(key)
            if hook is not None:
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
        asked = [i for i, x in enumerate(inputs) if isinstance(x, Tensor) and x.requires_grad]
        for i, out in enumerate(outputs):
            if isinstance(out, Tensor) and out.requires_grad:
                out.register_hook(functools.partial(self._arriving, i, arrived, 0 if asked else len(inputs)))
        for i in asked:
            inputs[i].register_hook(functools.partial(self._seen, i, len(inputs), arrived))
        return inputs, y

    def _arriving(self, i: int, arrived: list[Any], unasked: int, g: Tensor) -> Tensor:
        """The gradient of output ``i``; where no input asks for one, what the hooks see is this."""
        for hook in list(self._backward_pre_hooks.values()):
            changed = hook(self, tuple(g if j == i else None for j in range(len(arrived))))
            g = g if changed is None else changed[i] if isinstance(changed, tuple) else changed
        arrived[i] = g
        for hook in list(self._backward_hooks.values()) if unasked else ():
            hook(self, (None,) * unasked, tuple(arrived))
        return g

    def _seen(self, i: int, n: int, arrived: list[Any], g: Tensor) -> Tensor:
        for hook in list(self._backward_hooks.values()):
            changed = hook(self, tuple(g if j == i else None for j in range(n)), tuple(arrived))
            g = g if changed is None else changed[i] if isinstance(changed, tuple) else changed
        return g

    def compile(self, **options: Any) -> None:
        """``engine.compile`` of this module, in place."""
        for make in compilers:
            make(self, **options)

    def __getstate__(self) -> dict[str, Any]:
        """All but a ``forward`` that was compiled: a copy has its own."""
        return {k: v for k, v in self.__dict__.items() if k != "forward" or not hasattr(v, "programs")}

    # -- hooks

    def register_forward_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False, always_call: bool = False
    ) -> RemovableHandle:
        """``hook(module, args, output)`` runs after each forward, with ``always_call`` after one that raised too; what it returns replaces the output."""
        handle = self._registered(self._forward_hooks, hook, prepend, with_kwargs)
        if always_call:
            self._always.add(handle.id)
        return handle

    def register_forward_pre_hook(self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False) -> RemovableHandle:
        """``hook(module, args)`` runs before each forward; what it returns replaces the arguments."""
        return self._registered(self._forward_pre_hooks, hook, prepend, with_kwargs)

    def register_full_backward_hook(self, hook: Callable[..., Any], prepend: bool = False) -> RemovableHandle:
        """``hook(module, grad_input, grad_output)`` runs once the gradient of an input is known; what it returns replaces ``grad_input``.

        With several inputs it runs for each, the other entries of ``grad_input`` being None.
        """
        return self._registered(self._backward_hooks, hook, prepend, False)

    register_backward_hook = register_full_backward_hook

    def register_full_backward_pre_hook(self, hook: Callable[..., Any], prepend: bool = False) -> RemovableHandle:
        """``hook(module, grad_output)`` runs when the gradient of an output is known; what it returns replaces it."""
        return self._registered(self._backward_pre_hooks, hook, prepend, False)

    def _registered(self, hooks: dict[int, Any], hook: Callable[..., Any], prepend: bool, with_kwargs: bool) -> RemovableHandle:
        handle = register(hooks, hook, prepend)
        if with_kwargs:
            self._with_kwargs.add(handle.id)
        return handle

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
                p.grad = None if set_to_none else p.grad.detach().zero_()

    def to(self, *args: Any, dtype: DType | None = None, device: Any = None, non_blocking: bool = False) -> Self:
        """Moves or casts all parameters and floating-point buffers, in place: ``to(device)``, ``to(dtype)``, ``to(device, dtype)``, ``to(tensor)``.

        Raises TypeError for a dtype that is not floating point.
        """
        for a in args:
            if isinstance(a, DType):
                dtype = a
            elif isinstance(a, Tensor):
                dtype, device = a.dtype, a.device
            elif a is not None and not isinstance(a, bool):
                device = a
        if dtype is not None and not dtype.is_floating_point:
            raise TypeError(f"nn.Module.to only accepts floating point dtypes, but got desired dtype={dtype}")
        for m in self.modules():
            for home in (m._parameters, m._buffers):
                for x in home.values():
                    if x is not None:
                        x.data = x.detach().to(dtype=dtype if x.is_floating_point() else None, device=device)
                        if x.grad is not None:
                            x.grad = x.grad.to(dtype=dtype, device=device)
        return self

    def to_empty(self, *, device: Any, recurse: bool = True) -> Self:
        """Moves to ``device``; the values come along."""
        return self.to(device=device)

    def cuda(self, device: Any = None) -> Self:
        return self.to("cuda" if device is None else f"cuda:{device}" if isinstance(device, int) else device)

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

    # -- text

    def extra_repr(self) -> str:
        return ""

    def __repr__(self) -> str:
        extra = self.extra_repr()
        lines = [f"({name}): " + repr(m).replace("\n", "\n  ") for name, m in self._modules.items()]
        if not lines:
            return f"{type(self).__name__}({extra})"
        return f"{type(self).__name__}(\n  " + "\n  ".join(([extra] if extra else []) + lines) + "\n)"
