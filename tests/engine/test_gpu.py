"""Every op sample on a device, beside NumPy: on CuPy where there is a GPU, and everywhere on a strict stand-in for it."""

from typing import Any

import numpy as np
import pytest

import engine as torch
from engine.autograd import grad
from tests.engine.samples import COMPOSITES, SAMPLES, VALUES

CASES = {
    **{f"{n}-{i}": s for n, samples in SAMPLES.items() for i, s in enumerate(samples)},
    **COMPOSITES,
    **{f"values of {n}": s for n, s in VALUES.items()},
}


@pytest.mark.parametrize("name", CASES)
def test_values_and_gradients(name: str, cuda: None) -> None:
    function, inputs = CASES[name]
    results: list[list[Any]] = []
    for device in ("cpu", "cuda"):
        xs = [x.detach().to(device).requires_grad_() for x in inputs]
        y = function(*xs)
        assert y.device.type == device
        gradients = grad(y.sum(), xs, allow_unused=True) if y.requires_grad else []
        assert all(g is None or g.device.type == device for g in gradients)
        results.append([np.asarray(t.detach().cpu().numpy()) for t in (y, *gradients) if t is not None])
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-9)


def test_a_seed_means_the_same_numbers_on_every_device(cuda: None) -> None:
    for draw in (torch.rand, torch.randn):
        torch.manual_seed(1)
        here = draw(1001).numpy()
        torch.manual_seed(1)
        there = draw(1001, device="cuda").cpu().numpy()
        np.testing.assert_allclose(here, there, rtol=1e-6)


def test_devices_do_not_mix(cuda: None) -> None:
    x = torch.ones(2).cuda(non_blocking=True)
    with pytest.raises(RuntimeError, match="same device"):
        x + torch.ones(2)
    with pytest.raises(RuntimeError, match="same device"):
        torch.ones(()) + x + torch.ones(2)
    with pytest.raises(TypeError, match="cpu\\(\\)"):
        x.numpy()
    assert (x + 1).cpu().tolist() == [2, 2] and x.device.index == 0


def test_numbers_on_the_cpu_meet_tensors_anywhere(cuda: None) -> None:
    """A tensor of no dimensions does; its gradient comes back to it."""
    x, n = torch.ones(2, device="cuda", requires_grad=True), torch.tensor(3.0, dtype=torch.float64, requires_grad=True)
    y = n * x + x / n
    assert y.device == x.device and y.dtype is torch.float32
    y.sum().backward()
    assert n.grad.device.type == "cpu" and n.grad.item() == pytest.approx(2 - 2 / 9)
    assert x.grad.is_cuda and x.grad.tolist() == pytest.approx([3 + 1 / 3] * 2)
    z = x.detach()
    z.mul_(n.detach())
    z[0] = torch.tensor(7.0)
    z[[1]] = torch.tensor(3.0)
    assert z.tolist() == [7, 3] and 7 in z and 5 not in z
    here = torch.zeros(3)
    here[:2] = z  # a copy, as copy_ makes
    assert here.tolist() == [7, 3, 0]
    with pytest.raises(RuntimeError, match="same device"):
        here[[0, 1]] = z
    assert torch.where(z > 5, z, torch.tensor(0.0)).tolist() == [7, 0]
    p = torch.ones(2, device="cuda", requires_grad=True)
    (p * 2).sum().backward()
    torch.optim.SGD([p], lr=torch.tensor(0.25)).step()
    assert p.tolist() == [0.5, 0.5]


def test_tolerances_of_each_matrix(cuda: None) -> None:
    """Where a matrix has an absolute one, there is no relative one by default, as in PyTorch."""
    x = torch.diag(torch.tensor([1.0, 1e-20], dtype=torch.float64)).expand(2, 2, 2).cuda()
    atol = torch.tensor([0.0, 1e-30], dtype=torch.float64, device="cuda")
    assert torch.linalg.matrix_rank(x, atol=atol).tolist() == [1, 2]


def test_training_stays_on_the_device(cuda: None) -> None:
    """Layers, a loss and every optimizer: no array crosses unasked."""
    torch.manual_seed(0)
    x, target = torch.randn(8, 1, 6, 6), torch.randint(3, (8,))
    for optimizer in ("SGD", "Adam", "RMSprop", "Adagrad", "Adadelta", "Adamax", "NAdam", "RAdam", "Rprop", "ASGD"):
        losses = []
        for device in ("cpu", "cuda"):
            torch.manual_seed(1)
            net = torch.nn.Sequential(
                torch.nn.Conv2d(1, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.ReLU(), torch.nn.MaxPool2d(2), torch.nn.Flatten(), torch.nn.Linear(16, 3)
            ).to(device)  # fmt: skip
            step = getattr(torch.optim, optimizer)(net.parameters(), lr=0.01)
            for _ in range(3):
                step.zero_grad()
                loss = torch.nn.functional.cross_entropy(net(x.to(device)), target.to(device))
                loss.backward()
                step.step()
            losses.append(loss.item())
        assert abs(losses[0] - losses[1]) < 1e-5, optimizer
