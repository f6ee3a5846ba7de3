"""Differentiation under PyTorch's names (``torch.autograd``); the work is done in ``engine.graph``."""

from engine.autograd import functional
from engine.custom import Function
from engine.gradcheck import GradcheckError, gradcheck, gradgradcheck
from engine.graph import Variable, backward, grad
from engine.modes import detect_anomaly, enable_grad, inference_mode, is_grad_enabled, no_grad, set_detect_anomaly, set_grad_enabled

__all__ = [
    "Function", "GradcheckError", "Variable", "backward", "detect_anomaly", "enable_grad", "functional", "grad", "gradcheck", "gradgradcheck", "inference_mode", "is_grad_enabled", "no_grad", "set_detect_anomaly", "set_grad_enabled",
]  # fmt: skip
