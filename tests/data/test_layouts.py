"""What is recognised of archives of images: a table of layouts, each with the whole report that is expected."""

from __future__ import annotations

import struct
import warnings
import zipfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.data import Options, Rejected, Report, ingest, open_source
from tests.data.archives import picture, zipped

NO_DUPLICATES = {"exact": 0, "near": 0, "across_splits": 0, "across_classes": 0, "groups": []}
BY_FOLDER = {"name": "class", "chosen": "the name of the folder", "kinds": ["classes"]}
NO_IMAGE = "not an image by its extension (.jpg, .jpeg, .png, .ppm, .bmp, .pgm, .tif, .tiff, .webp, .gif, .jfif)"
HELD = "in split"


def images(*names: str) -> dict[str, bytes | None]:
    return {name: picture(name) for name in names}


@dataclass
class Case:
    """An archive, what its owner says of it, and what the report says beside the fields that all reports of such images share."""

    files: dict[str, bytes | None]
    report: dict[str, Any]
    options: Options = field(default_factory=Options)
    page: str | None = None


def labelled(column: str, chosen: str, *kinds: str) -> dict[str, Any]:
    return {"name": column, "chosen": chosen, "kinds": list(kinds or ["classes"])}


def refused(*pairs: tuple[str, str]) -> dict[str, Any]:
    return {"refused": [{"file": f, "reason": r} for f, r in pairs], "refused_count": len(pairs)}


PETS = images("cat/1.png", "cat/2.png", "dog/1.png")
TWO = {"classes": ["cat", "dog"], "counts": {"cat": 2, "dog": 1}, "layout": "class_folders"}
SPLIT = {"classes": ["cat", "dog"], "counts": {"cat": 2, "dog": 2}, "layout": "split_folders", "splits": {"train": 2, "val": 2}}
LIST = {"classes": ["cat", "dog"], "counts": {"cat": 2, "dog": 1}, "layout": "labels_file"}
FLAT = images("1.png", "2.png", "3.png")


def pets_in(*folders: str) -> dict[str, bytes | None]:
    return images(*(f"{folder}/{name}/1.png" for folder in folders for name in ("cat", "dog")))


def rejected(reason: str, *pairs: tuple[str, str], **more: Any) -> dict[str, Any]:
    return {"reason": reason, **refused(*pairs), **more}


