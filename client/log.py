"""A job's log while it is read: what makes sure that every event is read, once, and in its order."""

from __future__ import annotations

from client.errors import HistoryMismatch
from server.models import DoneEvent, Event, MetricsEvent, checksum


class Log:
    """The reader's side of the proof that a log is whole.

    Sequence numbers have no gap, so that an event tells by its number whether it is the next one, a repeat, or whether others are missing
    before it. The last event, ``done``, has the number of metric points and their checksum, which are counted and summed here too; the log of
    a job that was extended goes on behind it, to another one.
    """

    def __init__(self, job_id: str) -> None:
        self.job_id = job_id
        self.seen = 0
        """The sequence number of the last event taken."""
        self.done = False
        """Whether that event was a ``done``."""
        self._points = self._crc = 0

    def follows_gap(self, event: Event) -> bool:
        """Whether events are missing before this one."""
        return event.seq > self.seen + 1

    def take(self, event: Event) -> bool:
        """Takes the next event; False for one that was taken before. Raises HistoryMismatch where events are missing before it, and for a
        ``done`` that counts or sums other points than were taken."""
        if event.seq <= self.seen:
            return False
        if self.follows_gap(event):
            raise HistoryMismatch(self.job_id, f"expected event {self.seen + 1}, got event {event.seq}")
        if isinstance(event, MetricsEvent):
            self._points, self._crc = self._points + 1, checksum([event.model_dump(exclude_none=True)], self._crc)
        elif isinstance(event, DoneEvent):
            verify(self.job_id, (event.points, event.checksum), self._points, self._crc)
        self.seen, self.done = event.seq, isinstance(event, DoneEvent)
        return True


def verify(job_id: str, expected: tuple[int, str], points: int, crc: int) -> None:
    """Raises HistoryMismatch where a job's points are not the ``expected`` number with the ``expected`` checksum."""
    found = (points, f"{crc:08x}")
    if found != expected:
        words = "the server has {} points with checksum {}, but {} with {} were read"
        raise HistoryMismatch(job_id, words.format(*expected, *found))


__all__ = ["Log", "verify"]
