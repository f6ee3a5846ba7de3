"""A dataset as a spec reads it: texts as tokens."""

from __future__ import annotations

import json
from typing import Any

from engine.data.source import Source
from engine.data.text.encoded import encoded
from engine.spec.problems import Problem, SpecError


def as_read(source: Source, spec: dict[str, Any]) -> Source:
    """The samples that the spec's ``data`` makes of a dataset; the same object each time. Raises SpecError where it does not fit the dataset."""
    data = spec["data"]
    if not source.is_text:
        if data["text"] is not None:
            detail = f"text is for datasets of texts, but the dataset is a {source.report.format} of shape {source.report.shape}"
            raise SpecError([Problem("/data/text", "does_not_fit", detail, None, data["text"])])
        return source
    key = json.dumps([data["text"], data["validation"], spec["seed"]])
    if key not in source.views:
        source.views[key] = encoded(source, spec)
    return source.views[key]
