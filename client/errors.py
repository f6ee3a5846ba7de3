"""What can go wrong between the client and the server."""

from __future__ import annotations

from collections.abc import Sequence

from server.models import DatasetInfo, Fault, Problem

_SHOWN = 20


class EpochlineError(Exception):
    """The base of the client's errors."""


class ApiError(EpochlineError):
    """The server refused a request, or answered with something that is no answer to it.

    Attributes: ``problem`` is the whole error (RFC 9457), with the ``request_id`` that names the request in the server's log;
    ``status`` its HTTP status; ``errors`` every fault with its place: ``pointer`` (RFC 6901, into the spec or the request), ``code``,
    ``detail``, and what was ``expected`` and ``got``.
    """

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        faults = [f"  {f.pointer or '/'}: {f.detail}" for f in problem.errors]
        super().__init__("\n".join([problem.detail, *faults]) if len(faults) > 1 else problem.detail)

    @property
    def status(self) -> int:
        return self.problem.status

    @property
    def errors(self) -> Sequence[Fault]:
        return self.problem.errors


class DatasetRejected(ApiError):
    """A dataset cannot be trained on. ``dataset.report`` says why, file by file; ``errors`` lists the first 20 refused files."""

    def __init__(self, dataset: DatasetInfo) -> None:
        self.dataset = dataset
        refused = dataset.report.refused[:_SHOWN] if dataset.report else []
        reason = dataset.report.reason if dataset.report else None
        faults = [Fault(pointer=f["file"], code="refused", detail=f["reason"]) for f in refused]
        if faults:
            faults.insert(0, Fault(pointer="dataset", code="rejected", detail=str(reason)))
        super().__init__(Problem(title="Rejected", status=422, detail=f"the dataset was rejected: {reason}", errors=faults))


class Unreachable(EpochlineError):
    """The server did not answer for as long as the client is patient. ``server`` is its address, ``__cause__`` httpx's error."""

    def __init__(self, server: str, cause: Exception) -> None:
        super().__init__(f"the server at {server} cannot be reached: {str(cause) or type(cause).__name__}")
        self.server = server


class HistoryMismatch(EpochlineError):
    """What was read of a job's log is not the log: an event is missing, or the points are not those that the server counted and summed."""

    def __init__(self, job_id: str, detail: str) -> None:
        super().__init__(f"the log of {job_id} as it was read is not the one that the server has: {detail}")
        self.job_id = job_id


__all__ = ["ApiError", "DatasetRejected", "EpochlineError", "HistoryMismatch", "Unreachable"]
