"""How good a model is and where it fails: what an epoch's outputs say of classes, numbers, maps and sequences, beside its loss and metrics."""

from engine.reports.collect import Collected, Collector
from engine.reports.page import page

__all__ = ["Collected", "Collector", "page"]
