"""A folder of images on this machine is read as its zip is: with empty classes and links, without what systems left there."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import pytest

from client.local import prepare
from client.pack import pack
from engine.data import Rejected
from tests.data.archives import picture


def folder(path: Path) -> Path:
    for name in ("cat/1.png", "dog/1.png", ".thumbnails/1.png", "__MACOSX/cat/._1.png", "cat/.DS_Store"):
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(picture(name))
    os.utime(path / "cat" / "1.png", (0, 0))  # before the years that a zip knows
    return path


def test_a_folder_is_packed_with_links_and_without_clutter(tmp_path: Path) -> None:
    data = folder(tmp_path / "data")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "1.png").write_bytes(picture("wolf"))
    (data / "wolf").symlink_to(elsewhere)
    (data / "dog" / "again").symlink_to(data)  # around itself
    os.mkfifo(data / "dog" / "pipe")
    with zipfile.ZipFile(pack(data, tmp_path / "data.zip")) as archive:
        assert archive.namelist() == ["cat/", "cat/1.png", "dog/", "dog/1.png", "wolf/", "wolf/1.png"]
    assert prepare(data, tmp_path / "prepared").report.classes == ["cat", "dog", "wolf"]


def test_an_empty_class_folder_is_named(tmp_path: Path) -> None:
    data = folder(tmp_path / "data")
    (data / "bird").mkdir()
    with pytest.raises(Rejected, match="no image of class bird could be read"):
        prepare(data, tmp_path / "prepared")
