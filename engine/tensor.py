"""``Tensor``: an array, and the node of the graph that made it. What it computes stands in ``engine.ops``."""

from __future__ import annotations

from builtins import bool as Bool
from builtins import float as Float
from builtins import int as Int
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from engine import dtypes, graph, printing
from engine.backend import Array, MetaArray, array_module, copied, device_of, full, pinned, resolve, transfer
from engine.backend import device as Device
from engine.dispatch import Op, constant, count, looked_at
from engine.dtypes import BY_NUMPY, from_numpy_dtype
from engine.dtypes import dtype as DType
from engine.history import History
from engine.literals import array_of
from engine.methods import Methods
from engine.modes import results_are
from engine.ops import elementwise
from engine.ops.dims import sizes, wrap_dim


class Size(tuple[int, ...]):
    """The sizes of a tensor's dimensions."""

    __slots__ = ()

    def numel(self) -> int:
        return count(self)

    def __repr__(self) -> str:
        return f"torch.Size({list(self)})"


class Tensor(History, Methods):
    """An n-dimensional array on a device that remembers, where a gradient is wanted, how it was computed."""

    __slots__ = (
        "__dict__",
        "__weakref__",
        "_after",
        "_base",
        "_changes",
        "_data",
        "_grad_fn",
        "_hooks",
        "_output_index",
        "_path",
        "_requires_grad",
        "_retains_grad",
        "_seen",
        "_version",
        "dtype",
        "grad",
    )
    __array_priority__ = 1000

    dtype: DType
    grad: Tensor | None

    def __init__(self, *data: Any, dtype: DType | None = None, device: Any = None) -> None:
        """Of the elements of a list, an array or a tensor, or of a size, as PyTorch's oldest constructor: ``Tensor([1, 2])``, ``Tensor(2, 3)``."""
        d = dtype or dtypes.get_default_dtype()
        if all(isinstance(n, int) for n in data):
            self._adopt(full(data or (0,), 0, d.numpy, resolve(device)))
        else:
            self._adopt(full(data[0], 0, d.numpy, resolve(device)) if isinstance(data[0], Size) else as_array(data[0], d, device))

    def _adopt(self, array: Array) -> None:
        self._data = array
        self.dtype = BY_NUMPY.get(array.dtype) or from_numpy_dtype(array.dtype)
        self._requires_grad = self._retains_grad = False
        self._grad_fn = self.grad = self._base = self._hooks = self._after = None
        self._output_index, self._seen, self._changes, self._version, self._path = 0, 0, 0, [0], ()

    @classmethod
    def _wrap(cls, array: Array) -> Tensor:
        """A tensor around an array, without a copy."""
        self = object.__new__(Tensor)
        self._adopt(array)
        return self

    # -- what it is

    @property
    def shape(self) -> Size:
        return Size(self._data.shape)

    def size(self, dim: Int | None = None) -> Any:
        return self.shape if dim is None else self.shape[wrap_dim(dim, self.ndim)]

    @property
    def ndim(self) -> Int:
        return self._data.ndim

    def dim(self) -> Int:
        return self.ndim

    def numel(self) -> Int:
        return count(self._data.shape)

    nelement = numel

    def element_size(self) -> Int:
        return self.dtype.itemsize

    @property
    def nbytes(self) -> Int:
        return self.numel() * self.dtype.itemsize

    @property
    def device(self) -> Device:
        return device_of(self._data)

    @property
    def itemsize(self) -> Int:
        return self.dtype.itemsize

    @property
    def is_cuda(self) -> Bool:
        return self.device.type == "cuda"

    def is_floating_point(self) -> Bool:
        return self.dtype.is_floating_point

    def stride(self, dim: Int | None = None) -> Any:
        strides = tuple(s // self.dtype.itemsize for s in self._data.strides)
        return strides if dim is None else strides[dim]

    def is_contiguous(self, memory_format: Any = None) -> Bool:
        return isinstance(self._data, MetaArray) or bool(self._data.flags.c_contiguous)

    def contiguous(self, memory_format: Any = None) -> Tensor:
        """Itself where its elements lie in order, else a copy that does."""
        return self if self.is_contiguous() else self.clone()

    def storage_offset(self) -> Int:
        """How many elements into its base's memory this tensor starts."""
        return 0 if self._base is None or not self.numel() else (self.data_ptr() - self._base.data_ptr()) // self.element_size()

    def resize_(self, *size: Any, memory_format: Any = None) -> Tensor:
        """In another size in place, elements in memory order; new ones are zero."""
        if self.requires_grad:
            raise RuntimeError("cannot resize variables that require grad")
        shape, flat = sizes(size), self._data.reshape(-1)
        if count(shape) > self.numel():
            grown = full((count(shape),), 0, self.dtype.numpy, self.device)
            grown[: self.numel()] = flat
            flat = grown
        self._data = flat[: count(shape)].reshape(shape)
        self._version[0] += 1
        return self

    def resize_as_(self, other: Tensor, memory_format: Any = None) -> Tensor:
        return self.resize_(other.shape)

    def data_ptr(self) -> Int:
        return int(self._data.ctypes.data) if isinstance(self._data, np.ndarray) else int(self._data.data.ptr)

    # -- to and from elsewhere

    def _bare(self, what: str) -> np.ndarray[Any, Any]:
        looked_at(f"a look at a tensor's elements from Python ({what})", self._data)
        if isinstance(self._data, MetaArray):
            raise NotImplementedError(f"Cannot {what} of a meta tensor; no data!")
        if not isinstance(self._data, np.ndarray):
            raise TypeError(f"can't convert {self.device} device type tensor to numpy. Use Tensor.cpu() to copy it to host memory first.")
        return self._data

    def numpy(self) -> np.ndarray[Any, Any]:
        """The elements as an array that shares this tensor's memory. Raises RuntimeError where a gradient would be lost."""
        if self.requires_grad:
            raise RuntimeError("Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead.")
        return self._bare("take numpy()")

    def __array__(self, dtype: Any = None, copy: Bool | None = None) -> np.ndarray[Any, Any]:
        return np.array(self.numpy(), dtype, copy=copy)

    def __dlpack__(self, **kwargs: Any) -> Any:
        return self.detach()._data.__dlpack__(**kwargs)

    def __dlpack_device__(self) -> tuple[Int, int]:
        return self._data.__dlpack_device__()

    def item(self) -> Any:
        """The only element as a Python number. Raises RuntimeError for any other number of elements."""
        if self.numel() != 1:
            raise RuntimeError(f"a Tensor with {self.numel()} elements cannot be converted to Scalar")
        if isinstance(self._data, MetaArray):
            raise RuntimeError("Tensor.item() cannot be called on meta tensors")
        looked_at("a look at a tensor's element from Python (item)", self._data)
        return self._data.item()

    def tolist(self) -> Any:
        looked_at("a look at a tensor's elements from Python (tolist)", self._data)
        return transfer(self._data, resolve("cpu")).tolist()

    def __float__(self) -> Float:
        return float(self.item())

    def __int__(self) -> Int:
        return int(self.item())

    def __index__(self) -> Int:
        if self.dtype.is_floating_point:
            raise TypeError("only integer tensors of a single element can be converted to an index")
        return int(self)

    def __bool__(self) -> Bool:
        if self.numel() != 1:
            raise RuntimeError(f"Boolean value of Tensor with {'no values' if not self.numel() else 'more than one value'} is ambiguous")
        return bool(self.item())

    def to(
        self,
        *args: Any,
        dtype: DType | None = None,
        device: Any = None,
        copy: Bool = False,
        non_blocking: Bool = False,
        memory_format: Any = None,
    ) -> Tensor:
        """In another dtype or on another device: ``to(dtype)``, ``to(device)``, ``to(device, dtype)``, ``to(other)``; itself if it is so already."""
        for a in args:
            if isinstance(a, Tensor):
                dtype, device = a.dtype, a.device
            elif isinstance(a, DType | type):
                dtype = dtypes.named(a)
            elif isinstance(a, str | Int | Device) and not isinstance(a, bool):
                device = a
        x: Tensor = self if dtype is None else elementwise.cast(self, dtype)
        if device is not None and resolve(device) != x.device:
            x = _moved(x, resolve(device))
        return x.clone() if copy and x is self else x

    def cpu(self) -> Tensor:
        return self.to("cpu")

    def cuda(self, device: Any = 0, non_blocking: Bool = False) -> Tensor:
        return self.to(f"cuda:{device or 0}" if isinstance(device, int | None) else device)

    def pin_memory(self) -> Tensor:
        """A copy that a device reads faster; itself where there is none."""
        return self if not isinstance(self._data, np.ndarray) else Tensor._wrap(pinned(self._data))

    def type(self, dtype: Any = None) -> Any:
        """Without an argument the legacy name (``torch.FloatTensor``), else the tensor in another dtype."""
        if dtype is None:
            return f"torch.{self.dtype.legacy_name}Tensor"
        return self.to(getattr(dtype, "dtype", dtype))

    def type_as(self, other: Tensor) -> Tensor:
        return self.to(other)

    # -- the graph

    @property
    def data(self) -> Tensor:
        """The elements without history; writing to them goes unnoticed by the graph."""
        return Tensor._wrap(self._data)

    @data.setter
    def data(self, other: Tensor) -> None:
        self._data, self.dtype = other._data, other.dtype

    # -- new tensors like this one

    def new_full(
        self,
        size: Sequence[Int],
        fill_value: Any,
        *,
        dtype: DType | None = None,
        device: Any = None,
        requires_grad: Bool = False,
        layout: Any = None,
    ) -> Tensor:
        """A tensor of one value, in this one's dtype and on its device unless told otherwise."""
        where = self.device if device is None else resolve(device)
        return Tensor._wrap(constant(full(tuple(size), fill_value, (dtype or self.dtype).numpy, where))).requires_grad_(requires_grad)

    def new_zeros(self, *size: Any, **options: Any) -> Tensor:
        return self.new_full(sizes(size), 0, **options)

    def new_ones(self, *size: Any, **options: Any) -> Tensor:
        return self.new_full(sizes(size), 1, **options)

    new_empty = new_zeros

    def new_empty_strided(self, size: Sequence[Int], stride: Sequence[Int], **options: Any) -> Tensor:
        """Zeros laid out in memory by strides, in elements."""
        extent = 1 + sum((n - 1) * s for n, s in zip(size, stride, strict=True)) if count(size) else 0
        return self.new_zeros(extent, **options).as_strided(size, stride).detach()

    def new_eye(self, n: Int) -> Tensor:
        """The identity matrix ``(n, n)`` in this dtype, on this device."""
        return self.new_ones(n).diag_embed()

    def new_tensor(self, data: Any, *, dtype: DType | None = None, device: Any = None, requires_grad: Bool = False) -> Tensor:
        array = as_array(data, dtype or self.dtype, self.device if device is None else device)
        return Tensor._wrap(constant(array)).requires_grad_(requires_grad)

    # -- behaviour as an object

    def __eq__(self, other: object) -> Tensor:  # type: ignore[override]  # a tensor, as in PyTorch
        return elementwise.eq(self, other) if isinstance(other, Tensor | int | float) else NotImplemented

    def __ne__(self, other: object) -> Tensor:  # type: ignore[override]  # a tensor, as in PyTorch
        return elementwise.ne(self, other) if isinstance(other, Tensor | int | float) else NotImplemented

    __hash__ = object.__hash__

    def __len__(self) -> Int:
        if self.ndim == 0:
            raise TypeError("len() of a 0-d tensor")
        return int(self._data.shape[0])

    def __iter__(self) -> Iterator[Tensor]:
        if self.ndim == 0:
            raise TypeError("iteration over a 0-d tensor")
        return (self[i] for i in range(len(self)))

    def __contains__(self, value: Any) -> Bool:
        return (self == value).any().item()

    def __setitem__(self, index: Any, value: Any) -> None:
        """Writes into the elements; recorded where a gradient is wanted."""
        self._write(index, value)

    def __repr__(self) -> str:
        return printing.render(self)

    def __format__(self, spec: str) -> str:
        return repr(self) if not spec else format(self.item(), spec) if self.ndim == 0 else object.__format__(self, spec)

    def __deepcopy__(self, memo: dict[Int, Any]) -> Tensor:
        if self.grad_fn is not None:
            raise RuntimeError("Only Tensors created explicitly by the user (graph leaves) support the deepcopy protocol at the moment.")
        looked_at("a copy of a tensor (deepcopy)", self._data)
        copy = type(self)._wrap(array_module(self._data).array(self._data))
        copy.requires_grad = self.requires_grad
        memo[id(self)] = copy
        return copy

    def __reduce__(self) -> Any:
        elements = transfer(self._data, resolve("cpu")).tobytes()
        return _rebuild, (self.dtype.name, tuple(self.shape), elements, self.requires_grad and self.grad_fn is None)

    # -- in place

    def copy_(self, source: Tensor) -> Tensor:
        """The elements of ``source``, cast and moved to here."""
        return self._become(source.to(self.device, self.dtype).expand(self.shape))


def as_array(data: Any, d: DType | None, where: Any = None) -> Array:
    """The elements of anything array-like in dtype ``d`` (None: its own, floats the default type), copied, on a device."""
    array = data._data if isinstance(data, Tensor) else data
    if isinstance(data, Tensor) or (isinstance(data, np.ndarray) and data.dtype != object):
        d = from_numpy_dtype(array.dtype) if d is None else d
    else:
        array, d = array_of(data, d)
    target = resolve(where) if where is not None else device_of(array)
    return copied(transfer(array, target), d.numpy)


def as_tensor(value: Any, *, like: Tensor) -> Tensor:
    """A tensor in the dtype and on the device of ``like``; itself if it is one."""
    return value if isinstance(value, Tensor) else Tensor._wrap(as_array(value, like.dtype, like.device))


def _rebuild(dtype: str, size: tuple[int, ...], elements: bytes, requires_grad: bool) -> Tensor:
    x = Tensor._wrap(np.frombuffer(elements, dtypes.BY_NAME[dtype].numpy).reshape(size).copy())
    x.requires_grad = requires_grad
    return x


_move = Op(
    "move",
    ["x"],
    infer=lambda x, where, back: (x.shape, x.dtype),
    view=lambda x, where, back: transfer(x, where),
    vjps={"x": lambda g, back: g.to(back)},
)


def _moved(x: Tensor, where: Device) -> Tensor:
    """A copy on another device, differentiable."""
    if where.type == "meta":
        return Tensor._wrap(MetaArray(x.shape, x.dtype.numpy))
    y: Tensor = graph.apply(_move, x, where=where, back=x.device)
    y._version, y._base, y._path = [0], None, ()
    return y


results_are(Tensor)
