"""Image classification from folders, one a class: ImageNet and the user's own.

Layout, torchvision's ImageFolder: ``train/<class>/*.jpg`` and ``val/<class>/*.jpg`` (or ``test``); classes are in the order of their names.
Files are decoded when a batch asks for them. Training and test images alike are resized, shorter side to 256/224 of ``size``, and cut to the
``size`` x ``size`` in the middle; random crops and flips are training's, not the data's. An image of that very size is taken as it is.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tbn.errors import TBNError
from tbn.tasks.base import Task, check_whole, majority
from tbn.tasks.pictures import LARGEST, Bytes, Decoded, channels_first, is_image, load_rgb, normalisation, own_folder

LAYOUT = "make it train/<class>/*.jpg and val/<class>/*.jpg, a folder to each class"
IMAGENET = (1_281_167, 50_000)


def image_folder(root: Path | None, data: str, size: int = 64) -> Task:
    """Images of your own.

    Args:
        root: the folder that holds train/ and val/ (or test/).
        data: "embedded" is an error, for nothing comes with the package.
        size: height and width that images are brought to, in pixels.
    """
    folder = own_folder(root, data, "image_folder")
    train, test, classes = _both(folder, size)
    scale, offset = normalisation(train[0])
    source = f"{len(train[1]):,} training and {len(test[1]):,} test images from {folder}, {size} x {size}"
    return _task("image_folder", source, classes, train, test, scale, offset, f"images of {folder}")


def imagenet(root: Path | None, data: str, size: int = 224) -> Task:
    """ImageNet's 1,000 classes (https://image-net.org), from a folder with train/ and val/, below ``root`` or ``root``/imagenet.

    A class is named by its synset's number, e.g. n01440764: the order of the labels is that of torchvision and timm.

    Args: as of ``image_folder``.
    """
    folder = own_folder(root, data, "imagenet")
    folder = next((folder / name for name in ("imagenet", "ImageNet") if (folder / name).is_dir()), folder)
    train, test, classes = _both(folder, size)
    counts = len(train[1]), len(test[1])
    whole = "full set, " if counts == IMAGENET and len(classes) == 1000 else ""
    mean, deviation = 0.449, 0.226  # of the training pixels / 255, one pair for the three channels
    source = f"{whole}{counts[0]:,} training and {counts[1]:,} test images from {folder}, {size} x {size}"
    credit = (
        "Russakovsky et al., ImageNet Large Scale Visual Recognition Challenge, 2015; for research, not to be passed on"
    )
    return _task("imagenet", source, classes, train, test, 1 / 255 / deviation, -mean / deviation, credit)


def centre_crop(image_path: str, size: int) -> Bytes:
    """(3, size, size) uint8: shorter side resized to 256/224 of ``size``, then the middle; as it is where it has that size already.

    Raises:
        TBNError: the file is no image, or damaged.
    """
    from PIL.Image import Resampling

    image = load_rgb(image_path)
    if image.size != (size, size):
        shorter = round(size * 256 / 224)
        width, height = (side * shorter // min(image.size) for side in image.size)
        left, top = round((width - size) / 2), round((height - size) / 2)
        image = image.resize((width, height), Resampling.BILINEAR).crop((left, top, left + size, top + size))
    return channels_first(image)


Part = tuple[Decoded, NDArray[np.int64]]  # inputs and targets


def _task(
    name: str, source: str, classes: tuple[str, ...], train: Part, test: Part, scale: float, offset: float, credit: str
) -> Task:
    return Task(
        name, "images", source, classes, *train, *test, scale, offset, credit, baselines=majority(train[1], test[1])
    )


def _both(folder: Path, size: int) -> tuple[Part, Part, tuple[str, ...]]:
    """The training and the test part, and the classes."""
    check_whole("size", size, 1, LARGEST)
    if not (folder / "train").is_dir():
        raise TBNError(f"{folder} has no folder train/", LAYOUT)
    test_folder = next((folder / name for name in ("val", "test") if (folder / name).is_dir()), None)
    if test_folder is None:
        raise TBNError(f"{folder} has a folder train/ and neither val/ nor test/", LAYOUT)
    classes = _classes(folder / "train")
    only = sorted({*classes} ^ {*_classes(test_folder)})
    if only:
        where = "train" if only[0] in classes else test_folder.name
        raise TBNError(
            f"class {only[0]!r} is in {where}/ alone, of {folder}", "train and test need the same class folders"
        )
    if len(classes) < 2:
        raise TBNError(f"{folder / 'train'} has the one class {classes[0]!r}", "classification needs two or more")
    return _part(folder / "train", classes, size), _part(test_folder, classes, size), tuple(classes)


def _classes(folder: Path) -> list[str]:
    classes = sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    if not classes:
        raise TBNError(f"{folder} has no class folders", LAYOUT)
    return classes


def _part(folder: Path, classes: list[str], size: int) -> Part:
    """All images of all classes, class by class, by name."""
    paths: list[str] = []
    labels: list[int] = []
    for label, name in enumerate(classes):
        inside = folder / name
        images = sorted(
            f"{where}{os.sep}{file}"  # not a Path: a million of them take much memory
            for where, _, names in os.walk(inside, followlinks=True)
            for file in names
            if is_image(file)
        )
        if not images:
            raise TBNError(f"no image in {inside}", "add JPG or PNG images, or remove this class from train and test")
        paths += images
        labels += [label] * len(images)
    return Decoded(paths, (3, size, size), lambda path: centre_crop(path, size)), np.array(labels, np.int64)
