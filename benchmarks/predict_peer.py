"""What people write around a PyTorch model to serve it: ``uvicorn benchmarks.predict_peer:app`` with the weights in ``PREDICT_WEIGHTS``."""

from __future__ import annotations

import io
import os
from typing import Any

import numpy as np
import torch
from fastapi import FastAPI, Request
from PIL import Image
from safetensors.torch import load_file
from torch import nn


def network() -> nn.Sequential:
    """The network of ``examples/digits-cnn.json``, in evaluation."""
    found = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Dropout(0.25), nn.Linear(512, 10),
    )  # fmt: skip
    found.load_state_dict(load_file(os.environ["PREDICT_WEIGHTS"]))
    return found.eval()


app = FastAPI()
model = network()


@app.post("/predict")
async def predict(request: Request) -> dict[str, Any]:
    """The probabilities of the classes of one image."""
    with Image.open(io.BytesIO(await request.body())) as image:
        x = torch.from_numpy(np.asarray(image.convert("L"), np.float32) / 255)[None, None]
    with torch.inference_mode():
        p = model(x).softmax(1)[0].tolist()
    return {"label": str(int(np.argmax(p))), "probabilities": {str(i): v for i, v in enumerate(p)}}
