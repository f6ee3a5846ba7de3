"""Finished models: their files with all that is known of them, loaded again, and what they say of samples that nobody has prepared."""

from engine.inference.model import Model, load_model
from engine.inference.outputs import Outputs
from engine.inference.prediction import Prediction

__all__ = ["Model", "Outputs", "Prediction", "load_model"]
