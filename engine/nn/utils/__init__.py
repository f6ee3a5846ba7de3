"""``torch.nn.utils``: gradients within bounds, parameters as one vector, computed weights, sequences of different lengths."""

from engine.nn.utils import parametrizations, parametrize, rnn
from engine.nn.utils.clip import clip_grad_norm_, clip_grad_value_, get_total_norm
from engine.nn.utils.vector import parameters_to_vector, vector_to_parameters
from engine.nn.utils.weights import remove_spectral_norm, remove_weight_norm, spectral_norm, weight_norm

clip_grad_norm = clip_grad_norm_

__all__ = [
    "clip_grad_norm", "clip_grad_norm_", "clip_grad_value_", "get_total_norm", "parameters_to_vector", "parametrizations", "parametrize", "remove_spectral_norm",
    "remove_weight_norm", "rnn", "spectral_norm", "vector_to_parameters", "weight_norm",
]  # fmt: skip
