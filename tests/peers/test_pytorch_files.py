"""State dicts that PyTorch and the engine write for each other; a model's file used with PyTorch alone."""

from __future__ import annotations

import io
import subprocess
import sys
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import engine
from engine.serialization import from_pytorch, to_pytorch
from tests.engine.test_pytorch_files import state
from tests.inference.finished import finished, uploaded
from tests.inference.test_models import EXAMPLES

torch = pytest.importorskip("torch", reason="PyTorch is not installed; scripts/test --peers brings it")
pytestmark = [pytest.mark.peer, pytest.mark.filterwarnings("ignore")]


@pytest.mark.parametrize("mmap", [False, True])
def test_pytorch_reads_what_the_engine_writes(tmp_path: Path, mmap: bool) -> None:
    kept = state()
    (tmp_path / "model.pt").write_bytes(to_pytorch(kept))
    found = torch.load(tmp_path / "model.pt", weights_only=True, mmap=mmap)
    assert isinstance(found, OrderedDict) and list(found) == list(kept)
    for name, x in found.items():
        assert str(x.dtype) == f"torch.{kept[name].dtype.name}" and tuple(x.shape) == tuple(kept[name].shape)
        assert x.tolist() == kept[name].tolist(), name


def _saved(obj: Any, zipped: bool) -> bytes:
    file = io.BytesIO()
    torch.save(obj, file, _use_new_zipfile_serialization=zipped)
    return file.getvalue()


@pytest.mark.parametrize("zipped", [True, False])
def test_the_engine_reads_what_pytorch_writes(zipped: bool, tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.LSTM(4, 5, 2))
    net[1](torch.randn(2, 4, 3, 3))
    kept = net.state_dict()
    (tmp_path / "net.pth").write_bytes(_saved(kept, zipped))
    found = engine.load(tmp_path / "net.pth")
    assert list(found) == list(kept) and all(np.array_equal(found[k].numpy(), v.numpy()) for k, v in kept.items())
    ours = engine.nn.Sequential(engine.nn.Conv2d(3, 4, 3), engine.nn.BatchNorm2d(4), engine.nn.LSTM(4, 5, 2))
    assert not any(ours.load_state_dict(found))


@pytest.mark.parametrize("zipped", [True, False])
def test_checkpoints_with_more_than_tensors(zipped: bool) -> None:
    base = torch.arange(12.0).reshape(3, 4)
    optimizer = {
        "state": {0: {"step": torch.tensor(3.0), "exp_avg": torch.ones(2) / 3}},
        "param_groups": [{"lr": 0.1, "betas": (0.9, 0.99), "params": [0]}],
    }
    kept = {
        "epoch": 3, "best": 0.5, "names": ["a", ("b", None)], "part": base[1:, ::2], "turned": base.t(), "whole": base, "number": torch.tensor(7),
        "half": torch.randn(3).bfloat16(), "flag": torch.tensor([True]), "parameter": torch.nn.Parameter(torch.ones(2)), "size": base.shape,
        "optimizer": optimizer,
    }  # fmt: skip
    found = from_pytorch(_saved(kept, zipped))
    assert found["epoch"] == 3 and found["names"] == ["a", ("b", None)] and found["size"] == (3, 4)
    for name in ("part", "turned", "whole", "number", "half", "flag", "parameter"):
        assert found[name].tolist() == kept[name].tolist(), name  # type: ignore[union-attr]
    assert found["optimizer"]["state"][0]["exp_avg"].tolist() == optimizer["state"][0]["exp_avg"].tolist()  # type: ignore[index]
    assert found["optimizer"]["param_groups"] == optimizer["param_groups"]


def test_a_whole_module_is_refused_by_name() -> None:
    with pytest.raises(Exception, match=r"torch\.nn\.modules\.linear\.Linear, which could run code"):
        from_pytorch(_saved(torch.nn.Linear(2, 2), True))


ALONE = """
import json, sys
import numpy as np, torch
from PIL import Image
from safetensors import safe_open

with safe_open(sys.argv[1], "pt") as file:
    known = {k: json.loads(v) for k, v in file.metadata().items() if k != "format"}
    tensors = {k: file.get_tensor(k) for k in file.keys()}
net = torch.nn.Sequential(
    torch.nn.Conv2d(1, 16, 3, padding=1), torch.nn.BatchNorm2d(16), torch.nn.ReLU(), torch.nn.Conv2d(16, 32, 3, padding=1), torch.nn.ReLU(),
    torch.nn.Flatten(), torch.nn.Linear(2048, 10),
)
net.load_state_dict(tensors)
pt = torch.load(sys.argv[2], weights_only=True)
assert all(torch.equal(pt[k], v) for k, v in tensors.items())
x = torch.tensor(np.asarray(Image.open(sys.argv[3])))[None, None] / 255
with torch.no_grad():
    p = net.eval()(x).softmax(1)[0]
assert "engine" not in sys.modules
print(known["classes"][int(p.argmax())], float(p.max()))
"""


def test_pytorch_alone_classifies_an_image(tmp_path: Path) -> None:
    source = uploaded(tmp_path, "imagefolder", (EXAMPLES / "digits.zip").read_bytes())
    layers = [
        {"type": "Conv2d", "out_channels": 16, "kernel_size": 3, "padding": 1}, {"type": "BatchNorm2d"}, {"type": "ReLU"},
        {"type": "Conv2d", "out_channels": 32, "kernel_size": 3, "padding": 1}, {"type": "ReLU"}, {"type": "Flatten"}, {"type": "Linear", "out_features": 10},
    ]  # fmt: skip
    run, model = finished(source, tmp_path, "CrossEntropyLoss", layers, epochs=1)
    (tmp_path / "model.pt").write_bytes(to_pytorch(run.model.state_dict()))
    with zipfile.ZipFile(EXAMPLES / "digits.zip") as archive:
        content = archive.read(next(n for n in archive.namelist() if n.endswith(".png")))
    (tmp_path / "digit.png").write_bytes(content)
    command = [sys.executable, "-W", "ignore", "-c", ALONE, *(str(tmp_path / n) for n in ("model.safetensors", "model.pt", "digit.png"))]
    label, probability = subprocess.run(command, check=True, capture_output=True, text=True, cwd=tmp_path).stdout.split()
    expected = model.predict(Image.open(io.BytesIO(content)))
    assert label == expected.label and float(probability) == pytest.approx(expected.probability, abs=1e-5)
