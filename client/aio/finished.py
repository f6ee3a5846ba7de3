"""What a finished model is for: predictions and files. Of a job, or of a name; both stand in the same place of the API."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, TypeAlias
from urllib.parse import quote

from client.aio.runtime import in_thread
from client.aio.transport import AsyncTransport
from client.call import Call, Progress
from client.errors import ApiError
from client.samples import Sample, Samples, requests, samples
from server.models import Prediction, Predictions

ModelFormat = Literal["safetensors", "torch", "onnx", "card"]
Answers: TypeAlias = list[Prediction]
SUFFIXES: dict[str, str] = {"safetensors": ".safetensors", "torch": ".pt", "onnx": ".onnx", "card": ".md"}
_TIMEOUT_S = 120.0
"""A thousand samples take longer than other requests."""
_CONVERSION_S = 330.0
"""How long the server may be silent while it converts a model, which it does once."""


async def predict(transport: AsyncTransport, reference: str, given: Samples, step: int | str, explain: bool) -> Predictions:
    """The answers of a job's model, or a named one, in the order of the samples. See :meth:`AsyncJob.predict`."""
    found = await in_thread(samples, given)
    if not found:
        raise ValueError("expected at least one sample, got none")
    whole: Predictions | None = None
    answers: Answers = []
    for part in await in_thread(lambda: [*requests(found)]):
        try:
            whole = await _predict(transport, reference, part, step if whole is None else whole.step, explain)
            answers += [p.model_copy(update={"name": s.name}) for s, p in zip(part, whole.data, strict=True)]
        except ApiError as error:
            if error.status != 422 or len(part) > 1 or len(found) == 1:
                raise
            answers.append(Prediction(name=part[0].name, error=error.problem.detail))
    if whole is None:
        raise ValueError(f"none of the {len(found)} samples can be read; the first: {answers[0].error}")
    return whole.model_copy(update={"data": answers})


async def _predict(transport: AsyncTransport, reference: str, part: list[Sample], step: int | str, explain: bool) -> Predictions:
    params = {"step": step, "explain": "gradients" if explain else None}
    path = f"/v1/jobs/{quote(reference, safe='@')}/predict"
    if part[0].is_file:
        call = Call("POST", path, params, files=[s.value for s in part], timeout_s=_TIMEOUT_S)
    else:
        call = Call("POST", path, params, json={"inputs": [s.value for s in part]}, timeout_s=_TIMEOUT_S)
    return await transport.call(Predictions, call)


async def download(
    transport: AsyncTransport, reference: str, step: int | str, path: str | Path | None, format: ModelFormat, progress: Progress | None
) -> Path:
    """Saves a model. See :meth:`AsyncJob.download`."""
    if format not in SUFFIXES:
        raise ValueError(f"expected a format among {', '.join(SUFFIXES)}, got {format!r}")
    target = Path(path) if path is not None else Path(f"{reference}{SUFFIXES[format]}")
    params, path_ = {"format": format}, f"/v1/jobs/{quote(reference, safe='@')}/checkpoints/{quote(str(step), safe='')}"
    call = Call("GET", path_, params, timeout_s=_CONVERSION_S)
    await transport.save(call, target, progress)
    return target


__all__ = ["SUFFIXES", "Answers", "ModelFormat", "download", "predict"]
