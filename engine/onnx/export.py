"""``export``: a module as an ONNX file (``torch.onnx.export``)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
import onnx

from engine.nn.module import Module
from engine.onnx.convert import convert
from engine.onnx.graph import OPSET, Graph, axes
from engine.onnx.trace import trace
from engine.version import __version__

Array = np.ndarray[Any, Any]


def export(
    model: Module, args: Any, f: str | Path | IO[bytes] | None = None, *, input_names: Sequence[str] | None = None, output_names: Sequence[str] | None = None,
    opset_version: int | None = None,
) -> onnx.ModelProto:  # fmt: skip
    """The ONNX model of a module in evaluation, for inputs like ``args``: a tensor, or a tuple of them, whose first axis is the batch, which may be of any size.

    It is written to ``f`` where that is given. Raises NotExportable for what ONNX has no form for, ValueError for another opset than 21.
    """
    if opset_version not in (None, OPSET):
        raise ValueError(f"opset_version must be {OPSET}, got {opset_version}")
    examples = [np.asarray(x.detach().cpu().numpy()) for x in (args if isinstance(args, tuple) else (args,))]
    names = list(input_names or ["input", *(f"input_{i}" for i in range(1, len(examples)))])
    if len(names) != len(examples):
        raise ValueError(f"expected {len(examples)} input_names, got {names}")
    training, g = model.training, Graph()
    model.eval()
    try:
        program = trace(model, examples)
    finally:
        model.train(training)
    given = [g.input(name, x.dtype, ["batch", *x.shape[1:]]) for name, x in zip(names, examples, strict=True)]
    results = convert(g, program, given)
    wanted = list(output_names or ["output", *(f"output_{i}" for i in range(1, len(results)))])
    if len(wanted) != len(results):
        raise ValueError(f"expected {len(results)} output_names, got {wanted}")
    for result, name, value in zip(results, wanted, program.outputs, strict=True):
        g.output(result, name, value.dtype, axes(value.shape))
    made = g.model(type(model).__name__, {}, f"epochline {__version__}")
    if f is not None:
        write(made, f)
    return made


def write(made: onnx.ModelProto, f: str | Path | IO[bytes]) -> None:
    """Writes a model to a path or an open file."""
    content = made.SerializeToString()
    if isinstance(f, str | Path):
        Path(f).write_bytes(content)
    else:
        f.write(content)


__all__ = ["export", "write"]
