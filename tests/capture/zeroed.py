"""Runs every kernel that a few training steps use with each of its sizes and strides at 0, one after the other; prints the kernels' names.

A program of its own: what it looks for ends the process.
"""

from __future__ import annotations

import faulthandler
import itertools
from collections.abc import Callable, Iterator

import numpy as np

import engine as torch
from engine import nn
from engine.kernels.native import Native, address, native
from engine.nn import functional as F

FORMULA = {"map": 0, "map_pieces": 0, "matmul_update": 22}
"""Kernels with a formula, and where it begins: what is 0 in it is another formula."""
SELECTORS = {"recurrent_forward": 1, "recurrent_backward": 1, "conv_forward": 1, "conv_data": 1, "conv_weight": 1}
"""Arguments in front that say which kernel it is: another one would read what is not there."""
SMALL = 1 << 16  # sizes and strides; addresses and the bits of real numbers are larger


def steps() -> Iterator[tuple[nn.Module, Callable[[], torch.Tensor]]]:
    """Models, and the loss of each."""
    image, labels = torch.randn(2, 16, 12, 12), torch.tensor([1, 2])
    convolutions = nn.Sequential(
        nn.Conv2d(16, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 16, 3, padding=1, groups=16), nn.BatchNorm2d(16), nn.ReLU(), nn.Conv2d(16, 20, 5, stride=2, padding=2, dilation=1),
        nn.MaxPool2d(3, 2, 1), nn.AvgPool2d(2), nn.Dropout(0.5), nn.Flatten(), nn.Linear(20, 24), nn.LayerNorm(24), nn.Linear(24, 5),
    )  # fmt: skip
    yield convolutions, lambda: F.cross_entropy(convolutions(image), labels)
    gray = nn.Sequential(nn.Conv2d(1, 6, 3, padding=1), nn.Tanh(), nn.Conv2d(6, 3, (7, 3)), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    yield gray, lambda: F.mse_loss(gray(image[:, :1]), torch.ones(2, 3))
    volumes = nn.Sequential(
        nn.Conv3d(16, 16, 3, padding=1, groups=4), nn.Conv3d(16, 6, 3, groups=2), nn.MaxPool3d(2), nn.AvgPool3d(2), nn.Flatten()
    )
    volume = image.reshape(2, 16, 6, 6, 4)
    yield volumes, lambda: volumes(F.pad(volume, (1, 1))).square().mean()
    for layer in (nn.LSTM, nn.GRU, nn.RNN):
        text = nn.ModuleList([nn.Embedding(7, 8), layer(8, 6, batch_first=True), nn.Linear(6, 4)])
        index = torch.tensor([[0, 1, 2], [3, 3, 6]])
        yield text, lambda text=text, index=index: text[2](text[1](text[0](index))[0]).softmax(-1).log_softmax(1).square().mean()  # type: ignore[misc]  # defaults of a lambda have no types
    rows = nn.Linear(5, 3)
    x = torch.randn(4, 6, 5)
    yield (
        rows,
        lambda: (
            (rows(x).transpose(0, 1).sum(1) @ rows(x).sum(0).t()).cos().sum() + torch.cat([rows(x), rows(x)], 1).sum((0, 2)).square().mean()
        ),
    )
    bags = nn.ModuleList([nn.EmbeddingBag(9, 8), nn.EmbeddingBag(9, 8, mode="sum", padding_idx=1)])
    named, starts = torch.tensor([0, 1, 4, 4, 8]), torch.tensor([0, 2, 2])
    yield bags, lambda: (bags[0](named, starts) + bags[1](named, starts)).square().mean()
    drawn = nn.Conv2d(16, 8, 1)
    mask = image[:, :8] > 0
    yield drawn, lambda: F.interpolate(drawn(image).where(mask, image[:, 8:]), scale_factor=1.5, mode="bilinear").square().mean()
    pooled = nn.Conv2d(16, 16, 1)
    yield pooled, lambda: sum(p.float().mean() for p in F.max_pool2d(pooled(image), 2, return_indices=True))  # type: ignore[return-value]  # sum begins with 0


def calls(kernels: Native) -> Iterator[np.ndarray[tuple[int], np.dtype[np.int64]]]:
    """The code of each kernel call in the training steps, which must be held while it is run."""
    for model, loss in steps():
        for optimizer in (torch.optim.SGD(model.parameters(), lr=0.1), torch.optim.Adam(model.parameters())):

            def step(
                model: nn.Module = model, loss: Callable[[], torch.Tensor] = loss, optimizer: torch.optim.Optimizer = optimizer
            ) -> torch.Tensor:
                optimizer.zero_grad()
                value = loss()
                value.backward()
                optimizer.step()
                return value

            compiled = torch.compile(step)
            for _ in range(3):
                compiled()
            for programs in compiled.programs.values():
                for code in (c for program in programs or () for c in program.codes):
                    at = 0
                    while at < len(code):
                        yield code[at : at + 2 + int(code[at + 1])]
                        at += 2 + int(code[at + 1])


def other_calls(kernels: Native) -> Iterator[np.ndarray[tuple[int], np.dtype[np.int64]]]:
    """Those that eager code makes."""
    out, index = np.zeros(64, np.float32), np.arange(16) % 4
    given = {
        "uniform": [16, 1, 1, 1, address(out)],
        "unpool": [address(out), address(index), 2, 8, 16, address(out)],
        "fill": [address(out), 16, 0],
    }
    for name, arguments in given.items():
        yield np.array([kernels.numbers[name], len(arguments), *arguments])


def zeroed(name: str, call: np.ndarray[tuple[int], np.dtype[np.int64]]) -> Iterator[np.ndarray[tuple[int], np.dtype[np.int64]]]:
    """The call with one of its sizes and strides at 0, for each of them, and with all."""
    first, last = 2 + SELECTORS.get(name, 0), len(call)
    if name in FORMULA:
        first += FORMULA[name] + 6 + 3 * int(call[2 + FORMULA[name] + 5])
        last = first + 3 if name == "map" else first + 1
    places = [i for i in range(first, last) if 0 < call[i] < SMALL]
    for chosen in [[i] for i in places] + [places]:
        other = call.copy()
        other[chosen] = 0
        yield other


def main() -> None:
    faulthandler.enable()
    kernels = native()
    assert kernels is not None
    names = {number: name for name, number in kernels.numbers.items()}
    met = set()
    for call in itertools.chain(calls(kernels), other_calls(kernels)):
        name = names[int(call[0])]
        met.add(name)
        for other in zeroed(name, call):
            print(name, other[2:].tolist(), flush=True)
            kernels.run(address(other), len(other))
    print(*sorted(met))


if __name__ == "__main__":
    main()
