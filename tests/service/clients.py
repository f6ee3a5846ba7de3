"""Both clients behind one face, so that one test body holds for both; and a proxy between them and the server that does harm."""

from __future__ import annotations

import inspect
import json
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal, cast

import httpx
from anyio.from_thread import BlockingPortal, start_blocking_portal

from client import AsyncClient, Client

KINDS = ("sync", "async")


class Blocking:
    """An object of the asyncio client, used like its counterpart: what it awaits is waited for.

    Its iterators are to be exhausted or closed: the garbage collector may run in the event loop's thread, which cannot wait for itself.
    """

    def __init__(self, target: Any, portal: BlockingPortal) -> None:
        self._target, self._portal = target, portal

    def __getattr__(self, name: str) -> Any:
        return self._converted(getattr(self._target, name))

    def __repr__(self) -> str:
        return repr(self._target)

    def _converted(self, found: Any) -> Any:
        if isinstance(found, Coroutine):
            return self._converted(self._portal.call(_awaited, found))
        if isinstance(found, AsyncIterator):
            return self._iterated(cast(AsyncGenerator[Any, None], found))
        if inspect.ismethod(found):
            return lambda *args, **kwargs: self._converted(found(*args, **kwargs))
        return Blocking(found, self._portal) if type(found).__name__.startswith("Async") else found

    def _iterated(self, generator: AsyncGenerator[Any, None]) -> Iterator[Any]:
        try:
            while True:
                try:
                    yield self._portal.call(generator.__anext__)
                except StopAsyncIteration:
                    return
        finally:
            self._portal.call(generator.aclose)


async def _awaited(coroutine: Coroutine[Any, Any, Any]) -> Any:
    return await coroutine


@contextmanager
def connected(kind: str, server: str, **options: Any) -> Iterator[Client]:
    """A client of one of the ``KINDS``."""
    if kind == "sync":
        with Client(server, **options) as client:
            yield client
        return
    with start_blocking_portal() as portal:
        made = portal.call(lambda: _made(server, options))
        try:
            yield cast(Client, Blocking(made, portal))
        finally:
            portal.call(made.close)


async def _made(server: str, options: dict[str, Any]) -> AsyncClient:
    return AsyncClient(server, **options)


@dataclass(frozen=True)
class Harm:
    """Something that happens to the messages of one answer: which, and where."""

    kind: Literal["drop", "repeat", "move", "cut", "end", "alter"]
    at: int = 0
    to: int = 0

    def done_to(self, events: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The events that arrive; cuts are not the events' matter."""
        if not events or self.kind in ("cut", "end"):
            return events
        at, to, events = self.at % len(events), self.to % len(events), list(events)
        if self.kind == "drop":
            del events[at]
        elif self.kind == "repeat":
            events.insert(to, events[at])
        elif self.kind == "move":
            events.insert(to, events.pop(at))
        elif self.kind == "alter" and "values" in events[at]:
            events[at] = {**events[at], "values": {**events[at]["values"], "loss": 0.123}}
        return events


@dataclass
class Plan:
    """What a proxy does: to the n-th stream, to the n-th page, and to how many answers that it keeps for itself."""

    streams: Sequence[Sequence[Harm]] = ()
    pages: Sequence[Sequence[Harm]] = ()
    never: frozenset[int] = frozenset()
    """Events that no stream ever delivers."""

    lost: int = 0
    """So many requests reach the server, whose answers get lost."""

    asked: list[str] = field(default_factory=list)

    def next(self, what: Literal["streams", "pages"]) -> Sequence[Harm]:
        planned, done = getattr(self, what), self.asked.count(what)
        self.asked.append(what)
        return planned[done] if done < len(planned) else ()


class Proxy(ThreadingHTTPServer):
    """A server that passes requests on, on connections of its own, and does harm to the answers by ``plan``."""

    daemon_threads = True

    def __init__(self, upstream: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.plan = Plan()
        self.upstream = httpx.Client(base_url=upstream, timeout=30)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Proxy

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def _pass_on(self) -> None:
        plan = self.server.plan
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        headers = {k: v for k, v in self.headers.items() if k.lower() not in ("host", "content-length", "accept-encoding")}
        answer = self.server.upstream.request(self.command, self.path, content=body, headers=headers)
        if plan.lost > 0:
            plan.lost -= 1
            self.close_connection = True
            return
        if "text/event-stream" in answer.headers.get("content-type", ""):
            self._stream(answer, plan.next("streams"), plan.never)
            return
        content = answer.content
        if answer.is_success and ("/events?" in self.path or "/metrics" in self.path):
            page = answer.json()
            for harm in plan.next("pages"):
                page["data"] = harm.done_to(page["data"])
            content = json.dumps(page).encode()
        self.send_response(answer.status_code)
        for name in ("content-type", "retry-after"):
            if name in answer.headers:
                self.send_header(name, answer.headers[name])
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PATCH = do_DELETE = _pass_on  # noqa: N815  # http.server's names

    def _stream(self, answer: httpx.Response, harms: Sequence[Harm], never: frozenset[int]) -> None:
        events = [json.loads(line[6:]) for line in answer.text.split("\n") if line.startswith("data: ")]
        events = [e for e in events if e["seq"] not in never]
        for harm in harms:
            events = harm.done_to(events)
        stop = next((h for h in harms if h.kind in ("cut", "end")), None)
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        text = "".join(f"id: {e['seq']}\nevent: {e['type']}\ndata: {json.dumps(e)}\n\n" for e in events).encode()
        text = text if stop is None else text[: len(text) * (stop.at % 100) // 100]  # in the middle of a message, too
        self.wfile.write(b"%x\r\n%b\r\n" % (len(text), text) if text else b"")
        if stop is None or stop.kind == "end":
            self.wfile.write(b"0\r\n\r\n")
        else:
            self.close_connection = True


@contextmanager
def proxy(upstream: str) -> Iterator[Proxy]:
    """A running proxy."""
    with Proxy(upstream) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()
        server.upstream.close()


__all__ = ["KINDS", "Harm", "Plan", "Proxy", "connected", "proxy"]
