"""Texts: the whole report of each of many uploads, tokenizers, and what training gets of them."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.data import Options, ingest, open_source
from engine.data.source import Source
from engine.data.split import partition
from engine.data.text import tokenizers
from engine.data.text.documents import Documents
from engine.data.text.encoded import TokenSource
from engine.data.views import as_read
from engine.inference.given import Reader
from engine.spec import SpecError, check, registry
from tests.data.reports import expected, report_of, write
from tests.data.texts import CASES, STORY, archive, lines, reviews, table
from tests.inference.finished import evaluated, finished
from tests.train.jobs import job, points

REPORTS = Path(__file__).with_name("texts.json")
"""The report of each upload, without fields that are empty; ``python -m tests.data.test_text`` writes it anew, to be read before it is kept."""
needs_bpe = pytest.mark.skipif(importlib.util.find_spec("tokenizers") is None, reason="the extra text is not installed")


def form_of(name: str) -> str:
    return name.partition(":")[0]


@pytest.mark.parametrize("name", CASES)
def test_the_report_of_texts(name: str, tmp_path: Path) -> None:
    assert report_of(*CASES[name], tmp_path, form_of(name)) == expected(REPORTS)[name]


def test_every_upload_has_a_report() -> None:
    assert list(expected(REPORTS)) == list(CASES)


def read(content: bytes, folder: Path, form: str = "csv", **options: Any) -> Source:
    (folder / "upload").write_bytes(content)
    ingest(folder / "upload", folder / "dataset", form, options=Options(**options))
    return open_source(folder / "dataset")


def spec(**data: Any) -> dict[str, Any]:
    model = [{"type": "Linear", "out_features": 2}]
    return check({
        "model": model, "loss": {"type": "CrossEntropyLoss"}, "optimizer": {"type": "SGD", "lr": 0.1}, "data": {"dataset": "d", **data},
    })  # fmt: skip


def tokens(source: Source, **data: Any) -> TokenSource:
    found = as_read(source, spec(**data))
    assert isinstance(found, TokenSource)
    return found


# -- documents


def test_documents_are_kept_as_they_are(tmp_path: Path) -> None:
    texts = ["one, two", "  Größe \n\t漢字 🙂 ", '"quoted" and more', "end"]
    source = read(table([(t, str(i)) for i, t in enumerate(texts)], "text,y"), tmp_path, text="text")
    assert list(Documents(source.folder)) == texts and source.targets_as("numbers") is not None
    assert len(Documents(source.folder)) == 4 and Documents(source.folder)[2] == texts[2]
    with pytest.raises(IndexError):
        Documents(source.folder)[4]


def test_labels_belong_to_their_texts_when_rows_are_refused(tmp_path: Path) -> None:
    rows = [(f"it is the text of number {i} here", str(i / 4)) for i in range(60)]
    rows[7], rows[20], rows[33] = (rows[7][0], ""), ("", rows[20][1]), (rows[33][0], "what")
    source = read(table(rows, "text,y"), tmp_path)
    assert source.report.refused_count == 3 and len(source) == 57
    assert [f"number {int(y * 4)} here" in t for t, y in zip(Documents(source.folder), source.targets[:, 0], strict=True)] == [True] * 57


# -- tokenizers

TEXTS = ["A cat, a dog.", "a bird; a cat", "naïve CAT 🙂"]


@pytest.mark.parametrize(
    ("name", "size", "lowercase", "text", "ids", "back"),
    [
        ("byte", 9, False, "Aé", [3 + 65, 3 + 0xC3, 3 + 0xA9], "Aé"),
        ("character", 99, False, "a?c", [4, 1, 6], "ac"),
        ("word", 99, True, "A CAT, x", [3, 4, 5, 1], "a cat ,"),
        ("word", 5, True, "a cat dog", [3, 4, 1], "a cat"),
        ("word", 99, False, "A CAT a", [8, 9, 3], "A CAT a"),
    ],
)
def test_tokens_are_numbered_by_how_often_they_occur(name: Any, size: int, lowercase: bool, text: str, ids: list[int], back: str) -> None:
    made = tokenizers.train(name, TEXTS, size, lowercase)
    assert made.encode(text).tolist() == ids and made.decode(ids) == back
    again = tokenizers.from_json(json.loads(json.dumps(made.as_json())))
    assert again.encode(text).tolist() == ids and again.decode(ids) == back and again.size == made.size == made.as_json()["size"]
    assert [made.token(i) for i in range(3)] == ["<pad>", "<unk>", "<end>"] and made.size <= max(size, 259 if name == "byte" else 0)


@given(st.lists(st.text(), min_size=1), st.text(), st.sampled_from(["byte", "character", "word"]))
def test_any_text_has_tokens_of_the_vocabulary(texts: list[str], other: str, name: Any) -> None:
    made = tokenizers.train(name, texts, 50)
    for text in (*texts, other):
        ids = made.encode(text)
        assert ids.dtype == np.int32 and ((ids > 0) & (ids < made.size)).all()
        if name == "byte" or (name == "character" and 1 not in ids):
            assert made.decode(ids) == text.encode("utf-8", "replace").decode()
    assert made.as_json() == tokenizers.train(name, texts, 50).as_json()


def test_a_tokenizer_of_another_kind_is_named() -> None:
    with pytest.raises(ValueError, match="byte, character, word, bpe, got 'sentencepiece'"):
        tokenizers.from_json({"tokenizer": "sentencepiece"})


_TRAINED = """
import hashlib, json
from engine.data.text import tokenizers
from tests.data.texts import reviews
found = tokenizers.train("bpe", [t for _, t in reviews(200)], 300, True)
print(hashlib.sha256(json.dumps(found.as_json()).encode()).hexdigest())
"""


@needs_bpe
def test_bpe_is_the_same_in_every_process() -> None:
    made = tokenizers.train("bpe", [t for _, t in reviews(200)], 300, True)
    assert made.size == 300 and made.decode(made.encode("it said Größe")) == "it said größe" and made.token(0) == "<pad>"
    again = tokenizers.from_json(json.loads(json.dumps(made.as_json())))
    assert again.encode("it said 漢").tolist() == made.encode("it said 漢").tolist()
    runs = {subprocess.run([sys.executable, "-c", _TRAINED], capture_output=True, text=True, check=True).stdout for _ in range(2)}
    assert len(runs) == 1


def test_bpe_without_its_library_is_a_problem_of_the_spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokenizers, "tokenizers", None)
    source = read(table(reviews(), "label,text"), tmp_path)
    with pytest.raises(SpecError) as error:
        tokens(source, text={"tokenizer": "bpe"})
    assert error.value.problems[0].pointer == "/data/text/tokenizer" and "epochline[text]" in error.value.problems[0].detail


# -- tokens as samples


def test_the_vocabulary_is_that_of_the_texts_that_train(tmp_path: Path) -> None:
    rows = [("ab"[i % 2], f"there is the word number{i} in it") for i in range(40)]
    source = read(table(rows, "label,text"), tmp_path)
    found = tokens(source, validation=0.25, text={"max_length": 5})
    train, held = partition(source, spec(validation=0.25))
    vocabulary = set(found.tokenizer.tokens)
    assert {f"number{i}" for i in train} <= vocabulary and not {f"number{i}" for i in held} & vocabulary
    assert found.arrays is not None and found.arrays.shape == (40, 5) and found.index_limit == found.tokenizer.size
    assert (found.arrays[held, 4] == 1).all() and (found.arrays[train] > 1).all()
    assert tokens(source, validation=0.25, text={"max_length": 5}) is found


def test_texts_are_padded_and_cut(tmp_path: Path) -> None:
    rows = [("ab"[i % 2], " ".join(["word"] * (4 + i % 7))) for i in range(70)]
    source = read(table(rows, "label,text"), tmp_path, text="text")
    whole = tokens(source)
    assert whole.arrays is not None and whole.arrays.shape == (70, 10)
    np.testing.assert_array_equal((whole.arrays != 0).sum(1), [4 + i % 7 for i in range(70)])
    np.testing.assert_array_equal(whole.lengths, [4 + i % 7 for i in range(70)])
    cut = tokens(source, text={"max_length": 6})
    assert cut.arrays is not None and cut.arrays.shape == (70, 6) and cut.lengths.max() == 6


@pytest.mark.parametrize("documents", [[STORY], [STORY[:300], STORY[300:]]])
def test_a_language_model_learns_what_comes_next_and_nothing_held_out(documents: list[str], tmp_path: Path) -> None:
    source = read(archive({f"{i}.txt": t for i, t in enumerate(documents)}), tmp_path, "imagefolder")
    found = tokens(source, validation=0.2, text={"max_length": 16})
    assert found.arrays is not None and found.arrays.shape[1] == 16 and found.targets.shape == found.arrays.shape
    np.testing.assert_array_equal(found.arrays[:, 1:], found.targets[:, :-1])
    train, held = partition(found, spec(validation=0.2))
    seen = "".join(found.tokenizer.decode([*found.arrays[i], *([] if i < train[-1] else found.targets[i, -1:])]) for i in train)
    kept = "".join(found.tokenizer.decode(found.arrays[i]) for i in held)
    assert STORY.startswith(seen) and kept in STORY[len(seen) :] and abs(len(seen) / len(STORY) - 0.8) < 0.05
    assert bool((found.arrays == 2).any()) is (len(documents) > 1)


def test_splits_of_plain_texts_are_kept(tmp_path: Path) -> None:
    source = read(archive({"train.txt": STORY, "val.txt": "x" * 40, "test.txt": "y" * 60}), tmp_path, "imagefolder")
    found = tokens(source, text={"max_length": 8, "tokenizer": "character"})
    assert {s: len(i) for s, i in found.splits.items()} == {"train": (len(STORY) - 1) // 8, "val": 4, "test": 7}
    assert found.arrays is not None and (found.arrays[found.splits["val"]] == 1).all()  # no x among the characters that train


@pytest.mark.parametrize(
    ("data", "at", "said"),
    [
        ({"text": {"tokenizer": "words"}}, "/data/text/tokenizer", "'byte', 'character', 'word', 'bpe'"),
        ({"text": {"tokenizer": "byte", "vocab_size": 300}}, "/data/text/vocab_size", "always 259"),
        ({"text": {"tokenizer": "character", "lowercase": True}}, "/data/text/lowercase", "not for character"),
        ({"text": {"max_len": 3}}, "/data/text/max_len", "did you mean 'max_length'"),
        ({"text": {"max_length": 500}}, "/data/text/max_length", "fewer than a window of 500"),
        ({"transform": [{"type": "Resize", "size": 3}]}, "/data/transform", "transforms are for images"),
        ({"mix": [{"type": "MixUp"}]}, "/data/mix", "cannot be mixed"),
    ],
)
def test_what_does_not_fit_texts(data: dict[str, Any], at: str, said: str, tmp_path: Path) -> None:
    plain = "mix" not in data
    source = read(STORY.encode(), tmp_path, "text") if plain else read(table(reviews(), "label,text"), tmp_path)
    with pytest.raises(SpecError) as error:
        job(source, model=[{"type": "Linear", "out_features": 128 if plain else 2}], data=data)
    assert [(p.pointer, said in p.detail) for p in error.value.problems] == [(at, True)], error.value.problems


def test_text_is_for_texts(tmp_path: Path) -> None:
    source = read(lines(*([i, i % 3, i % 2] for i in range(20))), tmp_path, "jsonl")
    with pytest.raises(SpecError, match="text is for datasets of texts, but the dataset is a jsonl"):
        job(source, data={"text": {"tokenizer": "byte"}})


def test_the_tokenizer_travels_with_the_model(tmp_path: Path) -> None:
    run = job(read(table(reviews(), "label,text"), tmp_path), epochs=1)
    assert len(points(run)) > 0
    card = json.loads(json.dumps(run.metadata()))
    assert card["classes"] == ["neg", "pos"] and card["input"] == [card["tokenizer"]["max_length"]]
    made = tokenizers.from_json(card["tokenizer"])
    assert run.source.arrays is not None
    text = Documents(run.source.folder)[3]
    np.testing.assert_array_equal(made.encode(text)[: card["input"][0]], run.source.arrays[3][: len(made.encode(text))])
    np.testing.assert_array_equal(Reader(card["dataset"], card["tokenizer"]).sample(text), run.source.arrays[3])


needs_embedding = pytest.mark.skipif("Embedding" not in registry.layers(), reason="specs have no Embedding yet")
WIDTH = {"type": "Embedding", "embedding_dim": 8}


@needs_embedding
def test_a_classifier_of_texts_learns(tmp_path: Path) -> None:
    source = read(table(reviews(160), "label,text"), tmp_path)
    model = [WIDTH, {"type": "Flatten"}, {"type": "Linear", "out_features": 2}]
    run = job(source, model=model, epochs=15, metrics=["accuracy"], optimizer={"type": "Adam", "lr": 0.02})
    assert points(run, "val")[-1].values["accuracy"] >= 0.9  # half of them without the words


@needs_embedding
def test_a_model_of_texts_reads_texts_as_evaluation_does(tmp_path: Path) -> None:
    model = [WIDTH, {"type": "Flatten"}, {"type": "Linear", "out_features": 2}]
    run, loaded = finished(read(table(reviews(80), "label,text"), tmp_path), tmp_path, "CrossEntropyLoss", model, metrics=["accuracy"])
    texts = [Documents(run.source.folder)[i] for i in range(20)]
    assert np.array_equal(np.stack([p.outputs for p in loaded.predict(texts)]), evaluated(run, np.arange(20)))
    assert loaded.predict("a wonderful film").label in ("neg", "pos")


@needs_embedding
def test_a_language_model_learns(tmp_path: Path) -> None:
    source = read(STORY.encode(), tmp_path, "text")
    size = tokens(source, text={"tokenizer": "character", "max_length": 8}).tokenizer.size
    model = [
        WIDTH,
        {"type": "Flatten"},
        {"type": "Linear", "out_features": 8 * size},
        {"type": "Unflatten", "dim": 1, "unflattened_size": [size, 8]},
    ]
    run = job(
        source, model=model, epochs=40, optimizer={"type": "Adam", "lr": 0.02}, data={"text": {"tokenizer": "character", "max_length": 8}}
    )
    losses = [p.values["loss"] for p in points(run, "val")]
    assert losses[-1] < 0.5 * np.log(size)  # half of what it takes to know nothing


if __name__ == "__main__":
    write(CASES, form_of)
