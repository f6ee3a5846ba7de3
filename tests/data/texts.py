"""Uploads of texts: tables, lines of JSON, plain files and archives. The name of each begins with its format."""

from __future__ import annotations

import io
import json
import zipfile
from random import Random

from engine.data import Options

GOOD, BAD = ["great", "lovely", "wonderful", "fine", "superb"], ["awful", "boring", "dull", "terrible", "poor"]
PLAIN = ["the", "a", "film", "plot", "actor", "was", "is", "and", "of", "it"]
STORY = "It was a bright cold day in April, and the clocks were striking thirteen. " * 12


def reviews(n: int = 40) -> list[tuple[str, str]]:
    """Labels and texts; the words say the label."""
    rng, found = Random(0), []
    for i in range(n):
        own = (BAD, GOOD)[i % 2]
        text = " ".join(rng.choice(own if rng.random() < 0.4 else PLAIN) for _ in range(rng.randint(5, 12)))
        found.append((("neg", "pos")[i % 2], f"{text} {rng.choice(own)}, it said."))
    return found


def table(rows: list[tuple[str, ...]], header: str) -> bytes:
    return "\n".join([header, *(",".join('"' + c.replace('"', '""') + '"' for c in row) for row in rows)]).encode()


def lines(*values: object) -> bytes:
    return "\n".join(v if isinstance(v, str) else json.dumps(v) for v in values).encode()


def archive(files: dict[str, str | bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as z:
        for name, content in files.items():
            z.writestr(name, content)
    return out.getvalue()


_ROWS = reviews(8)
_OBJECTS = [{"text": t, "label": name, "stars": i} for i, (name, t) in enumerate(_ROWS)]
_FOLDERS = {f"{name}/{i}.txt": t for i, (name, t) in enumerate(_ROWS)}

CASES: dict[str, tuple[bytes, str | Options | None]] = {
    "csv: a label and a text": (table(_ROWS, "sentiment,review"), None),
    "csv: the text first, and no name says which is the label": (table([(t, name) for name, t in _ROWS], "review,sentiment"), None),
    "csv: numbers beside the text": (table([(name, str(i), t) for i, (name, t) in enumerate(_ROWS)], "label,stars,review"), None),
    "csv: the text of a number": (table([(name, str(i), t) for i, (name, t) in enumerate(_ROWS)], "label,stars,review"), "stars"),
    "csv: layout=table": (table(_ROWS, "label,review") + b'\n"pos","great fine film of it"', Options(layout="table")),
    "csv: layout=text without texts": (b"a,b\n1,x\n2,y\n", Options(layout="text")),
    "csv: text=title": (table([(t[:4], t, name) for name, t in _ROWS], "title,review,label"), Options(text="title")),
    "csv: text=none": (table(_ROWS, "label,review"), Options(text="body")),
    "csv: two columns of texts": (table([(t, f"{t} And it said more.", name) for name, t in _ROWS], "title,body,label"), None),
    "csv: a text is missing": (table([*reviews(), ("pos", "")], "label,review"), None),
    "csv: a label is missing": (table([*reviews(), ("", "a fine film of a plot it was")], "label,review"), None),
    "csv: splits": (table([(("train", "train", "test")[i % 3], name, t) for i, (name, t) in enumerate(_ROWS)], "split,label,review"), None),
    "jsonl: objects": (lines(*_OBJECTS), None),
    "jsonl: numbers": (lines(*({"a": i, "b": i / 4, "ok": i % 2 == 0, "y": i % 3} for i in range(12))), None),
    "jsonl: arrays": (lines(*([i, i * i / 2, "red" if i % 2 else "blue"] for i in range(8))), None),
    "jsonl: texts alone": (lines(*({"text": t} for _, t in _ROWS)), None),
    "jsonl: layout=plain": (lines(*_OBJECTS), Options(layout="plain")),
    "jsonl: a line that is no JSON": (lines(*({"text": t, "label": name} for name, t in reviews()), '{"text": "cut'), None),
    "jsonl: missing and nested values": (lines({"a": 1, "b": None, "y": 1}, {"a": 2, "b": [1, 2], "y": 0}, {"b": {"c": 3}, "y": 1}, {"a": 4, "y": 0}), None),
    "jsonl: one array over several lines": (b'[\n{"a": 1},\n{"a": 2}\n]', None),
    "jsonl: empty": (b"\n\n", None),
    "text: a file": (STORY.encode(), None),
    "text: Windows line ends and code page": ("Schöne Grüße\r\naus Köln\r\n".encode("cp1252") * 4, None),
    "text: UTF-16": (STORY.encode("utf-16"), None),
    "text: nothing": (b" ", Options()),
    "text: bytes": (b"a\0b", None),
    "text: a target": (b"hello world", "y"),
    "imagefolder: texts in folders of classes": (archive({**_FOLDERS, "README.md": "made up"}), None),
    "imagefolder: texts in splits and classes": (archive({f"{s}/{n}": t for s in ("train", "test") for n, t in _FOLDERS.items()}), None),
    "imagefolder: texts and a list": (archive({"labels.csv": "file,label\n" + "".join(f"{i}.txt,{n}\n" for i, (n, _) in enumerate(_ROWS)), **{f"t/{i}.txt": t for i, (_, t) in enumerate(_ROWS)}}), Options(layout="labels_file")),
    "imagefolder: texts of one language": (archive({"corpus/a.txt": STORY, "corpus/b.txt": STORY[::-1], "corpus/c.txt": "", "corpus/d.txt": b"\0"}), None),
    "imagefolder: texts that are splits": (archive({"train.txt": STORY, "valid.txt": STORY[:100], "test.txt": STORY[:200]}), None),
    "imagefolder: a class of empty texts": (archive({"a/1.txt": "one", "a/2.txt": "two", "b/1.txt": " "}), None),
}  # fmt: skip
