"""Workers that make batches ahead of time: processes, or threads where decoding releases the interpreter's lock.

Every worker has a pipe of its own, so that one that is killed spoils nothing for the others. Tasks are numbered; results are
kept until their number is due, so the order is that of the sampler whoever is faster.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import queue
import random
import signal
import threading
import time
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from typing import Any

import numpy as np

from engine.ops.random import manual_seed
from engine.utils.data import shared
from engine.utils.data.fetch import Recipe, Stream, WorkerInfo, fetch

_STOP, _EPOCH, _BATCH = "stop", "epoch", "batch"
_info = threading.local()
_PARENT_CHECK_S = 2.0


class Exhausted:
    """What a worker of a stream answers when its part has ended."""


class Failure:
    """An exception from a worker, as text and type: it may not be picklable itself."""

    def __init__(self, error: BaseException, where: str) -> None:
        self.type, self.where = type(error), where
        self.text = "".join(traceback.format_exception(error))
        with contextlib.suppress(Exception):
            pickle.dumps(self.type)
            return
        self.type = RuntimeError

    def reraise(self) -> None:
        """Raises an exception of the same type that shows the worker's traceback."""
        message = f"Caught {self.type.__name__} in DataLoader {self.where}.\nOriginal {self.text}"
        try:
            error: BaseException = self.type(message)
        except Exception:  # a constructor that wants something else
            error = RuntimeError(message)
        raise error


def get_worker_info() -> WorkerInfo | None:
    """Inside a DataLoader worker its id, the number of workers, its seed and its dataset; None elsewhere."""
    return getattr(_info, "value", None)


class _Worker:
    """The state of one worker: answers tasks until it is told to stop."""

    def __init__(self, recipe: Recipe, worker_id: int, num_workers: int, init: Callable[[int], Any] | None, where: str) -> None:
        self.recipe, self.id, self.num_workers, self.init, self.where = recipe, worker_id, num_workers, init, where
        self.seed = 0
        self.stream: Stream | None = None
        self.broken: Failure | None = None
        self.started = False

    def epoch(self, seed: int) -> None:
        """A new epoch: its seed, and for a stream a new iterator."""
        self.seed, self.stream = seed, None
        _info.value = WorkerInfo(self.id, self.num_workers, seed + self.id, self.recipe.dataset)
        try:
            if not self.started and self.init is not None:
                self.init(self.id)
            self.started = True
            if self.recipe.streams:
                self.stream = Stream(self.recipe, seed + self.id)
        except Exception as error:
            self.broken = Failure(error, self.where)

    def answer(self, number: int, indices: Any) -> Any:
        if self.broken is not None:
            return self.broken
        try:
            return self.stream.fetch(indices) if self.stream is not None else fetch(self.recipe, self.seed, number, indices)
        except StopIteration:
            return Exhausted()
        except Exception as error:
            return Failure(error, self.where)


def _seed_process(seed: int) -> None:
    manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed & 0xFFFFFFFF)


