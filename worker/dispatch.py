"""What makes a worker start: jobs and uploads that are submitted, resumed or lost are enqueued here, and nowhere else."""

from __future__ import annotations

from pathlib import Path

from worker import datasets, jobs, keys, queue, tasks
from worker.deployment import Deployment, Redis
from worker.fence import Write
from worker.records import Dataset, Job, Spec
from worker.states import Effect, JobState, Request, transition

NOT_ENQUEUED_MS = 3_000
"""How long a queued job may be unknown to RQ before it is enqueued again."""


def call_id(job: Job) -> str:
    """RQ's name for the current attempt."""
    return f"{job.id}-{job.attempt}"


# -- jobs


def submit(redis: Redis, job: Job) -> None:
    """Adds a job and enqueues its first attempt, in one transaction."""
    with redis.pipeline(transaction=True) as pipe:
        queue.enqueue(redis, job.queue, tasks.run_job, job.id, call_id(job), pipe)  # first: RQ may run commands of its own at once
        jobs.add(pipe, job)
        pipe.execute()


def enqueue_waiting(redis: Redis, job_id: str) -> None:
    """Enqueues the current attempt of a job that waits for one, unless it is enqueued."""
    job = jobs.get(redis, job_id)
    if job is not None and job.state == JobState.QUEUED and not queue.is_enqueued(redis, job.queue, call_id(job)):
        queue.enqueue(redis, job.queue, tasks.run_job, job.id, call_id(job))


def lose(redis: Redis, job_id: str, attempt: int, reason: str) -> bool:
    """Has a job whose process is gone go on in another attempt, if it is to; False if the attempt was not the current one."""
    lost = jobs.lose(redis, job_id, attempt, reason)
    if lost:
        enqueue_waiting(redis, job_id)
    return lost


def requeue_orphaned(redis: Redis) -> list[str]:
    """Enqueues queued jobs that RQ does not know of (a process died between the record and the queue); their ids."""
    found = []
    for raw in redis.zrange(keys.in_state(JobState.QUEUED), 0, -1):
        job = jobs.get(redis, raw.decode())
        if job is None or job.state != JobState.QUEUED:
            continue
        since = job.waiting_since_ms or job.created_ms
        if jobs.now_ms() - since < NOT_ENQUEUED_MS or queue.is_enqueued(redis, job.queue, call_id(job)):
            continue
        redis.hset(keys.job(job.id), "waiting_since", jobs.now_ms())
        queue.enqueue(redis, job.queue, tasks.run_job, job.id, call_id(job))
        found.append(job.id)
    return found


def handle_request(redis: Redis, job_id: str, request: Request) -> Job | None:
    """Cancels, stops, pauses or resumes a job; without effect where that does not fit its state. The record, or None."""
    for _ in range(10):  # the state may change between reading and writing
        job = jobs.get(redis, job_id)
        row = transition(request, job.state) if job else None
        if job is None or row is None:
            return job
        if row.effect is Effect.ENQUEUE:
            applied = jobs.resume(redis, job)
            enqueue_waiting(redis, job_id)
        else:
            reason = "resumed" if request is Request.RESUME else "requested"
            applied = jobs.apply(redis, job_id, request, attempt=job.attempt, reason=reason, what=Write()).applied
            if row.effect in (Effect.DEQUEUE, Effect.DEQUEUE_AND_END):
                queue.dequeue(redis, job.queue, call_id(job))
        if applied:
            return jobs.get(redis, job_id)
    return jobs.get(redis, job_id)


def extend(redis: Redis, job: Job, spec: Spec, last_step: int) -> None:
    """Has a job that has ended go on from the checkpoint of ``last_step``, with the epochs of ``spec``."""
    if jobs.extend(redis, job, spec, last_step):
        enqueue_waiting(redis, job.id)


def queue_position(redis: Redis, job: Job) -> int | None:
    """The place of a queued job in its queue: 1 is next."""
    if job.state != JobState.QUEUED:
        return None
    waiting = queue.enqueued(redis, job.queue)
    return waiting.index(call_id(job)) + 1 if call_id(job) in waiting else None


# -- datasets


def register_upload(redis: Redis, deployment: Deployment, upload: Path, dataset: Dataset) -> bool:
    """Takes over a complete upload and has it validated; False if its content is here already."""
    with datasets.files_locked(redis, dataset.id):
        held = datasets.get(redis, dataset.id)
        if held is not None and held.state != datasets.REJECTED:
            upload.unlink()
            return False
        home = deployment.dataset(dataset.id)
        home.mkdir(parents=True, exist_ok=True)
        upload.rename(home / datasets.UPLOAD)
        with redis.pipeline(transaction=True) as pipe:
            _enqueue_validation(redis, dataset, pipe)
            datasets.add(pipe, dataset)
            pipe.execute()
    return True


def _validation_id(dataset: Dataset) -> str:
    return f"{dataset.id}-{dataset.tries}-{dataset.created_ms}"


def _enqueue_validation(redis: Redis, dataset: Dataset, pipe: Redis = None) -> None:
    queue.enqueue(redis, queue.DATA, tasks.validate_upload, dataset.id, _validation_id(dataset), pipe)


def requeue_stale_uploads(redis: Redis) -> None:
    """Enqueues uploads again whose validation has shown no sign of life; rejects them after some tries."""
    for dataset in datasets.stale(redis):
        if queue.is_enqueued(redis, queue.DATA, _validation_id(dataset)):
            continue
        if dataset.tries >= datasets.MAX_TRIES:
            datasets.reject(redis, dataset, f"validation ended without an answer {datasets.MAX_TRIES} times")
        else:
            _enqueue_validation(redis, datasets.next_try(redis, dataset))
