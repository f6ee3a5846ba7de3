"""Measurements beside PyTorch and JAX: ``python -m benchmarks step --peers torch,jax``."""

import os

# Before NumPy is imported: the roofline is one core's, and without settings for old processors that slow today's BLAS.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
for _name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):
    os.environ.pop(_name, None)
