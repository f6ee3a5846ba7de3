"""Corners of writing: to tensors, to views of them, and what gradients become of it, beside PyTorch."""

from __future__ import annotations

import pytest

from tests.peers.corners import check, filled

torch = pytest.importorskip("torch", reason="PyTorch is not installed; scripts/test --peers brings it")
pytestmark = pytest.mark.peer

VIEWS = """
x[0]
x[:, 1]
x.t()
x.reshape(-1)
x.view(4, 3)
x[::2]
x.narrow(1, 1, 2)
x.unsqueeze(0)
x.expand(2, 3, 4)
x.diagonal()
x.unfold(1, 2, 1)
x.transpose(0, 1)[1]
x.flatten()
x.chunk(2, 1)[0]
x.split(2)[1]
x.unbind(1)[2]
x.select(1, 0)
x.permute(1, 0)
x.squeeze()
x.movedim(0, 1)
x.view(torch.int32)
x.detach()
x.data
x.T
x[None]
x[...]
x.view_as(x)
x.contiguous()
x.to(torch.float32)
x.flip(0)
x[[0, 1]]
x.clone()
x.tril()
torch.atleast_3d(x)
torch.broadcast_to(x, (2, 3, 4))
x.hsplit(2)[0]
x.vsplit(3)[1]
x.swapaxes(0, 1)
x.unflatten(1, (2, 2))
""".strip().splitlines()
GRADED = """
w[0]
w[:, 1]
w.t()
w.reshape(-1)
w[::2]
w.narrow(1, 1, 2)
w.unsqueeze(0)
w.diagonal()
w.expand(3, 4)
w[1, ::2]
w.t()[1:]
""".strip().splitlines()
WRITES = "mul_(2)", "zero_()", "add_(y.sum())", "exp_()", "pow_(2)", "copy_(y.sum().expand_as(v))", "clamp_(0)", "masked_fill_(v > 1, 0)"
STATEMENTS = """
x += 1; x
x -= x; x
x *= x; x
x /= 2; x
x //= 2; x
x %= 2; x
x **= 2; x
x += i; x
x += torch.ones(2, 3, 4); x
x += torch.ones(4); x
x += torch.ones(3, 1); x
x.add_(1, alpha=2); x
x.sub_(1, alpha=2); x
x.addcmul_(x, x, value=0.5); x
x.addcdiv_(x, x.abs() + 1); x
x.lerp_(x + 1, 0.5); x
x.clamp_(-1, 1); x
x.clamp_(min=nan); x
x.sqrt_(); x
x.neg_(); x
x.abs_(); x
x.floor_(); x
x.round_(); x
x.sigmoid_(); x
x.masked_fill_(m, 0); x
x.masked_fill_(m, nan); x
x.masked_fill_(m, torch.tensor(2)); x
x.masked_fill_(m, torch.ones(2)); x
x.masked_scatter_(m, torch.arange(12.)); x
x.index_fill_(0, torch.tensor([0]), 9); x
x.index_add_(0, torch.tensor([0, 0]), torch.ones(2, 4)); x
x.index_copy_(0, torch.tensor([2]), torch.ones(1, 4)); x
x.scatter_(0, torch.tensor([[0, 1, 2, 0]]), 5.); x
x.scatter_add_(0, torch.tensor([[0, 0, 0, 0]]), torch.ones(1, 4)); x
x.fill_diagonal_(7); x
x.tril_(); x
x.triu_(1); x
x.t_(); x
x.transpose_(0, 1); x
x.unsqueeze_(0); x
x.squeeze_(); x
x.resize_(2, 2); x
x.zero_(); x
x.fill_(torch.tensor(3)); x
x.fill_(torch.ones(2)); x
x.copy_(i); x
x.copy_(torch.ones(4)); x
x.copy_(torch.ones(5)); x
x.copy_(m); x
x.cumsum_(0); x
x.cumprod_(1); x
x.renorm_(2, 0, 1.); x
x.eq_(1); x
x.logical_not_(); x
x.remainder_(-1.5); x
x.fmod_(1.5); x
x.nan_to_num_(); x
x.put_(torch.tensor([0]), torch.tensor([5.])); x
x.erf_(); x
x.trunc_(); x
x.frac_(); x
x.sign_(); x
x.square_(); x
x.swapdims_(0, 1); x
x.detach_(); x
x.requires_grad_(); x
x.bernoulli_(1.0); x
x.uniform_(2, 2); x
x.normal_(3, 0); x
i += 1; i
i += 1.5; i
i /= 2; i
i //= 2; i
i *= True; i
i **= 2; i
i &= 1; i
i <<= 1; i
i.add_(2.7); i
i.mul_(x); i
i.clamp_(0.5, 2.5); i
i.copy_(x); i
i.fill_(2.7); i
m += 1; m
m |= m; m
m &= False; m
m.fill_(2); m
m.logical_not_(); m
m.copy_(x); m
""".strip().splitlines()
PROGRAMS = [
    *filled(["v = {v}; v.{o}; [x, v]"], v=VIEWS, o=["add_(1)", "zero_()"]),
    *filled(["w = y * 2; v = {v}; v.{o}; (w * w).sum().backward(); [w, y.grad]"], v=GRADED, o=WRITES),
    *filled(["w = y * 2; v = {v}; w.{o}; (v * v).sum().backward(); [v, y.grad]"], v=GRADED, o=["mul_(2)", "add_(y)"]),
    *filled(["w = y * 2; v = {v}; v.retain_grad(); w.mul_(2); w.sum().backward(); v.grad"], v=["w", *GRADED]),
    *STATEMENTS,
]
DELIBERATE = {
    "v = x.expand(2, 3, 4); v.zero_(); [x, v]": "elements that are one place in memory are never written to",
    "v = torch.broadcast_to(x, (2, 3, 4)); v.zero_(); [x, v]": "elements that are one place in memory are never written to",
    "v = x.unfold(1, 2, 1); v.add_(1); [x, v]": "of elements that overlap it is not said how often they are added to",
}


@pytest.mark.parametrize("program", list(dict.fromkeys(PROGRAMS)))
def test_in_place(program: str) -> None:
    check(program, torch, DELIBERATE)
