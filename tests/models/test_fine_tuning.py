"""Fine-tuning a ResNet-18 with torchvision's state dict, beside PyTorch doing the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from engine.spec import SpecError, check
from engine.train import Run
from tests.data.prepared import prepared
from tests.models.test_architectures import SMALL, small
from tests.models.twin import torch_models
from tests.train.jobs import points

torch = pytest.importorskip("torch", reason="PyTorch is not installed; scripts/test --peers brings it")
pytestmark = pytest.mark.peer
STEPS, BATCH = 10, 8


@pytest.mark.parametrize(
    ("frozen", "precision"), [(("conv1.*", "bn1.*", "layer*"), "float32"), (("conv1.*", "layer1.*"), "float64")], ids=["features", "a part"]
)
def test_ten_steps_are_pytorchs(frozen: tuple[str, ...], precision: str, tmp_path: Path) -> None:
    """From a state dict that PyTorch made of a seed, by ``init_from``. (Where norms of small batches learn, rounding grows: there in double precision.)"""
    torch.manual_seed(0)
    net = torch_models().resnet18(num_classes=3, width=16)
    save_file({k: v.numpy() for k, v in net.state_dict().items()}, tmp_path / "resnet18.safetensors")
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(STEPS * BATCH, 3, 32, 32)).astype(np.float32), rng.integers(0, 3, STEPS * BATCH)
    source = prepared(tmp_path / "dataset", x, y, classes=["a", "b", "c"])
    spec = {
        "epochs": 1, "model": {"type": "resnet18", "width": 16}, "loss": {"type": "CrossEntropyLoss"}, "optimizer": {"type": "SGD", "lr": 0.01, "momentum": 0.9},
        "init_from": {"weights": "resnet18.safetensors", "freeze": list(frozen)}, "data": {"batch_size": BATCH, "shuffle": False, "validation": 0},
        "precision": precision,
    }  # fmt: skip
    run = Run(check(spec), source, find_weights=lambda section: tmp_path / section["weights"])
    losses = [p.values["loss"] for p in points(run, "train")]

    net = net.to(getattr(torch, precision))
    x = x.astype(precision)
    for name, p in net.named_parameters():
        p.requires_grad_(not any(name.startswith(f.rstrip("*")) for f in frozen))
    optimizer = torch.optim.SGD([p for p in net.parameters() if p.requires_grad], lr=0.01, momentum=0.9)
    expected: list[Any] = []
    for i in range(0, len(x), BATCH):
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(net(torch.tensor(x[i : i + BATCH])), torch.tensor(y[i : i + BATCH]))
        loss.backward()
        optimizer.step()
        expected.append(loss.item())
    assert len(losses) == STEPS
    np.testing.assert_allclose(losses, expected, rtol=1e-4)
    theirs = net.state_dict()
    assert list(theirs) == list(run.model.state_dict())
    for key, value in run.model.state_dict().items():
        np.testing.assert_allclose(value.numpy(), theirs[key].numpy(), rtol=1e-4, atol=1e-5, err_msg=key)


def test_weights_as_torchvision_publishes_them_are_strict_matches(tmp_path: Path) -> None:
    """Without counts of batches, and ViT's with other names, they are all that the model has; what is missing beside that is still told."""
    source = prepared(tmp_path / "dataset", np.zeros((16, 3, 32, 32), np.float32), np.arange(16) % 2, classes=["a", "b"])
    resnet, vit = small("resnet18", num_classes=2).state_dict(), small("vit_b_16", num_classes=2).state_dict()
    published = {
        "resnet18": {k: v for k, v in resnet.items() if not k.endswith("num_batches_tracked")},
        "vit_b_16": {k.replace("mlp.0.", "mlp.linear_1.").replace("mlp.3.", "mlp.linear_2."): v for k, v in vit.items()},
    }
    for name, state in published.items():
        save_file({f"net.{k}": v.numpy() for k, v in state.items()}, tmp_path / "weights.safetensors")
        options = {k: v for k, v in SMALL[name].items() if k != "image_size"}
        spec = {
            "epochs": 1, "model": {"type": name, **options}, "loss": {"type": "CrossEntropyLoss"}, "optimizer": {"type": "SGD", "lr": 0.0},
            "init_from": {"weights": "weights.safetensors", "map": {"net.": ""}}, "data": {"batch_size": 8},
        }  # fmt: skip
        run = Run(check(spec), source, find_weights=lambda section: tmp_path / section["weights"])
        if name == "vit_b_16":
            points(run)
            key = "encoder.layers.encoder_layer_1.mlp.3.weight"
            assert run.model.state_dict()[key].tolist() == vit[key].tolist()
        save_file({f"net.{k}": v.numpy() for k, v in state.items() if k != next(iter(state))}, tmp_path / "weights.safetensors")
        with pytest.raises(SpecError, match="/init_from/strict: 1 array"):
            Run(check(spec), source, find_weights=lambda section: tmp_path / section["weights"])
