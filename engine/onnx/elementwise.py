"""Ops that work element by element: their one rule (``engine.ops.elementwise``) is called with symbols that write ONNX nodes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from engine.onnx.graph import Graph, element_type
from engine.onnx.trace import Call, NotExportable

_BINARY = {"add": "Add", "subtract": "Sub", "multiply": "Mul", "true_divide": "Div", "divide": "Div", "maximum": "Max", "minimum": "Min",
           "power": "Pow", "fmax": "Max", "fmin": "Min"}  # fmt: skip
_UNARY = {
    "negative": "Neg", "absolute": "Abs", "abs": "Abs", "sqrt": "Sqrt", "exp": "Exp", "log": "Log", "tanh": "Tanh", "sign": "Sign", "floor": "Floor", "ceil": "Ceil",
    "rint": "Round", "reciprocal": "Reciprocal", "erf": "Erf", "sin": "Sin", "cos": "Cos", "tan": "Tan", "arcsin": "Asin", "arccos": "Acos", "arctan": "Atan",
    "sinh": "Sinh", "cosh": "Cosh", "arcsinh": "Asinh", "arccosh": "Acosh", "arctanh": "Atanh", "copy": "Identity",
}  # fmt: skip
_COMPARISONS = {"greater": "Greater", "greater_equal": "GreaterOrEqual", "less": "Less", "less_equal": "LessOrEqual", "equal": "Equal"}
_LOGIC = {"logical_and": "And", "logical_or": "Or", "logical_xor": "Xor", "bitwise_and": "And", "bitwise_or": "Or", "bitwise_xor": "Xor"}
_BOOL = np.dtype(np.bool_)


class Symbol:
    """An array that a graph computes; the operators of arrays write nodes."""

    __array_ufunc__ = None  # a NumPy scalar on the left leaves the operation to us

    def __init__(self, graph: Graph, name: str, dtype: Any) -> None:
        self.graph, self.name, self.dtype = graph, name, np.dtype(dtype)

    def _with(self, op: str, *operands: Any, result: Any = None) -> Symbol:
        """A node on operands of this symbol's dtype."""
        names = [self.of(x).name for x in operands]
        return Symbol(self.graph, self.graph.node(op, *names), result or self.dtype)

    def of(self, x: Any) -> Symbol:
        """``x`` beside this symbol: a number becomes a constant of its dtype."""
        return x if isinstance(x, Symbol) else Symbol(self.graph, self.graph.constant(np.asarray(x, self.dtype)), self.dtype)

    def __add__(self, o: Any) -> Symbol:
        return self._with("Add", self, o)

    def __radd__(self, o: Any) -> Symbol:
        return self._with("Add", o, self)

    def __sub__(self, o: Any) -> Symbol:
        return self._with("Sub", self, o)

    def __rsub__(self, o: Any) -> Symbol:
        return self._with("Sub", o, self)

    def __mul__(self, o: Any) -> Symbol:
        return self._with("Mul", self, o)

    def __rmul__(self, o: Any) -> Symbol:
        return self._with("Mul", o, self)

    def __truediv__(self, o: Any) -> Symbol:
        return self._with("Div", self, o)

    def __rtruediv__(self, o: Any) -> Symbol:
        return self._with("Div", o, self)

    def __pow__(self, o: Any) -> Symbol:
        return self._with("Pow", self, o)

    def __neg__(self) -> Symbol:
        return self._with("Neg", self)

    def __gt__(self, o: Any) -> Symbol:
        return self._with("Greater", self, o, result=_BOOL)

    def __ge__(self, o: Any) -> Symbol:
        return self._with("GreaterOrEqual", self, o, result=_BOOL)

    def __lt__(self, o: Any) -> Symbol:
        return self._with("Less", self, o, result=_BOOL)

    def __le__(self, o: Any) -> Symbol:
        return self._with("LessOrEqual", self, o, result=_BOOL)

    def __eq__(self, o: object) -> Any:
        return self._with("Equal", self, o, result=_BOOL)

    def __ne__(self, o: object) -> Any:
        return ~(self == o)

    def __and__(self, o: Any) -> Symbol:
        return self._with("And", self, o)

    def __or__(self, o: Any) -> Symbol:
        return self._with("Or", self, o)

    def __invert__(self) -> Symbol:
        return self._with("Not", self)

    __hash__ = object.__hash__


def _symbol(operands: tuple[Any, ...]) -> Symbol:
    return next(x for x in operands if isinstance(x, Symbol))


