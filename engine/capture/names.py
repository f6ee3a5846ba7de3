"""What a function's code reads, by name: attributes, variables, and the keys that a dict is asked for."""

from __future__ import annotations

import dis
import sysconfig
from collections import defaultdict
from pathlib import Path
from types import CodeType
from typing import NamedTuple

ENGINE = str(Path(__file__).resolve().parents[1]) + "/"
_LIBRARY = sysconfig.get_paths()["stdlib"]
_OBSERVED = (
    "nn/",
    "vision/",
    "distributions",
    "train/",
    "amp.py",
    "optim/lr_scheduler.py",
    "optim/schedule.py",
    "optim/cycles.py",
    "optim/swa_utils.py",
)
"""Parts of the engine whose Python reads objects of the user's. What the others read (tensors, the optimizer's groups) programs look up by themselves."""
_BY_NAME = {"getattr", "hasattr", "setattr", "delattr", "attrgetter", "methodcaller", "AttributeError", "Exception"}
_WHOLE = {"vars", "dir", "__dict__"}


class Names(NamedTuple):
    """What one code object names."""

    attributes: frozenset[str]
    stored: frozenset[str]
    """Those of the attributes that it sets."""
    variables: tuple[str, ...]
    """Of its module; none for code that is not the user's."""
    imports: tuple[tuple[int, str], ...]
    """Modules, and how many packages up they are."""
    keys: dict[str, frozenset[str] | None]
    """For a variable or an attribute: the keys that it is subscripted with, where nothing else is done with it; else None."""
    everything: bool
    """Whether it finds attributes in a way that names do not show."""
    library: bool
    """Whether it is the standard library's or the engine's: nobody replaces its functions and classes."""
    engines: bool


NOTHING = Names(frozenset(), frozenset(), (), (), {}, False, False, False)
KNOWN: dict[int, tuple[CodeType, Names | None]] = {}
"""What was found out about code, by its address."""


def names_of(code: CodeType, module: str = "") -> Names | None:
    """The names in ``code``; None for code that reads nothing of the user's: NumPy's, and most of the engine's.

    ``module`` is the name of the one it belongs to, which counts for code that was made from a text.
    """
    found = KNOWN.get(id(code))
    if found is None:
        found = KNOWN[id(code)] = code, None if code.co_filename == "<string>" and module.startswith("engine.") else _read(code)
    return found[1]


def is_observed(file: str) -> bool:
    """Whether what the code of a file reads is guarded."""
    if file.startswith(ENGINE):
        part = file[len(ENGINE) :]
        return part.startswith(_OBSERVED) and not part.startswith("nn/functional/")
    return "/numpy/" not in file and not file.startswith(("<frozen importlib", "<frozen zipimport", "<__array_function__"))


def is_library(file: str) -> bool:
    """Whether a file is the standard library's."""
    return file.startswith((_LIBRARY, "<frozen")) and "site-packages" not in file


def is_users(file: str) -> bool:
    """Whether a file is of the program, not of what is installed for it."""
    return "site-packages" not in file and not file.startswith((ENGINE, _LIBRARY, "<frozen"))


def _read(code: CodeType) -> Names | None:
    file = code.co_filename
    if not is_observed(file):
        return None
    attributes: set[str] = set()
    stored: set[str] = set()
    variables: dict[str, None] = {}
    imports: list[tuple[int, str]] = []
    keys: defaultdict[str, set[str | None]] = defaultdict(set)
    row = list(dis.get_instructions(code))
    for i, one in enumerate(row):
        name, what = one.argval, one.opname
        if what.startswith(("LOAD_FAST_", "STORE_FAST_")) and isinstance(name, tuple):  # several in one instruction
            for each in name:
                keys[each].add(None)
        elif not isinstance(name, str):
            continue
        elif what == "IMPORT_NAME":
            imports.append((row[i - 2].argval or 0, name))
        elif what in ("STORE_ATTR", "DELETE_ATTR"):
            stored.add(name)
        elif what in ("LOAD_ATTR", "LOAD_METHOD", "LOAD_SUPER_ATTR", "IMPORT_FROM"):
            attributes.add(name)
            keys[name].add(_key(row, i))
        elif what in ("LOAD_GLOBAL", "LOAD_NAME", "STORE_GLOBAL", "STORE_NAME"):
            variables[name] = None
            keys[name].add(_key(row, i))
        elif what.startswith("LOAD_") and what != "LOAD_CONST":
            keys[name].add(_key(row, i))
    texts = {c for c in code.co_consts if isinstance(c, str) and c.isidentifier()}
    if "globals" in variables:
        variables |= dict.fromkeys(texts)
    if _BY_NAME & (variables.keys() | attributes):
        attributes |= texts
    ours = file.startswith(ENGINE)
    library = ours or ("site-packages" not in file and file.startswith((_LIBRARY, "<frozen")))
    return Names(
        frozenset(attributes | stored) - {"__dict__", "__class__"},
        frozenset(stored),
        () if ours else tuple(variables),
        () if ours else tuple(imports),
        {n: None if None in found else frozenset(k for k in found if k) for n, found in keys.items()},
        bool((_WHOLE | _BY_NAME) & (variables.keys() | attributes)) and not ours,
        library,
        ours,
    )


def _key(row: list[dis.Instruction], i: int) -> str | None:
    """The constant that the value loaded by instruction ``i`` is subscripted with right away."""
    if i + 2 >= len(row) or row[i + 1].opname != "LOAD_CONST" or not isinstance(row[i + 1].argval, str):
        return None
    then = row[i + 2]
    subscribes = then.opname in ("BINARY_SUBSCR", "STORE_SUBSCR", "DELETE_SUBSCR") or (then.opname == "BINARY_OP" and then.argrepr == "[]")
    return str(row[i + 1].argval) if subscribes else None
