"""Whether an ONNX model computes what the engine computes, by onnxruntime, which this module needs."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime

from engine.inference import Model

Array = np.ndarray[Any, Any]
TOLERANCE = 1e-5


def session(made: onnx.ModelProto | bytes) -> Any:
    """An onnxruntime session of one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    content = made if isinstance(made, bytes) else made.SerializeToString()
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def difference(made: onnx.ModelProto | bytes, model: Model, samples: list[Array]) -> float:
    """How far the outputs for samples (as ``model.reader.sample`` gives them) are apart at most, in parts of the largest output, or of 1 if that is less."""
    runner = session(made)
    expected = model.outputs(samples)
    if runner.get_inputs()[0].name == "input":
        source = model.reader.source(samples)
        given = source.batch(np.arange(len(samples)), model.pipeline, None, model.input).numpy().astype(np.float32)
    else:
        given = np.stack(samples)
    found = runner.run(["output"], {runner.get_inputs()[0].name: given})[0]
    return float(np.abs(found - expected).max(initial=0) / max(1.0, np.abs(expected).max(initial=0)))
