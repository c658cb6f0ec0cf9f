"""Semantic segmentation: a class for every pixel. Land cover seen from space, and the user's own images with masks."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from tbn.errors import TBNError
from tbn.tasks import embedded
from tbn.tasks.base import IGNORED, Task, check_whole, majority
from tbn.tasks.pictures import (
    ENDINGS,
    LARGEST,
    Bytes,
    Decoded,
    channels_first,
    is_image,
    load,
    load_rgb,
    normalisation,
    own_folder,
)

LAYOUT = "make it images/*.jpg (or png) and masks/*.png of the same names, or train/ and val/ that each hold both"
COVER = ("water", "forest", "shrub, savanna, grass, wetland", "crop and town", "barren")
Pair = tuple[str, str]  # an image's file and its mask's


def earthcover(root: Path | None, data: str) -> Task:
    """Land cover: 435 tiles of NASA's Blue Marble, 64 x 64, five classes from MODIS; 349 train. The full set comes with the package.

    No pixel is unlabelled. Tiles of the training and the test set may be neighbours on the map.

    Args:
        root, data: not needed.
    """
    found = embedded.arrays("earthcover_64")
    images, masks, test = np.moveaxis(found["image"], 3, 1), found["label"], found["is_test"]
    inputs = np.ascontiguousarray(images[~test])
    scale, offset = normalisation(inputs)
    return Task(
        "earthcover",
        "segmentation",
        f"full set, {len(inputs)} training and {test.sum()} test tiles of 64 x 64",
        COVER,
        inputs,
        masks[~test],
        np.ascontiguousarray(images[test]),
        masks[test],
        scale,
        offset,
        "NASA Blue Marble (images) and MODIS MCD12C1 2019 (labels), NASA, free with credit",
        baselines=majority(masks[~test], masks[test]),
    )


def mask_folder(root: Path | None, data: str, size: int | None = None) -> Task:
    """Images of your own with a mask each: a grey or palette PNG whose pixels are class numbers; 255 marks pixels that do not count.

    Layout: ``train/`` and ``val/`` (or ``test/``) that each hold ``images/`` and ``masks/``; or the two directly in the folder: then one
    in five is the test set, drawn by a hash of its name. ``classes.txt``, if there is one, names the classes, one a line.

    Args:
        root: the folder.
        data: "embedded" is an error, for nothing comes with the package.
        size: height and width that images (bilinear) and masks (nearest) are brought to, in pixels; None where all have one size. A score
            counts the pixels of that size.
    """
    root = own_folder(root, data, "mask_folder")
    if size is not None:
        check_whole("size", size, 1, LARGEST)
    train, test = _parts(root)
    width, height = _common_size([*train, *test], size)
    classes = _classes(root, [*train, *test])

    def image_of(path: str) -> Bytes:
        from PIL.Image import Resampling

        return channels_first(load_rgb(path).resize((width, height), Resampling.BILINEAR))

    def mask_of(path: str) -> Bytes:
        from PIL import Image

        labels = _labels(path)
        wrong = labels[(labels >= len(classes)) & (labels != IGNORED)]
        if wrong.size:
            raise TBNError(
                f"{path} has label {wrong[0]}, the classes are 0 to {len(classes) - 1}",
                f"mend the mask, add the class to {root / 'classes.txt'}, or write 255 for pixels that do not count",
            )
        return np.asarray(Image.fromarray(labels).resize((width, height), Image.Resampling.NEAREST))

    train_images, test_images = (
        Decoded([image for image, _ in part], (3, height, width), image_of) for part in (train, test)
    )
    train_masks, test_masks = (Decoded([mask for _, mask in part], (height, width), mask_of) for part in (train, test))
    return Task(
        "mask_folder",
        "segmentation",
        f"{len(train):,} training and {len(test):,} test images from {root}, {width} x {height}",
        classes,
        train_images,
        train_masks,
        test_images,
        test_masks,
        *normalisation(train_images),
        f"images of {root}",
        baselines=majority(train_masks, test_masks),
    )


def _parts(root: Path) -> tuple[list[Pair], list[Pair]]:
    """Files of the training and of the test set."""
    if (root / "images").is_dir():
        pairs = sorted(_pairs(root), key=lambda pair: hashlib.sha256(Path(pair[1]).stem.encode()).digest())
        if len(pairs) < 2:
            raise TBNError(f"{root / 'images'} has one image", "add more: one in five is the test set, at least one")
        cut = max(1, round(len(pairs) / 5))
        return sorted(pairs[cut:]), sorted(pairs[:cut])
    test = next((root / name for name in ("val", "test") if (root / name).is_dir()), None)
    if test is None or not (root / "train").is_dir():
        raise TBNError(f"{root} holds neither images/, nor train/ with val/ or test/", LAYOUT)
    return _pairs(root / "train"), _pairs(test)


def _pairs(folder: Path) -> list[Pair]:
    """Images of a folder with their masks, by name."""
    for name in ("images", "masks"):
        if not (folder / name).is_dir():
            raise TBNError(f"no folder {folder / name}", LAYOUT)
    images = sorted(path for path in (folder / "images").iterdir() if is_image(path.name))
    masks = {
        path.stem: path
        for path in (folder / "masks").iterdir()
        if is_image(path.name) and path.suffix.lower() == ".png"
    }
    for path in images:
        if path.stem not in masks:
            raise TBNError(
                f"image {path} has no mask {folder / 'masks' / path.stem}.png", "add it, or remove the image"
            )
    alone = sorted(masks.keys() - {path.stem for path in images})
    if alone:
        raise TBNError(
            f"mask {masks[alone[0]]} has no image", f"add it, one of {', '.join(ENDINGS)}, or remove the mask"
        )
    if not images:
        raise TBNError(f"no image in {folder / 'images'}", LAYOUT)
    return [(str(path), str(masks[path.stem])) for path in images]


def _common_size(pairs: list[Pair], size: int | None) -> tuple[int, int]:
    """Width and height of all samples, from the files' headers."""
    first = load(pairs[0][0], header=True).size
    for image, mask in pairs:
        image_size, mask_size = load(image, header=True).size, load(mask, header=True).size
        if image_size != mask_size:
            raise TBNError(
                f"{image} is {_text(image_size)}, its mask {_text(mask_size)}", "make the mask of the image's size"
            )
        if size is None and image_size != first:
            raise TBNError(
                f"{image} is {_text(image_size)}, {pairs[0][0]} is {_text(first)}",
                "name one size for all, e.g. size=128",
            )
    return first if size is None else (size, size)


