"""Sums, extremes, orders and statistics of integers, bools, NaN and nothing, beside PyTorch."""

from __future__ import annotations

import pytest

from tests.peers.corners import check, filled

torch = pytest.importorskip("torch", reason="PyTorch is not installed; scripts/test --peers brings it")
pytestmark = pytest.mark.peer

TENSORS = """
x
i
m
x.half()
torch.tensor([1., nan, 3.])
torch.tensor([inf, -inf])
torch.tensor(3.)
Z(0)
Z(2, 0)
torch.tensor([2, 1, 2], dtype=torch.uint8)
""".strip().splitlines()
WHOLE = [
    "sum",
    "mean",
    "prod",
    "amax",
    "max",
    "min",
    "argmin",
    "all",
    "any",
    "std",
    "median",
    "nanmedian",
    "nansum",
    "count_nonzero",
    "mode",
    "norm",
    "aminmax",
    "unique",
    "sort",
]
ALONG = [
    "sum",
    "mean",
    "prod",
    "amin",
    "max",
    "argmax",
    "all",
    "any",
    "std",
    "var",
    "median",
    "nansum",
    "mode",
    "logsumexp",
    "cumsum",
    "cumprod",
    "cummax",
    "sort",
]
OTHERS = """
x.std(correction=0)
x.std(0,correction=3)
x.var(0,correction=4)
x.std(unbiased=False)
x.var(0,False)
torch.var_mean(x,0)
torch.std_mean(x)
torch.var(torch.tensor([1.]))
torch.std(torch.tensor([5.,5.]))
x.norm(0)
x.norm(1)
x.norm(inf)
x.norm(-inf)
x.norm(3,0)
x.norm('nuc')
x.norm('fro')
x.norm(p=2,dim=(0,1))
torch.linalg.norm(x)
torch.linalg.vector_norm(x,0.5)
torch.linalg.norm(Z(0))
torch.quantile(x,0.5)
torch.quantile(x,torch.tensor([0.,1.]),1)
torch.quantile(x*nan,0.5)
torch.nanquantile(torch.tensor([1.,nan,2.]),0.5)
torch.quantile(x,2.)
torch.kthvalue(x,2)
torch.kthvalue(x,0)
torch.kthvalue(x,9)
torch.topk(x,2)
torch.topk(x,5)
torch.topk(x,2,largest=False)
torch.topk(torch.tensor([nan,1.,2.]),2)
torch.topk(torch.tensor([nan,1.,2.]),2,largest=False)
torch.sort(torch.tensor([nan,1.,-inf,inf]))
torch.sort(torch.tensor([nan,1.,-inf,inf]),descending=True)
torch.sort(torch.tensor([2,1,2,1]),stable=True)
torch.argsort(torch.tensor([2,1,2,1]),stable=True)
torch.sort(torch.tensor([True,False]))
torch.unique(torch.tensor([nan,nan,1.]))
torch.unique(torch.tensor([3,1,3]),return_inverse=True,return_counts=True)
torch.unique_consecutive(torch.tensor([1,1,2,1]),return_counts=True)
torch.unique(x,dim=0)
torch.bincount(torch.tensor([1,1,3]))
torch.bincount(torch.tensor([1,1,3]),weights=torch.tensor([.5,.5,1.]))
torch.bincount(torch.tensor([-1]))
torch.bincount(torch.tensor([1]),minlength=4)
torch.histc(x,4)
torch.histc(x,4,-1,1)
torch.histc(x*nan,4)
torch.cumsum(m,0)
torch.cumsum(i,1)
torch.cumprod(i.to(torch.int8),1)
torch.cumsum(x,0,dtype=torch.float64)
torch.cumsum(torch.tensor(2.),0)
torch.cummax(torch.tensor([1.,nan,3.]),0)
torch.cummin(torch.tensor([1.,nan,0.]),0)
torch.logcumsumexp(x,1)
torch.logcumsumexp(torch.tensor([-inf,-inf,1.]),0)
torch.logsumexp(torch.tensor([-inf,-inf]),0)
torch.logsumexp(torch.tensor([inf,1.]),0)
torch.logsumexp(torch.tensor([nan,1.]),0)
torch.softmax(torch.tensor([-inf,-inf]),0)
torch.softmax(torch.tensor([inf,1.]),0)
torch.softmax(torch.tensor([nan,1.]),0)
torch.softmax(torch.tensor([-inf,1.]),0)
torch.log_softmax(torch.tensor([-inf,1.]),0)
torch.softmax(i,1)
torch.softmax(torch.tensor(1.),0)
torch.softmax(x,2)
torch.softmax(x.half(),1)
torch.softmax(i,1,dtype=torch.float64)
torch.argmax(torch.tensor([1.,nan,3.]))
torch.argmax(torch.tensor([2.,2.]))
torch.argmin(torch.tensor([2.,1.,1.]))
torch.argmax(m.int(),1)
torch.max(x,i.float())
torch.max(x,1).indices
torch.min(i,0)
torch.max(torch.tensor([True,False]),0)
torch.max(torch.tensor([True,False]))
torch.max(torch.tensor([1.,nan]),0)
torch.amax(torch.tensor([1.,nan]))
torch.amax(x,(0,1),keepdim=True)
torch.aminmax(x)
torch.aminmax(x,dim=0)
torch.nanmedian(torch.tensor([nan,nan]))
torch.median(torch.tensor([4.,1.,2.,3.]))
torch.median(i)
torch.mode(torch.tensor([1,2,2,3,3]))
torch.diff(x)
torch.diff(i,n=2)
torch.diff(x,prepend=torch.zeros(3,1))
torch.diff(m)
torch.trapz(x)
torch.cov(x)
torch.corrcoef(x)
torch.allclose(x,x+1e-9)
torch.allclose(torch.tensor([nan]),torch.tensor([nan]))
torch.allclose(torch.tensor([nan]),torch.tensor([nan]),equal_nan=True)
torch.equal(x,x.clone())
torch.equal(x,i)
torch.equal(torch.tensor([nan]),torch.tensor([nan]))
torch.isclose(torch.tensor([1.,inf]),torch.tensor([1.0001,inf]))
torch.isin(i,torch.tensor([1,2]))
torch.isin(i,2)
torch.searchsorted(torch.tensor([1,2,2,3]),torch.tensor([2]),right=True)
torch.searchsorted(torch.tensor([1.,2.]),1.5)
torch.nonzero(m)
torch.nonzero(torch.tensor(3.))
torch.nonzero(x,as_tuple=True)
torch.count_nonzero(x,0)
torch.all(x)
torch.all(torch.tensor([2],dtype=torch.uint8))
torch.any(torch.tensor([nan]))
torch.prod(m)
torch.prod(torch.tensor([100,100],dtype=torch.int8))
torch.sum(torch.tensor([100,100],dtype=torch.int8))
torch.sum(torch.tensor([200,100],dtype=torch.uint8))
torch.mean(i)
torch.mean(i,dtype=torch.float32)
torch.mean(m.float())
torch.sum(x.half()*60000)
torch.mean(torch.full((4,),60000.).half())
x.sum(dim=[0,1])
x.max(dim=1,keepdim=True)
x.max(-3)
x.sum(5)
i.std()
m.sum(dtype=torch.uint8)
""".strip().splitlines()
PROGRAMS = [
    *filled(["{t}.{f}()"], t=TENSORS, f=WHOLE),
    *filled(["torch.{f}({t}, dim=-1, keepdim=True)"], t=TENSORS, f=ALONG[:-5]),
    *filled(["torch.{f}({t}, 1)"], t=TENSORS[:-2], f=ALONG),
    *filled(
        ["{t}.{f}({d})"],
        t=["x", "m", "g", "Z(2, 0)"],
        f=["sum", "mean", "amax", "std", "all", "any", "nansum"],
        d=["(0, 1)", "()", "[]", "(0, 0)", "(0, -1)"],
    ),
    *filled(["{t}.{f}(dim=None, keepdim=True)", "{t}.{f}(dtype=torch.float64)"], t=["x", "i", "g"], f=["sum", "mean"]),
    *OTHERS,
]
DELIBERATE = {"torch.cummax(Z(0), 1)": "a dimension out of range is an error where there are no elements too"}


@pytest.mark.parametrize("program", list(dict.fromkeys(PROGRAMS)))
def test_reductions(program: str) -> None:
    check(program, torch, DELIBERATE)
