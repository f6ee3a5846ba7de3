# Made from client/aio/paging.py by scripts/build_sync.py: change that, and run it.
"""Lists that come in pages."""

from __future__ import annotations

from client.sync.runtime import Stream
from client.sync.transport import Transport
from client.call import Call, Value
from server.models import DatasetInfo, JobSummary, Page, Row

_LARGEST = 100


def pages(transport: Transport, kind: type[Page[Row]], path: str, params: dict[str, Value], limit: int | None) -> Stream[Row]:
    """The things of a list, page by page as they are asked for; at most ``limit``. What is added meanwhile moves nothing."""
    left, after = limit, None
    while left is None or left > 0:
        size = _LARGEST if left is None else min(left, _LARGEST)
        page = transport.call(kind, Call("GET", path, {**params, "after": after, "limit": size}))
        for row in page.data:
            yield row
        if not page.has_more or not page.data:
            return
        after, left = page.last_id, None if left is None else left - len(page.data)


__all__ = ["DatasetInfo", "JobSummary", "pages"]
