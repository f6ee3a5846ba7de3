"""Tensors: NumPy both ways, types, indexing, errors, random numbers, and the meta device."""

import copy
import pickle

import numpy as np
import pytest

import engine as torch
from engine.backend import philox
from engine.ops.random import Generator, drawing_from


def test_numpy_shares_memory() -> None:
    a = np.zeros(3, np.float32)
    x = torch.from_numpy(a)
    a[0] = 5
    x[1] = 6
    assert x.tolist() == [5, 6, 0] and a.tolist() == [5, 6, 0] and x.numpy() is a
    assert np.shares_memory(torch.from_dlpack(a).numpy(), a) and np.from_dlpack(x).tolist() == [5, 6, 0]
    with pytest.raises(RuntimeError, match="requires grad"):
        torch.ones(1, requires_grad=True).numpy()


def test_typed_constructors() -> None:
    for name, dtype in (("Float", "float32"), ("Double", "float64"), ("Short", "int16"), ("Int", "int32"), ("Long", "int64")):
        constructor = getattr(torch, f"{name}Tensor")
        assert constructor([1, 2]).dtype is getattr(torch, dtype) and constructor(2, 3).shape == (2, 3)
        assert constructor([1]).type() == f"torch.{name}Tensor"


def test_creation() -> None:
    assert torch.arange(1, 2, 0.25).tolist() == [1, 1.25, 1.5, 1.75] and torch.arange(3).dtype is torch.int64
    assert torch.full((2,), 7).dtype is torch.int64 and torch.eye(2, 3).tolist() == [[1, 0, 0], [0, 1, 0]]
    assert torch.tensor([[1, 2.5]]).dtype is torch.float32 and torch.tensor(True).dtype is torch.bool
    assert torch.stack([torch.ones(2), torch.zeros(2)], 1).tolist() == [[1, 0], [1, 0]]
    with pytest.raises(ValueError, match="rectangular"):
        torch.tensor(np.array([1, "x"], object))


def test_indexing_follows_numpy() -> None:
    a = np.arange(24.0).reshape(2, 3, 4)
    x = torch.tensor(a)
    for index in (0, (1, 2), (slice(None), 1), (..., -1), (0, slice(0, 3, 2)), (None, 1), ([1, 0], [2, 2]), a > 11):
        np.testing.assert_array_equal(x[torch.tensor(index) if isinstance(index, np.ndarray) else index].numpy(), a[index])
    x[0, :, 1] = torch.tensor([7.0, 8.0, 9.0])
    assert x[0, :, 1].tolist() == [7, 8, 9]
    for bad, error in ((5, IndexError), ((0, 0, 0, 0), IndexError), (torch.ones(2), IndexError), (slice(None, None, -1), ValueError)):
        with pytest.raises(error):
            x[bad]
    with pytest.raises(IndexError, match="0-dim"):
        torch.tensor(1.0)[0]


@pytest.mark.parametrize(
    ("broken", "error", "text"),
    [
        (lambda: torch.ones(2, 3) @ torch.ones(2, 3), RuntimeError, "2x3 and 2x3"),
        (lambda: torch.ones(2) + torch.ones(3), RuntimeError, r"size of tensor a \(2\) must match the size of tensor b \(3\)"),
        (lambda: torch.ones(2, 3).reshape(4), RuntimeError, "invalid for input of size 6"),
        (lambda: torch.cat([torch.ones(1, 2), torch.ones(1, 3)]), RuntimeError, "must match except in dimension 0"),
        (lambda: torch.ones(2).item(), RuntimeError, "2 elements"),
        (lambda: torch.ones(2, dtype=torch.int64).mean(), RuntimeError, "floating point"),
        (lambda: torch.ones(2).sum(3), IndexError, r"range of \[-1, 0\], but got 3"),
        (lambda: torch.ones(2, device="cuda:7"), RuntimeError, "cuda"),
        (lambda: torch.ones(2, device="tpu"), RuntimeError, "tpu"),
        (lambda: -torch.tensor(True), RuntimeError, "Negation"),
        (lambda: torch.ones(2, dtype=torch.int64).requires_grad_(), RuntimeError, "floating point"),
        (lambda: bool(torch.ones(2)), RuntimeError, "ambiguous"),
        (lambda: torch.ones(2).add_(torch.ones(2, 2)), RuntimeError, "broadcast"),
        (lambda: torch.ones(2, dtype=torch.int64).add_(0.5), RuntimeError, "can't be cast"),
    ],
)
def test_errors_name_the_place_and_the_values(broken, error, text) -> None:
    with pytest.raises(error, match=text):
        broken()


