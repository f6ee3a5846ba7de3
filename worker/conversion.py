"""Models in other formats: ``python -m worker.conversion FORMAT SOURCE TARGET``, in a process of its own, which may die of what it reads.

Formats: ``torch``, a state dict that ``torch.load`` reads; ``onnx``, with preprocessing and the names of classes; ``card``, a page in Markdown;
``safetensors``, of a ``.pt`` file that PyTorch wrote.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from engine import load as load_pytorch
from engine.inference import Model, load_model, model_card
from engine.inference.model import read_metadata
from engine.serialization.pytorch import to_pytorch
from engine.state import load, to_bytes
from engine.tensor import Tensor
from worker.processes import as_child, die_with_parent, started_by

SUFFIXES = {"safetensors": ".safetensors", "torch": ".pt", "onnx": ".onnx", "card": ".md"}
MAX_DIFFERENCE = 1e-5
_TIMEOUT_S = 300.0
_REFUSED = 3
"""The exit code of a conversion that cannot be; the reason is on standard error."""


class NotConvertible(ValueError):
    """A model that has no such form, with the reason."""


def converted(source: Path, target: Path, form: str, environment: Mapping[str, str]) -> Path:
    """The file ``target``, made of ``source`` by a child process unless it is there. Raises NotConvertible."""
    if not target.exists():
        command = [sys.executable, "-P", "-m", "worker.conversion", form, str(source), str(target)]
        try:
            done = subprocess.run(command, env=as_child(dict(environment)), capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
        except subprocess.TimeoutExpired:
            raise NotConvertible(f"it took more than {_TIMEOUT_S:.0f} s") from None
        if done.returncode:
            reason = done.stderr.strip().splitlines()[-1:] if done.returncode == _REFUSED else ["the conversion failed"]
            raise NotConvertible("; ".join(reason) or "the conversion failed")
    return target


def _converted(form: str, source: Path) -> bytes:
    if form == "torch":
        return to_pytorch(load(source))
    if form == "card":
        return model_card(read_metadata(source), source.name).encode()
    if form == "safetensors":
        return _of_pytorch(source)
    if importlib.util.find_spec("onnx") is None:
        raise NotConvertible("this server has no library onnx: install epochline[onnx]")
    return _onnx(load_model(source))


def _of_pytorch(source: Path) -> bytes:
    """The arrays of a state dict, or of the one under ``state_dict`` or ``model``."""
    found = load_pytorch(source)
    for key in ("state_dict", "model"):
        if isinstance(found, Mapping) and isinstance(found.get(key), Mapping):
            found = found[key]
    if not isinstance(found, Mapping) or not found or not all(isinstance(x, Tensor) for x in found.values()):
        raise NotConvertible("expected a state dict: tensors by name")
    return to_bytes(found)


def _onnx(model: Model) -> bytes:
    """The ONNX model, which gives what the engine gives; held against onnxruntime where that is installed."""
    from engine.onnx import NotExportable, export_model  # the extra `onnx` may be missing

    try:
        made = export_model(model)
    except NotExportable as error:
        raise NotConvertible(str(error)) from None
    if importlib.util.find_spec("onnxruntime") is not None:
        from engine.onnx.verify import difference

        apart = difference(made, model, [_noise(model)])
        if not apart <= MAX_DIFFERENCE:
            raise NotConvertible(f"in onnxruntime its outputs are {apart:.1e} off, more than {MAX_DIFFERENCE:.0e}")
    return bytes(made.SerializeToString())


def _noise(model: Model) -> np.ndarray[tuple[int, ...], np.dtype[np.generic]]:
    """A sample as the model's reader gives them."""
    rng = np.random.default_rng(0)
    if model.reader.is_image:
        return rng.integers(0, 256, model.input, dtype=np.uint8)
    return rng.normal(size=model.input).astype(np.float32)


def main() -> None:
    """Writes the target, complete or not at all."""
    die_with_parent(started_by())
    form, source, target = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    try:
        data = _converted(form, source)
    except (ValueError, MemoryError, RuntimeError, OSError) as error:
        print(" ".join(str(error).split()), file=sys.stderr)
        raise SystemExit(_REFUSED) from None
    part = target.with_name(f".{target.name}.{os.getpid()}")
    part.write_bytes(data)
    part.rename(target)


if __name__ == "__main__":
    main()
