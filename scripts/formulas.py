"""Writes ``engine/kernels/cpu/formulas.inc``: the formulas that the kernels have compiled, those of the networks and optimizers in ``benchmarks``.

``--check`` writes nothing and fails where the file is not what would be written. Formulas that are not in it are interpreted.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import engine
from benchmarks.sides import prepared, training_step, weights
from benchmarks.workloads import WORKLOADS
from engine.capture.formula import CODES

FILE = Path(__file__).parents[1] / "engine" / "kernels" / "cpu" / "formulas.inc"
NAMES = [name.upper() for name in CODES]
Formula = tuple[int, ...]
"""Inputs, outputs, constants, places, and three numbers a step."""


def met() -> Iterator[Formula]:
    """The formulas of each workload's training step."""
    for workload in WORKLOADS.values():
        for optimizer in workload.optimizers:
            model, opt, loss, x, y = prepared(engine, workload, optimizer, weights(workload))
            step = engine.compile(training_step(model, opt, loss))
            step(x, y)
            yield from _formulas(step)
    for name in ACTIVATIONS:
        yield from _around(name)


ACTIVATIONS = ("ReLU6", "Hardswish", "GELU", "SiLU", "ELU", "LeakyReLU", "Sigmoid", "Tanh")
"""Those that are compiled behind batch normalization, behind a product and by themselves; the steps of others are interpreted."""


def _around(name: str) -> Iterator[Formula]:
    """The formulas of an activation where networks have it."""
    nn = engine.nn
    activation = getattr(nn, name)
    conv = nn.Sequential(
        nn.Conv2d(4, 8, 3),
        nn.BatchNorm2d(8),
        activation(),
        nn.Conv2d(8, 8, 3),
        nn.BatchNorm2d(8),
        activation(),
        nn.Conv2d(8, 2, 1),
        nn.Flatten(),
    )
    dense = nn.Sequential(nn.Flatten(), nn.Linear(256, 16), activation(), nn.Linear(16, 16), activation(), nn.Linear(16, 10))
    x, y = engine.randn(4, 4, 8, 8), engine.zeros(4, dtype=engine.int64)
    for model in (conv, dense):
        step = engine.compile(training_step(model, engine.optim.SGD(model.parameters(), lr=0.1), nn.CrossEntropyLoss()))
        step(x, y)
        yield from _formulas(step)


def _formulas(step: Any) -> Iterator[Formula]:
    """The formulas of a compiled step."""
    for program in next(iter(step.programs.values())) or ():
        for i in program.builder.instructions:
            if i.kernel in ("map", "map_pieces"):
                inputs, outputs, constants, _, places, steps, *rest = i.arguments
                yield (int(i.kernel == "map_pieces"), inputs, outputs, constants, places, *rest[: 3 * steps])


def _written(formula: Formula) -> str:
    update, inputs, outputs, constants, places, *steps = formula
    text = []
    for code, to, packed in zip(*(iter(steps),) * 3, strict=True):
        operands = [packed >> (16 * i) & 0xFFFF for i in range(3)]
        while len(operands) > 1 and operands[-1] == 0:
            operands.pop()
        text.append(f"{NAMES[code]}, {to}, of({', '.join(map(str, operands))})")
    return f"Compiled<{inputs}, {outputs}, {constants}, {places}, {', '.join(text)}>::{'update' if update else 'known'}(),"


def main() -> None:
    # other single steps are compiled already; a copy whose rows are summed saves a pass, and an update one beside a product
    found = {formula for formula in met() if formula[0] or len(formula) > 5 + 3 or NAMES[formula[5]] == "COPY"}
    text = "".join(_written(formula) + "\n" for formula in sorted(found, key=lambda f: f[1:]))
    if "--check" not in sys.argv:
        FILE.write_text(text)
    elif text != FILE.read_text():
        sys.exit(f"{FILE} is not what `python scripts/formulas.py` writes")


if __name__ == "__main__":
    main()
