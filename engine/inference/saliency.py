"""Where a model looked: how much its answer depends on each part of a sample (Simonyan et al., 2014, https://arxiv.org/abs/1312.6034)."""

from __future__ import annotations

from typing import Any

import numpy as np

from engine.inference.model import Model
from engine.inference.outputs import each

Array = np.ndarray[Any, Any]


def saliency(model: Model, sample: Array) -> Array:
    """The absolute gradient of the strongest output by a sample as ``model.reader.sample`` gives it, scaled to at most 1.

    Of an image ``(C, H, W)`` the largest over the channels, ``(H, W)``; else in the shape of the sample. Of several outputs the first. Raises ValueError where samples are indices.
    """
    if model.input.limit is not None:
        raise ValueError("a model of indices has no gradient by its sample")
    source = model.reader.source([sample])
    x = source.batch(np.arange(1), model.pipeline, None, model.input).to(model.device, model.dtype).requires_grad_()
    out = each(model.module(x))[0].reshape(-1)
    out[int(out.detach().argmax())].backward()
    assert x.grad is not None
    found: Array = np.abs(x.grad[0].numpy())
    found = found.max(0) if found.ndim == 3 else found
    return found / max(float(found.max()), np.finfo(found.dtype).tiny)
