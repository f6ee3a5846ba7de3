"""Data parallelism's names: one process drives one device, so a module is applied as it is."""

from __future__ import annotations

from typing import Any

from engine.nn.facts import Facts
from engine.nn.module import Module


def data_parallel(
    module: Module, inputs: Any, device_ids: Any = None, output_device: Any = None, dim: int = 0, module_kwargs: Any = None
) -> Any:
    """``module(*inputs)``. Raises NotImplementedError for more than one device."""
    if device_ids is not None and len(device_ids) > 1:
        raise NotImplementedError(f"data_parallel over several devices ({device_ids}); run a job on each device instead")
    return module(*(inputs if isinstance(inputs, tuple) else (inputs,)), **(module_kwargs or {}))


class DataParallel(Module):
    """A module under the name ``module``, as PyTorch's wrapper keeps it; computes on one device."""

    spec_facts = Facts(excluded="one process drives one device")

    def __init__(self, module: Module, device_ids: Any = None, output_device: Any = None, dim: int = 0) -> None:
        super().__init__()
        if device_ids is not None and len(device_ids) > 1:
            raise NotImplementedError(f"DataParallel over several devices ({device_ids}); run a job on each device instead")
        self.module = module

    def forward(self, *inputs: Any, **options: Any) -> Any:
        return self.module(*inputs, **options)
