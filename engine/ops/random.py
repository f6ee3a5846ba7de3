"""Random numbers: a generator is a seed, a stream and a counter, so its whole state is three integers."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.backend import Array, array_module, philox
from engine.dispatch import Op
from engine.dtypes import FLOAT, float32, float64
from engine.graph import apply
from engine.ops.elementwise import cast
from engine.ops.unary import log1p

if TYPE_CHECKING:
    from engine.tensor import Tensor


class Generator:
    """Draws numbers from Philox's ``stream`` for a seed. Equal state gives equal numbers, on every device."""

    def __init__(self, device: Any = "cpu", *, seed: int = 67280421310721, stream: int = 0) -> None:
        self.device, self.stream = device, stream
        self._seed, self._counter = seed & (2**64 - 1), 0

    def manual_seed(self, seed: int) -> Generator:
        """Starts the stream of ``seed`` from its beginning."""
        self._seed, self._counter = int(seed) & (2**64 - 1), 0
        return self

    def seed(self) -> int:
        """Seeds from the system's entropy; returns the seed."""
        return self.manual_seed(secrets.randbits(63))._seed

    def initial_seed(self) -> int:
        return self._seed

    def get_state(self) -> list[int]:
        return [self._seed, self.stream, self._counter]

    def set_state(self, state: list[int]) -> None:
        self._seed, self.stream, self._counter = (int(n) for n in state)

    def take(self, n: int, words_each: int = 1) -> dict[str, int]:
        """Reserves the counters for ``n`` numbers; the attributes of the op that draws them."""
        start = self._counter
        self._counter += philox.counters_used(n, words_each)
        return {"seed": self._seed, "stream": self.stream, "start": start}

    def split(self, stream: int) -> Generator:
        """An independent generator with the same seed."""
        return Generator(self.device, seed=self._seed, stream=stream)


default_generator = Generator()
_local = threading.local()


def current_generator() -> Generator:
    """The generator that draws where none is named: the default one, outside of ``drawing_from``."""
    return getattr(_local, "generator", None) or default_generator


def manual_seed(seed: int) -> Generator:
    """Makes every draw from here on repeatable; returns the default generator."""
    return current_generator().manual_seed(seed)


def seed() -> int:
    """Seeds from the system's entropy; returns the seed."""
    return current_generator().seed()


def initial_seed() -> int:
    return current_generator().initial_seed()


def get_rng_state() -> list[int]:
    return current_generator().get_state()


def set_rng_state(state: list[int]) -> None:
    current_generator().set_state(state)


def _randint_kernel(out: Array, x: Array, low: int, high: int, seed: int, stream: int, start: int) -> None:
    xp = array_module(out)
    w = philox.words(xp, seed, stream, start, 2 * out.size).reshape(out.size, 2)
    span = xp.uint64(high - low)
    out[...] = (low + ((w[:, 0] << xp.uint64(32) | w[:, 1]) % span).astype(xp.int64)).reshape(out.shape)


def _fill_op(name: str, kernel: Any) -> Op:
    """An op that draws a tensor like its input, of which only shape, dtype and device matter."""
    return Op(name, ["x"], infer=lambda x, **attrs: (x.shape, x.dtype), kernel=kernel)


_uniform = _fill_op("uniform", lambda out, x, seed, stream, start: philox.uniform(array_module(out), seed, stream, start, out))
_normal = _fill_op("normal", lambda out, x, seed, stream, start: philox.normal(array_module(out), seed, stream, start, out))
_randint = _fill_op("randint", _randint_kernel)


def _words_each(x: Tensor) -> int:
    return 2 if x.dtype.numpy == np.float64 else 1


def uniform_like(x: Tensor, generator: Generator | None = None) -> Tensor:
    """Uniform numbers in [0, 1) in the shape, dtype and device of ``x``."""
    return apply(_uniform, x.detach(), **(generator or current_generator()).take(x.numel(), _words_each(x)))


def draws_like(x: Tensor, generator: Generator | None = None) -> Tensor:
    """Uniform numbers in [0, 1) in the shape and on the device of ``x``, for what is compared with them or made of them: in single precision at least."""
    wide = x.dtype if x.dtype.category == FLOAT and x.dtype.itemsize >= 4 else float32 if x.dtype.category == FLOAT else float64
    return uniform_like(x.detach() if x.dtype is wide else x.new_zeros(x.shape, dtype=wide), generator)


def exponential_like(x: Tensor, generator: Generator | None = None) -> Tensor:
    """Exponential numbers of rate 1, never 0, in the shape, dtype and device of ``x``."""
    u = draws_like(x, generator)
    return cast((-log1p(-u)).clamp(min=float(np.finfo(u.dtype.numpy).eps) / 2), x.dtype)


