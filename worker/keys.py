"""Every Redis key, in one place."""

import hashlib
import re

JOBS = "jobs:all"  # sorted set: job id by time of creation (ms)
FINISHED = "jobs:finished"  # sorted set: job id by the time at which the job ended (ms)
LEASES = "jobs:leases"  # sorted set: job id by the time at which its lease ends (ms)
DATASETS = "datasets:all"  # sorted set: dataset id by time of creation (ms)
WORKERS = "workers:all"  # set: worker names
RECONCILER = "reconciler:lock"
WEIGHTS = "weights:all"  # sorted set: id of uploaded weights by time of creation (ms)
MODELS = "models:all"  # sorted set: model name by time of creation (ms)
API_KEYS = "apikeys"  # hash: SHA-256 of a key -> {"name", "created"}
SCHEMA_VERSION = "schema_version"  # string: the version of the indexes
MIGRATION = "migration:lock"


def digest(secret: str) -> str:
    """What is stored of a secret."""
    return hashlib.sha256(secret.encode()).hexdigest()


def is_id(text: str) -> bool:
    """Whether a text may be an id: what users send must not name another key."""
    return re.fullmatch(r"\w{1,100}", text, re.ASCII) is not None


def job(job_id: str) -> str:
    """Hash: the record of a job, which is the truth about it."""
    return f"job:{job_id}"


def events(job_id: str) -> str:
    """Stream: the events of a job; an entry is a batch, its id the sequence number of its last event."""
    return f"job:{job_id}:events"


def in_state(state: str) -> str:
    """Sorted set: the ids of the jobs in a state, by time of creation (ms)."""
    return f"jobs:state:{state}"


def of_dataset(dataset_id: str) -> str:
    """Sorted set: the ids of the jobs that train on a dataset, by time of creation (ms)."""
    return f"jobs:dataset:{dataset_id}"


def labelled(kind: str, name: str, value: str) -> str:
    """Sorted set: the ids of the ``kind`` (jobs, datasets) with a label, by time of creation (ms)."""
    return f"{kind}:label:{name}={value}"


def session(token_digest: str) -> str:
    """String with a time to live: the digest of the API key that a session of the page was begun with."""
    return f"session:{token_digest}"


def idempotency(owner: str, key: str) -> str:
    """String: the job that an Idempotency-Key made, and the digest of the request's body."""
    return f"idempotency:{owner}:{key}"


def dataset_lock(dataset_id: str) -> str:
    """String: held by the process that moves the files of a dataset in or out."""
    return f"lock:dataset:{dataset_id}"


def dataset(dataset_id: str) -> str:
    """Hash: the record of a dataset."""
    return f"dataset:{dataset_id}"


def model(name: str) -> str:
    """Hash: the record of a named model."""
    return f"model:{name}"


def model_lock(name: str) -> str:
    """String: held by the process that adds a version to a named model."""
    return f"lock:model:{name}"


def weights(weights_id: str) -> str:
    """Hash: the record of uploaded weights."""
    return f"weights:{weights_id}"


def worker(name: str) -> str:
    """Hash with a time to live: what a live worker says of itself."""
    return f"worker:{name}"