def test_copies() -> None:
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    for twin in (copy.deepcopy(x), pickle.loads(pickle.dumps(x))):
        assert twin.tolist() == x.tolist() and twin.requires_grad and twin is not x
    p = torch.nn.Parameter(torch.ones(2))
    assert isinstance(copy.deepcopy(p), torch.nn.Parameter) and isinstance(pickle.loads(pickle.dumps(p)), torch.nn.Parameter)


def test_the_meta_device_computes_shapes_without_memory() -> None:
    x = torch.empty(1 << 20, 1 << 20, device="meta")
    y = torch.relu(x @ x.t())[:, :7].reshape(-1).sum()
    assert y.shape == () and y.device.type == "meta"
    with pytest.raises(RuntimeError, match="meta"):
        y.item()


def test_max_gives_values_and_indices() -> None:
    values, indices = torch.tensor([[1.0, 5.0], [7.0, 2.0]]).max(1)
    assert values.tolist() == [5, 7] and indices.tolist() == [1, 0]
    assert torch.tensor([3, 1]).max().item() == 3 and torch.tensor([float("nan"), 1.0]).max().isnan()


# -- random numbers


def test_philox_matches_the_reference() -> None:
    """Known answers of Philox4x32-10, from the Random123 distribution."""
    assert philox._block(0, 0, 0) == (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)
    ones = 2**64 - 1
    assert philox._block(ones, ones, ones) == (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)


def test_arrays_and_integers_give_the_same_words() -> None:
    words = philox.words(np, 123456789012345, 77, 2**33, 100_000).reshape(-1, 4)
    for i in (0, 1, 16_383, 16_384, 24_999):
        assert tuple(int(w) for w in words[i]) == philox._block(123456789012345, 77, 2**33 + i)


def test_seeds_repeat_and_streams_differ() -> None:
    draws = [torch.rand(5, generator=Generator(seed=1, stream=s)).tolist() for s in (0, 0, 1)]
    assert draws[0] == draws[1] != draws[2]
    torch.manual_seed(3)
    state = torch.get_rng_state()
    first = torch.randn(3).tolist()
    torch.set_rng_state(state)
    assert torch.randn(3).tolist() == first
    with drawing_from(Generator(seed=9)):
        inside = torch.rand(2).tolist()
    assert inside == torch.rand(2, generator=Generator(seed=9)).tolist()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_distributions(dtype: str) -> None:
    d = getattr(torch, dtype)
    u, n = torch.rand(200_001, dtype=d).numpy(), torch.randn(200_001, dtype=d).numpy()
    assert u.min() >= 0 and u.max() < 1 and abs(u.mean() - 0.5) < 3e-3 and abs(u.var() - 1 / 12) < 1e-3
    assert abs(n.mean()) < 1e-2 and abs(n.var() - 1) < 2e-2 and abs((n**4).mean() - 3) < 0.1 and np.isfinite(n).all()
    k = torch.randint(-2, 3, (50_000,)).numpy()
    assert set(k) == {-2, -1, 0, 1, 2} and abs(k.mean()) < 0.03
    assert sorted(torch.randperm(1000).tolist()) == list(range(1000))


def test_views_share_memory_down_to_a_single_element() -> None:
    x = torch.zeros(3)
    for view in (x[1], x[1:2], x.reshape(3, 1)[1, 0]):
        view.add_(1)
    assert x.tolist() == [0, 3, 0] and isinstance(x[1].numpy(), np.ndarray)
