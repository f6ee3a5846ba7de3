"""Prints what was compared: passed, failed and unsupported per group of PyTorch's sample databases."""

from __future__ import annotations

import contextlib
from collections import Counter, defaultdict
from typing import Any

GROUPS = {f"tests/conformance/test_{group}.py": group for group in ("ops", "modules", "optimizers")}


def pytest_configure(config: Any) -> None:
    """One thread a process: tests run side by side."""
    with contextlib.suppress(ImportError):
        import torch

        torch.set_num_threads(1)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    counted: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for outcome in ("passed", "failed", "skipped"):
        for report in terminalreporter.stats.get(outcome, []):
            group = GROUPS.get(report.nodeid.split("::")[0])
            if group and "[" in report.nodeid:
                counted[group]["unsupported" if outcome == "skipped" else outcome] += 1
    if counted:
        terminalreporter.section("conformance with PyTorch")
        for group, n in sorted(counted.items()):
            terminalreporter.line(f"{group:<12}{n['passed']:>5} passed {n['failed']:>5} failed {n['unsupported']:>5} unsupported")
