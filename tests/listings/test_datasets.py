"""The tutorial's listings on datasets and loaders, import lines changed and typos mended."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import engine as torch
from engine.utils.data import ConcatDataset, DataLoader, Dataset, IterableDataset, TensorDataset, default_collate
from engine.vision.datasets import ImageFolder, default_loader


def test_dataset_of_ones_own(tmp_path: Path) -> None:
    class myDataset(Dataset):
        def __init__(self, csv_file: Path, txt_file: Path, root_dir: Path, other_file: Path) -> None:
            self.csv_data = np.loadtxt(csv_file, delimiter=",", skiprows=1)
            with open(txt_file) as f:
                data_list = f.readlines()
            self.txt_data = data_list
            self.root_dir = root_dir

        def __len__(self) -> int:
            return len(self.csv_data)

        def __getitem__(self, idx: int) -> Any:
            data = (self.csv_data[idx], self.txt_data[idx])
            return data

    (tmp_path / "a.csv").write_text("x,y\n1,2\n3,4\n5,6\n")
    (tmp_path / "a.txt").write_text("one\ntwo\nthree\n")
    data = myDataset(tmp_path / "a.csv", tmp_path / "a.txt", tmp_path, tmp_path)
    assert data[1][1] == "two\n" and data[1][0].tolist() == [3, 4]
    assert isinstance(data + data, ConcatDataset) and len(data + data) == 6
    dataiter = DataLoader(data, batch_size=32, shuffle=True, collate_fn=default_collate)
    ((x, text),) = list(dataiter)
    assert x.shape == (3, 2) and sorted(text) == ["one\n", "three\n", "two\n"]
    with pytest.raises(NotImplementedError):
        Dataset()[0]


def test_tensor_dataset_in_batches(capsys: pytest.CaptureFixture[str]) -> None:
    BATCH_SIZE = 5
    x = torch.linspace(1, 10, 10)
    y = torch.linspace(10, 1, 10)
    torch_dataset = TensorDataset(x, y)
    loader = DataLoader(dataset=torch_dataset, batch_size=BATCH_SIZE, shuffle=True, num_workers=0)
    for epoch in range(3):
        for step, (batch_x, batch_y) in enumerate(loader):
            print("Epoch: ", epoch, "| Step: ", step, "| batch x: ", batch_x.numpy(), "| batch y: ", batch_y.numpy())
            assert (batch_x + batch_y).tolist() == [11] * 5  # shuffled, the pairs kept
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 6 and lines[0].startswith("Epoch:  0 | Step:  0 | batch x:  [") and len(set(lines)) == 6
    for i in torch_dataset:
        assert float(i[0]) + float(i[1]) == 11


def test_a_tensor_is_a_dataset(capsys: pytest.CaptureFixture[str]) -> None:
    t = torch.arange(6, dtype=torch.float32)
    data = DataLoader(t)
    for i in data:
        print(i)
    assert capsys.readouterr().out.splitlines() == [f"tensor([{k}.])" for k in range(6)]
    data = DataLoader(t, batch_size=3, drop_last=False)
    for i in data:
        print(i)
    assert capsys.readouterr().out.splitlines() == ["tensor([0., 1., 2.])", "tensor([3., 4., 5.])"]


class Stream(IterableDataset):
    def __iter__(self) -> Any:
        return iter([1, 2])


CHECKS: list[tuple[Any, dict[str, Any], str]] = [
    ([1], {"num_workers": -1}, "num_workers option should be non-negative"), ([1], {"timeout": -1}, "timeout option should be non-negative"),
    (Stream(), {"shuffle": True}, "expected unspecified shuffle option, but got shuffle=True"), (Stream(), {"sampler": [0]}, "expected unspecified sampler option"),
    (Stream(), {"batch_sampler": [[0]]}, "expected unspecified batch_sampler option"), ([1], {"sampler": [0], "shuffle": True}, "sampler option is mutually exclusive with shuffle"),
    ([1], {"batch_sampler": [[0]], "drop_last": True}, "batch_sampler option is mutually exclusive"), ([1], {"batch_size": None, "drop_last": True}, "disables auto-batching"),
    ([1], {"multiprocessing_context": "spawn"}, "can only be used with multi-process loading"),
]  # fmt: skip


@pytest.mark.parametrize(("dataset", "options", "message"), CHECKS, ids=[m for _, _, m in CHECKS])
def test_every_check_of_the_loaders_source(dataset: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DataLoader(dataset, **options)


def test_attributes_are_frozen() -> None:
    loader = DataLoader([1, 2, 3], batch_size=2)
    for name in ("batch_size", "batch_sampler", "sampler", "drop_last", "dataset"):
        with pytest.raises(ValueError, match=f"{name} attribute should not be set after DataLoader is initialized"):
            setattr(loader, name, None)
    assert len(loader) == 2
    with pytest.raises(TypeError):
        len(DataLoader(Stream()))


def test_image_folder(tmp_path: Path) -> None:
    for name in ("dog/xxx.png", "dog/xxy.png", "dog/xxz.png", "cat/123.png", "cat/asd.png", "cat/zxc.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (4, 4)).save(tmp_path / name)
    dset = ImageFolder(root=tmp_path, transform=None, loader=default_loader)
    assert len(dset) == 6 and dset.class_to_idx == {"cat": 0, "dog": 1} and dset[0][0].size == (4, 4)
