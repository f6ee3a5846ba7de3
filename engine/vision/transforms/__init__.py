"""Image transforms on Pillow images and on ``(C, H, W)`` tensors (``torchvision.transforms``)."""

from engine.vision.transforms import functional
from engine.vision.transforms.automatic import AugMix, AutoAugment, RandAugment, TrivialAugmentWide
from engine.vision.transforms.basic import (
    CenterCrop,
    Compose,
    Grayscale,
    Lambda,
    Normalize,
    Pad,
    PILToTensor,
    RandomApply,
    RandomChoice,
    RandomCrop,
    RandomHorizontalFlip,
    RandomVerticalFlip,
    Resize,
    ToPILImage,
    ToTensor,
    Transform,
)  # fmt: skip
from engine.vision.transforms.erasing import RandomErasing
from engine.vision.transforms.mixing import BatchTransform, CutMix, MixUp
from engine.vision.transforms.perspective import RandomPerspective
from engine.vision.transforms.random import (
    ColorJitter,
    GaussianBlur,
    RandomAdjustSharpness,
    RandomAffine,
    RandomAutocontrast,
    RandomEqualize,
    RandomGrayscale,
    RandomInvert,
    RandomPosterize,
    RandomResizedCrop,
    RandomRotation,
    RandomSolarize,
)  # fmt: skip

__all__ = [
    "AugMix", "AutoAugment", "BatchTransform", "CenterCrop", "ColorJitter", "Compose", "CutMix", "GaussianBlur", "Grayscale", "Lambda", "MixUp", "Normalize", "PILToTensor", "Pad", "RandAugment", "RandomAdjustSharpness", "RandomAffine", "RandomApply", "RandomAutocontrast", "RandomChoice", "RandomCrop", "RandomEqualize", "RandomErasing", "RandomGrayscale", "RandomHorizontalFlip", "RandomInvert", "RandomPerspective", "RandomPosterize", "RandomResizedCrop", "RandomRotation", "RandomSolarize", "RandomVerticalFlip", "Resize", "ToPILImage", "ToTensor", "Transform", "TrivialAugmentWide", "functional",
]  # fmt: skip
