"""Models as ONNX files (opset 21), which onnxruntime and others run: any function of tensors that the engine's ops compute. Needs the extra ``onnx``."""

try:
    import onnx as _onnx  # noqa: F401 - to tell at once if it is missing
except ImportError as error:
    raise ImportError("engine.onnx needs the library onnx: install epochline[onnx]") from error

from engine.onnx.export import export
from engine.onnx.finished import export_model
from engine.onnx.trace import NotExportable

__all__ = ["NotExportable", "export", "export_model"]
