"""Corners of the graph: hooks, retained and accumulated gradients, and gradients of views and selections, beside PyTorch."""

from __future__ import annotations

import pytest

from tests.peers.corners import check

torch = pytest.importorskip("torch", reason="PyTorch is not installed; scripts/test --peers brings it")
pytestmark = pytest.mark.peer

PROGRAMS = """
w = y * 1; v = w.detach(); v.zero_(); w.sum().backward(); [w, y.grad]
w = y * 1; w.detach_(); w.requires_grad
y.add_(1)
y.data.add_(1); y
y.data = torch.ones(3, 4); y
y[0].mul_(2)
w = y.exp(); w.add_(1); w.sum().backward(); y.grad
w = y.sigmoid(); w.mul_(2); w.sum().backward()
w = y * y; y.data.mul_(2); w.sum().backward(); y.grad
w = y * 2; v = w * w; w.add_(1); v.sum().backward()
w = y.relu(); w.add_(1); w.sum().backward(); y.grad
w = y * 2; w.relu_(); w.sum().backward(); y.grad
w = y + 0; w.pow_(2); w.sum().backward(); y.grad
with_ = torch.no_grad(); with_.__enter__(); y.add_(1); with_.__exit__(None, None, None); y
w = y.unbind(0); w[0].add_(1)
w = (y * 1).unbind(0); w[0].add_(1); w[1].sum().backward(); y.grad
w = y.view(4, 3); w.requires_grad, w.is_leaf
w = y.detach().requires_grad_(); (w * 2).sum().backward(); [w.grad, y.grad]
(y * 2).sum().backward(); (y * 3).sum().backward(); y.grad
y.grad = torch.ones(3, 4); (y * 2).sum().backward(); y.grad
(y * 2).sum().backward(); y.grad.zero_(); y.grad
y.sum().backward(); g2 = y.grad; y.sum().backward(); g2 is y.grad
y.sum().backward(retain_graph=True); y.grad
w = y.sum(); w.backward(); w.backward()
w = (y * y).sum(); w.backward(); w.backward()
(y * 2).backward()
(y * 2).backward(torch.ones(3, 4)); y.grad
(y * 2).backward(torch.ones(4))
torch.autograd.grad(y.sum(), y)
torch.autograd.grad(y.sum(), x)
torch.autograd.grad((y * y).sum(), y, create_graph=True)[0].sum().backward(); y.grad
torch.autograd.grad(x.sum(), y)
torch.autograd.grad(y.sum(), [y, y])
torch.autograd.grad(y[0].sum(), y)[0]
w = y * 2; w.retain_grad(); w.mul_(3); w.sum().backward(); w.grad
w = y * 2; w.mul_(3); w.retain_grad(); w.sum().backward(); w.grad
w = y * 2; w.retain_grad(); w[0] = 0; w.sum().backward(); [w.grad, y.grad]
y.retain_grad(); y.sum().backward(); y.grad
x.retain_grad()
w = y * 2; w.register_hook(lambda g: g * 10); w.sum().backward(); y.grad
y.register_hook(lambda g: g * 10); y.sum().backward(); y.grad
w = y * 2; h = w.register_hook(lambda g: g * 10); h.remove(); w.sum().backward(); y.grad
w = y * 2; w.register_hook(lambda g: g * 10); w.register_hook(lambda g: g + 1); w.sum().backward(); y.grad
y.requires_grad_(False).requires_grad
(y * 2).requires_grad_(False)
i.requires_grad_()
(y * 2).is_leaf
y.is_leaf, y.grad_fn
y.float() is y
y.to(torch.float64).sum().backward(); y.grad.dtype
y.half().sum().backward(); y.grad.dtype
y.long().requires_grad
(y > 0).requires_grad
y.argmax().requires_grad
y.detach().requires_grad
y.clone().requires_grad
y.data.requires_grad
y.numpy()
y.tolist()[0][0]
y[0, 0].item()
float(y.sum())
np.asarray(y.detach()).shape
np.asarray(y)
y.expand(2, 3, 4).sum().backward(); y.grad
y.repeat(2, 1).sum().backward(); y.grad
y.t().contiguous().sum().backward(); y.grad
torch.cat([y, y]).sum().backward(); y.grad
torch.stack([y, y]).sum().backward(); y.grad
(y + y[0]).sum().backward(); y.grad
(y * torch.tensor(2)).sum().backward(); y.grad
(y @ y.t()).sum().backward(); y.grad
y.max(1)[0].sum().backward(); y.grad
y.sort(1)[0].sum().backward(); y.grad
y.cumsum(1).sum().backward(); y.grad
torch.where(m, y, 0).sum().backward(); y.grad
y.masked_fill(m, 0).sum().backward(); y.grad
y.masked_select(m).sum().backward(); y.grad
y.index_select(0, torch.tensor([0, 0])).sum().backward(); y.grad
y.gather(1, torch.tensor([[0, 0], [1, 1]])).sum().backward(); y.grad
y.scatter(1, torch.tensor([[0], [1], [2]]), 5.).sum().backward(); y.grad
y.scatter_add(1, torch.tensor([[0], [1], [2]]), torch.ones(3, 1)).sum().backward(); y.grad
y.index_add(0, torch.tensor([0]), torch.ones(1, 4)).sum().backward(); y.grad
y.take(torch.tensor([0, 0])).sum().backward(); y.grad
y.diagonal().sum().backward(); y.grad
y.unfold(1, 2, 1).sum().backward(); y.grad
y.roll(1).sum().backward(); y.grad
y.flip(0)[0].sum().backward(); y.grad
y.prod().backward(); y.grad
y.norm().backward(); y.grad
y.std().backward(); y.grad
y.var(0).sum().backward(); y.grad
y.median().backward(); y.grad
F.pad(y, (1, 1)).sum().backward(); y.grad
F.dropout(y, 0.).sum().backward(); y.grad
F.dropout(y, 1.).sum().backward(); y.grad
y.tril().sum().backward(); y.grad
y.reshape(2, 6)[0].sum().backward(); y.grad
torch.einsum('ij,ij->', y, y).backward(); y.grad
(y ** 2).mean().backward(); y.grad
y.clamp(0, 0.5).sum().backward(); y.grad
y[0] = 1; y
y.data[0] = 1; y
""".strip().splitlines()
DELIBERATE = {
    "w = (y * 1).unbind(0); w[0].add_(1); w[1].sum().backward(); y.grad": "views of several results are written to like others; the gradient is right",
    "y.sum().backward(); g2 = y.grad; y.sum().backward(); g2 is y.grad": "gradients are added up in a new tensor",
    "w = y.sum(); w.backward(); w.backward()": "a graph is freed by any backward pass",
}


@pytest.mark.parametrize("program", list(dict.fromkeys(PROGRAMS)))
def test_autograd(program: str) -> None:
    check(program, torch, DELIBERATE)
