"""Special functions under the names of ``torch.special``."""

from engine.ops.special import *
from engine.ops.loss import log_softmax, softmax
