"""From the scalar rule of an op to a formula for the kernels: the rule is called once with symbols in place of arrays.

The same rule is NumPy's and CuPy's array code (``engine.ops.elementwise``, ``engine.optim``): it is written once.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from engine.capture.record import NotCaptured
from engine.dispatch import Op

CODES = {
    name: i
    for i, name in enumerate(
        (
            "copy", "neg", "abs", "sqrt", "exp", "log", "tanh", "erf", "sign", "floor", "ceil", "rint", "trunc", "log1p", "expm1", "not",
            "add", "sub", "mul", "div", "max", "min", "gt", "ge", "lt", "le", "eq", "ne", "and", "or", "masked", "where", "fma", "fnma", "fms", "above", "below", "clip",
        )
    )
}  # fmt: skip
"""The steps that kernels/cpu/elementwise.h knows, by their order there."""

LIMIT = 48
SLOW = 6
_FUNCTIONS = ("exp", "log", "tanh", "erf", "log1p", "expm1")
"""Steps that take as long as ``SLOW`` others."""


class NotTraceable(NotCaptured):
    """A rule that does something the kernels have no step for."""


class Live:
    """A number that a rule is called with and that may be another at the next step: a way to find it in the hyperparameters ``names``."""

    __slots__ = ("find", "guards", "names", "now")

    def __init__(self, now: float, find: Callable[[dict[str, Any]], float], names: frozenset[str], guards: list[tuple[Live, bool]]) -> None:
        self.now, self.find, self.names, self.guards = now, find, names, guards

    def _with(self, function: Callable[[float, float], float], other: Any, swapped: bool = False) -> Any:
        if isinstance(other, Symbol):
            return NotImplemented
        a = self.find
        b = other.find if isinstance(other, Live) else (lambda hyper: other)
        x, y = self.now, other.now if isinstance(other, Live) else other
        names = self.names | (other.names if isinstance(other, Live) else frozenset())
        if swapped:
            return Live(function(y, x), lambda hyper: function(b(hyper), a(hyper)), names, self.guards)
        return Live(function(x, y), lambda hyper: function(a(hyper), b(hyper)), names, self.guards)

    def __add__(self, o: Any) -> Any:
        return self._with(operator.add, o)

    def __radd__(self, o: Any) -> Any:
        return self._with(operator.add, o, True)

    def __sub__(self, o: Any) -> Any:
        return self._with(operator.sub, o)

    def __rsub__(self, o: Any) -> Any:
        return self._with(operator.sub, o, True)

    def __mul__(self, o: Any) -> Any:
        return self._with(operator.mul, o)

    def __rmul__(self, o: Any) -> Any:
        return self._with(operator.mul, o, True)

    def __truediv__(self, o: Any) -> Any:
        return self._with(operator.truediv, o)

    def __rtruediv__(self, o: Any) -> Any:
        return self._with(operator.truediv, o, True)

    def __neg__(self) -> Any:
        return self._with(lambda x, y: -x, 0)

    def _decided(self, test: Callable[[float], bool]) -> bool:
        """A choice that the rule makes by the number: it must come out the same each time."""
        answer = test(self.now)
        find = self.find
        self.guards.append((Live(0.0, lambda hyper: float(test(find(hyper))), self.names, self.guards), answer))
        return answer

    def __bool__(self) -> bool:
        return self._decided(bool)

    def __eq__(self, o: object) -> Any:
        return self._decided(lambda x: x == o)

    def __ne__(self, o: object) -> Any:
        return self._decided(lambda x: x != o)

    def __lt__(self, o: Any) -> Any:
        return self._decided(lambda x: x < o)

    def __gt__(self, o: Any) -> Any:
        return self._decided(lambda x: x > o)

    __hash__ = object.__hash__


class Symbol:
    """An operand, a constant (a float or a Live), or a step applied to symbols."""

    __slots__ = ("code", "cost", "inputs", "leaf", "steps")
    __array_ufunc__ = None  # a NumPy scalar on the left leaves the operation to us

    def __init__(self, code: str, inputs: tuple[Symbol, ...] = (), leaf: Any = None) -> None:
        self.code, self.inputs, self.leaf = code, inputs, leaf
        self.steps: int = sum(s.steps for s in inputs) + bool(inputs)
        self.cost: int = sum(s.cost for s in inputs) + (SLOW if code in _FUNCTIONS else bool(inputs))  # of computing it, in plain steps

    def __add__(self, o: Any) -> Symbol:
        return step("add", self, o)

    def __radd__(self, o: Any) -> Symbol:
        return step("add", o, self)

    def __sub__(self, o: Any) -> Symbol:
        return step("sub", self, o)

    def __rsub__(self, o: Any) -> Symbol:
        return step("sub", o, self)

    def __mul__(self, o: Any) -> Symbol:
        return step("mul", self, o)

    def __rmul__(self, o: Any) -> Symbol:
        return step("mul", o, self)

    def __truediv__(self, o: Any) -> Symbol:
        return step("div", self, o)

    def __rtruediv__(self, o: Any) -> Symbol:
        return step("div", o, self)

    def __neg__(self) -> Symbol:
        return step("neg", self)

    def __gt__(self, o: Any) -> Symbol:
        return step("gt", self, o)

    def __ge__(self, o: Any) -> Symbol:
        return step("ge", self, o)

    def __lt__(self, o: Any) -> Symbol:
        return step("lt", self, o)

    def __le__(self, o: Any) -> Symbol:
        return step("le", self, o)

    def __eq__(self, o: object) -> Any:
        return step("eq", self, o)

    def __ne__(self, o: object) -> Any:
        return step("ne", self, o)

    def __and__(self, o: Any) -> Symbol:
        return step("and", self, o)

    def __or__(self, o: Any) -> Symbol:
        return step("or", self, o)

    def __invert__(self) -> Symbol:
        return step("not", self)

    __hash__ = object.__hash__


def symbol(x: Any) -> Symbol:
    if isinstance(x, Symbol):
        return x
    if isinstance(x, Live) or (isinstance(x, int | float | bool | np.generic) and not isinstance(x, np.complexfloating)):
        return Symbol("constant", leaf=x if isinstance(x, Live) else float(x))
    raise NotTraceable(f"{type(x).__name__} in a formula")


def _is_zero(s: Symbol) -> bool:
    return s.code == "constant" and isinstance(s.leaf, float) and s.leaf == 0


def step(code: str, *operands: Any) -> Symbol:
    inputs = tuple(map(symbol, operands))
    if code == "div" and inputs[1].code == "constant":  # a product is six times as fast as a quotient, and as exact to half a unit
        return Symbol("mul", (inputs[0], symbol(1.0 / inputs[1].leaf if inputs[1].leaf != 0 else math.inf)))
    if code == "where" and inputs[0].code == "gt" and _is_zero(inputs[0].inputs[1]) and _is_zero(inputs[2]):
        return Symbol("masked", (inputs[1], inputs[0].inputs[0]))
    if code == "where" and inputs[0].code in ("le", "ge") and _is_zero(inputs[1]):
        return Symbol("above" if inputs[0].code == "le" else "below", (inputs[2], *inputs[0].inputs))
    return Symbol(code, inputs)


class Mathematics:
    """Stands where a rule expects NumPy or CuPy."""

    _NAMES = {
        "add": "add", "subtract": "sub", "multiply": "mul", "true_divide": "div", "divide": "div", "maximum": "max", "minimum": "min", "negative": "neg",
        "absolute": "abs", "abs": "abs", "sqrt": "sqrt", "exp": "exp", "log": "log", "tanh": "tanh", "sign": "sign", "floor": "floor", "ceil": "ceil",
        "rint": "rint", "trunc": "trunc", "log1p": "log1p", "expm1": "expm1", "greater": "gt", "greater_equal": "ge", "less": "lt", "less_equal": "le", "equal": "eq",
        "not_equal": "ne", "logical_and": "and", "logical_or": "or", "logical_not": "not", "bitwise_and": "and", "bitwise_or": "or", "invert": "not", "where": "where", "erf": "erf", "copy": "copy",
    }  # fmt: skip

    def __getattr__(self, name: str) -> Callable[..., Symbol]:
        if name not in self._NAMES:
            raise NotTraceable(f"{name} in a formula")
        code = self._NAMES[name]
        return lambda *operands: step(code, *operands)

    def square(self, x: Symbol) -> Symbol:
        return x * x

    def zeros_like(self, x: Symbol) -> Symbol:
        return symbol(0.0)

    def asarray(self, x: Any, *dtype: Any) -> Symbol:
        return symbol(x)

    def clip(self, x: Symbol, low: Any, high: Any) -> Symbol:
        if low is not None and high is not None:
            return step("clip", x, low, high)
        x = x if low is None else step("max", x, low)
        return x if high is None else step("min", x, high)

    def logaddexp(self, a: Symbol, b: Symbol) -> Symbol:
        return step("max", a, b) + step("log1p", step("exp", -step("abs", a - b)))

    def result_type(self, *operands: Any) -> Any:
        return np.dtype(np.float32)

    def power(self, x: Any, n: Any) -> Symbol:
        n = symbol(n)
        if n.code != "constant" or n.leaf not in (0.5, 1.0, 2.0, 3.0, -1.0):
            raise NotTraceable("a power in a formula")
        if n.leaf == 0.5:
            return step("sqrt", x)
        return 1 / x if n.leaf == -1 else x * x * x if n.leaf == 3 else x * x if n.leaf == 2 else symbol(x)


MATHEMATICS = Mathematics()


def nodes(s: Symbol) -> list[Symbol]:
    """A formula and everything that it is made of, each once."""
    found: dict[int, Symbol] = {}
    stack = [s]
    while stack:
        node = stack.pop()
        if id(node) not in found:
            found[id(node)] = node
            stack.extend(node.inputs)
    return list(found.values())


def operands(s: Symbol) -> list[Any]:
    """What a formula reads."""
    return list(dict.fromkeys(node.leaf for node in nodes(s) if node.code == "operand"))


def traced(rule: Callable[..., Any] | str, operands: Sequence[Any], attrs: dict[str, Any]) -> Any:
    """What ``rule`` makes of symbols: a symbol, or a tuple of them. Raises NotTraceable."""
    function = getattr(MATHEMATICS, rule) if isinstance(rule, str) else lambda *xs, **kw: rule(MATHEMATICS, *xs, **kw)
    try:
        made = function(*map(symbol, operands), **attrs)
    except (TypeError, AttributeError, ImportError) as error:  # a rule that does more than mathematics, or looks for a module for symbols
        raise NotTraceable(str(error)) from None
    return tuple(map(symbol, made)) if isinstance(made, tuple) else symbol(made)


def _ordered(roots: Sequence[Symbol]) -> tuple[list[Symbol], dict[int, int]]:
    """Every symbol after those it is made of, and how often each is used."""
    used: dict[int, int] = {}
    order: list[Symbol] = []
    for root in roots:
        stack = [(root, False)]
        while stack:
            node, ready = stack.pop()
            if ready:
                order.append(node)
                continue
            used[id(node)] = used.get(id(node), 0) + 1
            if used[id(node)] == 1:
                stack.append((node, True))
                stack.extend((n, False) for n in reversed(node.inputs))
    return order, used


def _same(a: Any, b: Any) -> bool:
    """Whether two constants are one: -0.0 is not 0.0, and a number that may change is itself only."""
    return a is b or (isinstance(a, float) and isinstance(b, float) and repr(a) == repr(b))


class Program:
    """The steps that compute some symbols. Places of operands: ``inputs``, outputs, ``constants``, intermediates.

    ``clobbers`` names, for each output, the inputs whose memory it overwrites. Raises NotTraceable for a formula that is too large.
    """

    def __init__(self, outputs: Sequence[Symbol], clobbers: Sequence[Sequence[Any]] = ()) -> None:
        order, used = _ordered(outputs)
        self.outputs = len(outputs)
        self.inputs = list(dict.fromkeys(s.leaf for s in order if s.code == "operand"))
        self.constants: list[Any] = []
        for s in order:
            if s.code == "constant" and not any(_same(s.leaf, c) for c in self.constants):
                self.constants.append(s.leaf)
        first = len(self.inputs) + len(outputs)
        place = {id(s): self.inputs.index(s.leaf) for s in order if s.code == "operand"}
        for s in order:
            if s.code == "constant":
                place[id(s)] = first + next(i for i, c in enumerate(self.constants) if _same(s.leaf, c))
        forms = {id(s): (s.code, s.inputs) for s in order if s.inputs}
        for s in order:  # a * b + c, c - a * b and a * b - c are one step where the product is used nowhere else
            candidates = s.inputs[::-1] if s.code in ("add", "sub") else ()
            product = next((x for x in candidates if x.code == "mul" and used[id(x)] == 1 and id(x) in forms), None)
            if product is not None:
                second = product is s.inputs[1]
                joined = "fma" if s.code == "add" else "fnma" if second else "fms"
                forms[id(s)] = (joined, (*product.inputs, s.inputs[0] if second else s.inputs[1]))
                del forms[id(product)]
        steps: list[list[int]] = []
        free: list[int] = []
        top = first + len(self.constants)
        for s in order:
            if id(s) not in forms:
                continue
            code, inputs = forms[id(s)]
            operands = [place[id(x)] for x in inputs]
            for x in inputs:
                used[id(x)] -= 1
                if x.inputs and used[id(x)] == 0:
                    free.append(place[id(x)])
            if not free:
                free.append(top)
                top += 1
            place[id(s)] = free.pop()
            steps.append(_step(code, place[id(s)], operands))
        steps += [_step("copy", len(self.inputs) + i, [place[id(s)]]) for i, s in enumerate(outputs)]
        self.places = top
        if top > LIMIT:
            raise NotTraceable(f"a formula of {top} operands and intermediates, more than {LIMIT}")
        for i in range(len(outputs)):
            over = [self.inputs.index(leaf) for leaf in (clobbers[i] if i < len(clobbers) else ()) if leaf in self.inputs]
            _shorten(steps, len(self.inputs) + i, over, first + len(self.constants))
        self.steps = [n for s in steps for n in s]


def _step(code: str, to: int, operands: Sequence[int]) -> list[int]:
    return [CODES[code], to, sum(p << (16 * i) for i, p in enumerate(operands))]


def _reads(s: list[int], place: int) -> bool:
    arity = 1 if s[0] <= CODES["not"] else 2 if s[0] <= CODES["masked"] else 3
    return any((s[2] >> (16 * i)) & 0xFFFF == place for i in range(arity))


def _shorten(steps: list[list[int]], out: int, over: Sequence[int], intermediates: int) -> None:
    """The step that makes an output writes it, unless what the output overwrites is read later; who reads the intermediate reads it there."""
    at = next(i for i, s in enumerate(steps) if s[1] == out)
    source = steps[at][2]
    maker = next((i for i in reversed(range(at)) if steps[i][1] == source), None)
    if maker is None or source < intermediates or any(_reads(s, p) for s in steps[maker + 1 :] for p in over):
        return
    steps[maker][1] = out
    for s in steps[maker + 1 :]:
        operands = [(s[2] >> (16 * i)) & 0xFFFF for i in range(3)]
        s[2] = sum((out if p == source and _reads(s, source) else p) << (16 * i) for i, p in enumerate(operands))
        if s[1] == source:
            break
    steps[:] = [s for i, s in enumerate(steps) if i != at]


def flags(hyper: dict[str, Any]) -> dict[str, Any]:
    """Those of an update's hyperparameters that decide its formula, and are no numbers in it."""
    return {k: v for k, v in hyper.items() if v is None or isinstance(v, bool)}


def update_program(op: Op, operands: int, hyper: dict[str, Any], guards: list[tuple[Live, bool]]) -> Program:
    """An optimizer's rule; its numbers are Live. The parameter and each slot, operands 0, 2, 3 .., are overwritten with what becomes of them."""
    fixed = flags(hyper)
    numbers = {k: v if k in fixed else Live(v, operator.itemgetter(k), frozenset((k,)), guards) for k, v in hyper.items()}
    made = traced(op.rule, [Symbol("operand", leaf=i) for i in range(operands)], numbers)  # type: ignore[arg-type]  # an update has a rule
    outputs = made if isinstance(made, tuple) else (made,)
    if len(outputs) != operands - 1:
        raise NotTraceable("an update with other results than places")
    return Program(outputs, [[0], *([i] for i in range(2, operands))])
