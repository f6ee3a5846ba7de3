"""Corners of shapes, operators, numbers and what tensors are as objects, beside PyTorch."""

from __future__ import annotations

import pytest

from tests.peers.corners import check

torch = pytest.importorskip("torch", reason="PyTorch is not installed; scripts/test --peers brings it")
pytestmark = pytest.mark.peer

PROGRAMS = """
x.view(-1)
x.view(2, 6)
x.view(5)
x.view(-1, -1)
x.view(0)
x.t().view(12)
x.t().reshape(12)
x.reshape(-1, 2)
x.reshape(())
x.expand(3, 4)
x.expand(2, -1, -1)
x.expand(-1)
x.expand(4, 4)
x.expand(0, 3, 4)
x[:1].expand(5, 4)
x.repeat(2)
x.repeat(2, 3)
x.repeat(0, 1)
x.tile(2)
x.tile((2, 1, 1))
x.repeat_interleave(2)
x.repeat_interleave(2, 1)
x.repeat_interleave(torch.tensor([0, 1, 2]), 0)
x.squeeze(0)
x[None].squeeze(0)
x[None].squeeze()
x.squeeze(5)
x[None].squeeze((0, 1))
x.unsqueeze(-1)
x.unsqueeze(3)
x.transpose(0, -1)
x.transpose(0, 2)
x.permute(1, 0)
x.permute(0)
x.permute(0, 0)
x.permute(-1, 0)
x.flatten(1)
x.flatten(1, 0)
torch.tensor(3.).flatten()
x.unflatten(0, (3, 1))
x.unflatten(1, (-1, 2))
x.unflatten(1, (3, 2))
x.narrow(0, 1, 2)
x.narrow(0, 2, 2)
x.narrow(0, -1, 1)
x.select(0, -1)
x.select(0, 3)
x.chunk(2)
x.chunk(5)
x.split(2)
x.split([1, 2])
x.split([1, 1])
x.split(0)
x.tensor_split(2)
x.tensor_split([1])
x.unbind()
x.unbind(2)
torch.cat([x, x], 1)
torch.cat([x, x[0]])
torch.cat([x, Z(0)])
torch.cat([x, i])
torch.cat([x], 2)
torch.stack([x, x], -1)
torch.stack([x, x[0]])
torch.vstack([x[0], x])
torch.hstack([x, x])
torch.dstack([x[0], x[0]])
torch.column_stack([x[0], x[1]])
x.flip(0, 1)
x.flip(0, 0)
x.flip(2)
x.fliplr()
x.roll(1, 0)
x.roll((1, 2), (0, 1))
x.roll(1)
x.rot90()
x.rot90(2)
x.rot90(1, (0, 0))
x.diag()
x[0].diag()
x[0].diag(1)
x.diagonal(1)
x.diagonal(9)
x[0].diag_embed()
x.tril(-1)
x.triu(5)
x.trace()
x.t().trace()
g.t()
x[0].t()
x.mT
x[0].mT
x.T
g.T
x.H
x.unfold(0, 2, 1)
x.unfold(0, 4, 1)
x.as_strided((2, 2), (4, 1), 1)
torch.atleast_2d(x[0])
torch.broadcast_tensors(x[0], x)
torch.broadcast_shapes((3, 1), (4,))
torch.broadcast_shapes((3,), (4,))
x + x[0]
x + x[:, 0]
x + x[:, :1]
x @ x
x @ x.t()
x @ x[0]
x[0] @ x[0]
x @ torch.tensor(2.)
g @ x.t()
torch.mm(x, x[0])
torch.mv(x, x[0])
torch.bmm(g, g)
torch.bmm(g, g.transpose(1, 2))
torch.dot(x[0], x[1])
torch.dot(x, x)
torch.outer(x[0], x[1])
x @ i.t()
x.half() @ x.t()
i @ i.t()
m @ m.t()
torch.addmm(x[:, :3], x, x.t())
torch.addmm(x[0, :3], x, x.t(), beta=0)
torch.einsum('ij->ji', x)
torch.einsum('ii', x)
torch.einsum('ij,j', x, x[0])
torch.einsum('...j,j->...', g, x[0])
torch.tensordot(x, x, 2)
torch.tensordot(x, x.t(), ([1], [0]))
torch.kron(x[0], x[1])
torch.cross(x[:, :3], x[:, 1:])
torch.cross(x, x)
x.sum_to_size(1, 4)
x.sum_to_size(3, 2)
torch.numel(x)
x.numel(), x.dim(), x.size(0), x.size(-1)
x.size(2)
x.shape == (3, 4)
x.stride(), x.t().stride()
torch.is_tensor(x)
x.is_floating_point(), i.is_floating_point()
x.element_size()
x.type()
x.type_as(i)
x.to(i)
x.to('cpu')
x.to(torch.int64)
x.int().dtype
x.bool().sum()
x.dtype.is_floating_point
x == None
x is None
x in [x]
2.0 in torch.tensor([1., 2.])
torch.tensor(2.) in x
str(torch.tensor([1., 2.]))
repr(torch.tensor(1))
str(torch.tensor([True]))
str(torch.tensor([1e-8, 1.]))
str(torch.tensor([nan, inf]))
str(Z(0))
str(Z(2, 0))
f'{torch.tensor(1.5):.2f}'
f'{torch.tensor([1.5]):.2f}'
hash(x) == hash(x)
bool(x == x)
not torch.tensor(0)
torch.tensor(1.) and 2
-x
+x
abs(x)
~m
~i
-m
~x
x & x
divmod(7, torch.tensor(2))
round(torch.tensor(2.5))
math.floor(torch.tensor(2.5))
math.sqrt(torch.tensor(4.))
min(torch.tensor([2, 1]))
sum(torch.tensor([1, 2]))
sorted(torch.tensor([2, 1]))
[1, 2][torch.tensor(True)]
x.__len__()
reversed(torch.tensor([1, 2]))
list(reversed(torch.tensor([1, 2])))
np.sum(x.numpy())
np.add(x, 1)
x + np.float32(1)
np.float32(1) + x
x * np.ones(4)
x * np.ones(4, np.float32)
np.ones(4) * x
torch.add(x, 1, alpha=2)
torch.sub(x, x, alpha=2)
torch.add(i, 1, alpha=1.5)
torch.add(1, x)
torch.rsub(x, 1)
torch.pow(2, x)
torch.pow(2, 3)
torch.square(m)
torch.true_divide(i, 2)
torch.floor_divide(i, 0)
i // 0
i % 0
x // 0
x % 0
i / 0
torch.fmod(i, 0)
torch.remainder(i, torch.tensor([0, 1, 2, 3]))
i // torch.tensor([0, 1, 2, 3])
torch.div(i, 0, rounding_mode='trunc')
torch.div(x, 0, rounding_mode='floor')
torch.div(i, 2, rounding_mode='what')
5 // torch.tensor([0])
5 % torch.tensor([0])
torch.tensor(-7) // 2
torch.tensor(-7) % 3
torch.tensor(7) % -3
torch.tensor(-7.5) % 2
torch.fmod(torch.tensor(-7), 3)
torch.div(torch.tensor(-7), 2, rounding_mode='trunc')
torch.tensor(2) ** -1
torch.tensor(2) ** torch.tensor(-1)
torch.tensor(0) ** 0
torch.tensor(0.) ** 0
torch.tensor(-8.) ** (1/3)
torch.tensor(2) ** 2.0
torch.tensor([2]) ** 0.5
2 ** torch.tensor([2])
2.0 ** torch.tensor([2])
torch.tensor([True]) ** 2
torch.tensor(1, dtype=torch.int8) << 7
torch.tensor(1) << 64
torch.tensor(1) << -1
torch.tensor(-8) >> 1
torch.tensor(127, dtype=torch.int8) + 1
torch.tensor(255, dtype=torch.uint8) + 1
torch.tensor(0, dtype=torch.uint8) - 1
-torch.tensor(1, dtype=torch.uint8)
torch.tensor(-128, dtype=torch.int8).abs()
torch.tensor(2**62) * 4
torch.tensor(1) / 3
torch.tensor(1, dtype=torch.int8) / torch.tensor(3, dtype=torch.int8)
torch.bitwise_not(m)
torch.logical_xor(x, i)
torch.logical_not(i)
torch.isnan(i)
torch.isfinite(m)
torch.isinf(x * inf)
torch.nan_to_num(torch.tensor([nan, inf, -inf]), 1., 2., 3.)
torch.nan_to_num(i)
torch.round(torch.tensor([0.5, 1.5, 2.5, -0.5]))
torch.round(torch.tensor([1.255]), decimals=2)
torch.round(torch.tensor([155.]), decimals=-1)
torch.round(i)
torch.trunc(torch.tensor([-1.5]))
torch.sign(torch.tensor([-0., nan]))
torch.signbit(torch.tensor([-0., 0.]))
torch.heaviside(torch.tensor([-1., 0., nan]), torch.tensor([0.5]))
torch.clamp(i, 0, 2)
torch.clamp(i, 0.5, 2.5)
torch.clamp(i, max=2.5)
torch.clamp(x, 2, 1)
torch.clamp(x)
torch.clamp(x, torch.tensor(0.), None)
torch.clip(x, -1)
torch.lerp(x, x + 1, x)
torch.where(m, 1, 0)
torch.where(m, 1., i)
torch.where(m)
torch.where(x, 1, 0)
torch.where(m, x, x[0])
torch.where(m[0], x, 0)
torch.masked_select(x, m[0])
torch.take_along_dim(x, x.argsort(1), 1)
torch.argsort(x, descending=True)
torch.gather(x, 0, torch.tensor([[0, 5]]))
torch.gather(x, 1, torch.tensor([0]))
torch.triu(torch.ones(2, 2), -5)
torch.nonzero(torch.tensor(0.))
torch.flatten(torch.tensor(1))
""".strip().splitlines()
DELIBERATE = {
    "m @ m.t()": "a product of bools is whether there is any pair",
    "~x": "NotImplementedError for an operator as for a function",
    "np.add(x, 1)": "NumPy's functions give NumPy's arrays",
    "np.ones(4) * x": "an array may stand on the left",
}


@pytest.mark.parametrize("program", list(dict.fromkeys(PROGRAMS)))
def test_shapes(program: str) -> None:
    check(program, torch, DELIBERATE)