def _text(size: tuple[int, int]) -> str:
    return f"{size[0]} x {size[1]}"


def _labels(path: str) -> Bytes:
    """(height, width) class numbers of a mask."""
    image = load(path)
    if image.mode not in ("1", "L", "P", "I", "I;16"):
        raise TBNError(
            f"mask {path} has colours (mode {image.mode}), not class numbers", "save it as a grey or palette PNG"
        )
    labels = np.asarray(image)
    if labels.max() > 255 or labels.min() < 0:
        raise TBNError(f"mask {path} has label {labels.max()}", "use 0 to 254, and 255 for pixels that do not count")
    return labels.astype(np.uint8)


def _classes(root: Path, pairs: list[Pair]) -> tuple[str, ...]:
    """Names from classes.txt; without it all masks are read once for the largest label."""
    if (root / "classes.txt").is_file():
        lines = (root / "classes.txt").read_text(encoding="utf-8", errors="replace").splitlines()
        names = tuple(line.strip() for line in lines if line.strip())
    else:
        masks = Decoded([mask for _, mask in pairs], (1,), lambda path: _largest(_labels(path)))
        names = tuple(f"class {k}" for k in range(int(masks[:].max()) + 1))
    if not 2 <= len(names) <= IGNORED:
        raise TBNError(
            f"in {root} the number of classes is {len(names)}, 2 to 255 are possible",
            "masks need labels 0, 1, ...: where 255 is the foreground, write 1, for 255 does not count",
        )
    return names


def _largest(labels: Bytes) -> Bytes:
    counted = labels[labels != IGNORED]
    return np.array([counted.max() if counted.size else 0], np.uint8)
