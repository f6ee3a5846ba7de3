"""The one dispatch point: eager code, backward passes and optimizers all compute by ``launch``.

An op is a record: how its result looks (``infer``), how it is computed (``kernel``) and, per input, its derivative (``vjps``).
Whoever observes the launches of one training step sees a flat program.
"""

from __future__ import annotations

import contextlib
import inspect
import math
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from engine.backend import CPU, Array, MetaArray, array_module, device, device_of, empty, hush, hushed, is_scalar, quietly, unhush
from engine.backend.half import in_single
from engine.backend.uncomputed import ElementsNeeded, Uncomputed, uncomputed

Spec = tuple[tuple[int, ...], Any]
"""The shape and the NumPy dtype of an array."""

Call = tuple[list[Array], Sequence[Array], dict[str, Any]]
"""What an op is launched with: arrays for its results, inputs, attributes."""

OPS: dict[str, Op] = {}
_host_array, _host_empty = np.ndarray, np.empty


class Op:
    """One operation on arrays.

    ``infer(*ins, **attrs)`` gives the Spec of the result (a list of them for several results) or raises the error a user
    should see; ``kernel(out, *ins, **attrs)`` writes the result into ``out``. A view has no kernel: ``view(x, **attrs)`` returns
    an array that shares ``x``'s memory where it can. What ``adds_up`` many numbers, or takes several steps, computes half precision in single. ``flops(outs, ins, attrs)`` counts additions and multiplications.
    ``rule`` is the formula of an op that works element by element (``engine.ops.elementwise``), from which faster forms of it are made:
    ``overrides`` holds kernels by the module of the arrays, and ``together(calls)`` does several launches at once, or says that it cannot.

    ``vjps`` maps an input's name to the gradient with respect to it: a function of ``g``, the gradient of the result, and of
    whatever it names: inputs by their names, the result as ``y`` (``y1`` the second), an input's shape as ``x_shape``, attributes by theirs. What no
    vjp names is not kept alive for the backward pass. ``k1`` is the second result as a constant, for a vjp that uses it only where
    ``graph.differentiable_again`` says no. One function instead of them is told last which inputs are ``wanted``, and gives a gradient
    for each of these names. The first ``differentiable`` results carry gradients; that of the second is ``g1``.
    ``arrays`` has the same derivatives for whoever does not differentiate them again, from arrays to an array in the input's shape: the same
    launches without tensors around them.
    """

    __slots__ = (
        "adds_up",
        "arrays",
        "differentiable",
        "flops",
        "infer",
        "inputs",
        "joint",
        "keeps",
        "kernel",
        "name",
        "needs",
        "overrides",
        "plans",
        "rule",
        "together",
        "view",
        "vjps",
    )

    def __init__(
        self,
        name: str,
        inputs: Sequence[str],
        *,
        infer: Callable[..., Any],
        kernel: Callable[..., None] | None = None,
        view: Callable[..., Array] | None = None,
        vjps: dict[str, Callable[..., Any]] | Callable[..., dict[str, Any]] | None = None,
        arrays: dict[str, Callable[..., Array]] | None = None,
        flops: Callable[[list[Array], Sequence[Array], dict[str, Any]], int] | None = None,
        differentiable: int = 1,
        rule: Callable[..., Any] | str | None = None,
        adds_up: bool = False,
    ) -> None:
        if name in OPS:
            raise ValueError(f"op {name!r} is registered already")
        self.name, self.inputs = name, tuple(inputs)
        self.infer, self.kernel, self.view, self.adds_up = infer, kernel, view, adds_up
        self.differentiable, self.rule = differentiable, rule
        self.joint = vjps if callable(vjps) else None
        self.vjps: dict[str, Callable[..., Any]] = dict.fromkeys(inputs, vjps) if callable(vjps) else vjps or {}
        self.flops = flops or (lambda outs, ins, attrs: sum(o.size for o in outs))
        self.plans = {n: self._plan(f) for n, f in self.vjps.items()}
        self.arrays = {n: (f, self._plan(f)) for n, f in (arrays or {}).items()}
        self.needs = {n: self._needs(plan) for n, plan in self.plans.items()}
        self.keeps = any(results for _, results in self.needs.values())
        self.overrides: dict[str, Callable[..., None]] = {}
        self.together: Callable[[Sequence[Call]], bool] | None = None
        OPS[name] = self

    def _plan(self, vjp: Callable[..., Any]) -> list[tuple[str, Any]]:
        """Where each argument of a vjp after ``g`` comes from."""
        plan: list[tuple[str, Any]] = []
        for name in list(inspect.signature(vjp).parameters)[1:]:
            if name == "wanted":
                continue
            if name in self.inputs:
                plan.append(("input", self.inputs.index(name)))
            elif name[0] == "g" and name[1:].isdigit():
                plan.append(("gradient", int(name[1:])))
            elif name[0] == "k" and name[1:].isdigit():
                plan.append(("constant", int(name[1:])))
            elif name == "y" or (name[0] == "y" and name[1:].isdigit()):
                plan.append(("result", int(name[1:] or 0)))
            elif name.endswith("_shape") and name[:-6] in self.inputs:
                plan.append(("shape", self.inputs.index(name[:-6])))
            else:
                plan.append(("attr", name))
        return plan

    def _needs(self, plan: list[tuple[str, Any]]) -> tuple[list[int], list[int]]:
        """The inputs and the results that a vjp is given, which are kept for it."""
        return [at for kind, at in plan if kind == "input"], [at for kind, at in plan if kind in ("result", "constant")]

    def __repr__(self) -> str:
        return f"<op {self.name}>"


