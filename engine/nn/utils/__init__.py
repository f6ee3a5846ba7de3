"""``torch.nn.utils``: gradients within bounds, parameters as one vector, sequences of different lengths."""

from engine.nn.utils import rnn
from engine.nn.utils.clip import clip_grad_norm_, clip_grad_value_, get_total_norm
from engine.nn.utils.vector import parameters_to_vector, vector_to_parameters

clip_grad_norm = clip_grad_norm_

__all__ = [
    "clip_grad_norm", "clip_grad_norm_", "clip_grad_value_", "get_total_norm", "parameters_to_vector", "rnn", "vector_to_parameters",
]  # fmt: skip
