"""NaN, infinities, zeros of both signs and ties, through functions and their gradients, beside PyTorch."""

from __future__ import annotations

import pytest

from tests.peers.corners import check, filled

torch = pytest.importorskip("torch", reason="PyTorch is not installed; scripts/test --peers brings it")
pytestmark = pytest.mark.peer

SPECIAL = "torch.tensor([inf, -inf, 0., -0., 1., -1., 20., -20., 100., -100.], requires_grad=True)"
UNARY = [
    "abs",
    "exp",
    "log",
    "log1p",
    "log2",
    "log10",
    "expm1",
    "sqrt",
    "rsqrt",
    "sin",
    "cos",
    "tan",
    "asin",
    "acos",
    "atan",
    "sinh",
    "cosh",
    "tanh",
    "asinh",
    "acosh",
    "atanh",
    "sigmoid",
    "erf",
    "erfc",
    "erfinv",
    "square",
    "reciprocal",
    "sign",
    "sgn",
    "floor",
    "ceil",
    "round",
    "trunc",
    "frac",
    "relu",
    "exp2",
    "sinc",
    "deg2rad",
    "neg",
    "nan_to_num",
]
ACTIVATIONS = [
    "relu",
    "relu6",
    "elu",
    "selu",
    "celu",
    "gelu",
    "silu",
    "mish",
    "softplus",
    "softsign",
    "hardtanh",
    "hardsigmoid",
    "logsigmoid",
    "tanhshrink",
    "softshrink",
    "hardshrink",
    "leaky_relu",
    "sigmoid",
    "tanh",
]
WITH_SETTINGS = """
threshold(v, 0.5, 7.)
softmax(v[2:], 0)
log_softmax(v[2:], 0)
softplus(v, 2., 5.)
hardtanh(v, -2., 3.)
leaky_relu(v, -0.5)
elu(v, 2.)
gelu(v, approximate="tanh")
celu(v, 0.5)
prelu(v, torch.tensor([0.25]))
rrelu(v)
glu(v[2:6], 0)
softshrink(v, 2.)
normalize(v[4:], dim=0)
normalize(v[2:4], dim=0)
""".strip().splitlines()
BINARY = [
    "maximum",
    "minimum",
    "fmax",
    "fmin",
    "atan2",
    "pow",
    "fmod",
    "remainder",
    "hypot",
    "copysign",
    "logaddexp",
    "xlogy",
    "div",
    "floor_divide",
]
COMPARISONS = ["eq", "ne", "lt", "le", "gt", "ge", "isclose", "equal", "logical_and", "logical_or"]
GRADED = """
v.clamp(0, 1)
v.clamp(min=1)
v.clamp(max=1)
v.clamp(torch.tensor(0.5), torch.tensor(1.))
v ** 0
v ** 0.5
v ** 2
v ** -1
0 ** v
2 ** v
v ** v
torch.where(v > 0.5, v.log(), v)
v.abs()
v.max()
v[:3].max()
v[:3].amax()
v[:3].max(0)[0]
torch.tensor([1., 1.]) * v[1:2].max()
v.std()
v[:1].std()
v[:1].std(unbiased=False)
(v[1:2] * torch.ones(3)).std()
(v[1:2] * torch.ones(3)).var()
(v[1:2] * torch.ones(3)).std(correction=0)
torch.std_mean(v[1:2] * torch.ones(3))[0]
v[:1].norm()
v[:1].norm(p=1)
v[:1].norm(p=3)
v[:1].norm(p=0)
v[:1].norm(p=inf)
torch.cdist(v[None, :2], v[None, :2])
torch.dist(v[:2], v[:2])
v[:3].prod()
v[:3].cumprod(0)
v[:3].cumsum(0)
v[:3].median()
v.nanmedian()
v.nansum()
v.nanmean()
v[:3].sort()[0]
v[:3].topk(2)[0]
v[:3].logsumexp(0)
(v[:3] * inf).logsumexp(0)
v[:3].softmax(0)
torch.stack([v, v]).unique()
v.floor()
v.round()
v.sign()
v.frac()
v % 1
v // 1
v.fmod(0.7)
torch.div(v, 2, rounding_mode='floor')
torch.lerp(v, v, 0.3)
v.nan_to_num(1.)
v.masked_fill(v.isnan(), 0)
v[~v.isnan()]
v.cummax(0)[0]
v[:3].cummin(0)[0]
v.logcumsumexp(0)
v[:3].kthvalue(2)[0]
v[:3].mode()[0]
v.quantile(0.5)
v.nanquantile(0.5)
torch.hypot(v, v)
torch.atan2(v, v)
torch.xlogy(v, v)
torch.copysign(v, -v)
v.sinc()
v.logit(0.1)
v.erfinv()
F.cosine_similarity(v[None, :1], v[None, :1])
F.cosine_similarity(v[None, :3], v[None, :3])
F.pairwise_distance(v[None, :3], v[None, :3])
F.normalize(v[None, :1])
F.smooth_l1_loss(v[:3], torch.ones(3))
F.huber_loss(v[:3], torch.ones(3))
F.l1_loss(v[:3], torch.ones(3))
torch.linalg.norm(v[:1])
torch.linalg.vector_norm(v[:3], 0.5)
""".strip().splitlines()
MANY = "torch.tensor([nan, inf, -inf, 0., -0., 1., -2.5])"
PROGRAMS = [
    *filled(["v = {s}; w = {f}; w.sum().backward(); [w, v.grad]"], s=[SPECIAL], f=[f"torch.{f}(v)" for f in UNARY]),
    *filled(["v = {s}; w = F.{f}; w.sum().backward(); [w, v.grad]"], s=[SPECIAL], f=[*(f"{a}(v)" for a in ACTIVATIONS), *WITH_SETTINGS]),
    *filled(["torch.{f}(torch.tensor([nan]))"], f=UNARY),
    *filled(["F.{f}(torch.tensor([nan]))", "F.{f}(torch.tensor([-3., -0.5, 0.5, 3.]).half())"], f=ACTIVATIONS),
    *filled(
        ["torch.{f}({v}, torch.tensor({b}))", "torch.{f}(torch.tensor({b}), {v})"],
        f=BINARY,
        v=[MANY],
        b=["nan", "inf", "0.", "-0.", "-2.", "3.5"],
    ),
    *filled(
        [
            "a = torch.tensor([1., 0., -1., 2.], requires_grad=True); c = torch.tensor({b}, requires_grad=True); torch.{f}(a, c).sum().backward(); [a.grad, c.grad]"
        ],
        f=BINARY[:-1],
        b=["0.", "1.", "-1.", "[1., 0., -1., 2.]"],
    ),
    *filled(["torch.{f}(torch.tensor([nan, inf, 1.]), torch.tensor([nan, inf, 1.]))"], f=COMPARISONS),
    *filled(["torch.clamp(torch.tensor([nan, -5., 5., inf]), {a}, {b})"], a=["None", "-1", "nan", "inf"], b=["1", "nan", "-2"]),
    *filled(["v = torch.tensor([0., 1., 2., nan], requires_grad=True); w = {e}; w.sum().backward(); [w, v.grad]"], e=GRADED),
]
DELIBERATE = {
    "v = torch.tensor([0., 1., 2., nan], requires_grad=True); w = v[:1].norm(p=0); w.sum().backward(); [w, v.grad]": "a gradient of zeros, not None",
    "v = torch.tensor([0., 1., 2., nan], requires_grad=True); w = v.quantile(0.5); w.sum().backward(); [w, v.grad]": "of NaN it has no gradient",
    "v = torch.tensor([0., 1., 2., nan], requires_grad=True); w = v.logit(0.1); w.sum().backward(); [w, v.grad]": "the gradient of NaN is 0",
    "v = torch.tensor([inf, -inf, 0., -0., 1., -1., 20., -20., 100., -100.], requires_grad=True); w = F.mish(v); w.sum().backward(); [w, v.grad]": "the gradient at infinity is its limit, 1",
    "v = torch.tensor([inf, -inf, 0., -0., 1., -1., 20., -20., 100., -100.], requires_grad=True); w = F.softsign(v); w.sum().backward(); [w, v.grad]": "the gradient at infinities is its limit, 0",
}


@pytest.mark.parametrize("program", list(dict.fromkeys(PROGRAMS)))
def test_special_values(program: str) -> None:
    check(program, torch, DELIBERATE)