NONE = "no classes: expected images at CLASS/NAME.png, one folder a class, or beside a file of names and labels"
CASES = {
    "class folders": Case(PETS, TWO),
    "wrapper folders": Case({f"data/my pets/{n}": c for n, c in PETS.items()}, TWO),
    "folders inside of classes": Case(images("cat/a/1.png", "cat/b/c/2.png", "dog/1.png"), TWO),
    "entries for folders too": Case({"cat/": None, "dog/": None, **PETS}, TWO),
    "folders in Windows' notation": Case({n.replace("/", "\\"): c for n, c in PETS.items()} | {"dog\\": None}, TWO),
    "names that begin with a dot and a slash": Case({f"./{n}": c for n, c in PETS.items()}, TWO),
    "what systems leave": Case(
        {f"p/{n}": c for n, c in PETS.items()}
        | {f"__MACOSX/p/{n.replace('/', '/._')}": b"\0\5\26\7" for n in PETS}
        | {"p/.DS_Store": b"Bud1", "p/cat/Thumbs.db": b"x", "p/desktop.ini": b"x", "p/cat/Icon\r": b"", "p/.git/HEAD": b"x"}
        | images("p/.ipynb_checkpoints/a.png", "p/@eaDir/1.png/SYNO.jpg", "p/.thumbnails/a.png", "p/.Trashes/a.png", "p/#recycle/a.png"),
        {**TWO, "converted": ["hidden and generated files were passed over: #recycle, .DS_Store, .Trashes, .git, .ipynb_checkpoints"]},
    ),
    "other files": Case(
        {**PETS, "README.md": b"x", "cat/notes.txt": b"x", "docs/licence.txt": b"x"} | images("stray.png"),
        {**TWO, **refused(("README.md", NO_IMAGE), ("cat/notes.txt", NO_IMAGE), ("docs/licence.txt", NO_IMAGE), ("stray.png", "not inside a class folder"))},
    ),
    "one class": Case(images("cat/1.png", "cat/2.png"), {"classes": ["cat"], "counts": {"cat": 2}, "layout": "class_folders", "warnings": ["there is one class only, cat"]}),
    "classes that differ in case": Case(
        images("Cat/1.png", "cat/1.png"),
        {"classes": ["Cat", "cat"], "counts": {"Cat": 1, "cat": 1}, "layout": "class_folders", "warnings": ["the classes 'Cat', 'cat' differ in case or spaces only"]},
    ),
    "imbalanced classes": Case(
        images("a/0.png", *(f"b/{i}.png" for i in range(10))),
        {"classes": ["a", "b"], "counts": {"a": 1, "b": 10}, "layout": "class_folders", "warnings": ["the classes are imbalanced: b has 10 images, a 1"]},
    ),
    # -- classes without images
    "an empty class": Case(
        {"bird/": None, **PETS},
        rejected("no image of class bird could be read: add some, remove the folder, or give layout=class_folders to keep a class without samples", samples=3, **TWO, target=BY_FOLDER)
        | {"classes": ["bird", "cat", "dog"], "counts": {"bird": 0, "cat": 2, "dog": 1}},
    ),
    "an empty class that is kept": Case(
        {"bird/": None, **PETS},
        {**TWO, "classes": ["bird", "cat", "dog"], "counts": {"bird": 0, "cat": 2, "dog": 1}, "warnings": ["no image of class bird: kept, since the layout was given"]},
        Options(layout="class_folders"),
    ),
    "a class of files that are not read": Case(
        {"bird/1.heic": b"x", **PETS},
        rejected("no image of class bird could be read: add some, remove the folder, or give layout=class_folders to keep a class without samples", ("bird/1.heic", NO_IMAGE), samples=3, **TWO, target=BY_FOLDER)
        | {"classes": ["bird", "cat", "dog"], "counts": {"bird": 0, "cat": 2, "dog": 1}},
    ),
    # -- splits
    "splits over classes": Case(pets_in("train", "val"), SPLIT),
    "three splits, other words, any case, a wrapper": Case(
        pets_in("set/Training", "set/VALID", "set/Testing"), {**SPLIT, "counts": {"cat": 3, "dog": 3}, "splits": {"train": 2, "val": 2, "test": 2}}
    ),
    "classes over splits": Case(images(*(f"{c}/{s}/1.png" for c in ("cat", "dog") for s in ("train", "validation"))), SPLIT),
    "split folders with more in their names": Case(pets_in("pets_train", "pets-val"), SPLIT),
    "a split folder twice": Case(pets_in("training_set/training_set", "valid_set/valid_set"), SPLIT),
    "a folder between splits and classes": Case(pets_in("train/images", "val/images"), SPLIT),
    "test images without classes": Case(
        pets_in("train", "val") | images("test/1.png"), {**SPLIT, **refused(("test/1.png", "not inside a split folder and a class folder"))}
    ),
    "a folder beside the splits": Case(
        pets_in("seg_train/seg_train", "seg_val/seg_val") | images("seg_pred/seg_pred/1.png"),
        {**SPLIT, **refused(("seg_pred/seg_pred/1.png", "not inside a split folder and a class folder"))},
    ),
    "a class that is not in every split": Case(
        pets_in("train") | images("val/cat/1.png", "test/bird/1.png"),
        {
            "classes": ["bird", "cat", "dog"], "counts": {"bird": 1, "cat": 2, "dog": 1}, "layout": "split_folders", "splits": {"train": 2, "val": 1, "test": 1},
            "warnings": ["no image of class cat, dog in split test", "no training image of class bird: a model cannot learn it", "no image of class bird, dog in split val"],
        },
    ),
    "one split only is a wrapper": Case({f"train/{n}": c for n, c in PETS.items()}, TWO),
    "a class called train": Case(
        images("plane/1.png", "train/1.png"), {"classes": ["plane", "train"], "counts": {"plane": 1, "train": 1}, "layout": "class_folders"}
    ),
    "classes that look like splits": Case(
        images("car/1.png", "test/1.png", "train/1.png"),
        {
            "classes": ["car", "test", "train"], "counts": {"car": 1, "test": 1, "train": 1}, "layout": "class_folders",
            "warnings": ["the folders test, train are taken for classes, since others stand beside them; are they splits?"],
        },
    ),
    "splits without classes": Case(
        images("train/1.png", "val/1.png"),
        rejected("the folders train, val are splits, but there are no class folders with images in them and no list of labels; give layout=class_folders if they are classes"),
    ),
    "splits without training": Case(
        pets_in("val", "test"), rejected("the folders test, val are splits, but there is no training split among them; give layout=class_folders if they are classes")
    ),
    "classes train and val, as their owner says": Case(
        images("train/1.png", "val/1.png"),
        {"classes": ["train", "val"], "counts": {"train": 1, "val": 1}, "layout": "class_folders"},
        Options(layout="class_folders"),
    ),
    "splits as classes, as their owner says": Case(
        pets_in("train", "val"), {"classes": ["train", "val"], "counts": {"train": 2, "val": 2}, "layout": "class_folders"}, Options(layout="class_folders")
    ),
    "a layout that is not there": Case(
        PETS,
        rejected("the archive is not laid out as split_folders: expected images at SPLIT/CLASS/NAME.png or CLASS/SPLIT/NAME.png, with folders train and val or test"),
        Options(layout="split_folders"),
    ),
    "the same image in two splits": Case(
        pets_in("train", "val") | {"val/cat/copy.png": picture("train/cat/1.png")},
        {
            **SPLIT, "counts": {"cat": 3, "dog": 2}, "splits": {"train": 2, "val": 3},
            "duplicates": {"exact": 1, "near": 0, "across_splits": 1, "across_classes": 0, "groups": [{"kind": "exact", "files": ["train/cat/1.png", "val/cat/copy.png"], "across_splits": True, "across_classes": False}]},
            "warnings": ["1 group of duplicates over several splits: held-out results will be too good"],
        },
    ),
    # -- lists
    "labels.csv": Case({**FLAT, "labels.csv": b"filename,label\n1.png,cat\n2.png,cat\n3.png,dog\n"}, {**LIST, "target": labelled("label", "by its name")}),
    "a table of another name, without header, with semicolons": Case(
        {f"all/{n}": c for n, c in FLAT.items()} | {"all/my list.csv": "1.png;cat\r\n2.png;cat\r\n3.png;dog".encode("utf-8-sig")},
        {**LIST, "target": labelled("column 2", "the only other column")},
    ),
    "names relative to the archive, without extensions, as integers": Case(
        {f"images/{n}": c for n, c in FLAT.items()} | {"train.csv": b"id,age\n1,30\n2,9\n3,30\n"},
        {**LIST, "classes": ["9", "30"], "counts": {"9": 1, "30": 2}, "target": labelled("age", "the only other column", "classes", "numbers")},
    ),
    "numbers to predict": Case(
        {**FLAT, "metadata.csv": b"file_name\tsize\tweight\n1.png\t4\t0.5\n2.png\t4\t1.25\n3.png\t5\t-3\n"},
        {"classes": None, "counts": {}, "layout": "labels_file", "target": labelled("weight", "the last column", "numbers")},
    ),
    "the column that its owner names": Case(
        {**FLAT, "metadata.csv": b"file_name,kind,label\n1.png,cat,x\n2.png,cat,y\n3.png,dog,z\n"},
        {**LIST, "target": labelled("kind", "as given")}, Options(target="kind"),
    ),
    "a column that is not there": Case(
        {**FLAT, "labels.csv": b"file,label\n1.png,cat\n2.png,cat\n3.png,dog\n"},
        rejected("labels.csv has no column 'kind': expected one of file, label"), Options(target="kind"),
    ),
    "a column for each class": Case(
        {**FLAT, "_classes.csv": b"filename,cat,dog\n1.png,1,0\n2.png,1,0\n3.png,0,1\n"}, {**LIST, "target": labelled("cat, dog", "a column for each class")}
    ),
    "a column of splits": Case(
        {**FLAT, "labels.csv": b"split,path,label\ntrain,1.png,cat\ntrain,3.png,dog\nVALIDATION,2.png,cat\n"},
        {**LIST, "splits": {"train": 2, "val": 1}, "target": labelled("label", "by its name"), "warnings": ["no image of class dog in split val"]},
    ),
    "an index file": Case(
        {**FLAT, "index.txt": b"# mine\n./1.png cat\n2.png  cat\n\n3.png dog\n"}, {**LIST, "layout": "index_file", "target": labelled("column 2", "the only other column")}
    ),
    "an index file of each split, relative to it": Case(
        {f"images/{n}": c for n, c in FLAT.items()} | {"lists/train.txt": b"../images/1.png 0\n../images/3.png 1\n", "lists/val.txt": b"../images/2.png 0\n"},
        {
            "layout": "index_file", "classes": ["0", "1"], "counts": {"0": 2, "1": 1}, "splits": {"train": 2, "val": 1},
            "target": labelled("column 2", "the only other column", "classes", "numbers"), "warnings": ["no image of class 1 in split val"],
        },
    ),
    "a table in each split folder": Case(
        images("train/1.png", "train/2.png", "test/1.png")
        | {"train/metadata.csv": b"file_name,label\n1.png,cat\n2.png,dog\n", "test/metadata.csv": b"file_name,label\n1.png,cat\n"},
        {**LIST, "splits": {"train": 2, "test": 1}, "target": labelled("label", "by its name"), "warnings": ["no image of class dog in split test"]},
    ),
    "lines that cannot be used": Case(
        images("1.png", "2.png", "3.png", "4.png", "5.png", "6.png") | {"labels.csv": b"file,label\n1.png,cat\n2.png,cat\n3.png,dog\n9.png,dog\n4.png\n5.png,NA\n1.png,cat\n6.png,cat\n6.png,dog\n"},
        {
            **LIST, "target": labelled("label", "by its name"),
            **refused(
                ("labels.csv", "line 5: there is no image '9.png'"), ("labels.csv", "line 6: expected a file name and a label, got '4.png'"),
                ("labels.csv", "line 7: no label for 5.png"), ("6.png", "labelled cat and dog: line 9 of labels.csv and line 10 of labels.csv"), ("4.png", "not listed in labels.csv"),
            ),
        },
    ),
    "a list that says more than the folders": Case(
        images("part_1/1.png", "part_1/2.png", "part_2/3.png") | {"metadata.csv": b"image_id,label\n1,cat\n2,cat\n3,dog\n"}, {**LIST, "target": labelled("label", "by its name")}
    ),
    "a list that says what the folders say": Case(
        {**PETS, "labels.csv": b"file,label\ncat/1.png,cat\ncat/2.png,cat\ndog/1.png,dog\n"},
        {**TWO, **refused(("labels.csv", "not read, since the folders say the class; layout=labels_file reads it"))},
    ),
    "names relative to a folder, there in several": Case(
        images("images/p/1.png", "images/q/1.png", "images/q/2.png") | {"labels.csv": b"path,label\np/1.png,cat\nq/1.png,cat\nq/2.png,dog\n"},
        {**LIST, "target": labelled("label", "by its name")},
    ),
    "no classes": Case(FLAT, rejected(NONE, *((n, "not inside a class folder") for n in FLAT))),
    "no images": Case({"a/readme.txt": b"hello"}, rejected(NONE, ("a/readme.txt", NO_IMAGE))),
    # -- names
    "UTF-8 without saying so": Case(
        images("猫/1.png", "猫/2.png", "köter/1.png"), {**TWO, "classes": ["köter", "猫"], "counts": {"köter": 1, "猫": 2}}, page="utf-8"
    ),
    "accents as macOS writes them": Case(
        images("zebre\u0300/1.png", "zebre\u0300/2.png", "dog/1.png"), {**TWO, "classes": ["dog", "zebrè"], "counts": {"dog": 1, "zebrè": 2}}
    ),
    **{
        f"code page {page}": Case(
            images(*(f"{n}/1.png" for n in names)),
            {
                "classes": sorted(names), "counts": dict.fromkeys(sorted(names), 1), "layout": "class_folders",
                "converted": [f"names that are not UTF-8 were read in code page {guess}; if they look wrong, zip the files with UTF-8 names"],
            },
            page=page,
        )
        for page, guess, names in (
            ("gbk", "gbk", ("猫", "狗", "飞机")), ("cp932", "cp932", ("犬", "ねこ", "ヒコーキ")), ("cp949", "cp949", ("고양이", "강아지", "비행기")),
            ("big5", "big5", ("貓咪", "飛機", "小狗")), ("cp866", "cp866", ("Кошка", "собака")), ("cp1251", "cp1251", ("Кошка", "собака")),
            ("cp437", "cp850", ("café", "Äpfel", "dog")), ("cp1252", "cp1252", ("café", "Äpfel", "dog")),
        )
    },
}  # fmt: skip


