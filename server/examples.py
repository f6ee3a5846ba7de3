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
NEW_VERSION: JsonObject = {"name": "digits", "job": "job_0123456789abcdef0123", "step": "best", "aliases": ["production"]}

JOB: JsonObject = {
    "id": "job_0123456789abcdef0123", "name": "digits-mlp", "state": "running", "reason": None, "labels": {"project": "digits"}, "attempt": 1,
    "created": 1795860000.25, "started": 1795860001.5, "finished": None, "dataset": "ds_0123456789abcdef01234567", "queue": "cpu",
    "worker": "anna-laptop-1", "points": 97, "eta_s": 4.2, "error": None, "results": None, "actions": ["cancel", "stop", "pause"],
    "progress": {"step": 93, "total_steps": 276, "epoch": 5, "epochs": 12, "fraction": 0.337},
}  # fmt: skip

DATASET: JsonObject = {
    "id": "ds_0123456789abcdef01234567", "name": "digits.zip", "labels": {}, "format": "imagefolder", "state": "validating",
    "size_bytes": 551_234, "created": 1795859990.5, "progress": 0.4, "report": None,
}  # fmt: skip

PROBLEM: JsonObject = {
    "type": "about:blank", "title": "Unprocessable Entity", "status": 422, "request_id": "8f4af3ccfabb8aef",
    "detail": "the spec has 1 problem: /optimizer/type: there is no 'Adma'; did you mean 'Adam'?",
    "errors": [{"pointer": "/optimizer/type", "code": "unknown", "detail": "there is no 'Adma'; did you mean 'Adam'?", "got": "Adma"}],
}  # fmt: skip

EVENT: JsonObject = {
    "seq": 7, "time": 1795860002.5, "attempt": 1, "type": "metrics", "step": 4, "epoch": 1, "split": "train", "values": {"loss": 2.1},
}  # fmt: skip

EXAMPLES = {
    "JobSpec": SPEC, "Update": UPDATE, "NewVersion": NEW_VERSION, "JobSummary": JOB, "DatasetInfo": DATASET, "Problem": PROBLEM, "MetricsEvent": EVENT,
}  # fmt: skip
"""By the name of the schema."""
