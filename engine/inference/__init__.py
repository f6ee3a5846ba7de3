"""Finished models: their files with all that is known of them, loaded again, and what they say of samples that nobody has prepared."""

from engine.inference.card import model_card
from engine.inference.model import Model, load_model, read_metadata
from engine.inference.outputs import Outputs
from engine.inference.prediction import Prediction

__all__ = ["Model", "Outputs", "Prediction", "load_model", "model_card", "read_metadata"]
