"""Images: reading, folders of them as datasets, transforms, architectures (``torchvision``)."""

from engine import models
from engine.vision import datasets, io, transforms, utils

__all__ = ["datasets", "io", "models", "transforms", "utils"]