def expected(case: Case) -> dict[str, Any]:
    """The report of images that are all 6 x 8 and grey, with the case's own fields."""
    report = Report("imagefolder").as_dict() | {"target": BY_FOLDER, "duplicates": NO_DUPLICATES, "shape": [1, 6, 8], "channels": 1}
    if case.report.get("reason"):
        report = Report("imagefolder").as_dict()
    else:
        report["samples"] = sum(case.report["counts"].values()) or 3
    return report | case.report


@pytest.mark.parametrize("name", CASES)
def test_a_layout_and_its_report(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    upload = zipped(tmp_path / "upload.zip", case.files, case.page)
    try:
        report = ingest(upload, tmp_path / "data", "imagefolder", options=case.options)
    except Rejected as error:
        assert error.report.as_dict() == expected(case)
        return
    found = report.as_dict()
    mean, std = found.pop("mean"), found.pop("std")
    assert found == {k: v for k, v in expected(case).items() if k not in ("mean", "std")}
    source = open_source(tmp_path / "data")
    training = source.splits.get("train", range(len(source)))
    pixels = np.stack([source.raw(int(i)).numpy() for i in training]) / 255.0
    np.testing.assert_allclose((mean, std), (pixels.mean((0, 2, 3)), pixels.std((0, 2, 3))), atol=1e-6)
    assert {k: len(v) for k, v in source.splits.items()} == (report.splits or {})
    if report.classes is not None:
        assert {c: int((source.targets == i).sum()) for i, c in enumerate(report.classes)} == report.counts


def test_the_table_is_complete() -> None:
    assert len(CASES) >= 40
    assert {case.report.get("layout") for case in CASES.values()} >= {"class_folders", "split_folders", "labels_file", "index_file"}


def test_targets_and_splits_are_those_of_the_files(tmp_path: Path) -> None:
    files: dict[str, bytes | None] = {f"{s}/{c}/1.png": picture(f"{s}{c}") for s in ("val", "train") for c in ("dog", "cat")}
    ingest(zipped(tmp_path / "upload.zip", files), tmp_path / "data", "imagefolder")
    source = open_source(tmp_path / "data")
    split = {int(i): name for name, indices in source.splits.items() for i in indices}
    found = {(split[i], ["cat", "dog"][source.targets[i]]): source.raw(i).numpy().tobytes() for i in range(4)}
    for name in files:
        other = zipped(tmp_path / "one.zip", {"x/1.png": files[name]})
        ingest(other, tmp_path / "one", "imagefolder")
        assert found[name.split("/")[0], name.split("/")[1]] == open_source(tmp_path / "one").raw(0).numpy().tobytes()


def test_labels_that_are_numbers_can_be_read_both_ways(tmp_path: Path) -> None:
    files = images("1.png", "2.png", "3.png") | {"labels.csv": b"file,label\n1.png,10\n2.png,9\n3.png,10\n"}
    report = ingest(zipped(tmp_path / "upload.zip", files), tmp_path / "data", "imagefolder")
    source = open_source(tmp_path / "data")
    assert report.classes == ["9", "10"]
    classes, numbers = source.targets_as("classes"), source.targets_as("numbers")
    assert classes is not None and classes.tolist() == [1, 0, 1] and numbers is not None and numbers.tolist() == [[10.0], [9.0], [10.0]]


@pytest.mark.parametrize("belongs", [True, False])
def test_the_unicode_path_field_counts_if_it_belongs_to_the_name(belongs: bool, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "upload.zip", "w") as archive:
        for old, new in (("__/1.png", "猫/1.png"), ("--/1.png", "狗/1.png")):
            info, name = zipfile.ZipInfo(old), new.encode()
            info.extra = struct.pack("<HHBL", 0x7075, 5 + len(name), 1, zlib.crc32(old.encode()) if belongs else 7) + name
            archive.writestr(info, picture(new))
    report = ingest(tmp_path / "upload.zip", tmp_path / "data", "imagefolder")
    assert report.classes == (["狗", "猫"] if belongs else ["--", "__"])


def test_a_long_list_is_read_whole(tmp_path: Path) -> None:
    files = images("a/1.png", "a/2.png")
    files["labels.csv"] = (
        "file;note;label\n" + "".join(f"{i}.jpg;{'x,' * 50};a\n" for i in range(6000)) + "a/1.png;;cat\na/2.png;;dog\n"
    ).encode()
    with pytest.raises(Rejected, match="no classes"):  # what it names is not in the part that is looked at
        ingest(
            zipped(tmp_path / "upload.zip", {"zebra.png": files["a/1.png"], "labels.csv": files["labels.csv"]}),
            tmp_path / "data",
            "imagefolder",
        )
    files["labels.csv"] = b"file;note;label\na/1.png;;cat\n" + (files["labels.csv"] or b"")
    report = ingest(zipped(tmp_path / "upload.zip", files), tmp_path / "data", "imagefolder")
    assert report.classes == ["cat", "dog"] and report.refused_count == 6001 and len(report.refused) == 1000


def test_labels_and_names_have_no_control_characters(tmp_path: Path) -> None:
    files = images("1.png", "2.png") | {"labels.csv": b"file,label\n1.png,c\x1b[31mat\n2.png,dog\n"}
    assert ingest(zipped(tmp_path / "upload.zip", files), tmp_path / "data", "imagefolder").classes == ["c [31mat", "dog"]
    with pytest.raises(Rejected, match="unsafe entry"):
        ingest(zipped(tmp_path / "upload.zip", images("a\x9b1m/1.png", "b/1.png")), tmp_path / "data", "imagefolder")


def test_labels_that_hardly_repeat_are_told(tmp_path: Path) -> None:
    files = images(*(f"{i:02}.png" for i in range(24)))
    files["labels.csv"] = "".join(f"{name},word{i}\n" for i, name in enumerate(files)).encode()
    report = ingest(zipped(tmp_path / "upload.zip", files), tmp_path / "data", "imagefolder")
    assert report.warnings == ["24 classes for 24 images: are these labels the right ones?"]
    files["labels.csv"] = "".join(f"{name},{i}\n" for i, name in enumerate(files)).encode()
    report = ingest(zipped(tmp_path / "upload.zip", files), tmp_path / "data", "imagefolder")
    assert report.classes is None and report.target is not None and report.target["kinds"] == ["numbers"]


def test_reading_leaves_warnings_as_they_were(tmp_path: Path) -> None:
    before = warnings.filters[:]
    ingest(zipped(tmp_path / "upload.zip", PETS), tmp_path / "data", "imagefolder")
    assert warnings.filters[:] == before
