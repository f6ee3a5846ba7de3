"""Dtypes that meet: tensors, tensors of no dimensions and numbers, through operators and functions, beside PyTorch."""

from __future__ import annotations

import pytest

from tests.peers.corners import check, filled

torch = pytest.importorskip("torch", reason="PyTorch is not installed; scripts/test --peers brings it")
pytestmark = pytest.mark.peer

DTYPES = ["bool", "uint8", "int8", "int64", "float16", "bfloat16", "float32", "float64"]
SOME = ["bool", "int32", "float16", "float32"]
UNARY = [
    "abs",
    "neg",
    "sign",
    "sqrt",
    "exp",
    "sin",
    "sigmoid",
    "floor",
    "trunc",
    "square",
    "reciprocal",
    "isnan",
    "logical_not",
    "bitwise_not",
    "relu",
    "frac",
    "sgn",
    "signbit",
]
BINARY = [
    "maximum",
    "fmax",
    "atan2",
    "hypot",
    "true_divide",
    "floor_divide",
    "remainder",
    "fmod",
    "logical_and",
    "bitwise_and",
    "eq",
    "lt",
    "lcm",
    "copysign",
    "logaddexp",
    "xlogy",
    "heaviside",
    "dot",
    "nextafter",
    "ldexp",
    "float_power",
]
PROGRAMS = [
    *filled(
        ["torch.tensor([1, 2], dtype=torch.{a}) {op} torch.tensor([2, 1], dtype=torch.{b})"],
        a=SOME,
        b=["uint8", "bfloat16", "float32"],
        op=["+", "/", "//", "**", "%", "<"],
    ),
    *filled(
        ["torch.tensor([1, 2], dtype=torch.{a}) {op} {v}"],
        a=DTYPES[1::2],
        op=["+", "-", "*", "/", "//", "**"],
        v=["2", "2.0", "True", "-1"],
    ),
    *filled(["{v} {op} torch.tensor(2, dtype=torch.{a})"], a=DTYPES, op=["-", "**", "%"], v=["2", "2.5", "True"]),
    *filled(["torch.tensor([1, 2], dtype=torch.{a}) {op} {v}"], a=DTYPES, op=["&", "|", "<<"], v=["1", "2.0"]),
    *filled(
        ["a = torch.tensor([1, 2], dtype=torch.{a}); a {op}= {v}; a"],
        a=["bool", "uint8", "int64", "float32"],
        op=["+", "/", "**", "&"],
        v=["2", "2.5", "True", "torch.tensor([1, 2])", "torch.tensor(1.5)", "torch.ones(2, 2)"],
    ),
    *filled(["torch.{f}(torch.tensor([1, 0, 2], dtype=torch.{a}))"], f=UNARY, a=["bool", "int64", "float16"]),
    *filled(
        ["torch.{f}(torch.tensor([1, 4], dtype=torch.{a}), torch.tensor([3, 2], dtype=torch.{b}))"],
        f=BINARY,
        a=SOME,
        b=["int64", "float32"],
    ),
    *filled(
        ["torch.where(m, {a}, {b})", "torch.cat([{a}, {b}])", "torch.clamp({a}, {b})", "torch.lerp({a}, {b}, 0.5)"],
        a=["x", "i", "m"],
        b=["x", "i", "m"],
    ),
    *filled(["torch.clamp({a}, min=1.5)", "torch.clamp({a}, max=1)"], a=["x", "i", "x.half()"]),
    *filled(
        ["{a} // 0", "{a} % 0", "{a} / 0", "torch.fmod({a}, 0)", "5 // {a}", "5 % {a}"],
        a=["i", "i.int()", "i.to(torch.uint8)", "x * 0", "m"],
    ),
]
DELIBERATE: dict[str, str] = {}


@pytest.mark.parametrize("program", list(dict.fromkeys(PROGRAMS)))
def test_promotion(program: str) -> None:
    check(program, torch, DELIBERATE)