Observer = Callable[[Op, list[Array], Sequence[Array], dict[str, Any]], None]
_observers: list[Observer] = []
_before: list[Observer] = []
_watchers: list[Callable[[str, Array], None]] = []


@contextlib.contextmanager
def _listed(*entries: tuple[list[Any], Callable[..., None] | None]) -> Iterator[None]:
    """Inside, each function is in its list; it is called for what its own thread does, and not for what others do meanwhile."""
    thread = threading.get_ident()

    def own(function: Callable[..., None]) -> Callable[..., None]:
        return lambda *told: function(*told) if threading.get_ident() == thread else None

    placed = [(functions, own(function)) for functions, function in entries if function is not None]
    for functions, function in placed:
        functions.append(function)
    try:
        yield
    finally:
        for functions, function in placed:
            functions.remove(function)


def observing(observer: Observer, before: Observer | None = None) -> contextlib.AbstractContextManager[None]:
    """Inside, ``observer(op, outs, ins, attrs)`` is called after each launch, ``before`` ahead of each that computes something."""
    return _listed((_observers, observer), (_before, before))


def watching(watcher: Callable[[str, Array], None]) -> contextlib.AbstractContextManager[None]:
    """Inside, ``watcher(what, array)`` is called for what computes without a launch, or lets Python look at elements (see ``unseen``)."""
    return _listed((_watchers, watcher))


_idle: dict[int, dict[int, Array]] = {}  # the threads whose launches compute nothing, and the constants that they made meanwhile
_marks: dict[int, int] = {}  # what they leave


@contextlib.contextmanager
def idle(mark: int) -> Iterator[None]:
    """Inside, what this thread launches is observed and computes nothing: results have the right shapes, and nobody may look at their elements.

    They begin with ``mark``, for whoever looks past NumPy's functions and has to be told from one who does not.
    But what is computed from constants, tensors that are made of numbers inside, is computed at once and not observed: it is a constant too.
    """
    thread = threading.get_ident()
    _idle[thread], _marks[thread] = {}, mark
    try:
        yield
    finally:
        del _idle[thread], _marks[thread]


def constant(array: Array) -> Array:
    """``array``, newly made of numbers: a constant of the step that is being recorded."""
    made = _idle.get(threading.get_ident()) if _idle else None
    if made is not None and type(array) is _host_array:
        made[id(array)] = array
    return array


def is_constant(array: Array) -> bool:
    """Whether this was made of numbers alone while this thread's launches compute nothing."""
    return bool(_idle) and id(array) in _idle.get(threading.get_ident(), ())


def _is_folded(ins: Sequence[Array], attrs: dict[str, Any]) -> bool:
    """Whether a launch of this thread, whose others compute nothing, can be computed: it needs constants only and draws no random numbers."""
    made = _idle[threading.get_ident()]
    return "stream" not in attrs and all(id(x) in made or is_scalar(x) for x in ins)


def _left(array: Array) -> Array:
    """A new result of a launch that computes nothing."""
    if array.size:
        array.flat[0] = _marks[threading.get_ident()]
    return uncomputed(array)


def _overwritten(array: Array) -> None:
    """What the step writes into is a constant no longer. Raises ElementsNeeded if constants lie in the same memory."""
    made = _idle[threading.get_ident()]
    if made.pop(id(array), None) is not None and any(np.may_share_memory(array, other) for other in made.values()):
        raise ElementsNeeded("it writes what it computes into a constant of which it took views")


def unseen(what: str, array: Array = None) -> None:
    """Tells watchers of something that no launch shows; of an ``array``, where it matters only if that was computed meanwhile."""
    for watch in _watchers:
        watch(what, array)


def looked_at(what: str, array: Array) -> None:
    """Tells watchers that Python looks at elements, unless they are a constant's."""
    if _watchers and not is_constant(array):
        unseen(what)


def only_recorded() -> bool:
    """Whether launches of this thread compute nothing: whoever would look at elements looks away."""
    return bool(_idle) and threading.get_ident() in _idle