class Mathematics:
    """Stands where a rule expects NumPy. Raises NotExportable for what ONNX has no node for."""

    def __getattr__(self, name: str) -> Callable[..., Symbol]:
        for known, result in ((_BINARY, None), (_UNARY, None), (_COMPARISONS, _BOOL), (_LOGIC, None)):
            if name in known:
                return lambda *xs: _symbol(xs)._with(known[name], *xs, result=result)
        raise NotExportable(f"{name} has no form in ONNX")

    def not_equal(self, a: Any, b: Any) -> Symbol:
        return ~(_symbol((a, b)).of(a) == b)

    def logical_not(self, x: Symbol) -> Symbol:
        return ~x

    invert = logical_not

    def where(self, c: Symbol, a: Any, b: Any) -> Symbol:
        like = next((x for x in (a, b) if isinstance(x, Symbol)), None)
        if like is None:
            kind = np.float32 if isinstance(a, float) or isinstance(b, float) else np.int64
            like = Symbol(c.graph, c.name, kind)
        return Symbol(c.graph, c.graph.node("Where", c.name, like.of(a).name, like.of(b).name), like.dtype)

    def square(self, x: Symbol) -> Symbol:
        return x * x

    def trunc(self, x: Symbol) -> Symbol:
        return x._with("Sign", x) * x._with("Floor", x._with("Abs", x))

    def log1p(self, x: Symbol) -> Symbol:
        return x._with("Log", x + 1)

    def expm1(self, x: Symbol) -> Symbol:
        return x._with("Exp", x) - 1

    def log2(self, x: Symbol) -> Symbol:
        return x._with("Log", x) * (1 / math.log(2))

    def log10(self, x: Symbol) -> Symbol:
        return x._with("Log", x) * (1 / math.log(10))

    def exp2(self, x: Symbol) -> Symbol:
        return x._with("Exp", x * math.log(2))

    def logaddexp(self, a: Symbol, b: Symbol) -> Symbol:
        return a._with("Max", a, b) + self.log1p(a._with("Exp", -a._with("Abs", a - b)))

    def clip(self, x: Symbol, low: Any, high: Any) -> Symbol:
        x = x if low is None else x._with("Max", x, low)
        return x if high is None else x._with("Min", x, high)

    def isnan(self, x: Symbol) -> Symbol:
        return x._with("IsNaN", x, result=_BOOL)

    def isinf(self, x: Symbol) -> Symbol:
        return x._with("IsInf", x, result=_BOOL)

    def remainder(self, a: Any, b: Any) -> Symbol:
        like = _symbol((a, b))
        if like.dtype.kind != "f":
            return like._with("Mod", a, b)
        a, b = like.of(a), like.of(b)
        return a - b * like._with("Floor", a / b)

    def floor_divide(self, a: Any, b: Any) -> Symbol:
        like = _symbol((a, b))
        if like.dtype.kind != "f":
            raise NotExportable("a quotient of whole numbers, rounded down, has no form in ONNX")
        return like._with("Floor", like.of(a) / b)

    def zeros_like(self, x: Symbol) -> Symbol:
        return x.of(0)

    def asarray(self, x: Any, *dtype: Any) -> Any:
        return x

    def result_type(self, *operands: Any) -> Any:
        return _symbol(operands).dtype


MATHEMATICS = Mathematics()
_DIRECT = {"relu": "Relu", "sigmoid": "Sigmoid", "mish": "Mish", "softsign": "Softsign", "softplus": "Softplus"}
"""Ops that are one of ONNX's own."""


def elementwise(g: Graph, call: Call) -> list[str]:
    """The nodes of an op with a rule."""
    names = [g.name(x) for x in call.ins]
    rule, out = call.op.rule, call.outs[0]
    if call.op.name in _DIRECT:
        return [g.node(_DIRECT[call.op.name], *names)]
    symbols = [Symbol(g, name, x.dtype) for name, x in zip(names, call.ins, strict=True)]
    try:
        made = getattr(MATHEMATICS, rule)(*symbols) if isinstance(rule, str) else rule(MATHEMATICS, *symbols, **call.attrs)  # type: ignore[misc]
    except (TypeError, AttributeError, ImportError) as error:  # a rule that does more than mathematics
        raise NotExportable(f"{call.op.name} has no form in ONNX: {error}") from None
    name = symbols[0].of(made).name
    return [name if made.dtype == out.dtype else g.node("Cast", name, to=element_type(out.dtype))]
