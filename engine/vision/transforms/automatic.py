"""Augmentation by operations drawn from a space: AutoAugment, RandAugment, TrivialAugmentWide, AugMix (names, arguments and defaults are torchvision's).

An operation has magnitudes, of which a transform takes one; a signed one goes either way. Images are Pillow's, or uint8 or float tensors ``(C, H, W)``.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from PIL import Image

from engine.creation import rand, randint, tensor
from engine.distributions import Dirichlet
from engine.vision.transforms import functional as F
from engine.vision.transforms.basic import Random
from engine.vision.transforms.functional import Fill, Interpolation, Picture
from engine.vision.transforms.policies import POLICIES, Policy

Magnitudes = Sequence[float]
Space = dict[str, tuple[Magnitudes | None, bool]]
"""Each operation's magnitudes, weakest first (None where it has none), and whether it is signed."""

_SHEARS: dict[str, Callable[[float], tuple[float, ...]]] = {
    "ShearX": lambda m: (1, m, 0, 0, 1, 0),
    "ShearY": lambda m: (1, 0, 0, m, 1, 0),
    "TranslateX": lambda m: (1, 0, -int(m), 0, 1, 0),
    "TranslateY": lambda m: (1, 0, 0, 0, 1, -int(m)),
}
_CHANGES: dict[str, Callable[[Picture, float], Picture]] = {
    "Identity": lambda p, m: p,
    "Brightness": lambda p, m: F.adjust_brightness(p, 1 + m),
    "Color": lambda p, m: F.adjust_saturation(p, 1 + m),
    "Contrast": lambda p, m: F.adjust_contrast(p, 1 + m),
    "Sharpness": lambda p, m: F.adjust_sharpness(p, 1 + m),
    "Posterize": lambda p, m: F.posterize(p, int(m)),
    "Solarize": F.solarize,
    "AutoContrast": lambda p, m: F.autocontrast(p),
    "Equalize": lambda p, m: F.equalize(p),
    "Invert": lambda p, m: F.invert(p),
}


def apply_operation(image: Picture, name: str, magnitude: float, interpolation: Interpolation, fill: Fill) -> Picture:
    """``image`` changed by an operation of a space: shears in parts of the size, shifts in pixels, rotations in degrees, colours by ``1 + magnitude``."""
    if name in _SHEARS:
        return F.affine(image, _SHEARS[name](magnitude), fill, interpolation)
    if name == "Rotate":
        return F.rotate(image, magnitude, fill=fill, interpolation=interpolation)
    return _CHANGES[name](image, magnitude)


def _space(
    bins: int, shear: float, shift: tuple[float, float], angle: float, colour: float, bits: tuple[int, int], without: str = ""
) -> Space:
    """A space of ``bins`` magnitudes: the strongest shear, shifts along x and y, rotation and change of colour, and from how many bits to how many."""

    def upto(most: float, signed: bool = True) -> tuple[Magnitudes, bool]:
        return np.linspace(0.0, most, bins).tolist(), signed

    posterized = [bits[0] - round(i / ((bins - 1) / (bits[0] - bits[1]))) for i in range(bins)]
    space: Space = {
        "Identity": (None, False), "ShearX": upto(shear), "ShearY": upto(shear), "TranslateX": upto(shift[0]), "TranslateY": upto(shift[1]),
        "Rotate": upto(angle), "Brightness": upto(colour), "Color": upto(colour), "Contrast": upto(colour), "Sharpness": upto(colour),
        "Posterize": (posterized, False), "Solarize": (np.linspace(255.0, 0.0, bins).tolist(), False), "AutoContrast": (None, False),
        "Equalize": (None, False), "Invert": (None, False),
    }  # fmt: skip
    return {name: magnitudes for name, magnitudes in space.items() if name not in without.split()}


def _below(n: int) -> int:
    return int(randint(n, (1,)).item())


class _Automatic(Random):
    """The base: ``change`` draws operations and applies them to a Pillow image."""

    moves = True
    interpolation: Interpolation
    fill: Fill
    _only_moves = False

    def on_mask(self, mask: Any) -> Any:
        """The operations that move pixels, and none that change them."""
        twin = copy.copy(self)
        twin.interpolation, twin.fill, twin._only_moves = "nearest", 0, True
        return twin(mask)

    def change(self, image: Image.Image) -> Any:
        raise NotImplementedError

    def __call__(self, image: Picture) -> Picture:
        return F.through_pillow(image, self._changed)

    def _changed(self, image: Image.Image) -> Any:
        F.fill_of(image, self.fill)  # raises for a wrong one, whatever is drawn
        return self.change(image)

    def _applied(self, image: Any, name: str, magnitude: float, negative: bool) -> Any:
        if self._only_moves and name in _CHANGES:
            return image
        return apply_operation(image, name, -magnitude if negative else magnitude, self.interpolation, self.fill)


