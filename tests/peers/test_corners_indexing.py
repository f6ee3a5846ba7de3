"""Corners of indexing, reading and writing, beside PyTorch."""

from __future__ import annotations

import pytest

from tests.peers.corners import check

torch = pytest.importorskip("torch", reason="PyTorch is not installed; scripts/test --peers brings it")
pytestmark = pytest.mark.peer

PROGRAMS = """
g[0,:,[1,2]].shape
g[0,:,[1,2]]
g[:,0,[1,2]]
g[[0,1],:,0]
g[[0,1],:,[0,1]]
g[1,[0,2]]
g[[0,1],1]
g[0,...,[1,2]]
g[...,0,[1,2]]
g[[1],0,:]
g[None,0,:,[1]]
g[0,None,[1,2]]
g[0,:,None,[1,2]]
g[[0,1],None,[1,2]]
g[torch.tensor([[0,1],[1,0]]),:,1]
g[1,torch.tensor([[True,False,True,False]]*3)]
g[torch.tensor([True,False]),0]
g[torch.tensor([True,False]),:,0]
g[0,:,torch.tensor([True,False,True,False])]
g[True]
g[False]
g[True,0]
g[0,True]
g[[True,False]]
g[[[0,1]]]
g[([0,1],)]
g[np.array([0,1])]
g[np.int64(1)]
g[np.array(1)]
g[torch.tensor(1)]
g[torch.tensor(1),:,[0,1]]
g[torch.tensor(1,dtype=torch.int32)]
g[torch.tensor([1],dtype=torch.int32)]
g[torch.tensor([1],dtype=torch.int16)]
g[torch.tensor([1,0],dtype=torch.uint8)]
g[torch.tensor([1,0],dtype=torch.uint8),0]
g[torch.tensor(1,dtype=torch.uint8)]
g[torch.tensor(True)]
g[torch.tensor(False)]
g[torch.tensor([1.])]
g[[1.5]]
g[1.5]
g['a']
g[5]
g[-3]
g[0,0,0,0]
g[...,...]
g[::-1]
g[::0]
g[::2]
g[:,::2,1:3]
g[3:1]
g[:, 5:]
g[[]]
g[:,[]]
g[[],[]]
g[0,[]]
g[torch.tensor([5])]
g[torch.tensor([-1,-2])]
g[torch.tensor([-3])]
g[torch.tensor([True,False,True])]
g[range(2)]
g[(0,1)]
g[(0,1),]
g[slice(0,1)]
g[None]
g[...,None]
g[:,None,0]
g[()]
torch.tensor(3.)[()]
torch.tensor(3.)[...]
torch.tensor(3.)[None]
torch.tensor(3.)[0]
torch.tensor(3.)[True]
torch.tensor(3.)[torch.tensor(True)]
torch.tensor(3.)[torch.tensor(False)]
g[0,:,[1,2]] = 5; g
g[0,:,[1,2]] = torch.tensor([[1.,2.]]*3); g
g[0,:,[1,2]] = torch.tensor([1.,2.]); g
g[:,0,[1,2]] = torch.tensor([[1.,2.],[3.,4.]]); g
g[torch.tensor([1,0],dtype=torch.uint8)] = 3; g
g[[0,1],:,0] = torch.tensor([1.,2.,3.]); g
g[[0,0],0,0] = torch.tensor([1.,2.]); g
g[0] = 1; g
g[0,0] = torch.tensor([1,2,3,4]); g
g[..., 0] = torch.tensor([[1.],[2.]]); g
g[g>5] = 0; g
g[g>5] = torch.arange(18.); g
g[g>50] = 1; g
g[[]] = 1; g
g[0] = torch.zeros(5); g
g[0] = torch.zeros(1,3,4); g
g[0] = torch.zeros(2,3,4); g
g[True] = 3; g
g[5] = 1; g
g[::2] = 7; g
g[:,1] += 1; g
g[[0,0]] += 1; g
i[0] = 2.7; i
i[0] = torch.tensor(2.7); i
m[0] = 3; m
x[0] = nan; x
w = y*2; w[0,[1,2]] = 0; w.sum().backward(); y.grad
w = y*2; w[0,:][[1,2]].sum().backward(); y.grad
w = (y*1).reshape(3,2,2); w[0,:,[0,1]] = w[1,:,[0,1]]*2; w.square().sum().backward(); y.grad
w = (y*1).reshape(3,2,2); w[:,0,[1,0]].square().sum().backward(); y.grad
w = y*1; w[w>0] = y.sum(); w.sum().backward(); y.grad
y[torch.tensor([0,0,1])].sum().backward(); y.grad
y[torch.tensor([1,0,1],dtype=torch.uint8)].sum().backward(); y.grad
torch.index_put(x,(torch.tensor([0,1]),torch.tensor([0,1])),torch.tensor([5.,6.]))
x.index_put_((torch.tensor([0,0]),),torch.tensor(1.),accumulate=True); x
x.index_put_((torch.tensor([0,0]),torch.tensor([1,1])),torch.tensor([1.,2.]),accumulate=True); x
x.index_put_((None,torch.tensor([1])),torch.tensor([9.])); x
x.index_put_((m,),torch.tensor(9.)); x
x.index_put((torch.tensor([1,0,1],dtype=torch.uint8),),torch.tensor(9.))
x[torch.tensor([0,1]),torch.tensor([0])]
x[torch.tensor([[0],[1]]),torch.tensor([0,2])]
x[torch.tensor([0,1]),torch.tensor([0,1,2])]
x[m]
x[m] = x[m]*2; x
x[~m] = -1; x
x[m.any(1)]
x[:,m.all(0)]
x[m,0]
x[m.to(torch.uint8)]
x.masked_fill(m.to(torch.uint8),0)
x.masked_select(m.to(torch.uint8))
torch.where(m.to(torch.uint8),x,0)
x[0].item()
x[0,0].item()
x[i>0]
x.take(torch.tensor([0,-1]))
x.gather(1,torch.tensor([[0,0],[1,2]]))
x.gather(1,torch.tensor([[-1]]))
x.index_select(0,torch.tensor([-1]))
x.index_select(0,torch.tensor(1))
x.index_select(1,torch.tensor([0,0],dtype=torch.int32))
x.scatter(1,torch.tensor([[0],[1]]),5.)
x.scatter(1,torch.tensor([[-1]]),5.)
x.scatter_add(0,torch.tensor([[0,0,0,0]]),torch.ones(1,4))
""".strip().splitlines()
DELIBERATE = {
    "g[[1.5]]": "an index of floats is refused, where PyTorch cuts it to integers",
    "g['a']": "IndexError, where PyTorch has TypeError",
    "g[...,...]": "refused, as NumPy does",
    "g[torch.tensor([1,0],dtype=torch.uint8)] = 3; g": "a uint8 mask is written to as it is read",
    "x.index_put((torch.tensor([1,0,1],dtype=torch.uint8),),torch.tensor(9.))": "a uint8 mask is written to as it is read",
    "x.index_put_((None,torch.tensor([1])),torch.tensor([9.])); x": "None stands for a whole dimension",
}


@pytest.mark.parametrize("program", list(dict.fromkeys(PROGRAMS)))
def test_indexing(program: str) -> None:
    check(program, torch, DELIBERATE)
