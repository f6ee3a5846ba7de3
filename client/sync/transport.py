# Made from client/aio/transport.py by scripts/build_sync.py: change that, and run it.
"""HTTP to one server: requests that are sent again while it cannot be reached, and refusals as errors."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import httpx

from client.sync.runtime import Stream, contextmanager, sleep
from client.call import Call, M, Progress, Upload, address, credentials, parse, refusal, retry_after
from client.errors import Unreachable
from client.patience import Patience

_CHUNK = 1 << 20
_PIECE_S = 60.0
_FIRST_CONTACT_S = 2.0
"""How long a server is tried that has never answered: its address may be wrong."""

_OWN_FAULTS = (httpx.LocalProtocolError, httpx.UnsupportedProtocol)


class Transport:
    """A connection to a server. A request is sent again until it is answered, for ``patience_s`` seconds; one that is not safe to send twice
    only where it did not arrive."""

    def __init__(
        self, server: str | None, key: str | None, timeout_s: float, patience_s: float, transport: httpx.BaseTransport | None
    ) -> None:
        self.server, self.patience_s = address(server), patience_s
        self.http = httpx.Client(base_url=self.server, headers=credentials(key), timeout=timeout_s, transport=transport)
        self._answered = False

    def close(self) -> None:
        self.http.close()

    def call(self, kind: type[M], call: Call, patience_s: float | None = None) -> M:
        """The model that the server answers with. Raises ApiError, Unreachable."""
        return parse(kind, self.send(call, patience_s))

    def send(self, call: Call, patience_s: float | None = None) -> httpx.Response:
        """The server's answer, read. ``patience_s`` in place of the client's. Raises ApiError, Unreachable."""
        patience, repeated = self._patience(patience_s), False
        while True:
            try:
                answer = self.http.send(self._request(call))
            except httpx.TransportError as error:
                arrived = not isinstance(error, httpx.ConnectError | httpx.ConnectTimeout)
                pause = None if isinstance(error, _OWN_FAULTS) or (arrived and not call.repeatable) else patience.pause()
                if pause is None:
                    raise Unreachable(self.server, error) from error
            else:
                self._answered = True
                if answer.is_success or (repeated and call.method == "DELETE" and answer.status_code == 404):  # it was deleted before
                    return answer
                wanted = retry_after(answer)
                pause = None if wanted is None else patience.pause(wanted)
                if pause is None:
                    raise refusal(answer)
            repeated = True
            sleep(pause)

    def save(self, call: Call, path: Path, progress: Progress | None) -> None:
        """Writes the server's answer to a file, which appears whole or not at all. Raises ApiError, Unreachable, OSError."""
        patience = self._patience(None)
        while True:
            try:
                self._save(call, path, progress)
                return
            except httpx.TransportError as error:
                pause = patience.pause()
                if pause is None:
                    raise Unreachable(self.server, error) from error
            sleep(pause)

    def _save(self, call: Call, path: Path, progress: Progress | None) -> None:
        with self.open(call, call.timeout_s or _PIECE_S) as answer:
            if not answer.is_success:
                answer.read()
                raise refusal(answer)
            part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
            try:
                with part.open("wb") as file:
                    size = int(answer.headers.get("content-length", 0))
                    for piece in answer.iter_bytes(_CHUNK):
                        file.write(piece)
                        if progress is not None:
                            progress(file.tell(), size)
                part.replace(path)
            finally:
                part.unlink(missing_ok=True)

    @contextmanager
    def open(self, call: Call, read_timeout_s: float = _PIECE_S) -> Iterator[httpx.Response]:
        """The server's answer, to be read piece by piece, whatever its status. Raises httpx's TransportError; nothing is sent again."""
        request = self._request(call)
        request.extensions = {"timeout": {**request.extensions["timeout"], "read": read_timeout_s}}
        answer = self.http.send(request, stream=True)
        try:
            self._answered = True
            yield answer
        finally:
            answer.close()

    def _patience(self, patience_s: float | None) -> Patience:
        found = self.patience_s if patience_s is None else patience_s
        return Patience(found if self._answered else min(found, _FIRST_CONTACT_S))

    def _request(self, call: Call) -> httpx.Request:
        headers = {**call.headers}
        if call.upload is None:
            files = [("sample", (str(i), content)) for i, content in enumerate(call.files)] or None
            timeout = httpx.USE_CLIENT_DEFAULT if call.timeout_s is None else call.timeout_s
            return self.http.build_request(
                call.method, call.path, params=call.query, json=call.json, files=files, headers=headers, timeout=timeout
            )
        headers |= {"Content-Length": str(call.upload.size_bytes), "Content-Type": "application/octet-stream"}
        return self.http.build_request(
            call.method, call.path, params=call.query, content=_pieces(call.upload), headers=headers, timeout=None
        )


def _pieces(upload: Upload) -> Stream[bytes]:
    """A body, some at a time."""
    with upload.open() as file:
        while piece := file.read(_CHUNK):
            yield piece
            if upload.progress is not None:
                upload.progress(file.tell(), upload.size_bytes)


__all__ = ["Transport"]
