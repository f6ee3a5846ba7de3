"""DataLoader: order, random numbers, worker processes and threads, and everything that can go wrong in them."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import engine as torch
from engine.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset, get_worker_info

pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork.*:DeprecationWarning")
CONTEXTS = ["fork", "spawn", "thread"]


class Noisy(Dataset):
    """Random numbers beside the index: what a random transform would draw."""

    def __init__(self, n: int = 23) -> None:
        self.n = n

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, index: int) -> tuple[Any, int, str]:
        return torch.rand(3), index, f"sample {index}"


class Failing(Dataset):
    def __init__(self, how: str) -> None:
        self.how = how

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> int:
        if index == 5:
            if self.how == "raises":
                raise KeyError(f"no sample {index}")
            if self.how == "kills":
                os.kill(os.getpid(), signal.SIGKILL)
            if self.how == "exits":
                os._exit(3)
            time.sleep(30)
        return index


class Numbers(IterableDataset):
    """Each worker yields its share."""

    def __iter__(self) -> Any:
        info = get_worker_info()
        start, step = (0, 1) if info is None else (info.id, info.num_workers)
        return iter(range(start, 20, step))


class Identified(Dataset):
    def __len__(self) -> int:
        return 6

    def __getitem__(self, index: int) -> int:
        info = get_worker_info()
        return -1 if info is None else info.id * 1000 + info.num_workers * 100 + STARTED.get(info.id, 0)


STARTED: dict[int, int] = {}


def note_start(worker_id: int) -> None:
    STARTED[worker_id] = worker_id + 7


def epochs(n: int, **options: Any) -> list[Any]:
    loader = DataLoader(Noisy(), batch_size=4, shuffle=True, generator=torch.Generator().manual_seed(3), **options)
    return [[(x.tolist(), i.tolist(), s) for x, i, s in loader] for _ in range(n)]


@pytest.mark.parametrize("context", CONTEXTS)
@pytest.mark.parametrize("options", [{}, {"persistent_workers": True, "prefetch_factor": 3}], ids=["new", "persistent"])
def test_order_and_random_numbers_do_not_depend_on_the_workers(context: str, options: dict[str, Any]) -> None:
    alone = epochs(2)
    assert alone[0] != alone[1]
    assert epochs(2, num_workers=2, multiprocessing_context=context, **options) == alone
    assert epochs(2, num_workers=3, multiprocessing_context=context, **options) == alone


@pytest.mark.parametrize("context", CONTEXTS)
def test_an_error_in_a_worker_keeps_its_type_and_traceback(context: str) -> None:
    loader = DataLoader(Failing("raises"), num_workers=2, multiprocessing_context=context)
    with pytest.raises(KeyError) as caught:
        list(loader)
    assert "no sample 5" in str(caught.value)
    assert "in DataLoader worker" in str(caught.value)
    assert "__getitem__" in str(caught.value)


@pytest.mark.parametrize(("how", "message"), [("kills", "killed by signal: SIGKILL"), ("exits", "exit code 3")])
def test_a_worker_that_dies_is_an_error_that_names_it(how: str, message: str) -> None:
    loader = DataLoader(Failing(how), num_workers=2, multiprocessing_context="fork")
    with pytest.raises(RuntimeError, match=rf"DataLoader worker 1 \(pid \d+\).*{message}"):
        list(loader)


@pytest.mark.parametrize("context", ["fork", "thread"])
def test_a_slow_worker_is_an_error_that_names_it(context: str) -> None:
    loader = DataLoader(Failing("sleeps"), num_workers=2, timeout=0.5, multiprocessing_context=context)
    with pytest.raises(RuntimeError, match=r"timed out after 0\.5 seconds: worker 1"):
        list(loader)


@pytest.mark.parametrize("context", CONTEXTS)
def test_a_stream_is_shared_out(context: str) -> None:
    loader = DataLoader(Numbers(), batch_size=3, num_workers=2, multiprocessing_context=context)
    batches = [b.tolist() for b in loader]
    assert sorted(n for b in batches for n in b) == list(range(20))
    assert batches[:3] == [[0, 2, 4], [1, 3, 5], [6, 8, 10]]
    assert [b.tolist() for b in DataLoader(Numbers(), batch_size=6, drop_last=True)] == [list(range(i, i + 6)) for i in (0, 6, 12)]


def test_workers_know_who_they_are_and_are_initialized() -> None:
    loader = DataLoader(Identified(), num_workers=2, worker_init_fn=note_start, multiprocessing_context="fork")
    assert [int(b) for b in loader] == [207, 1208] * 3
    assert get_worker_info() is None and STARTED == {}


def failing_start(worker_id: int) -> None:
    raise OSError(f"no disk for {worker_id}")


def test_an_error_in_worker_init_fn_is_raised() -> None:
    with pytest.raises(OSError, match="no disk for 0"):
        list(DataLoader(Noisy(), num_workers=1, worker_init_fn=failing_start, multiprocessing_context="fork"))


def test_batches_are_writable_and_live_on_after_the_loader() -> None:
    data = TensorDataset(torch.arange(12.0).reshape(6, 2), torch.arange(6).to(torch.bfloat16))
    loader = DataLoader(data, batch_size=6, num_workers=1, multiprocessing_context="fork")
    (batch,) = list(loader)
    del loader
    batch[0].add_(1)
    assert batch[0].tolist() == (np.arange(12.0).reshape(6, 2) + 1).tolist()
    assert batch[1].dtype is torch.bfloat16 and batch[1].tolist() == list(range(6))


def test_a_loop_left_early_ends_its_workers_and_the_next_epoch_is_whole() -> None:
    loader = DataLoader(Noisy(), num_workers=2, multiprocessing_context="fork", persistent_workers=True)
    for _ in loader:
        break
    pids = [p.pid for p in loader._workers.processes]
    assert len(list(loader)) == 23
    assert [p.pid for p in loader._workers.processes] == pids
    del loader
    deadline = time.monotonic() + 60
    while any(Path(f"/proc/{pid}").exists() and "Z" not in Path(f"/proc/{pid}/stat").read_text().split()[2] for pid in pids):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_what_cannot_be_pickled_is_an_error() -> None:
    loader = DataLoader(Noisy(), num_workers=1, collate_fn=lambda batch: lambda: batch, multiprocessing_context="fork")
    with pytest.raises((AttributeError, TypeError), match="pickle"):
        list(loader)


PROGRAM = """
import signal, sys, time
from engine.utils.data import DataLoader, Dataset
signal.signal(signal.SIGINT, signal.default_int_handler)  # where the tests run in the background, Ctrl-C is ignored from birth
class Slow(Dataset):
    def __len__(self): return 1000
    def __getitem__(self, i): time.sleep(0.05); return i
