"""Measurements beside PyTorch and JAX: ``python -m benchmarks step --peers torch,jax``."""
