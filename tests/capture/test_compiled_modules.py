"""``compile`` of a module: a program where nobody differentiates it, the module itself where somebody does."""

import copy
import pickle
from typing import Any

import numpy as np
import pytest

import engine as torch
from engine import nn
from engine.nn import functional as F


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.last, self.scale = nn.Linear(3, 8), nn.Linear(8, 2), nn.Parameter(torch.ones(1))

    def forward(self, x: Any, negated: bool = False) -> Any:
        y = self.last(F.dropout(F.relu(self.first(x)), 0.5, self.training)) * self.scale
        return -y if negated else y


@pytest.fixture
def pair() -> tuple[Any, Any]:
    torch.manual_seed(0)
    net = Net().eval()
    plain = copy.deepcopy(net)
    return torch.compile(net, mode="reduce-overhead", fullgraph=True), plain


X = torch.tensor(np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32))


def close(a: Any, b: Any) -> bool:
    return bool(np.allclose(a.detach().numpy(), b.detach().numpy(), rtol=1e-5, atol=1e-6))


def test_it_is_the_module_still(pair: Any) -> None:
    net, plain = pair
    assert isinstance(net, Net) and list(net.state_dict()) == list(plain.state_dict())
    y = net(X)
    y.sum().backward()
    plain(X).sum().backward()
    assert all(close(p.grad, q.grad) for p, q in zip(net.parameters(), plain.parameters(), strict=True))


def test_it_is_a_program_without_gradients(pair: Any) -> None:
    net, plain = pair
    with torch.no_grad():
        assert close(net(X), plain(X)) and close(net(X), plain(X))
        assert [len(p) for p in net.forward.programs.values()] == [1]
        assert close(net(X, negated=True), -plain(X))  # what has no tensor's shape runs as it is
        assert close(net(X[:2]), plain(X[:2]))


def test_changes_are_noticed(pair: Any) -> None:
    net, plain = pair
    with torch.no_grad():
        net(X)
        net.scale.data.mul_(2)
        assert close(net(X), plain(X) * 2)
        net.scale = nn.Parameter(torch.ones(1) * 3)  # another parameter in its place
        assert close(net(X), plain(X) * 3)
        net.train()
        assert not close(net(X), plain(X) * 3)


def test_copies_are_plain(pair: Any) -> None:
    net, plain = pair
    with torch.no_grad():
        net(X)
        for other in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
            assert "forward" not in vars(other) and close(other(X), plain(X))


def test_it_is_part_of_a_captured_step(pair: Any) -> None:
    def trained(net: Any) -> list[float]:
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)

        @torch.compile
        def step(x: Any) -> Any:
            optimizer.zero_grad()
            loss = net(x).square().mean()
            loss.backward()
            optimizer.step()
            return loss

        losses = [step(X).item() for _ in range(4)]
        assert all(step.programs.values())
        return losses

    net, plain = pair
    np.testing.assert_allclose(trained(net), trained(plain), rtol=1e-6)


def test_options_and_decorators() -> None:
    @torch.compile(dynamic=True, backend="inductor")
    def doubled(x: Any) -> Any:
        return x * 2

    assert close(doubled(X), X * 2) and doubled.programs

    def same(x: Any) -> Any:
        return x

    assert torch.compile(same, disable=True) is same
    layer = nn.Linear(3, 2)
    layer.compile()
    with torch.no_grad():
        assert close(layer(X), F.linear(X, layer.weight, layer.bias))


def test_what_is_to_be_differentiated_runs_as_it_is(caplog: pytest.LogCaptureFixture) -> None:
    weight = torch.ones(3, requires_grad=True)
    scaled = torch.compile(lambda x: x * weight)
    scaled(X).sum().backward()
    assert weight.grad is not None and close(weight.grad, X.sum(0)) and "differentiated" in caplog.text
