"""Files of PyTorch's, written and read without PyTorch; hostile ones do nothing."""

from __future__ import annotations

import collections
import io
import os
import pickle
import struct
import zipfile
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest

import engine
from engine.serialization import from_pytorch, to_pytorch
from engine.serialization.pytorch import LEGACY, _Unpickler


def state() -> dict[str, engine.Tensor]:
    return {
        "weight": engine.randn(3, 4), "turned": engine.randn(3, 4).t(), "number": engine.tensor(5), "nothing": engine.zeros(0, 3), "steps": engine.arange(300),
        "flags": engine.tensor([True, False]), "half": engine.randn(5).half(), "brain": engine.randn(5).bfloat16(), "double": engine.randn(2).double(),
        "bytes": engine.tensor([0, 255], dtype=engine.uint8),
    }  # fmt: skip


def same(a: Any, b: Any) -> None:
    assert list(a) == list(b)
    for name in a:
        assert a[name].dtype is b[name].dtype and a[name].shape == b[name].shape, name
        assert np.array_equal(a[name].numpy(), b[name].numpy()), name


def test_what_is_written_is_read(tmp_path: Path) -> None:
    kept = state()
    (tmp_path / "model.pt").write_bytes(to_pytorch(kept))
    same(engine.load(tmp_path / "model.pt"), kept)
    same(from_pytorch(to_pytorch({})), {})


class Evil:
    def __init__(self, function: Any, *given: Any) -> None:
        self.function, self.given = function, given

    def __reduce__(self) -> Any:
        return self.function, self.given


def zipped(data: bytes, compression: int = zipfile.ZIP_STORED, **records: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        archive.writestr("a/data.pkl", data)
        for name, content in records.items():
            archive.writestr(f"a/data/{name[1:]}", content)
    return file.getvalue()


HOSTILE = {
    "system": pickle.dumps(Evil(os.system, "touch /tmp/owned"), 2),
    "eval": pickle.dumps(Evil(eval, "1 + 1"), 2),
    "getattr": pickle.dumps({"w": Evil(getattr, "x", "upper")}, 2),
    "counter": pickle.dumps(collections.Counter("aab"), 2),
    "bytes": b"\x80\x02c__builtin__\nbytearray\n(I1000000000\ntR.",
    "torch": b"\x80\x02ctorch\nload\n(X\x01\x00\x00\x00atR.",
    "hub": b"\x80\x02ctorch.hub\nload\n(X\x01\x00\x00\x00atR.",
    "path": b"\x80\x02cposixpath\nos.system\n.",
    "dotted": b"\x80\x04\x8c\x0ecollections\x8c\x18OrderedDict.__init__.__globals__\x93.",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_nothing_in_a_file_runs(name: str) -> None:
    for content in (zipped(HOSTILE[name]), LEGACY + pickle.dumps(1001, 2) + pickle.dumps({}, 2) + HOSTILE[name] + pickle.dumps([], 2)):
        with pytest.raises(pickle.UnpicklingError):
            from_pytorch(content)


def _tensor(
    numel: int, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], kind: bytes = b"FloatStorage", key: str = "0"
) -> bytes:
    def ints(*numbers: int) -> bytes:
        return b"".join(pickle.dumps(n, 2)[2:-1] for n in numbers)

    text = [b"X" + struct.pack("<I", len(t)) + t.encode() for t in ("storage", key, "cpu")]
    storage = b"(" + text[0] + b"ctorch\n" + kind + b"\n" + text[1] + text[2] + ints(numel) + b"tQ"
    given = b"(" + storage + ints(offset) + b"(" + ints(*shape) + b"t(" + ints(*strides) + b"t\x89ccollections\nOrderedDict\n)Rt"
    return b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n" + given + b"R."


FOUR = np.arange(4, dtype="<f4").tobytes()


@pytest.mark.parametrize(
    "case",
    [(4, 0, (5,), (1,)), (4, 2, (3,), (1,)), (4, 0, (2, 2), (3, 1)), (4, 0, (1 << 40,), (0,)), (4, -1, (2,), (1,)), (4, 0, (-1,), (1,)), (4, 0, (2,), (1, 1)),
     (400, 0, (400,), (1,)), (4, 0, (2,), (-1,))],
)  # fmt: skip
def test_tensors_beyond_their_storage_are_refused(case: Any) -> None:
    with pytest.raises(pickle.UnpicklingError):
        from_pytorch(zipped(_tensor(*case), _0=FOUR))


def test_parts_of_storages_are_read() -> None:
    assert from_pytorch(zipped(_tensor(4, 1, (2,), (2,)), _0=FOUR)).tolist() == [1, 3]
    with pytest.raises(pickle.UnpicklingError):
        from_pytorch(zipped(_tensor(4, 0, (4,), (1,), key="../../etc/passwd"), _0=FOUR))
    with pytest.raises(pickle.UnpicklingError, match="compressed"):
        from_pytorch(zipped(_tensor(4, 0, (4,), (1,)), zipfile.ZIP_DEFLATED, _0=FOUR))


def test_a_file_changes_nothing_that_stays() -> None:
    """A pickle may set attributes of what it names: that is made anew for each file."""
    build = b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n}X\x04\x00\x00\x00evilK\x01sb."
    with pytest.raises(pickle.UnpicklingError):
        from_pytorch(zipped(build))
    unpickler = _Unpickler(io.BytesIO())
    assert unpickler.find_class("torch._utils", "_rebuild_tensor_v2") is not unpickler.find_class("torch._utils", "_rebuild_tensor_v2")
    assert unpickler.find_class("torch", "float32") == "float32"


def test_containers_that_grow_without_end_are_read_once() -> None:
    nested: Any = ["x"]
    for _ in range(60):
        nested = [nested, nested]
    found = from_pytorch(zipped(pickle.dumps(nested, 2)))
    assert found[0] is found[1]
    inside: list[Any] = []
    inside.append(inside)
    looped = from_pytorch(zipped(pickle.dumps(inside, 2)))
    assert looped[0] is looped


def test_damaged_files_raise_one_error() -> None:
    rng, whole = Random(0), to_pytorch(state())
    for _ in range(300):
        content = bytearray(whole)
        for _ in range(rng.randint(1, 8)):
            content[rng.randrange(len(content))] = rng.randrange(256)
        try:
            from_pytorch(bytes(content[: rng.choice([len(content), rng.randrange(len(content))])]))
        except pickle.UnpicklingError:
            continue
    for content in (b"", b"PK\x03\x04", LEGACY, b"hello"):
        with pytest.raises(pickle.UnpicklingError):
            from_pytorch(content)
