"""Texts as training reads them: rows of token numbers, by the tokenizer that a spec asks for and the training texts give."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

import numpy as np

from engine.data.source import Source
from engine.data.split import partition
from engine.data.text.documents import Documents
from engine.data.text.tokenizers import END, PADDING, Ids, Tokenizer, missing, train
from engine.spec.problems import Problem, SpecError

Array = np.ndarray[Any, Any]
_WINDOW, _LONGEST = 128, 512
"""Tokens of a sample where a spec does not say it: of a language model, and at most of a document."""
_VOCABULARY = 20_000


class TokenSource(Source):
    """Samples ``(L,)`` of int32 token numbers, ended by padding of 0; ``lengths (N,)`` without it."""

    def __init__(self, base: Source, tokenizer: Tokenizer, ids: Array, lengths: Array) -> None:
        self.__dict__.update(base.__dict__)
        self.__dict__.pop("splits", None)  # cached of the base
        self.tokenizer, self.arrays = tokenizer, ids
        self.lengths = lengths
        self._scale = None
        self.report = dataclasses.replace(base.report, samples=len(ids), shape=list(ids.shape[1:]))

    @property
    def index_limit(self) -> int:
        """The number that all tokens are below."""
        return self.tokenizer.size

    @property
    def known(self) -> dict[str, Any]:
        """What it takes to encode another text alike."""
        return {"tokenizer": {**self.tokenizer.as_json(), "max_length": self.report.shape[0] if self.report.shape else 0}}


class _Windows(TokenSource):
    """Windows of a text, and in each place the token that comes next."""

    predicts_next = True

    def __init__(self, base: Source, tokenizer: Tokenizer, parts: dict[str, Array]) -> None:
        tokens = np.concatenate(list(parts.values()))
        super().__init__(base, tokenizer, np.ascontiguousarray(tokens[:, :-1]), np.full(len(tokens), tokens.shape[1] - 1))
        self.targets = tokens[:, 1:].astype(np.int64)
        self._names = np.repeat(list(parts), [len(p) for p in parts.values()])

    @property
    def splits(self) -> dict[str, Array]:
        return {str(name): np.flatnonzero(self._names == name) for name in np.unique(self._names)} if len(set(self._names)) > 1 else {}


def encoded(source: Source, spec: dict[str, Any]) -> TokenSource:
    """The tokens of a source of texts. Raises SpecError where ``data.text`` does not go with it."""
    documents = Documents(source.folder)
    if source.report.target and source.report.target["name"] == "next token":
        return _encoded_windows(source, documents, spec)
    options = _options(spec, "word")
    indices, _ = partition(source, spec)
    tokenizer = _trained(options, (documents[int(i)] for i in indices))
    ids = [tokenizer.encode(text)[: _limit(options)] for text in documents]
    lengths = np.array([len(i) for i in ids])
    longest = options["max_length"] or max(1, int(np.quantile(lengths[indices], 0.95, method="higher")))
    return TokenSource(source, tokenizer, padded(ids, longest), np.minimum(lengths, longest))


def _limit(options: dict[str, Any]) -> int:
    return int(options["max_length"] or _LONGEST)


def padded(ids: list[Ids], length: int) -> Array:
    """Rows of ``length`` numbers: what is longer is cut, what is shorter ends in zeros."""
    rows = np.full((len(ids), length), PADDING, np.int32)
    for row, found in zip(rows, ids, strict=True):
        row[: len(found)] = found[:length]
    return rows


def _options(spec: dict[str, Any], name: str) -> dict[str, Any]:
    """``data.text`` with what it leaves open."""
    given = {"tokenizer": None, "vocab_size": None, "max_length": None, "lowercase": None, **(spec["data"]["text"] or {})}
    chosen = given["tokenizer"] or name
    lower = chosen == "word" if given["lowercase"] is None else given["lowercase"]
    if reason := missing(chosen):
        raise SpecError([Problem("/data/text/tokenizer", "missing", reason, None, chosen)])
    return {**given, "tokenizer": chosen, "vocab_size": given["vocab_size"] or _VOCABULARY, "lowercase": lower}


def _trained(options: dict[str, Any], texts: Iterable[str]) -> Tokenizer:
    return train(options["tokenizer"], texts, options["vocab_size"], options["lowercase"])


# -- language models


def _encoded_windows(source: Source, documents: Documents, spec: dict[str, Any]) -> TokenSource:
    """Windows that follow each other, of each split by itself: none reaches into another split. What is held out are the last words of the text."""
    options = _options(spec, "byte")
    parts = _split_texts(source, documents, spec["data"]["validation"])
    tokenizer = _trained(options, parts["train"])
    length = options["max_length"] or _WINDOW
    windows = {split: _cut(tokenizer, texts, length) for split, texts in parts.items()}
    for split, found in windows.items():
        if not len(found):
            n = sum(len(tokenizer.encode(t)) for t in parts[split])
            detail = f"the {split} text has {n} tokens, fewer than a window of {length} and the token after it"
            raise SpecError([Problem("/data/text/max_length", "too_large", detail, max(1, n - 1), length)])
    return _Windows(source, tokenizer, windows)


def _split_texts(source: Source, documents: Documents, validation: float) -> dict[str, list[str]]:
    """The texts of each split: the upload's own, or a last part held out, from the beginning of a word on."""
    if source.splits:
        return {split: [documents[int(i)] for i in source.splits[split]] for split in ("train", "val", "test") if split in source.splits}
    texts = list(documents)
    if not validation:
        return {"train": texts}
    cut = round(sum(map(len, texts)) * (1 - validation))
    before: list[str] = []
    for n, text in enumerate(texts):
        if cut < len(text):
            start = max(text.rfind(" ", 0, cut), text.rfind("\n", 0, cut)) + 1
            return {"train": [t for t in (*before, text[:start]) if t], "val": [text[start:], *texts[n + 1 :]]}
        cut -= len(text)
        before.append(text)
    return {"train": texts}


def _cut(tokenizer: Tokenizer, texts: list[str], length: int) -> Array:
    """Windows ``(n, length + 1)`` of texts, each of which begins with the last token of the one before; the rest at the end is left out."""
    ends = [np.array([END], np.int32)] if len(texts) > 1 else []
    tokens = np.concatenate([part for text in texts for part in (tokenizer.encode(text), *ends)]) if texts else np.empty(0, np.int32)
    if len(tokens) <= length:
        return np.empty((0, length + 1), np.int32)
    return np.lib.stride_tricks.sliding_window_view(tokens, length + 1)[::length].copy()
