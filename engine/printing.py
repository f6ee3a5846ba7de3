"""The text of a tensor, as PyTorch prints it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from engine import dtypes

if TYPE_CHECKING:
    from engine.tensor import Tensor


@dataclass
class _Options:
    precision: int = 4
    threshold: float = 1000
    edgeitems: int = 3
    linewidth: int = 80
    sci_mode: bool | None = None


_options = _Options()
_PROFILES = {"default": _Options(), "short": _Options(2, 1000, 2, 80), "full": _Options(4, math.inf, 3, 80)}


def set_printoptions(
    precision: int | None = None, threshold: float | None = None, edgeitems: int | None = None, linewidth: int | None = None, profile: str | None = None,
    sci_mode: bool | None = None,
) -> None:  # fmt: skip
    """How tensors are printed from here on: digits, when to cut, how much to leave at the edges, the width; a profile is default, short or full."""
    if profile is not None:
        if profile not in _PROFILES:
            raise ValueError(f"profile must be one of {', '.join(_PROFILES)}, got {profile!r}")
        _options.__dict__.update(vars(_PROFILES[profile]))
    given = {"precision": precision, "threshold": threshold, "edgeitems": edgeitems, "linewidth": linewidth}
    _options.__dict__.update({k: v for k, v in given.items() if v is not None})
    _options.sci_mode = sci_mode


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
                self.scientific = (high / low > 1000 or high > 1e8 or low < 1e-4) if _options.sci_mode is None else _options.sci_mode
                self.whole = bool(np.all(flat == np.ceil(flat)))
        self.width = max((len(self.text(v)) for v in flat), default=1)

    def text(self, value: Any) -> str:
        if not self.floating:
            return str(bool(value)) if isinstance(value, np.bool_) else str(value)
        if not math.isfinite(value):
            return str(float(value))
        if self.scientific:
            return f"{value:.{_options.precision}e}"
        return f"{value:.0f}." if self.whole else f"{value:.{_options.precision}f}"

    def padded(self, value: Any) -> str:
        return self.text(value).rjust(self.width)


def _summarized(x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The elements at the edges, which decide the layout of a large tensor."""
    for dim in range(x.ndim):
        if x.shape[dim] > 2 * _options.edgeitems:
            x = np.concatenate((x.take(range(_options.edgeitems), dim), x.take(range(-_options.edgeitems, 0), dim)), dim)
    return x


def _rows(x: np.ndarray[Any, Any], indent: int, formatter: _Formatter, summarize: bool) -> str:
    if x.ndim == 0:
        return formatter.padded(x[()])
    cut = summarize and x.shape[0] > 2 * _options.edgeitems
    if x.ndim == 1:
        items = [formatter.padded(v) for v in (x if not cut else [*x[: _options.edgeitems], *x[-_options.edgeitems :]])]
        if cut:
            items.insert(_options.edgeitems, " ...")
        per_line = max(1, (_options.linewidth - indent) // (formatter.width + 2))
        lines = [", ".join(items[i : i + per_line]) for i in range(0, len(items), per_line)]
        return "[" + (",\n" + " " * (indent + 1)).join(lines) + "]"
    rows = [_rows(r, indent + 1, formatter, summarize) for r in (x if not cut else [*x[: _options.edgeitems], *x[-_options.edgeitems :]])]
    if cut:
        rows.insert(_options.edgeitems, "...")
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
        summarize = x.numel() > _options.threshold
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
        if length + len(suffix) + 2 > _options.linewidth:
            text += ",\n" + " " * indent + suffix
            length = indent + len(suffix)
        else:
            text += ", " + suffix
            length += len(suffix) + 2
    return text + ")"
