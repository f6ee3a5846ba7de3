"""The source of ``engine.models`` run on PyTorch: the same layers, computed by another program."""

from __future__ import annotations

import functools
import re
import sys
import types
from pathlib import Path
from typing import Any

import engine.models

_SOURCES = Path(engine.models.__file__).parent
_PLACES = {
    "from engine import nn": "from torch import nn",
    "from engine.nn import": "from torch.nn import",
    "from engine.tensor import": "from torch import",
    r"from engine\.(?:creation|ops\.\w+) import": "from torch import",
    "from engine.models": f"from {__name__}.models",
    r"full_\(": "full(",
    "import full_": "import full",
}


@functools.cache
def torch_models() -> Any:
    """``engine.models`` on ``torch.nn``."""
    root = types.ModuleType(f"{__name__}.models")
    root.__path__ = []
    sys.modules[root.__name__] = root
    first = ["architecture", "blocks"]
    names = [*first, *sorted(p.stem for p in _SOURCES.glob("*.py") if p.stem not in ("__init__", *first))]
    for path in (_SOURCES / f"{n}.py" for n in names):
        text = path.read_text()
        for ours, theirs in _PLACES.items():
            text = re.sub(ours, theirs, text)
        module = types.ModuleType(f"{root.__name__}.{path.stem}")
        sys.modules[module.__name__] = module
        exec(compile(text, str(path), "exec"), module.__dict__)
        vars(root).update({k: v for k, v in vars(module).items() if not k.startswith("_")})
    return root


def torch_twin(name: str, model: Any, **options: Any) -> Any:
    """The architecture on PyTorch, with the weights of ``model``."""
    import torch

    twin = getattr(torch_models(), name)(**options)
    twin.load_state_dict({k: torch.tensor(v.numpy()) for k, v in model.state_dict().items()}, strict=True)
    return twin.train(model.training)
