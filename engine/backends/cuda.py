"""Settings that programs make for products on CUDA: kept, without effect."""

import types

from engine.backend import cuda_device_count

matmul = types.SimpleNamespace(allow_tf32=False)


def is_built() -> bool:
    return cuda_device_count() > 0
