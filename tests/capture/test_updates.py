"""Parameters of a size that is updated as soon as its gradient is there: nobody else in the step notices."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import engine as torch
from engine import nn
from engine.capture.rules.update import LARGE
from engine.kernels.native import native
from engine.nn import functional as F

pytestmark = pytest.mark.skipif(native() is None, reason="no compiled kernels on this machine, or EPOCHLINE_KERNELS=numpy")


class Step:
    """A step of a network of two large layers. ``kind`` adds what reads a parameter or a gradient where its update could come too soon."""

    def __init__(self, kind: str) -> None:
        torch.manual_seed(0)
        self.kind = kind
        self.model = nn.Sequential(nn.Linear(LARGE // 256, 256), nn.Tanh(), nn.Linear(256, LARGE // 256))
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=5.0, momentum=0.5)
        self.weight = self.model[2].weight
        self.view = self.weight.detach()[3:9]  # the same memory under another name

    def __call__(self, x: Any, y: Any) -> Any:
        self.optimizer.zero_grad()
        hidden = self.model[1](self.model[0](x))
        loss = F.mse_loss(F.linear(hidden, self.weight, self.model[2].bias), y)
        if self.kind == "used twice":
            loss = loss + F.linear(hidden * 2, self.weight).mean()
        if self.kind == "decay":
            loss = loss + 1e-3 * (self.weight * self.weight).sum()
        loss.backward()
        other = torch.zeros(1)
        if self.kind == "view":
            other = (self.view * hidden.detach()[:1]).sum()
        if self.kind == "clipped":
            nn.utils.clip_grad_norm_(self.model.parameters(), 0.1)
        if self.kind == "norm":
            other = self.weight.grad.square().sum()
        self.optimizer.step()
        return loss, other, self.weight.detach().sum()


@pytest.mark.parametrize("kind", ["plain", "used twice", "decay", "view", "clipped", "norm"])
def test_a_step_with_early_updates_is_the_eager_one(kind: str) -> None:
    eager, fused = Step(kind), Step(kind)
    compiled = torch.compile(fused)
    x, y = (torch.tensor(np.random.default_rng(i).standard_normal((16, LARGE // 256)).astype(np.float32)) for i in (1, 2))
    for _ in range(3):
        for a, b in zip(eager(x, y), compiled(x, y), strict=True):
            np.testing.assert_allclose(b.detach().numpy(), a.detach().numpy(), rtol=1e-5, atol=2e-4)
    (programs,) = compiled.programs.values()
    assert programs
    for p, q in zip(eager.model.parameters(), fused.model.parameters(), strict=True):
        np.testing.assert_allclose(q.detach().numpy(), p.detach().numpy(), rtol=0, atol=2e-6)
    kernels = [i.kernel for i in programs[0].builder.instructions]
    if kind == "plain":
        assert kernels.index("map_pieces") < len(kernels) - kernels[::-1].index("matmul"), "an update before the last product"


def test_no_parameter_has_changed_where_a_launch_fails() -> None:
    net, table = Step("plain"), torch.randn(9, 2)

    def step(x: Any, y: Any, index: Any) -> Any:
        net.optimizer.zero_grad()
        loss = F.mse_loss(net.model(x), y)
        loss.backward()
        found = table.gather(0, index)
        net.optimizer.step()
        return loss, found

    compiled = torch.compile(step)
    x = torch.ones(4, LARGE // 256)
    compiled(x, x, torch.tensor([[3, 8]]))
    (programs,) = compiled.programs.values()
    assert programs and programs[0].launched == ["gather"]
    before = [p.detach().clone() for p in net.model.parameters()]
    with pytest.raises(RuntimeError, match="index 9 is out of bounds"):
        compiled(x, x, torch.tensor([[3, 9]]))
    assert all(torch.equal(p, q) for p, q in zip(net.model.parameters(), before, strict=True))
