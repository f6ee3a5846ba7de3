"""The example in the API's documentation."""

from typing import Any

SPEC: dict[str, Any] = {
    "name": "digits-mlp",
    "seed": 1,
    "epochs": 12,
    "model": [{"type": "Flatten"}, {"type": "Linear", "out_features": 100}, {"type": "ReLU"}, {"type": "Linear", "out_features": 10}],
    "loss": {"type": "CrossEntropyLoss"},
    "metrics": ["accuracy"],
    "optimizer": {"type": "Adam", "lr": 0.003},
    "data": {"dataset": "ds_0123456789abcdef01234567", "batch_size": 64, "validation": 0.2},
}
