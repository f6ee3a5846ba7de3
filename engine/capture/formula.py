"""From the scalar rule of an op to a formula for the kernels: the rule is called once with symbols in place of arrays.

The same rule is NumPy's and CuPy's array code (``engine.ops.elementwise``, ``engine.optim``): it is written once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

CODES = {
    name: i
    for i, name in enumerate(
        (
            "copy", "neg", "abs", "sqrt", "exp", "log", "tanh", "erf", "sign", "floor", "ceil", "rint", "trunc", "log1p", "not",
            "add", "sub", "mul", "div", "max", "min", "gt", "ge", "lt", "le", "eq", "ne", "and", "or", "where", "fma",
        )
    )
}  # fmt: skip
"""The steps that kernels/cpu/elementwise.h knows, by their order there."""

LIMIT = 48


class NotTraceable(Exception):
    """A rule that does something the kernels have no step for."""


class Live:
    """A number that a rule is called with and that may be another at the next step: a way to find it in the hyperparameters."""

    __slots__ = ("find", "guards", "now")

    def __init__(self, now: float, find: Callable[[dict[str, Any]], float], guards: list[tuple[Live, bool]]) -> None:
        self.now, self.find, self.guards = now, find, guards

    def _with(self, function: Callable[[float, float], float], other: Any, swapped: bool = False) -> Any:
        if isinstance(other, Symbol):
            return NotImplemented
        a = self.find
        b = other.find if isinstance(other, Live) else (lambda hyper: other)
        x, y = self.now, other.now if isinstance(other, Live) else other
        if swapped:
            return Live(function(y, x), lambda hyper: function(b(hyper), a(hyper)), self.guards)
        return Live(function(x, y), lambda hyper: function(a(hyper), b(hyper)), self.guards)

    def __add__(self, o: Any) -> Any:
        return self._with(lambda x, y: x + y, o)

    def __radd__(self, o: Any) -> Any:
        return self._with(lambda x, y: x + y, o, True)

    def __sub__(self, o: Any) -> Any:
        return self._with(lambda x, y: x - y, o)

    def __rsub__(self, o: Any) -> Any:
        return self._with(lambda x, y: x - y, o, True)

    def __mul__(self, o: Any) -> Any:
        return self._with(lambda x, y: x * y, o)

    def __rmul__(self, o: Any) -> Any:
        return self._with(lambda x, y: x * y, o, True)

    def __truediv__(self, o: Any) -> Any:
        return self._with(lambda x, y: x / y, o)

    def __rtruediv__(self, o: Any) -> Any:
        return self._with(lambda x, y: x / y, o, True)

    def __neg__(self) -> Any:
        return self._with(lambda x, y: -x, 0)

    def _decided(self, test: Callable[[float], bool]) -> bool:
        """A choice that the rule makes by the number: it must come out the same each time."""
        answer = test(self.now)
        find = self.find
        self.guards.append((Live(0.0, lambda hyper: float(test(find(hyper))), self.guards), answer))
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

    __slots__ = ("code", "inputs", "leaf", "steps")
    __array_ufunc__ = None  # a NumPy scalar on the left leaves the operation to us

    def __init__(self, code: str, inputs: tuple[Symbol, ...] = (), leaf: Any = None) -> None:
        self.code, self.inputs, self.leaf = code, inputs, leaf
        self.steps = sum(s.steps for s in inputs) + bool(inputs)

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


def step(code: str, *operands: Any) -> Symbol:
    return Symbol(code, tuple(map(symbol, operands)))


class Mathematics:
    """Stands where a rule expects NumPy or CuPy."""

    _NAMES = {
        "add": "add", "subtract": "sub", "multiply": "mul", "true_divide": "div", "divide": "div", "maximum": "max", "minimum": "min", "negative": "neg",
        "absolute": "abs", "abs": "abs", "sqrt": "sqrt", "exp": "exp", "log": "log", "tanh": "tanh", "sign": "sign", "floor": "floor", "ceil": "ceil",
        "rint": "rint", "trunc": "trunc", "log1p": "log1p", "greater": "gt", "greater_equal": "ge", "less": "lt", "less_equal": "le", "equal": "eq",
        "not_equal": "ne", "logical_and": "and", "logical_or": "or", "logical_not": "not", "where": "where", "erf": "erf", "copy": "copy",
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
        x = x if low is None else step("max", x, low)
        return x if high is None else step("min", x, high)

    def logaddexp(self, a: Symbol, b: Symbol) -> Symbol:
        return step("max", a, b) + self.log1p(self.exp(-self.abs(a - b)))

    def result_type(self, *operands: Any) -> Any:
        return np.dtype(np.float32)

    def power(self, x: Any, n: Any) -> Symbol:
        n = symbol(n)
        if n.code != "constant" or n.leaf not in (0.5, 1.0, 2.0, 3.0, -1.0):
            raise NotTraceable("a power in a formula")
        return {0.5: lambda: self.sqrt(x), 1.0: lambda: symbol(x), 2.0: lambda: x * x, 3.0: lambda: x * x * x, -1.0: lambda: 1 / x}[n.leaf]()


MATHEMATICS = Mathematics()


def traced(rule: Callable[..., Any] | str, operands: Sequence[Any], attrs: dict[str, Any]) -> Any:
    """What ``rule`` makes of symbols: a symbol, or a tuple of them. Raises NotTraceable."""
    function = getattr(MATHEMATICS, rule) if isinstance(rule, str) else lambda *xs, **kw: rule(MATHEMATICS, *xs, **kw)
    try:
        made = function(*map(symbol, operands), **attrs)
    except (TypeError, AttributeError) as error:  # a rule that does more than mathematics
        raise NotTraceable(str(error)) from None
    return tuple(map(symbol, made)) if isinstance(made, tuple) else symbol(made)


def fused(root: Symbol, used: dict[int, int]) -> Symbol:
    """``a * b + c`` as one step where the product is used nowhere else."""
    if root.code == "add":
        for i in (0, 1):
            product = root.inputs[i]
            if product.code == "mul" and used[id(product)] == 1:
                return Symbol("fma", (*product.inputs, root.inputs[1 - i]))
    return root


class Program:
    """The steps of some outputs: operands in the order inputs, outputs, constants, intermediates."""

    def __init__(self, outputs: Sequence[Symbol], clobbers: Sequence[Any] = ()) -> None:
        self.outputs = len(outputs)
        used: dict[int, int] = {}
        order: list[Symbol] = []

        def visit(s: Symbol) -> None:
            stack = [(s, False)]
            while stack:
                node, ready = stack.pop()
                if ready:
                    order.append(node)
                    continue
                used[id(node)] = used.get(id(node), 0) + 1
                if used[id(node)] > 1:
                    continue
                stack.append((node, True))
                stack.extend((n, False) for n in reversed(node.inputs))

        for s in outputs:
            visit(s)
        self.inputs = [s.leaf for s in dict.fromkeys(order) if s.code == "operand"]
        self.inputs = list(dict.fromkeys(self.inputs))
        self.constants = [s.leaf for s in order if s.code == "constant"]
        self.constants = [c for i, c in enumerate(self.constants) if not any(c is d or (isinstance(c, float) and isinstance(d, float) and repr(c) == repr(d)) for d in self.constants[:i])]
        first = len(self.inputs) + len(outputs)
        self.steps: list[int] = []
        place: dict[int, int] = {}
        for s in order:
            if s.code == "operand":
                place[id(s)] = self.inputs.index(s.leaf)
            elif s.code == "constant":
                found = next(i for i, c in enumerate(self.constants) if c is s.leaf or (isinstance(c, float) and isinstance(s.leaf, float) and repr(c) == repr(s.leaf)))
                place[id(s)] = first + found
        remaining = dict(used)
        free: list[int] = []
        top = first + len(self.constants)
        skipped: set[int] = set()
        forms = {id(s): fused(s, used) for s in order}
        for s in order:
            form = forms[id(s)]
            if form is not s:
                product = next(i for i in s.inputs if i.code == "mul" and used[id(i)] == 1 and all(a is b for a, b in zip(i.inputs, form.inputs[:2], strict=True)))
                skipped.add(id(product))
        for s in order:
            if not s.inputs or id(s) in skipped:
                continue
            form = forms[id(s)]
            operands = [place[id(i)] for i in form.inputs]
            for i in form.inputs:
                remaining[id(i)] -= 1
                if i.inputs and remaining[id(i)] == 0:
                    free.append(place[id(i)])
            if free:
                to = free.pop()
            else:
                to, top = top, top + 1
            place[id(s)] = to
            self._emit(form.code, to, operands)
        for i, s in enumerate(outputs):
            self._emit("copy", len(self.inputs) + i, [place[id(s)]])
        if top > LIMIT:
            raise NotTraceable(f"a formula of {top} operands and intermediates, more than {LIMIT}")
        self._shorten(len(self.inputs), len(outputs), clobbers)

    def _emit(self, code: str, to: int, operands: list[int]) -> None:
        self.steps += [CODES[code], to, sum(p << (16 * i) for i, p in enumerate(operands))]

    def _shorten(self, inputs: int, outputs: int, clobbers: Sequence[Any]) -> None:
        """The step that makes an output writes it, where nothing reads the intermediate, or what the output overwrites, later."""
        steps = [self.steps[i : i + 3] for i in range(0, len(self.steps), 3)]

        def reads(s: list[int], p: int) -> bool:
            arity = 1 if s[0] <= CODES["not"] else 2 if s[0] <= CODES["or"] else 3
            return any((s[2] >> (16 * i)) & 0xFFFF == p for i in range(arity))

        for out in range(inputs, inputs + outputs):
            at = next(i for i, s in enumerate(steps) if s[1] == out)
            source = steps[at][2]
            makers = [i for i, s in enumerate(steps[:at]) if s[1] == source]
            if not makers:
                continue
            maker = makers[-1]
            over = [i for i, leaf in enumerate(self.inputs) if out - inputs < len(clobbers) and leaf in clobbers[out - inputs]]
            later = steps[maker + 1 :]
            if any(reads(s, source) for i, s in enumerate(later) if maker + 1 + i != at) or any(reads(s, p) for s in later for p in over):
                continue
            steps[maker][1] = out
            del steps[at]
        self.steps = [n for s in steps for n in s]
