"""Where ``Function`` stands in PyTorch (``torch.autograd.function``)."""

from engine.custom import Context as FunctionCtx
from engine.custom import Function

__all__ = ["Function", "FunctionCtx"]
