"""Metrics: registered once, counted over an epoch, known everywhere."""

from engine.metrics.outcome import READINGS, classes_second, reading
from engine.metrics.registry import METRICS, Meter, Metric, higher_is_better, monitorable, unfit

__all__ = ["METRICS", "READINGS", "Meter", "Metric", "classes_second", "higher_is_better", "monitorable", "reading", "unfit"]