def normal_like(x: Tensor, generator: Generator | None = None) -> Tensor:
    """Standard normal numbers in the shape, dtype and device of ``x``."""
    return apply(_normal, x.detach(), **(generator or current_generator()).take(x.numel(), _words_each(x)))


def randint_like(x: Tensor, low: int, high: int, generator: Generator | None = None) -> Tensor:
    """Integers from ``low`` up to but not including ``high``."""
    if high <= low:
        raise RuntimeError(f"random_ expects 'from' to be less than 'to', but got from={low} >= to={high}")
    return apply(_randint, x.detach(), low=low, high=high, **(generator or current_generator()).take(x.numel(), 2))


def permutation(n: int, generator: Generator | None = None) -> np.ndarray[Any, np.dtype[np.int64]]:
    """A random order of ``range(n)``: the order of as many 64-bit words."""
    g = (generator or current_generator()).take(n, 2)
    w = philox.words(np, g["seed"], g["stream"], g["start"], 2 * n).reshape(n, 2)
    return np.argsort(w[:, 0] << np.uint64(32) | w[:, 1], kind="stable")


def dropout_mask(x: Tensor, p: float) -> Tensor:
    """1 / (1 - p) where a uniform number is at least ``p``, else 0; in the shape of ``x``."""
    return (draws_like(x) >= p).to(x.dtype) * (1 / (1 - p))


def _dropout_kernel(out: Array, x: Array, p: float, seed: int, stream: int, start: int) -> None:
    xp = array_module(out)
    draws = out if out.itemsize > 2 else xp.empty(out.shape, xp.float32)
    philox.uniform(xp, seed, stream, start, draws)
    xp.multiply(x, (draws >= p) * out.dtype.type(1 / (1 - p)), out=out)


_dropout: Op = Op(
    "dropout",
    ["x"],
    infer=lambda x, **attrs: (x.shape, x.dtype),
    kernel=_dropout_kernel,
    vjps={"x": lambda g, p, seed, stream, start: apply(_dropout, g, p=p, seed=seed, stream=stream, start=start)},
)


def dropout(x: Tensor, p: float) -> Tensor:
    """``x / (1 - p)`` where a uniform number is at least ``p``, else 0; the gradient draws the same numbers again."""
    return apply(_dropout, x, p=p, **current_generator().take(x.numel(), _words_each(x)))


@contextmanager
def drawing_from(generator: Generator) -> Iterator[None]:
    """Inside, in this thread, ``generator`` stands for the default generator, which goes on afterwards where it was."""
    before = getattr(_local, "generator", None)
    _local.generator = generator
    try:
        yield
    finally:
        _local.generator = before


def multinomial(input: Tensor, num_samples: int, replacement: bool = False, *, generator: Generator | None = None) -> Tensor:
    """Indices drawn by the weights in each row ``(..., n)``: ``(..., num_samples)`` int64. Raises RuntimeError for weights that are none."""
    if input.ndim not in (1, 2):
        raise RuntimeError("prob_dist must be 1 or 2 dim")
    if input.dtype.category != FLOAT:
        raise RuntimeError(f"multinomial only supports floating-point dtypes for input, got: {input.dtype.legacy_name}")
    if num_samples <= 0:
        raise RuntimeError("cannot sample n_sample <= 0 samples")
    if not replacement and num_samples > input.shape[-1]:
        raise RuntimeError("cannot sample n_sample > prob_dist.size(-1) samples without replacement")
    weights = cast(input.detach(), float64)
    if not bool((weights.isfinite() & (weights >= 0)).all()):
        raise RuntimeError("probability tensor contains either `inf`, `nan` or element < 0")
    if bool((weights.sum(-1) <= 0).any()):
        raise RuntimeError("invalid multinomial distribution (sum of probabilities <= 0)")
    if not replacement:  # the order of exponential races (Efraimidis and Spirakis, 2006)
        races = uniform_like(weights, generator).clamp(min=1e-300).log() / weights.clamp(min=1e-300)
        return races.topk(num_samples).indices
    total = weights.cumsum(-1)
    draws = uniform_like(total.new_zeros((*input.shape[:-1], num_samples)), generator) * total[..., -1:]
    return (draws.unsqueeze(-1) >= total.unsqueeze(-2)).sum(-1)


def bernoulli(input: Tensor, p: float | None = None, *, generator: Generator | None = None) -> Tensor:
    """Ones with the probabilities in ``input`` (or ``p`` everywhere), else zeros."""
    if p is None and bool(((input < 0) | (input > 1)).any()):
        raise RuntimeError("Expected p_in >= 0 && p_in <= 1 to be true, but got a probability outside of [0, 1]")
    return cast(draws_like(input, generator) < (input.detach() if p is None else p), input.dtype)
