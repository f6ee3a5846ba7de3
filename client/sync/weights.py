# Made from client/aio/weights.py by scripts/build_sync.py: change that, and run it.
"""``client.weights``: weights that were made elsewhere, for jobs to start from."""

from __future__ import annotations

import io
from pathlib import Path
from urllib.parse import quote

from client.sync.paging import pages
from client.sync.runtime import Stream
from client.sync.transport import Transport
from client.call import Call, Progress, Upload
from server.models import Page, WeightsInfo


class Weights:
    """The uploaded weights of a server. A spec starts from them by ``"init_from": {"weights": ID}``."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def upload(self, source: str | Path | bytes, name: str | None = None, progress: Progress | None = None) -> WeightsInfo:
        """Uploads weights. The id follows from the content.

        Args:
            source: The path, or the bytes, of a safetensors file or of a state dict that PyTorch saved (``.pt``, ``.pth``).
            name: What to call it; by default after the file.
            progress: Is called with the bytes that are sent and those there are.

        Raises ApiError 422 for a file that is neither; OSError for one that cannot be read.
        """
        if isinstance(source, bytes):
            content = source
            body = Upload(len(content), lambda: io.BytesIO(content), progress)
        else:
            path = Path(source)
            body, name = Upload(path.stat().st_size, lambda: path.open("rb"), progress), name if name is not None else path.name
        return self._transport.call(WeightsInfo, Call("POST", "/v1/weights", {"name": name}, upload=body))

    def list(self, limit: int | None = None) -> Stream[WeightsInfo]:
        """Uploaded weights, newest first, at most ``limit``, read page by page while you iterate."""
        return pages(self._transport, Page[WeightsInfo], "/v1/weights", {}, limit)

    def delete(self, weights_id: str) -> None:
        """Deletes uploaded weights; jobs that started from them keep copies. Raises ApiError 404 if there are none."""
        self._transport.send(Call("DELETE", f"/v1/weights/{quote(weights_id, safe='')}"))


__all__ = ["Weights"]
