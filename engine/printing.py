"""The text of a tensor, as PyTorch prints it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from engine import dtypes

if TYPE_CHECKING:
    from engine.tensor import Tensor

PRECISION, THRESHOLD, EDGE_ITEMS, LINE_WIDTH = 4, 1000, 3, 80


class _Formatter:
    """One layout for all the numbers of a tensor: integers, fixed point or scientific."""

    def __init__(self, values: np.ndarray[Any, Any]) -> None:
        self.floating = values.dtype.kind not in "biu"
        self.scientific, self.whole = False, self.floating
        flat = values.astype(np.float64).ravel() if self.floating else values.ravel()
        if self.floating:
            flat = flat[np.isfinite(flat) & (flat != 0)]  # zeros, infinities and NaN do not decide the layout
            if flat.size:
                low, high = float(np.abs(flat).min()), float(np.abs(flat).max())
                self.scientific = high / low > 1000 or high > 1e8 or low < 1e-4
                self.whole = bool(np.all(flat == np.ceil(flat)))
        self.width = max((len(self.text(v)) for v in flat), default=1)

    def text(self, value: Any) -> str:
        if not self.floating:
            return str(bool(value)) if isinstance(value, np.bool_) else str(value)
        if not math.isfinite(value):
            return str(float(value))
        if self.scientific:
            return f"{value:.{PRECISION}e}"
        return f"{value:.0f}." if self.whole else f"{value:.{PRECISION}f}"

    def padded(self, value: Any) -> str:
        return self.text(value).rjust(self.width)


def _summarized(x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The elements at the edges, which decide the layout of a large tensor."""
    for dim in range(x.ndim):
        if x.shape[dim] > 2 * EDGE_ITEMS:
            x = np.concatenate((x.take(range(EDGE_ITEMS), dim), x.take(range(-EDGE_ITEMS, 0), dim)), dim)
    return x


def _rows(x: np.ndarray[Any, Any], indent: int, formatter: _Formatter, summarize: bool) -> str:
    if x.ndim == 0:
        return formatter.padded(x[()])
    cut = summarize and x.shape[0] > 2 * EDGE_ITEMS
    if x.ndim == 1:
        items = [formatter.padded(v) for v in (x if not cut else [*x[:EDGE_ITEMS], *x[-EDGE_ITEMS:]])]
        if cut:
            items.insert(EDGE_ITEMS, " ...")
        per_line = max(1, (LINE_WIDTH - indent) // (formatter.width + 2))
        lines = [", ".join(items[i : i + per_line]) for i in range(0, len(items), per_line)]
        return "[" + (",\n" + " " * (indent + 1)).join(lines) + "]"
    rows = [_rows(r, indent + 1, formatter, summarize) for r in (x if not cut else [*x[:EDGE_ITEMS], *x[-EDGE_ITEMS:]])]
    if cut:
        rows.insert(EDGE_ITEMS, "...")
    return "[" + ("," + "\n" * (x.ndim - 1) + " " * (indent + 1)).join(rows) + "]"


def render(x: Tensor, name: str = "tensor") -> str:
    """``tensor([1., 2.], device='cuda:0', dtype=torch.float64, grad_fn=<MulBackward0>)``."""
    suffixes = []
    where = x.device
    if where.type != "cpu":
        suffixes.append(f"device='{where}'")
    if where.type == "meta":
        body = "..."
        suffixes.append(f"size={tuple(x.shape)}")
    elif x.numel() == 0:
        body = "[]"
        if x.ndim != 1:
            suffixes.append(f"size={tuple(x.shape)}")
    else:
        values = np.asarray(x.detach().cpu().numpy())
        summarize = x.numel() > THRESHOLD
        body = _rows(values, len(name) + 1, _Formatter(_summarized(values) if summarize else values), summarize)
    if x.dtype not in (dtypes.get_default_dtype(), dtypes.int64, dtypes.bool_) or (
        x.numel() == 0 and x.dtype is not dtypes.get_default_dtype()
    ):
        suffixes.append(f"dtype={x.dtype!r}")
    if x.grad_fn is not None:
        suffixes.append(f"grad_fn=<{x.grad_fn.name()}>")
    elif x.requires_grad:
        suffixes.append("requires_grad=True")
    return _with_suffixes(f"{name}({body}", suffixes, len(name) + 1)


def _with_suffixes(text: str, suffixes: list[str], indent: int) -> str:
    """Appends the suffixes, on a new line where the last one is full."""
    length = len(text) - text.rfind("\n") + 1
    for suffix in suffixes:
        if length + len(suffix) + 2 > LINE_WIDTH:
            text += ",\n" + " " * indent + suffix
            length = indent + len(suffix)
        else:
            text += ", " + suffix
            length += len(suffix) + 2
    return text + ")"
