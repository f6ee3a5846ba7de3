"""The process of one side: reads commands from its input, answers each with a line of JSON.

``losses N`` does N steps and tells their losses; ``run SECONDS`` does steps for that long and tells how long each took (seconds, several
small ones together), and the largest memory so far. Each side runs alone in its process: PyTorch's and JAX's threads spin.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path

from benchmarks.sides import make
from worker.processes import die_with_parent


def main() -> None:
    die_with_parent()
    side, workload, optimizer, threads, start = sys.argv[1:]
    made = make(side, workload, optimizer, int(threads), Path(start))
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        command, argument = line.split()
        if command == "losses":
            print(json.dumps([float(made.step()) for _ in range(int(argument))]), flush=True)
            continue
        began = time.perf_counter()
        made.timed()
        once = time.perf_counter() - began
        together = max(1, int(1e-3 / once))
        spent, end = [], began + float(argument)
        while len(spent) < 2 or time.perf_counter() < end:
            before = time.perf_counter()
            for _ in range(together):
                made.timed()
            spent.append((time.perf_counter() - before) / together / made.steps)
        print(json.dumps({"times": spent, "rss_kib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}), flush=True)


if __name__ == "__main__":
    main()
