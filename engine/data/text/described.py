"""What a report says of texts: how many, how long, which words."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from engine.data.report import Report
from engine.data.samples import Splits, describe_duplicates
from engine.data.text.tokenizers import words

_MAX_WORDS = 1 << 20
_FREQUENT, _SAMPLES, _SAMPLE_CHARACTERS = 20, 3, 200


class TextStatistics:
    """Counts documents one by one."""

    def __init__(self) -> None:
        self._characters: list[int] = []
        self._words: list[int] = []
        self._hashes: list[int] = []
        self._counts: Counter[str] = Counter()
        self._alphabet: set[str] = set()
        self._samples: list[str] = []

    def add(self, text: str) -> None:
        found = words(text.lower())
        self._characters.append(len(text))
        self._words.append(len(found))
        self._hashes.append(hash(text))
        self._alphabet.update(text)
        self._counts.update(found if len(self._counts) < _MAX_WORDS else [w for w in found if w in self._counts])
        if len(self._samples) < _SAMPLES:
            self._samples.append(text[:_SAMPLE_CHARACTERS] + ("..." if len(text) > _SAMPLE_CHARACTERS else ""))

    def describe(self, report: Report, splits: Splits, **more: Any) -> None:
        """Writes ``samples``, ``text`` and ``duplicates`` of the report; ``more`` is said of the texts too."""
        report.samples = len(self._characters)
        frequent = sorted(self._counts.items(), key=lambda item: (-item[1], item[0]))[:_FREQUENT]
        report.text = {
            **more, "documents": len(self._characters), "characters": quantiles(self._characters), "words": quantiles(self._words),
            "distinct_words": len(self._counts), "distinct_characters": len(self._alphabet), "frequent": dict(frequent), "samples": self._samples,
        }  # fmt: skip
        describe_duplicates(report, np.array(self._hashes, np.int64), splits)


def quantiles(lengths: list[int]) -> dict[str, int]:
    """How long texts are: the shortest, the middle one, the one of 20, the longest, and all together."""
    found = np.sort(np.array(lengths, np.int64))
    at = [0, (len(found) - 1) // 2, int(0.95 * (len(found) - 1)), len(found) - 1]
    return {**{name: int(found[i]) for name, i in zip(("min", "median", "p95", "max"), at, strict=True)}, "total": int(found.sum())}
