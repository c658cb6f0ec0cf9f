"""Augmentations by name: a changed copy of a raw training batch. Images by torchvision's v2 transforms, sample by sample, so that each sample
draws numbers of its own, or by one bent grid a sample ("affine"); points by a scale and a shift of the shape. All randomness is torch's global
generator's, so a seeded epoch repeats.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from tbn.errors import TBNError

Augmentation = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]

NAMES = {
    "images": ("none", "crop", "crop_flip", "resized_crop", "affine"),
    "segmentation": ("none", "flips"),
    "points": ("none", "scale_shift"),
    "parts": ("none", "scale_shift"),
    "scenes": ("none", "scale_shift"),
    "forecasting": ("none",),
}


def augmentation(name: str, kind: str, input_shape: tuple[int, ...]) -> Augmentation | None:
    """The augmentation of that name for a kind of task; None for "none".

    Args:
        name: "crop" (random crop after padding by an eighth of the side), "crop_flip" (and a horizontal flip), "resized_crop" (ImageNet's, and a
            flip), "affine" (turned, slanted, stretched and moved a little, for characters), "flips" (both axes, masks with their images),
            "scale_shift" (x y z of a whole shape times 2/3 to 3/2, moved by up to 0.2).
        kind: of the task.
        input_shape: of one raw input.

    Returns:
        (raw inputs, targets) -> the same, changed; shapes and dtypes stay.

    Raises:
        TBNError: no such augmentation for this kind.
    """
    if name not in NAMES[kind]:
        raise TBNError(f"augment={name!r} does not fit tasks of kind {kind}", f"choose one of {', '.join(NAMES[kind])}")
    if name == "none":
        return None
    if name == "scale_shift":
        return _scale_shift
    if name == "affine":
        return _affine
    return _by_sample(_image_transform(name, input_shape), masks=kind == "segmentation")


def _image_transform(name: str, input_shape: tuple[int, ...]) -> Callable[..., Any]:
    from torchvision.transforms import v2

    _, height, width = input_shape
    flip = v2.RandomHorizontalFlip()
    if name == "flips":
        transforms = [flip, v2.RandomVerticalFlip()]
    elif name == "resized_crop":
        transforms = [v2.RandomResizedCrop((height, width), antialias=True), flip]
    else:
        crop = v2.RandomCrop((height, width), padding=(width // 8, height // 8))
        transforms = [crop, flip] if name == "crop_flip" else [crop]
    composed: Callable[..., Any] = v2.Compose(transforms)
    return composed


def _by_sample(transform: Callable[..., Any], masks: bool) -> Augmentation:
    from torchvision import tv_tensors

    def change(inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        if not masks:
            return torch.stack([transform(image) for image in inputs]), targets
        pairs = [
            transform(tv_tensors.Image(image), tv_tensors.Mask(mask))
            for image, mask in zip(inputs, targets, strict=True)
        ]
        images, labels = (
            torch.stack([part.as_subclass(Tensor) for part in parts]) for parts in zip(*pairs, strict=True)
        )
        return images, labels

    return change


def _scale_shift(inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    inputs = inputs.clone()
    shape = (len(inputs), 3, 1)
    inputs[:, :3] *= torch.empty(shape).uniform_(2 / 3, 3 / 2).to(inputs)
    inputs[:, :3] += torch.empty(shape).uniform_(-0.2, 0.2).to(inputs)
    return inputs, targets


def _affine(inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Each image (batch, channels, height, width) through a map of its own; what comes in from outside is as the nearest pixel of the border."""
    count = len(inputs)
    limits = (0.12, 0.08, 0.08, 0.08)  # turn and slant (radians), height and width (log)
    turn, slant, high, wide = (torch.empty(count).uniform_(-limit, limit) for limit in limits)
    maps = torch.empty(count, 2, 3)
    maps[:, 0, 0], maps[:, 0, 1] = wide.exp() * turn.cos(), slant - turn.sin()
    maps[:, 1, 0], maps[:, 1, 1] = turn.sin(), high.exp() * turn.cos()
    maps[:, :, 2].uniform_(-1 / 14, 1 / 14)  # the grid is two long
    grid = F.affine_grid(maps.to(inputs.device), list(inputs.shape), align_corners=False)
    moved = F.grid_sample(inputs.float(), grid, padding_mode="border", align_corners=False)
    return (moved.round() if not inputs.is_floating_point() else moved).to(inputs.dtype), targets