if __name__ == "__main__":
    loader = DataLoader(Slow(), num_workers=3, multiprocessing_context=sys.argv[1])
    for i, b in enumerate(loader):
        if i == 2:
            print(*[p.pid for p in __import__("multiprocessing").active_children()], flush=True)
"""


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("context", ["fork", "spawn"])
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_no_process_is_left_behind(tmp_path: Path, context: str, how: signal.Signals) -> None:
    """Neither after Ctrl-C nor after the parent was killed."""
    (tmp_path / "program.py").write_text(PROGRAM)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "program.py", context], cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    assert process.stdout is not None
    pids = [int(p) for p in process.stdout.readline().split()]
    assert len(pids) == 3
    if how is signal.SIGINT:
        os.killpg(process.pid, how)  # as a terminal does: to all of them
    else:
        process.kill()
    _, errors = process.communicate(timeout=60)
    deadline = time.monotonic() + 60
    while any(map(alive, pids)):
        assert time.monotonic() < deadline, "workers outlive their parent"
        time.sleep(0.05)
    if how is signal.SIGINT:
        assert errors.count("KeyboardInterrupt") == 1, errors


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_workers": -1}, "non-negative"),
        ({"timeout": -1}, "non-negative"),
        ({"prefetch_factor": 2}, "num_workers > 0"),
        ({"num_workers": 1, "prefetch_factor": -1}, "non-negative"),
        ({"persistent_workers": True}, "needs num_workers > 0"),
        ({"multiprocessing_context": "fork"}, "num_workers=0"),
        ({"num_workers": 1, "multiprocessing_context": "threads"}, "'fork'.*'thread'.*'threads'"),
    ],
)
def test_contradictions_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DataLoader(Noisy(), **options)
