"""Half precision on arrays: what adds up many numbers computes in single precision and rounds once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np


def in_single(kernel: Callable[..., None] | None) -> Callable[..., None] | None:
    """``kernel(out, *ins)`` for float16 and bfloat16, whose 11 and 8 bits lose what a sum of more than a few hundred numbers adds."""
    assert kernel is not None

    def computed(outs: Any, *ins: Any, **attrs: Any) -> None:
        several = isinstance(outs, list)
        half = (outs[0] if several else outs).dtype
        if half.kind in "iu":  # int16 has as many bytes
            kernel(outs, *ins, **attrs)
            return
        places = outs if several else [outs]
        results = [o.astype(np.float32) if o.dtype == half else o for o in places]
        wide = [x.astype(np.float32) if getattr(x, "dtype", None) == half else x for x in ins]
        kernel(results if several else results[0], *wide, **attrs)
        for o, result in zip(places, results, strict=True):
            if o is not result:
                o[...] = result

    return computed
