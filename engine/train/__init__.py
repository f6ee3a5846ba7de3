"""The training loop. The service and the library run this same one; it yields records and knows nothing of queues or files.

Whatever is random is a function of the seed and a position (variant, epoch, sample), so a run that goes on from a saved state gives
the same bits as one that was never interrupted. Every number of an epoch is a mean over its samples, weighted as the loss weighs them.
"""

from engine.data.split import split_indices
from engine.train.records import Best, Cause, Diverged, EpochEnd, Metrics, Report, State, VariantEnd
from engine.train.run import Run

__all__ = ["Best", "Cause", "Diverged", "EpochEnd", "Metrics", "Report", "Run", "State", "VariantEnd", "split_indices"]
