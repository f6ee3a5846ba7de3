"""Images: reading, folders of them as datasets, transforms (``torchvision``)."""

from engine.vision import datasets, io, transforms, utils

__all__ = ["datasets", "io", "transforms", "utils"]
