"""What a column of a table is, found from what its cells allow."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from engine.data.tables.cells import (
    BRACKETS,
    CLOCK,
    COMMA,
    COMMA_PERCENT,
    DATES,
    DMY,
    GROUPED,
    GROUPED_COMMA,
    MDY,
    MISSING,
    MONEY,
    NUMBERS,
    PLAIN,
    POINT,
    TRUTH,
    is_missing,
    plain_numbers,
    readings,
    value,
)
from engine.data.tables.columns import MAX_CATEGORIES, Column, Floats

MAX_ODD_SHARE = 0.05
"""A column is numbers although this share of its cells (one at least) is not: the rows of those cells are refused."""
_PROSE_GAPS, _PROSE_CHARACTERS = 3, 20
"""Spaces and characters that a text has on average."""
_MAX_PROSE = 1 << 26  # characters of texts, which are kept to be counted

_TYPES = {**dict.fromkeys(NUMBERS, "number"), **dict.fromkeys(DATES, "date"), CLOCK: "time", TRUTH: "boolean"}


class Profile:
    """What the cells of one column allow, counted piece by piece.

    Pieces that are all plain numbers are ``unseen``: their cells were not looked at one by one, as they are if ``careful``.
    """

    def __init__(self, careful: bool) -> None:
        self.counts: Counter[frozenset[str]] = Counter()
        self.words: Counter[str] | None = Counter()
        self.example = ""
        self.characters = self.gaps = 0
        self.unseen = 0
        self.may_be_grouped = False
        self.careful = careful

    def add(self, cells: Sequence[str]) -> None:
        if self.careful or not (self._add_plain(cells) or self._add_commas(cells)):
            self._add_words(cells)

    def _add_plain(self, cells: Sequence[str]) -> bool:
        numbers = plain_numbers(cells)
        if numbers is None:
            return False
        self._add_numbers(numbers, frozenset((POINT, PLAIN)))
        pointed = next((c for c in cells if "." in c and not is_missing(c)), "")
        self.may_be_grouped = self.may_be_grouped or GROUPED_COMMA in readings(pointed)
        return True

    def _add_commas(self, cells: Sequence[str]) -> bool:
        with_comma = next((c for c in cells if "," in c), None)
        numbers = None if with_comma is None or POINT in readings(with_comma) else plain_numbers(cells, ",")
        if numbers is None:
            return False
        self._add_numbers(numbers, frozenset((COMMA,)))
        return True

    def _add_numbers(self, numbers: Floats, allow: frozenset[str]) -> None:
        missing = int(np.isnan(numbers).sum())
        self.counts[frozenset((MISSING,))] += missing
        self.counts[allow] += len(numbers) - missing
        self.unseen += len(numbers)

    def _add_words(self, cells: Sequence[str]) -> None:
        words = Counter(map(str.strip, cells))
        usual = self._usual_dates()
        for word, n in words.items():
            self.characters += n * len(word)
            self.gaps += n * word.count(" ")
            self.counts[usual if usual and all(value(word, r) is not None for r in usual) and not is_missing(word) else readings(word)] += n
        self.example = self.example or next((w for w in words if not is_missing(w)), "")
        if self.words is not None:
            self.words.update(words)
            if len(self.words) > MAX_CATEGORIES or (self.characters > _MAX_PROSE and self.is_prose):
                self.words = None

    def _usual_dates(self) -> frozenset[str] | None:
        """What most cells allowed so far, if these are dates: the next ones are tried as such first, as they may all be different."""
        found = max(self.counts, key=self.counts.__getitem__, default=frozenset())
        return found if found and found <= {*DATES, CLOCK} else None

    def count(self, *wanted: str) -> int:
        """How many cells allow all of ``wanted``."""
        return sum(n for found, n in self.counts.items() if found.issuperset(wanted))

    @property
    def total(self) -> int:
        return sum(self.counts.values())

    @property
    def present(self) -> int:
        return self.total - self.count(MISSING)

    @property
    def needs_commas(self) -> bool:
        """Whether its numbers can only be read with a decimal comma."""
        return self.count(COMMA) > self.count(POINT) and self.count(COMMA) >= self.present / 2

    def is_mostly(self, n: int) -> bool:
        """Whether ``n`` cells are so many that the others must be mistakes."""
        return n > 0 and n >= self.present / 2 and self.present - n <= max(1, MAX_ODD_SHARE * self.present)

    @property
    def is_text(self) -> bool:
        return self.present > 0 and not any(self.is_mostly(self.count(r)) for r in _TYPES)

    @property
    def is_prose(self) -> bool:
        """Whether its cells are texts to be read: sentences on average, and hardly any of them twice."""
        if not self.is_text or self.gaps < _PROSE_GAPS * self.present or self.characters < _PROSE_CHARACTERS * self.present:
            return False
        return self.words is None or 2 * len(self.words) > self.present


def decide(name: str, profile: Profile, commas: bool, delimiter: str) -> Column:
    """What a column is. ``commas``: whether other numbers of the table have a decimal comma."""
    column = Column(name, missing=profile.count(MISSING))
    if not profile.present:
        return column
    if profile.is_text:
        return _text(column, profile)
    column.reading = _reading(profile, commas, delimiter)
    column.type = _TYPES[column.reading]
    spelling = _spelling(profile, column.reading)
    if column.type == "number" and spelling:
        column.done.append(f"read with {' and '.join(spelling)}")
    if "percent" in column.reading:
        column.done.append("percentages became shares: 5% is 0.05")
    if column.type == "date":
        column.done.append(f"read as {column.reading}")
    return column


def _spelling(profile: Profile, reading: str) -> list[str]:
    """What is unusual in the numbers of a column."""
    commas = reading in (COMMA, COMMA_PERCENT)
    return [
        *(["decimal commas"] if commas and profile.count(reading) > profile.count(reading, PLAIN) else []),
        *(["brackets for negative amounts"] if profile.count(reading, BRACKETS) else []),
        *(["currency signs"] if profile.count(reading, MONEY) else []),
        *(["thousands separators"] if profile.count(reading, GROUPED_COMMA if commas else GROUPED) else []),
    ]


def _text(column: Column, profile: Profile) -> Column:
    column.type = "text" if profile.words is None else "category"
    if profile.words is not None:
        column.categories = sorted(word for word in profile.words if not is_missing(word))
        column.distinct = len(column.categories)
    return column


def _reading(profile: Profile, commas: bool, delimiter: str) -> str:
    """The reading that most cells allow; what is left open is decided by the rest of the table, and then by custom."""
    counts = {r: profile.count(r) for r in _TYPES}
    best = [r for r in _TYPES if counts[r] == max(counts.values())]
    if {POINT, COMMA} <= set(best):
        return COMMA if commas or (delimiter == ";" and profile.count(POINT, GROUPED)) else POINT
    if {DMY, MDY} <= set(best):
        return DMY if "." in profile.example else MDY
    return best[0]


def mixed(column: Column, profile: Profile) -> int:
    """How many cells of categories would be numbers, if these are most of them."""
    n = max(profile.count(reading) for reading in NUMBERS)
    return n if column.reading is None and 2 * n >= profile.present else 0


def ambiguous_dates(column: Column, profile: Profile) -> bool:
    """Whether its dates could as well be read in the other order of day and month; with full stops the day is always first."""
    return column.reading in (DMY, MDY) and profile.count(DMY) == profile.count(MDY) and "." not in profile.example