class RandAugment(_Automatic):
    """``num_ops`` operations drawn at random, all of one ``magnitude`` of ``num_magnitude_bins`` (Cubuk et al., "RandAugment", 2020).

    ``fill`` is the pixel where a moved image has none: a number, or one for each channel; None is black.
    """

    def __init__(
        self,
        num_ops: int = 2,
        magnitude: int = 9,
        num_magnitude_bins: int = 31,
        interpolation: Interpolation = "nearest",
        fill: Fill = None,
    ) -> None:
        if num_ops < 0:
            raise ValueError(f"num_ops must not be negative, got {num_ops}")
        _check_bins(num_magnitude_bins)
        if not 0 <= magnitude < num_magnitude_bins:
            raise ValueError(f"magnitude must be from 0 to num_magnitude_bins - 1 = {num_magnitude_bins - 1}, got {magnitude}")
        self.num_ops, self.magnitude, self.num_magnitude_bins = num_ops, magnitude, num_magnitude_bins
        self.interpolation, self.fill = interpolation, fill

    def change(self, image: Image.Image) -> Any:
        shift = 150 / 331 * image.width, 150 / 331 * image.height
        space = _space(self.num_magnitude_bins, 0.3, shift, 30, 0.9, (8, 4), without="Invert")
        for _ in range(self.num_ops):
            name, (magnitudes, signed) = list(space.items())[_below(len(space))]
            strength = magnitudes[self.magnitude] if magnitudes else 0.0
            image = self._applied(image, name, strength, signed and bool(_below(2)))
        return image


class TrivialAugmentWide(_Automatic):
    """One operation drawn at random, of a random magnitude (Müller and Hutter, "TrivialAugment", 2021)."""

    def __init__(self, num_magnitude_bins: int = 31, interpolation: Interpolation = "nearest", fill: Fill = None) -> None:
        _check_bins(num_magnitude_bins)
        self.num_magnitude_bins, self.interpolation, self.fill = num_magnitude_bins, interpolation, fill

    def change(self, image: Image.Image) -> Any:
        space = _space(self.num_magnitude_bins, 0.99, (32, 32), 135, 0.99, (8, 2), without="Invert")
        name, (magnitudes, signed) = list(space.items())[_below(len(space))]
        strength = magnitudes[_below(len(magnitudes))] if magnitudes else 0.0
        return self._applied(image, name, strength, signed and bool(_below(2)))


class AutoAugment(_Automatic):
    """One of the 25 pairs of operations that were found for a dataset, each operation with its probability (Cubuk et al., "AutoAugment", 2019).

    ``policy`` is "imagenet", "cifar10" or "svhn".
    """

    def __init__(self, policy: Policy = "imagenet", interpolation: Interpolation = "nearest", fill: Fill = None) -> None:
        if policy not in POLICIES:
            raise ValueError(f"policy must be one of {', '.join(POLICIES)}, got {policy!r}")
        self.policy, self.interpolation, self.fill = policy, interpolation, fill

    def change(self, image: Image.Image) -> Any:
        space = _space(10, 0.3, (150 / 331 * image.width, 150 / 331 * image.height), 30, 0.9, (8, 4))
        pair = POLICIES[self.policy][_below(len(POLICIES[self.policy]))]
        probabilities, signs = rand(2).tolist(), randint(2, (2,)).tolist()
        for (name, p, number), drawn, sign in zip(pair, probabilities, signs, strict=True):
            if drawn <= p:
                magnitudes, signed = space[name]
                strength = magnitudes[number] if magnitudes and number is not None else 0.0
                image = self._applied(image, name, strength, signed and not sign)
        return image


class AugMix(_Automatic):
    """A mixture of the image and ``mixture_width`` chains of operations, by random shares (Hendrycks et al., "AugMix", 2020).

    ``severity`` (1 to 10) bounds the magnitudes, ``chain_depth`` operations make a chain (1 to 3 of them at random where it is not positive), ``alpha`` is that of
    the Dirichlet distribution of the shares; ``all_ops`` also takes brightness, colour, contrast and sharpness.
    """

    def __init__(
        self, severity: int = 3, mixture_width: int = 3, chain_depth: int = -1, alpha: float = 1.0, all_ops: bool = True,
        interpolation: Interpolation = "bilinear", fill: Fill = None,
    ) -> None:  # fmt: skip
        if not 1 <= severity <= 10:
            raise ValueError(f"severity must be between 1 and 10, got {severity}")
        if mixture_width < 1 or alpha <= 0:
            raise ValueError(f"mixture_width and alpha must be positive, got mixture_width={mixture_width}, alpha={alpha}")
        self.severity, self.mixture_width, self.chain_depth, self.alpha, self.all_ops = severity, mixture_width, chain_depth, alpha, all_ops
        self.interpolation, self.fill = interpolation, fill

    def on_mask(self, mask: Any) -> Any:
        raise ValueError("AugMix mixes several pictures of an image, of which a mask can be only one: take another transform")

    def change(self, image: Image.Image) -> Any:
        left_out = "Identity Invert" + ("" if self.all_ops else " Brightness Color Contrast Sharpness")
        space = list(_space(10, 0.3, (image.width / 3, image.height / 3), 30, 0.9, (4, 0), left_out).items())
        kept, mixed = Dirichlet(tensor([self.alpha] * 2)).sample().tolist()
        shares = Dirichlet(tensor([self.alpha] * self.mixture_width)).sample().tolist() if self.mixture_width > 1 else [1.0]
        total = np.float32(kept) * np.asarray(image, np.float32)
        for share in shares:
            total += np.float32(mixed * share) * np.asarray(self._chain(image, space), np.float32)
        return Image.fromarray(np.clip(total, 0, 255).astype(np.uint8))

    def _chain(self, image: Image.Image, space: list[tuple[str, tuple[Magnitudes | None, bool]]]) -> Any:
        for _ in range(self.chain_depth if self.chain_depth > 0 else 1 + _below(3)):
            name, (magnitudes, signed) = space[_below(len(space))]
            strength = magnitudes[_below(self.severity)] if magnitudes else 0.0
            image = self._applied(image, name, strength, signed and bool(_below(2)))
        return image


def _check_bins(n: int) -> None:
    if n < 2:
        raise ValueError(f"num_magnitude_bins must be at least 2, got {n}")