def _process_main(
    connection: Connection, others: list[Connection], recipe: Recipe, worker_id: int, num_workers: int, init: Any, parent: int
) -> None:
    """The life of a worker process; it ends when told to, or when its parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's: it ends its workers
    for other in others:  # inherited by fork
        other.close()
    worker = _Worker(recipe, worker_id, num_workers, init, f"worker process {worker_id}")
    with contextlib.suppress(EOFError, OSError):
        while True:
            while not connection.poll(_PARENT_CHECK_S):
                if os.getppid() != parent:
                    return
            kind, generation, *task = connection.recv()
            if kind == _STOP:
                return
            if kind == _EPOCH:
                _seed_process(task[0] + worker_id)
                worker.epoch(task[0])
                continue
            number, indices = task
            result = worker.answer(number, indices)
            try:
                shared.send(connection, (generation, number), result)
            except (TypeError, AttributeError, ValueError) as error:  # a batch that cannot be pickled
                shared.send(connection, (generation, number), Failure(error, worker.where))


class Processes:
    """A set of worker processes with a pipe each."""

    def __init__(self, recipe: Recipe, num_workers: int, context: Any, init: Callable[[int], Any] | None) -> None:
        self.connections: list[Connection] = []
        self.processes: list[Any] = []
        for i in range(num_workers):
            mine, its = context.Pipe()
            forks = context.get_start_method() == "fork"
            process = context.Process(
                target=_process_main,
                args=(its, [*self.connections, mine] if forks else [], recipe, i, num_workers, init, os.getpid()),
                daemon=True,
                name=f"DataLoader worker {i}",
            )
            process.start()
            its.close()
            self.connections.append(mine)
            self.processes.append(process)

    def put(self, worker: int, message: tuple[Any, ...]) -> None:
        try:
            self.connections[worker].send(message)
        except OSError:
            self._dead(worker)

    def get(self, deadline: float | None) -> list[tuple[int, int, Any]] | None:
        """(generation, number, result) of all who have answered, waiting until ``deadline``; None if nobody has."""
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        ready = wait([*self.connections, *(p.sentinel for p in self.processes)], left)
        found = []
        for i, connection in enumerate(self.connections):
            if connection in ready:
                try:
                    found.append(shared.receive(connection))
                except (EOFError, OSError):
                    self._dead(i)
        if not found and ready:
            for i, process in enumerate(self.processes):
                if process.sentinel in ready and not self.connections[i].poll():
                    self._dead(i)
        return found or ([] if ready else None)

    def _dead(self, worker: int) -> None:
        process = self.processes[worker]
        process.join(5)
        code = process.exitcode
        if code is not None and code < 0:
            how = f"is killed by signal: {signal.Signals(-code).name}"
        else:
            how = f"exited unexpectedly with exit code {code}"
        raise RuntimeError(f"DataLoader worker {worker} (pid {process.pid}) {how}.")

    def name(self, worker: int) -> str:
        return f"worker {worker} (pid {self.processes[worker].pid})"

    def stop(self) -> None:
        """Ends all workers, those that do not listen by force."""
        for connection in self.connections:
            with contextlib.suppress(OSError, ValueError):
                connection.send((_STOP, 0))
        deadline = time.monotonic() + 1.0
        for process in self.processes:
            process.join(max(0.0, deadline - time.monotonic()))
        for process in self.processes:
            if process.is_alive():
                process.kill()
                process.join()
        for connection in self.connections:
            connection.close()
        self.connections, self.processes = [], []


class Threads:
    """Worker threads: nothing is copied or pickled, and everything is shared."""

    def __init__(self, recipe: Recipe, num_workers: int, init: Callable[[int], Any] | None) -> None:
        self.tasks: list[queue.SimpleQueue[Any]] = [queue.SimpleQueue() for _ in range(num_workers)]
        self.results: queue.SimpleQueue[tuple[int, int, Any]] = queue.SimpleQueue()
        for i, tasks in enumerate(self.tasks):
            worker = _Worker(recipe, i, num_workers, init, f"worker thread {i}")
            threading.Thread(target=self._run, args=(worker, tasks), daemon=True, name=f"DataLoader worker {i}").start()

    def _run(self, worker: _Worker, tasks: queue.SimpleQueue[Any]) -> None:
        while True:
            kind, generation, *task = tasks.get()
            if kind == _STOP:
                return
            if kind == _EPOCH:
                worker.epoch(task[0])
            else:
                self.results.put((generation, task[0], worker.answer(*task)))

    def put(self, worker: int, message: tuple[Any, ...]) -> None:
        self.tasks[worker].put(message)

    def get(self, deadline: float | None) -> list[tuple[int, int, Any]] | None:
        try:
            return [self.results.get(timeout=None if deadline is None else max(0.0, deadline - time.monotonic()))]
        except queue.Empty:
            return None

    def name(self, worker: int) -> str:
        return f"worker {worker} (a thread)"

    def stop(self) -> None:
        for tasks in self.tasks:
            tasks.put((_STOP, 0))


def start(recipe: Recipe, num_workers: int, context: Any, init: Callable[[int], Any] | None) -> Processes | Threads:
    """Workers in the context asked for: None or a method of starting processes, or "thread"."""
    if context == "thread":
        return Threads(recipe, num_workers, init)
    if context is None or isinstance(context, str):
        context = multiprocessing.get_context(context)
    return Processes(recipe, num_workers, context, init)


class Epoch:
    """One pass over the tasks of a sampler by a set of workers, results in the order of the tasks."""

    def __init__(
        self, workers: Processes | Threads, num_workers: int, generation: int, seed: int, tasks: Any, ahead: int, timeout: float
    ) -> None:
        self.workers, self.generation, self.tasks, self.timeout = workers, generation, iter(tasks), timeout
        self.sent = self.due = 0
        self.alive = list(range(num_workers))
        self.assigned: dict[int, int] = {}
        self.ready: dict[int, Any] = {}
        for i in range(num_workers):
            workers.put(i, (_EPOCH, generation, seed))
        for _ in range(ahead * num_workers):
            self._send()

    def _send(self) -> None:
        """Gives the next task to the next worker in turn."""
        if not self.alive:
            return
        indices = next(self.tasks, _END)
        if indices is _END:
            return
        worker = self.alive[self.sent % len(self.alive)]
        self.assigned[self.sent] = worker
        self.workers.put(worker, (_BATCH, self.generation, self.sent, indices))
        self.sent += 1

    def __iter__(self) -> Epoch:
        return self

    def __next__(self) -> Any:
        while True:
            if self.due >= self.sent:
                raise StopIteration
            result = self._wait()
            worker = self.assigned.pop(self.due)
            self.due += 1
            if isinstance(result, Exhausted):
                if worker in self.alive:
                    self.alive.remove(worker)
                self._send()
                continue
            if isinstance(result, Failure):
                result.reraise()
            self._send()
            return result

    def _wait(self) -> Any:
        deadline = time.monotonic() + self.timeout if self.timeout else None
        while self.due not in self.ready:
            found = self.workers.get(deadline)
            if found is None:
                late = self.workers.name(self.assigned[self.due])
                raise RuntimeError(f"DataLoader timed out after {self.timeout} seconds: {late} has not returned batch {self.due}")
            self.ready.update({number: result for generation, number, result in found if generation == self.generation})
        return self.ready.pop(self.due)


_END = object()
