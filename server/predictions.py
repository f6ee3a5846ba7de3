"""Predictions of finished models: warm processes, started on demand, each answering for the callers that wait together."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from server.problems import ProblemError
from worker.deployment import Deployment
from worker.logs import logger
from worker.processes import as_child
from worker.records import JsonObject
from worker.supervisor import run_environment

PROCESSES = 1
MAX_BATCH = 256
TIMEOUT_S = 60.0
_log = logger("predictions")


@dataclass(eq=False)
class _Call:
    """What one caller asks for."""

    model: str
    samples: Sequence[Any]
    explain: bool
    answer: asyncio.Future[list[JsonObject]] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Predictor:
    """One process and those who wait for it. While it computes, calls gather; those for one model go to it together."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._environment = environment
        self._waiting: list[_Call] = []
        self._process: asyncio.subprocess.Process | None = None
        self._task: asyncio.Task[None] | None = None

    async def predict(self, model: str, samples: Sequence[Any], explain: bool) -> list[JsonObject]:
        """The predictions of the model in a file for samples: files as bytes, the rest as JSON has it. Raises ProblemError."""
        call = _Call(model, samples, explain)
        self._waiting.append(call)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._serve())
        try:
            async with asyncio.timeout(TIMEOUT_S):
                return await call.answer
        except TimeoutError:
            raise ProblemError(503, f"no prediction within {TIMEOUT_S:.0f} s", headers={"Retry-After": "5"}) from None

    async def _serve(self) -> None:
        """Answers as long as somebody waits."""
        while self._waiting:
            calls = self._next_batch()
            try:
                found = await self._ask(calls)
            except (OSError, asyncio.IncompleteReadError) as error:
                _log.error("the process of the models has died", model=calls[0].model, error=repr(error))
                await self.close()
                self._refuse(calls, ProblemError(503, "the process that computes predictions has died", headers={"Retry-After": "1"}))
                continue
            if "error" in found:
                self._refuse(calls, ProblemError(409, f"the model cannot be used: {found['error']}"))
                continue
            at, predictions = 0, found["predictions"]
            for call in calls:
                if not call.answer.done():
                    call.answer.set_result(predictions[at : at + len(call.samples)])
                at += len(call.samples)

    def _next_batch(self) -> list[_Call]:
        """The first call, and others for the same model."""
        first = self._waiting[0]
        calls, size = [first], len(first.samples)
        for call in self._waiting[1:]:
            if (call.model, call.explain) == (first.model, first.explain) and size + len(call.samples) <= MAX_BATCH:
                calls.append(call)
                size += len(call.samples)
        self._waiting = [c for c in self._waiting if c not in calls]
        return calls

    @staticmethod
    def _refuse(calls: list[_Call], error: Exception) -> None:
        for call in calls:
            if not call.answer.done():
                call.answer.set_exception(error)

    async def _ask(self, calls: list[_Call]) -> Any:
        if self._process is None or self._process.returncode is not None:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-P", "-m", "worker.predictor", env=self._environment, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
                start_new_session=True,
            )  # fmt: skip
        assert self._process.stdin is not None and self._process.stdout is not None
        samples = [s for c in calls for s in c.samples]
        described = [{"bytes": len(s)} if isinstance(s, bytes) else {"value": s} for s in samples]
        header = json.dumps({"model": calls[0].model, "explain": calls[0].explain, "samples": described}).encode()
        self._process.stdin.write(b"".join([len(header).to_bytes(4), header, *(s for s in samples if isinstance(s, bytes))]))
        await self._process.stdin.drain()
        length = int.from_bytes(await self._process.stdout.readexactly(4))
        return json.loads(await self._process.stdout.readexactly(length))

    async def close(self) -> None:
        """Ends the process."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()


class Predictors:
    """The processes of a server; a model is always asked of the same one, where it is warm."""

    def __init__(self, deployment: Deployment, processes: int = PROCESSES) -> None:
        environment = as_child(run_environment(deployment, "cpu", "predictor"))
        self._all = [Predictor(environment) for _ in range(processes)]

    async def predict(self, model: str, samples: Sequence[Any], explain: bool = False) -> list[JsonObject]:
        """See :meth:`Predictor.predict`."""
        return await self._all[hash(model) % len(self._all)].predict(model, samples, explain)

    async def close(self) -> None:
        """Ends the processes."""
        for predictor in self._all:
            await predictor.close()
