"""A training job as JSON: its schema, its check, and the model it builds."""

from engine.spec.build import Summary, build_loss, build_model, layers_of, resolve_layers, summarize, wants_columns, wants_indices
from engine.spec.optimizing import build_optimizer, build_scheduler
from engine.spec.problems import Problem, SpecError
from engine.spec.schema import check, json_schema, variants

__all__ = [
    "Problem", "SpecError", "Summary", "build_loss", "build_model", "build_optimizer", "build_scheduler", "check", "json_schema",
    "layers_of", "resolve_layers", "summarize", "variants", "wants_columns", "wants_indices",
]  # fmt: skip
