"""Names from PyTorch's early days that programs still use."""

from __future__ import annotations

from typing import Any

from engine import dtypes
from engine.backend import cuda_device_count, cupy
from engine.backend import device as Device
from engine.creation import zeros
from engine.dtypes import dtype as DType
from engine.ops.dims import sizes
from engine.ops.random import manual_seed
from engine.tensor import Tensor, as_array


class TypedTensor:
    """A constructor for one dtype: ``FloatTensor([1, 2])`` holds these numbers, ``FloatTensor(2, 3)`` has this shape."""

    def __init__(self, name: str, dtype: DType) -> None:
        self.__name__, self.dtype = name, dtype

    def __call__(self, *args: Any) -> Tensor:
        if len(args) == 1 and not isinstance(args[0], int):
            return Tensor._wrap(as_array(args[0], self.dtype))
        return zeros(sizes(args) if args else (0,), dtype=self.dtype)

    def __repr__(self) -> str:
        return f"<class 'torch.{self.__name__}'>"


FloatTensor = TypedTensor("FloatTensor", dtypes.float32)
DoubleTensor = TypedTensor("DoubleTensor", dtypes.float64)
HalfTensor = TypedTensor("HalfTensor", dtypes.float16)
ShortTensor = TypedTensor("ShortTensor", dtypes.int16)
IntTensor = TypedTensor("IntTensor", dtypes.int32)
LongTensor = TypedTensor("LongTensor", dtypes.int64)
ByteTensor = TypedTensor("ByteTensor", dtypes.uint8)
BoolTensor = TypedTensor("BoolTensor", dtypes.bool_)


def is_tensor(obj: Any) -> bool:
    return isinstance(obj, Tensor)


class cuda:  # noqa: N801 - PyTorch's module of this name
    """What programs ask about CUDA before they choose a device."""

    @staticmethod
    def is_available() -> bool:
        return cuda_device_count() > 0

    @staticmethod
    def device_count() -> int:
        return cuda_device_count()

    @staticmethod
    def manual_seed(seed: int) -> None:
        manual_seed(seed)

    @staticmethod
    def manual_seed_all(seed: int) -> None:
        """One seed serves every device."""
        manual_seed(seed)

    @staticmethod
    def synchronize(device: Any = None) -> None:
        """Waits for what a device has been given to do; without a device there is nothing to wait for."""
        if cuda_device_count():
            cupy().cuda.runtime.deviceSynchronize()


class accelerator:  # noqa: N801 - PyTorch's module of this name
    """What programs ask about the device they should prefer."""

    @staticmethod
    def is_available() -> bool:
        return cuda_device_count() > 0

    @staticmethod
    def current_accelerator(check_available: bool = False) -> Device | None:
        """The CUDA device, or None where there is none."""
        return Device("cuda") if cuda_device_count() else None
