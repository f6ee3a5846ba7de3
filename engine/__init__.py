"""Tensors, autograd, layers, optimizers and data loaders on NumPy and CuPy, with PyTorch's names: ``import engine as torch``."""

from math import e, inf, nan, pi
from typing import TYPE_CHECKING

from engine import (
    accelerator,
    amp,
    autograd,
    backends,
    cuda,
    distributions,
    dtypes,
    func,
    linalg,
    nn,
    optim,
    random,
    sparse,
    special,
    testing,
    utils,
)
from engine.amp import GradScaler, autocast, get_autocast_dtype, is_autocast_available, is_autocast_enabled
from engine.autograd import enable_grad, inference_mode, is_grad_enabled, no_grad, set_grad_enabled
from engine.backend import device
from engine.backend.device import get_default_device, set_default_device
from engine.capture import compile
from engine.creation import (
    arange,
    as_tensor,
    empty,
    empty_like,
    empty_strided,
    eye,
    from_dlpack,
    from_numpy,
    full_like,
    linspace,
    logspace,
    normal,
    ones,
    ones_like,
    rand,
    rand_like,
    randint,
    randint_like,
    randn,
    randn_like,
    randperm,
    scalar_tensor,
    tensor,
    tril_indices,
    triu_indices,
    zeros,
    zeros_like,
)  # fmt: skip
from engine.creation import full_ as full
from engine.creation import range_ as range
from engine.dtypes import (
    bfloat16,
    contiguous_format,
    double,
    dtype,
    float16,
    float32,
    float64,
    get_default_dtype,
    half,
    int8,
    int16,
    int32,
    int64,
    long,
    preserve_format,
    promote_types,
    result_type,
    set_default_dtype,
    short,
    strided,
    uint8,
)  # fmt: skip
from engine.dtypes import bool_ as bool
from engine.dtypes import float_ as float
from engine.dtypes import int_ as int
from engine.func import vmap
from engine.functional import *
from engine.kernels.native import get_num_threads, set_num_threads
from engine.legacy import (
    BoolTensor,
    ByteTensor,
    CharTensor,
    DoubleTensor,
    FloatTensor,
    HalfTensor,
    IntTensor,
    LongTensor,
    ShortTensor,
    broadcast_shapes,
    finfo,
    iinfo,
    is_complex,
    is_floating_point,
    is_tensor,
    numel,
    use_deterministic_algorithms,
)  # fmt: skip
from engine.ops.random import Generator, default_generator, get_rng_state, initial_seed, manual_seed, seed, set_rng_state
from engine.printing import set_printoptions
from engine.serialization import load, save
from engine.sparse import sparse_coo_tensor, spmm
from engine.tensor import Size, Tensor
from engine.toplevel import *
from engine.version import __version__ as __version__

if TYPE_CHECKING:
    from engine.inference import load_model
else:

    def __getattr__(name: str) -> object:
        """``load_model``, which reads specs and datasets, is imported when it is asked for: that takes as long as all else together."""
        if name != "load_model":
            raise AttributeError(f"module 'engine' has no attribute {name!r}")
        from engine.inference import load_model

        return load_model
