"""A sample as a person looks at it, or listens to it."""

from __future__ import annotations

import io
import json
import wave

from engine.data.audio.reader import Sounds
from engine.data.source import Source
from engine.data.text.documents import Documents
from engine.vision.io import to_pil


def preview(source: Source, i: int) -> tuple[bytes, str]:
    """Sample ``i`` as it is stored, and its media type: an image as PNG, a recording as WAV, others as JSON with ``index``, ``y`` and ``text`` or ``x``."""
    if source.is_image:
        out = io.BytesIO()
        to_pil(source.raw(i).numpy()).save(out, "PNG")
        return out.getvalue(), "image/png"
    if source.report.audio:
        return _wave(source, i, source.report.audio["sample_rate"]), "audio/wav"
    what = {"text": Documents(source.folder)[i]} if source.is_text else {"x": source.raw(i).numpy().tolist()}
    return json.dumps({"index": i, **what, "y": source.targets[i].tolist()}).encode(), "application/json"


def _wave(source: Source, i: int, rate: int) -> bytes:
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(Sounds(source.folder)[i].tobytes())
    return out.getvalue()
