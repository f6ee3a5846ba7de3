"""Layers that take the number of their input channels from the first input they see, and are ordinary layers from then on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from engine.modes import no_grad
from engine.nn.conv import Conv1d, Conv2d, Conv3d, ConvTranspose1d, ConvTranspose2d, ConvTranspose3d
from engine.nn.facts import Facts
from engine.nn.linear import Linear
from engine.nn.module import Module
from engine.nn.norm import BatchNorm1d, BatchNorm2d, BatchNorm3d, InstanceNorm1d, InstanceNorm2d, InstanceNorm3d
from engine.tensor import Tensor


class _Lazy(Module):
    """``kind`` is the layer that it becomes, ``size`` the attribute that is inferred from dimension ``dim`` of the input.

    Its parameters are there from the beginning, without elements: an optimizer may hold them already.
    """

    spec_facts = Facts(excluded="the layer that it becomes is in specs, where sizes may be left out")

    kind: ClassVar[Any]
    size = "in_channels"
    dim: ClassVar[int] = 1

    def __init__(self, *args: Any, **options: Any) -> None:
        made: Any = self.kind
        made.__init__(self, options.get("groups", 1), *args, **options)
        self._options = (args, options)
        setattr(self, self.size, 0)
        for x in self._sized():
            x.data = x.detach().reshape(-1)[:0]
        self._waiting = [
            self.register_forward_pre_hook(lambda module, inputs: self._become(inputs[0].shape[self.dim])),
            self.register_load_state_dict_pre_hook(self._loading),
        ]

    def _sized(self) -> list[Tensor]:
        """The parameters and buffers whose shape is not known yet."""
        return [x for name, x in {**self._parameters, **self._buffers}.items() if x is not None and name != "num_batches_tracked"]

    def _loading(self, module: Any, state_dict: Mapping[str, Any], prefix: str, *rest: Any) -> None:
        if prefix + "weight" in state_dict or prefix + "running_mean" in state_dict:
            self._become(
                self._size_in({k: state_dict[prefix + k].shape for k in self._parameters | self._buffers if prefix + k in state_dict})
            )

    def _size_in(self, shapes: dict[str, Any]) -> int:
        """The size, from the shapes of a saved state."""
        return int(shapes["weight"][1])

    def _become(self, size: int) -> None:
        args, options = self._options
        made: Any = self.kind(size, *args, **options)
        with no_grad():
            for home, filled in ((self._parameters, made._parameters), (self._buffers, made._buffers)):
                for name, x in home.items():
                    if x is not None:
                        x.data = filled[name].detach().to(x.device, x.dtype)
        setattr(self, self.size, size)
        for handle in self._waiting:
            handle.remove()
        del self._waiting, self._options
        self.__class__ = self.kind


class LazyLinear(_Lazy, Linear):
    """``Linear`` whose ``in_features`` is the last dimension of the first input."""

    kind, size, dim = Linear, "in_features", -1


class _LazyConv(_Lazy):
    def _size_in(self, shapes: dict[str, Any]) -> int:
        return int(shapes["weight"][1]) * int(self.groups)


class LazyConv1d(_LazyConv, Conv1d):
    """``Conv1d`` whose ``in_channels`` is taken from the first input."""

    kind, dim = Conv1d, -2


class LazyConv2d(_LazyConv, Conv2d):
    """``Conv2d`` whose ``in_channels`` is taken from the first input."""

    kind, dim = Conv2d, -3


class LazyConv3d(_LazyConv, Conv3d):
    """``Conv3d`` whose ``in_channels`` is taken from the first input."""

    kind, dim = Conv3d, -4


class _LazyConvTranspose(_Lazy):
    def _size_in(self, shapes: dict[str, Any]) -> int:
        return int(shapes["weight"][0])


class LazyConvTranspose1d(_LazyConvTranspose, ConvTranspose1d):
    """``ConvTranspose1d`` whose ``in_channels`` is taken from the first input."""

    kind, dim = ConvTranspose1d, -2


class LazyConvTranspose2d(_LazyConvTranspose, ConvTranspose2d):
    """``ConvTranspose2d`` whose ``in_channels`` is taken from the first input."""

    kind, dim = ConvTranspose2d, -3


class LazyConvTranspose3d(_LazyConvTranspose, ConvTranspose3d):
    """``ConvTranspose3d`` whose ``in_channels`` is taken from the first input."""

    kind, dim = ConvTranspose3d, -4


class _LazyNorm(_Lazy):
    size = "num_features"

    def _size_in(self, shapes: dict[str, Any]) -> int:
        return int(shapes["weight" if "weight" in shapes else "running_mean"][0])


class LazyBatchNorm1d(_LazyNorm, BatchNorm1d):
    """``BatchNorm1d`` whose ``num_features`` is taken from the first input."""

    kind = BatchNorm1d


class LazyBatchNorm2d(_LazyNorm, BatchNorm2d):
    """``BatchNorm2d`` whose ``num_features`` is taken from the first input."""

    kind = BatchNorm2d


class LazyBatchNorm3d(_LazyNorm, BatchNorm3d):
    """``BatchNorm3d`` whose ``num_features`` is taken from the first input."""

    kind = BatchNorm3d


class _LazyInstanceNorm(_LazyNorm):
    def __init__(
        self,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        made: Any = super()
        made.__init__(eps, momentum, affine, track_running_stats, device, dtype)


class LazyInstanceNorm1d(_LazyInstanceNorm, InstanceNorm1d):
    """``InstanceNorm1d`` whose ``num_features`` is taken from the first input."""

    kind, dim = InstanceNorm1d, -2


class LazyInstanceNorm2d(_LazyInstanceNorm, InstanceNorm2d):
    """``InstanceNorm2d`` whose ``num_features`` is taken from the first input."""

    kind, dim = InstanceNorm2d, -3


class LazyInstanceNorm3d(_LazyInstanceNorm, InstanceNorm3d):
    """``InstanceNorm3d`` whose ``num_features`` is taken from the first input."""

    kind, dim = InstanceNorm3d, -4
