"""PyTorch's ``torch.utils``."""

from engine.utils import data

__all__ = ["data"]
