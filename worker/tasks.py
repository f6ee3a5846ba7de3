"""What RQ calls. Above the records of jobs and datasets, below whatever enqueues a call: no name in a string, no import upwards."""

from __future__ import annotations

from worker import datasets, supervisor
from worker.deployment import Deployment
from worker.processes import die_with_parent


def run_job(job_id: str) -> None:
    """Trains a job, in the process of a worker for training jobs."""
    supervisor.current().run(job_id)


def validate_upload(dataset_id: str) -> None:
    """Reads an upload; runs in a process of its own, which may die of what it reads."""
    die_with_parent()
    deployment = Deployment.from_environment()
    datasets.read_upload(deployment.connect(), deployment, dataset_id)
