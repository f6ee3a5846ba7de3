"""Tokenizers: text to numbers and back. What one is follows from training texts alone, and is all in its JSON, which travels with the model.

The number 0 is padding, 1 stands for what is not in the vocabulary, 2 ends a document of many.
"""

from __future__ import annotations

import importlib.util
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Literal, get_args

import numpy as np

# an extra, "text": all but BPE do without
tokenizers: Any = importlib.import_module("tokenizers") if importlib.util.find_spec("tokenizers") else None

Name = Literal["byte", "character", "word", "bpe"]
Ids = np.ndarray[Any, np.dtype[np.int32]]
SPECIAL = ("<pad>", "<unk>", "<end>")
PADDING, UNKNOWN, END = range(3)
NAMES: tuple[Name, ...] = get_args(Name)
_WORDS = re.compile(r"\w+|[^\w\s]")


def words(text: str) -> list[str]:
    """The words of a text, and its punctuation, a mark at a time."""
    return _WORDS.findall(text)


class Tokenizer:
    """The base. ``size`` is how many numbers there are, ``tokens`` names those that are not special."""

    name: Name
    tokens: list[str] = []

    @property
    def size(self) -> int:
        return len(SPECIAL) + len(self.tokens)

    def encode(self, text: str) -> Ids:
        """The numbers of a text."""
        raise NotImplementedError

    def decode(self, ids: Iterable[int]) -> str:
        """The text of numbers; special ones are left out."""
        raise NotImplementedError

    def as_json(self) -> dict[str, Any]:
        """All there is to know, for ``from_json``."""
        return {"tokenizer": self.name, "size": self.size, "tokens": self.tokens}

    def token(self, i: int) -> str:
        """The name of a number."""
        return SPECIAL[i] if i < len(SPECIAL) else self.tokens[i - len(SPECIAL)]


class ByteTokenizer(Tokenizer):
    """The bytes of a text's UTF-8: nothing is unknown, and the vocabulary is always the same."""

    name = "byte"
    tokens = [f"<{i:02x}>" for i in range(256)]

    def encode(self, text: str) -> Ids:
        return np.frombuffer(text.encode("utf-8", "replace"), np.uint8).astype(np.int32) + len(SPECIAL)

    def decode(self, ids: Iterable[int]) -> str:
        return bytes(i - len(SPECIAL) for i in ids if i >= len(SPECIAL)).decode("utf-8", "replace")

    def as_json(self) -> dict[str, Any]:
        return {"tokenizer": self.name, "size": self.size}


class CharacterTokenizer(Tokenizer):
    """The characters that training texts have, the most frequent first."""

    name = "character"

    def __init__(self, tokens: list[str]) -> None:
        self.tokens = tokens
        codes = np.array([ord(c) for c in tokens], np.uint32)
        order = np.argsort(codes)
        self._codes, self._ids = codes[order], (order + len(SPECIAL)).astype(np.int32)

    def encode(self, text: str) -> Ids:
        codes = np.frombuffer(text.encode("utf-32-le", "replace"), np.uint32)
        if not len(self._codes):
            return np.full(len(codes), UNKNOWN, np.int32)
        at = np.searchsorted(self._codes, codes).clip(max=len(self._codes) - 1)
        return np.where(self._codes[at] == codes, self._ids[at], UNKNOWN).astype(np.int32)

    def decode(self, ids: Iterable[int]) -> str:
        return "".join(self.tokens[i - len(SPECIAL)] for i in ids if i >= len(SPECIAL))


class WordTokenizer(Tokenizer):
    """The words and marks that training texts have, the most frequent first. ``decode`` puts a space between them."""

    name = "word"

    def __init__(self, tokens: list[str], lowercase: bool = True) -> None:
        self.tokens, self.lowercase = tokens, lowercase
        self._ids = {token: i for i, token in enumerate(tokens, len(SPECIAL))}

    def encode(self, text: str) -> Ids:
        get = self._ids.get
        return np.array([get(w, UNKNOWN) for w in words(text.lower() if self.lowercase else text)], np.int32)

    def decode(self, ids: Iterable[int]) -> str:
        return " ".join(self.tokens[i - len(SPECIAL)] for i in ids if i >= len(SPECIAL))

    def as_json(self) -> dict[str, Any]:
        return {**super().as_json(), "lowercase": self.lowercase}


class BPETokenizer(Tokenizer):
    """Pairs of bytes merged by how often they occur in training texts (Sennrich et al., 2016), by Hugging Face's ``tokenizers``, whose JSON it has."""

    name = "bpe"

    def __init__(self, model: Any) -> None:
        self._model = model
        vocabulary = model.get_vocab()
        self.tokens = sorted(vocabulary, key=vocabulary.__getitem__)[len(SPECIAL) :]

    def encode(self, text: str) -> Ids:
        return np.array(self._model.encode(text, add_special_tokens=False).ids, np.int32)

    def decode(self, ids: Iterable[int]) -> str:
        return str(self._model.decode([int(i) for i in ids]))

    def as_json(self) -> dict[str, Any]:
        return {"tokenizer": self.name, "size": self.size, "model": self._model.to_str()}


def missing(name: str) -> str | None:
    """What is not installed that a tokenizer needs, as a sentence; None where nothing is missing."""
    return 'bpe needs the package tokenizers: pip install "epochline[text]"' if name == "bpe" and tokenizers is None else None


def train(name: Name, texts: Iterable[str], size: int, lowercase: bool = True) -> Tokenizer:
    """The tokenizer of training texts, of at most ``size`` numbers; the same texts give the same one. Raises ImportError for BPE without its library."""
    if name == "byte":
        return ByteTokenizer()
    if name == "bpe":
        return BPETokenizer(_trained_bpe(texts, size, lowercase))
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(words(text.lower() if lowercase else text) if name == "word" else text)
    tokens = sorted(counts, key=lambda t: (-counts[t], t))[: max(0, size - len(SPECIAL))]
    return WordTokenizer(tokens, lowercase) if name == "word" else CharacterTokenizer([t for t in tokens if not "\ud800" <= t <= "\udfff"])


def _trained_bpe(texts: Iterable[str], size: int, lowercase: bool) -> Any:
    if tokenizers is None:
        raise ImportError(missing("bpe"))
    model = tokenizers.Tokenizer(tokenizers.models.BPE())
    if lowercase:
        model.normalizer = tokenizers.normalizers.Lowercase()
    model.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    model.decoder = tokenizers.decoders.ByteLevel()
    alphabet = tokenizers.pre_tokenizers.ByteLevel.alphabet()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=size, special_tokens=list(SPECIAL), initial_alphabet=sorted(alphabet), show_progress=False
    )
    model.train_from_iterator(texts, trainer)
    return model


def from_json(saved: Mapping[str, Any]) -> Tokenizer:
    """The tokenizer that ``as_json`` described. Raises ValueError for another object, ImportError for BPE without its library."""
    name = saved.get("tokenizer")
    if name not in NAMES:
        raise ValueError(f"expected a tokenizer of {', '.join(NAMES)}, got {name!r}")
    if name == "character":
        return CharacterTokenizer(saved["tokens"])
    if name == "word":
        return WordTokenizer(saved["tokens"], saved["lowercase"])
    if name == "bpe":
        if tokenizers is None:
            raise ImportError(missing("bpe"))
        return BPETokenizer(tokenizers.Tokenizer.from_str(saved["model"]))
    return ByteTokenizer()
