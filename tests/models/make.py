"""Writes what torchvision's architectures are and compute: ``python -m tests.models.make``, with torchvision 0.28 and PyTorch 2.13 installed."""

import numpy as np
import torch
from torchvision import models

from tests.models.values import FILE, filled, images, size_of

NAMES = (
    "convnext_tiny", "efficientnet_b0", "mobilenet_v2", "mobilenet_v3_large", "mobilenet_v3_small", "resnet18", "resnet34", "resnet50", "vit_b_16",
)  # fmt: skip

if __name__ == "__main__":
    arrays = {}
    for name in NAMES:
        options = {"image_size": size_of(name)} if name.startswith("vit") else {}
        model = getattr(models, name)(**options).eval()
        state = model.state_dict()
        arrays[f"{name}.keys"] = np.array([f"{k} {tuple(v.shape)}" for k, v in state.items()])
        model.load_state_dict({k: torch.tensor(filled(k, tuple(v.shape))) for k, v in state.items()})
        with torch.no_grad():
            arrays[f"{name}.scores"] = model(torch.tensor(images(size_of(name))))[:, ::100].numpy()
        print(name, arrays[f"{name}.scores"])
    np.savez_compressed(FILE, **arrays)
    print(f"{FILE.stat().st_size / 1024:.0f} KiB")
