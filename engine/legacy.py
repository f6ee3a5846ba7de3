"""Names that programs use around their mathematics: constructors of PyTorch's early days, devices, backends, limits of dtypes."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np

from engine import dispatch, dtypes
from engine.backend import cuda_device_count, cupy
from engine.backend import device as Device
from engine.creation import zeros
from engine.dtypes import dtype as DType
from engine.ops.dims import sizes
from engine.ops.random import manual_seed
from engine.tensor import Size, Tensor, as_array


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
CharTensor = TypedTensor("CharTensor", dtypes.int8)
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
    def current_device() -> int:
        """The number of the device that new CUDA arrays go to. Raises RuntimeError where there is none."""
        return int(cupy().cuda.runtime.getDevice())

    @staticmethod
    def set_device(device: Any) -> None:
        index = device if isinstance(device, int) else Device(device).index or 0
        cupy().cuda.Device(index).use()

    @staticmethod
    def get_device_name(device: Any = None) -> str:
        index = cuda.current_device() if device is None else device if isinstance(device, int) else Device(device).index or 0
        return str(cupy().cuda.runtime.getDeviceProperties(index)["name"].decode())

    @staticmethod
    def empty_cache() -> None:
        """Gives memory that is held but not used back to the driver."""
        if cuda_device_count():
            cupy().get_default_memory_pool().free_all_blocks()

    @staticmethod
    def memory_allocated(device: Any = None) -> int:
        """Bytes in use by arrays."""
        return int(cupy().get_default_memory_pool().used_bytes()) if cuda_device_count() else 0

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


class _CuDNN:
    """Settings that programs make for cuDNN; kept, without effect: kernels are deterministic here."""

    enabled = benchmark = False
    deterministic = True

    def is_available(self) -> bool:
        return False


class _Absent:
    """A kind of device that is never there."""

    def is_available(self) -> bool:
        return False

    is_built = is_available


class backends:  # noqa: N801 - PyTorch's module of this name
    """What programs ask about, and set of, PyTorch's backends."""

    cudnn = _CuDNN()
    mps = _Absent()


def use_deterministic_algorithms(mode: bool, *, warn_only: bool = False) -> None:
    """All algorithms are deterministic already."""


def is_floating_point(input: Tensor) -> bool:
    return input.is_floating_point()


def is_complex(input: Tensor) -> bool:
    """False: there are no complex tensors."""
    return False


def broadcast_shapes(*shapes: Any) -> Size:
    """The shape that tensors of these shapes (or of one dimension, given as an int) have in common. Raises RuntimeError where they do not fit."""
    given = [(s,) if isinstance(s, int) else tuple(s) for s in shapes]
    if any(n < 0 for s in given for n in s):
        raise RuntimeError(f"Trying to create tensor with negative dimension: {given}")
    return Size(dispatch.broadcast_shapes(*given))


def numel(input: Tensor) -> int:
    return input.numel()


class finfo:  # noqa: N801 - PyTorch's name
    """The limits of a float dtype: ``eps``, ``tiny``, ``max``, ``min``, ``bits``."""

    def __init__(self, type: DType | None = None) -> None:
        d = type or dtypes.get_default_dtype()
        if d.category != dtypes.FLOAT:
            raise TypeError(f"torch.finfo() requires a floating point input type. Use torch.iinfo to handle '{d.name}'")
        limits: Any = (ml_dtypes if d is dtypes.bfloat16 else np).finfo(d.numpy)
        self.eps, self.max, self.min = float(limits.eps), float(limits.max), float(limits.min)
        self.tiny = self.smallest_normal = float(limits.tiny)
        self.bits, self.dtype, self.resolution = 8 * d.itemsize, d.name, float(limits.resolution)


class iinfo:  # noqa: N801 - PyTorch's name
    """The limits of an integer dtype: ``max``, ``min``, ``bits``."""

    def __init__(self, type: DType) -> None:
        if type.category != dtypes.INTEGER:
            raise TypeError(f"torch.iinfo() requires an integer input type. Use torch.finfo to handle '{type.name}'")
        limits = np.iinfo(type.numpy)
        self.max, self.min, self.bits, self.dtype = int(limits.max), int(limits.min), 8 * type.itemsize, type.name
