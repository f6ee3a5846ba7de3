"""Files that come as a request's body."""

from __future__ import annotations

import hashlib
import secrets
from pathlib import Path

from fastapi import Request
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from server.problems import ProblemError

_CHUNK = 1 << 20
MAX_UPLOAD_BYTES = 64 << 30


class Upload:
    """A body on its way to disk: hashed while it is written, a mebibyte at a time, gone if it does not end well."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / f"{secrets.token_hex(8)}.part"
        self._file = self.path.open("wb")
        self._hash = hashlib.sha256()
        self._buffer = bytearray()
        self.size = 0

    def _drain(self) -> None:
        self._hash.update(self._buffer)
        self._file.write(self._buffer)
        self._buffer.clear()

    async def receive(self, request: Request) -> str:
        """Writes the whole body; its SHA-256. Raises ProblemError for one that is too large or cut off."""
        try:
            async for chunk in request.stream():
                self._buffer += chunk
                self.size += len(chunk)
                if self.size > MAX_UPLOAD_BYTES:
                    raise ProblemError(413, f"an upload may have at most {MAX_UPLOAD_BYTES} bytes")
                if len(self._buffer) >= _CHUNK:
                    await run_in_threadpool(self._drain)
            await run_in_threadpool(self._drain)
            self._file.close()
        except ClientDisconnect:
            self.discard()
            raise ProblemError(400, f"the upload was cut off after {self.size} bytes; nothing was kept") from None
        except OSError as error:
            self.discard()
            raise ProblemError(413, f"the upload could not be stored: {error.strerror}") from None
        except BaseException:
            self.discard()
            raise
        return self._hash.hexdigest()

    def discard(self) -> None:
        self._file.close()
        self.path.unlink(missing_ok=True)


def refuse_wrapped(request: Request) -> None:
    """A form or a compressed body would be stored with its wrapping. Raises ProblemError for one."""
    kind, coding = request.headers.get("content-type", ""), request.headers.get("content-encoding", "identity")
    if kind.lower().startswith("multipart/"):
        raise ProblemError(
            415, f"the body is a form ({kind:.60}): send the file itself as the body, with curl --data-binary @FILE instead of -F"
        )
    if coding.strip().lower() not in ("", "identity"):
        raise ProblemError(
            415, f"the body has Content-Encoding {coding:.40}: send the file as it is, without", headers={"Accept-Encoding": "identity"}
        )