def _compute(kernel: Callable[..., None] | None, outs: list[Array], ins: Sequence[Array], attrs: dict[str, Any]) -> None:
    assert kernel is not None
    if hushed.inside:
        kernel(outs[0] if len(outs) == 1 else outs, *ins, **attrs)
    else:
        before = hush()
        try:
            kernel(outs[0] if len(outs) == 1 else outs, *ins, **attrs)
        finally:
            unhush(before)


def launch(op: Op, outs: list[Array], ins: Sequence[Array], attrs: dict[str, Any]) -> None:
    """Computes ``op`` on ``ins`` into ``outs``: by the device's own kernel where there is one, else by the array code."""
    first = outs[0]
    recorded = only_recorded()
    if recorded and _is_folded((*ins, *outs), attrs):
        assert op.kernel is not None
        _compute(in_single(op.kernel) if op.adds_up and first.itemsize == 2 else op.kernel, outs, ins, attrs)
        return
    for observe in _before:
        observe(op, outs, ins, attrs)
    if recorded:
        for out in outs:
            _overwritten(out)
    elif type(first) is not MetaArray:
        kernel = op.kernel
        if op.overrides:
            kernel = op.overrides.get("numpy" if type(first) is np.ndarray else array_module(first).__name__, kernel)
        _compute(in_single(kernel) if op.adds_up and first.itemsize == 2 else kernel, outs, ins, attrs)
    for observe in _observers:
        observe(op, outs, ins, attrs)


def launch_each(op: Op, calls: Sequence[Call]) -> None:
    """Launches that do not depend on one another: at once where nobody observes them and the op has a way to."""
    if not calls or (op.together is not None and not (_before or _observers or _idle) and op.together(calls)):
        return
    with quietly():
        for outs, ins, attrs in calls:
            launch(op, outs, ins, attrs)


def _view(op: Op, x: Array, attrs: dict[str, Any]) -> Array:
    assert op.view is not None
    out = MetaArray(*op.infer(x, **attrs)) if isinstance(x, MetaArray) else op.view(x, **attrs)
    if _idle and only_recorded():
        if is_constant(x):
            return constant(out)
        out = uncomputed(out) if isinstance(x, Uncomputed) and isinstance(out, np.ndarray) else out
    for observe in _observers:
        observe(op, [out], (x,), attrs)
    return out


class DevicesDiffer(RuntimeError):
    """What has to be on one device is on several."""

    def __init__(self, one: device, other: device, where: str) -> None:
        super().__init__(f"Expected all tensors to be on the same device, but found at least two devices, {one} and {other}! (in {where})")


def _common_device(op: Op, ins: Sequence[Array]) -> device:
    where: device | None = None
    for x in ins:
        if is_scalar(x):
            continue
        here = device_of(x)
        if where is not None and here != where:
            raise DevicesDiffer(where, here, op.name)
        where = here
    assert where is not None, f"{op.name} needs an array to know where to compute"
    return where


def run(op: Op, ins: Sequence[Array], attrs: dict[str, Any]) -> list[Array]:
    """The results of ``op`` in newly allocated arrays, on the device of the inputs."""
    if op.view is not None:
        return [_view(op, ins[0], attrs)]
    for x in ins:
        if type(x) is not _host_array:
            where = _common_device(op, ins)
            break
    else:
        where = CPU
    specs = op.infer(*ins, **attrs)
    if type(specs) is list:
        outs = [empty(shape, dtype, where) for shape, dtype in specs]
    else:
        shape, dtype = specs
        outs = [_host_empty(shape, dtype) if where is CPU else empty(shape, dtype, where)]
    if _idle and only_recorded() and where is CPU:
        outs = list(map(constant if _is_folded(ins, attrs) else _left, outs))
    if where is CPU and not (_before or _observers or _idle):  # the same, without looking who watches
        kernel = op.overrides.get("numpy", op.kernel) if op.overrides else op.kernel
        _compute(in_single(kernel) if op.adds_up and outs[0].itemsize == 2 else kernel, outs, ins, attrs)
    else:
        launch(op, outs, ins, attrs)
    return outs


def broadcast_shapes(*shapes: tuple[int, ...]) -> tuple[int, ...]:
    """NumPy's broadcasting of shapes, with PyTorch's error."""
    result: list[int] = []
    for i in range(1, max(map(len, shapes), default=0) + 1):
        size = 1
        for shape in shapes:
            n = shape[-i] if i <= len(shape) else 1
            if n != 1 and size not in (1, n):
                dim = max(map(len, shapes)) - i
                raise RuntimeError(
                    f"The size of tensor a ({size}) must match the size of tensor b ({n}) at non-singleton dimension {dim} (shapes {', '.join(map(str, shapes))})"
                )
            size = n if n != 1 else size
        result.append(size)
    return tuple(reversed(result))


def count(shape: Sequence[int]) -> int:
    return math.prod(shape)
