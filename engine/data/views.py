"""A dataset as a spec reads it: texts as tokens, masks as its transforms move them, tables as windows of a series,
recordings as spectrograms."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from engine.data.audio.source import SoundSource, pictured
from engine.data.images.masked import MaskSource, masked
from engine.data.source import Source
from engine.data.text.encoded import TokenSource, encoded
from engine.data.windows import WindowSource, windowed
from engine.spec.problems import Problem, SpecError


def as_read(source: Source, spec: dict[str, Any]) -> Source:
    """The samples that the spec's ``data`` makes of a dataset; the same object each time. Raises SpecError where it does not fit the dataset."""
    data = spec["data"]
    if data["text"] is not None and not source.is_text:
        detail = f"text is for datasets of texts, but the dataset is a {source.report.format} of shape {source.report.shape}"
        raise SpecError([Problem("/data/text", "does_not_fit", detail, None, data["text"])])
    if data["windows"] is not None:
        if data["target"] is not None:
            detail = "windows have the rows that follow as their target"
            raise SpecError([Problem("/data/target", "does_not_fit", detail, None, data["target"])])
        return _made(source, windowed, spec, [data["windows"], data["validation"]])
    if data["audio"] is not None and not source.report.audio:
        detail = f"audio is for datasets of recordings, but the dataset is a {source.report.format} of shape {source.report.shape}"
        raise SpecError([Problem("/data/audio", "does_not_fit", detail, None, data["audio"])])
    if source.report.audio:
        return _made(source, pictured, spec, ["audio", data["audio"]])
    if source.is_text:
        return _made(source, encoded, spec, [data["text"], data["validation"], spec["seed"]])
    return _made(source, masked, spec, ["masks", data["transform"]]) if source.report.masks else source


def _made(source: Source, make: Callable[[Source, dict[str, Any]], Source], spec: dict[str, Any], settings: list[Any]) -> Source:
    """The view of these settings, made once."""
    key = json.dumps(settings)
    if isinstance(source, TokenSource | MaskSource | WindowSource | SoundSource):
        return source
    if key not in source.views:
        source.views[key] = make(source, spec)
    return source.views[key]
