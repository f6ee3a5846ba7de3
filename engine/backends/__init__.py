"""What programs ask about, and set of, PyTorch's backends."""

from engine.backends import cuda, cudnn, mps

__all__ = ["cuda", "cudnn", "mps"]
