"""The examples in the API's document. Each fits its model."""

from worker.records import JsonObject

SPEC: JsonObject = {
    "name": "digits-mlp",
    "seed": 1,
    "epochs": 12,
    "model": [{"type": "Flatten"}, {"type": "Linear", "out_features": 100}, {"type": "ReLU"}, {"type": "Linear", "out_features": 10}],
    "loss": {"type": "CrossEntropyLoss"},
    "metrics": ["accuracy"],
    "optimizer": {"type": "Adam", "lr": 0.003},
    "data": {"dataset": "ds_0123456789abcdef01234567", "batch_size": 64, "validation": 0.2},
}
UPDATE: JsonObject = {"name": "digits, wider", "labels": {"project": "digits", "by": "anna"}}
