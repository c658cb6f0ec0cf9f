"""Data of your own in one file: images, masks or points in an .npz, or a table of numbers with classes in a .csv. Needs no torch.

An .npz holds inputs and targets, either split (``x_train``, ``y_train``, ``x_test``, ``y_test``) or whole (``x``, ``y``; then one sample in
five is the test set, drawn once and always the same). ``train_images`` and ``test_labels``, ``data`` and ``target`` and the like are understood, too.
``classes`` names the classes in the order of their numbers. Nothing is unpickled.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tbn.errors import TBNError
from tbn.tasks.base import IGNORED, Task, data_root, majority
from tbn.tasks.clouds import unit_sphere
from tbn.tasks.labels import Labels, labels_of, named
from tbn.tasks.own_file import find, name_of, one_in_five
from tbn.tasks.pictures import normalisation

Array = NDArray[Any]
INPUTS = ("x", "inputs", "images", "points", "data")
TARGETS = ("y", "targets", "labels", "label", "masks", "target")
NAMES = ("classes", "class_names")
PARTS = ("train", "test")
MOST_CHANNELS = 16
LAYOUT = "save it with numpy.savez_compressed(file, x_train=..., y_train=..., x_test=..., y_test=...), or x=..., y=..."


def npz_images(root: Path | None, data: str, file: str | Path | None = None) -> Task:
    """Images with a class each: (N, height, width), with channels last or first, 0..255 or 0..1; classes as numbers or words.

    Args:
        root, file: the file's path, or its name in ``root``.
        data: "embedded" is an error, for nothing comes with the package.
    """
    path = find(file, data_root(root), data, "npz_images", ".npz")
    found = read(path)
    inputs, tests = _both(found, pixels, path)
    labels = _labels(found, path)
    scale, offset = normalisation(inputs)
    told = f"{len(labels.train):,} training and {len(labels.test):,} test images of {' x '.join(map(str, inputs.shape[1:]))} from {name_of(path)}"
    return _task("npz_images", "images", told + found["split"], labels, inputs, tests, scale, offset, path)


def npz_points(root: Path | None, data: str, file: str | Path | None = None) -> Task:
    """Point clouds with a class each: (N, points, 3) or (N, 3, points) numbers; each cloud is moved and scaled to the unit sphere.

    Args: as of ``npz_images``.
    """
    path = find(file, data_root(root), data, "npz_points", ".npz")
    found = read(path)
    inputs, tests = _both(found, _clouds, path)
    labels = _labels(found, path)
    told = f"{len(labels.train):,} training and {len(labels.test):,} test clouds of {inputs.shape[2]:,} points from {name_of(path)}"
    return _task("npz_points", "points", told + found["split"], labels, inputs, tests, 1.0, 0.0, path)


def npz_masks(root: Path | None, data: str, file: str | Path | None = None) -> Task:
    """Images with a mask each: masks are (N, height, width) whole numbers, 0, 1, ...; 255 marks pixels that do not count.

    Args: as of ``npz_images``.
    """
    path = find(file, data_root(root), data, "npz_masks", ".npz")
    found = read(path)
    inputs, tests = _both(found, pixels, path)
    masks, test_masks = (
        _mask(found[part][1], images, path) for part, images in zip(PARTS, (inputs, tests), strict=True)
    )
    largest = max((int(part[part != IGNORED].max(initial=0)) for part in (masks, test_masks)), default=0)
    classes = named(found["names"], largest + 1, path)
    labels = Labels(classes, masks, test_masks)
    scale, offset = normalisation(inputs)
    size = " x ".join(map(str, inputs.shape[1:]))
    told = f"{len(masks):,} training and {len(test_masks):,} test images with masks, {size}, from {name_of(path)}"
    return _task("npz_masks", "segmentation", told + found["split"], labels, inputs, tests, scale, offset, path)


def read(path: Path) -> dict[str, Any]:
    """ "train" and "test", each (inputs, targets), as they lie in an .npz; "names" of the classes or None; "split", in words.

    Raises:
        TBNError: it is no .npz, holds objects, or has no inputs and targets of one length.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            chosen = {
                part: (_key(archive.files, INPUTS, part), _key(archive.files, TARGETS, part)) for part in (*PARTS, "")
            }
            names = next((archive[name] for name in NAMES if name in archive.files), None)
            whole = not all(chosen["train"] + chosen["test"])
            keys = [chosen[""]] if whole else [chosen["train"], chosen["test"]]
            if not all(all(pair) for pair in keys):
                held = ", ".join(archive.files[:8]) or "nothing"
                raise TBNError(f"{path.name} holds {held}: no inputs with targets", LAYOUT)
            pairs = [(archive[str(inputs)], archive[str(targets)]) for inputs, targets in keys]
    except ValueError as error:
        raise TBNError(
            f"{path.name} holds Python objects, which are not read, or is damaged ({error})", LAYOUT
        ) from error
    except (OSError, EOFError, KeyError, zipfile.BadZipFile, zlib.error, RuntimeError) as error:
        raise TBNError(f"{path.name} is damaged or no .npz file ({error})", LAYOUT) from error
    for (x, y), (key, _) in zip(pairs, keys, strict=True):
        if x.ndim < 2 or len(x) != len(y) or not len(x):
            raise TBNError(
                f"{key!r} of {path.name} is {x.shape} and its targets are {y.shape}",
                "give one target to each sample, samples first",
            )
    if whole:
        (x, y) = pairs[0]
        train, test = one_in_five(y, path)
        return {
            "train": (x[train], y[train]),
            "test": (x[test], y[test]),
            "names": names,
            "split": ", one in five drawn for testing",
        }
    return {"train": pairs[0], "test": pairs[1], "names": names, "split": ""}


def pixels(images: Array, path: Path) -> Array:
    """(N, channels, height, width) uint8.

    Raises:
        TBNError: another shape, or values that are no pixels.
    """
    if images.ndim == 3:
        images = images[:, None]
    elif images.ndim == 4 and images.shape[-1] < images.shape[1]:
        images = np.moveaxis(images, -1, 1)
    if images.ndim != 4 or images.shape[1] > MOST_CHANNELS:
        raise TBNError(
            f"images of {path.name} are {images.shape}", "give (N, height, width) or (N, height, width, channels)"
        )
    if images.dtype.kind not in "uifb":
        raise TBNError(f"images of {path.name} are {images.dtype}", "give numbers, 0 to 255 or 0 to 1")
    low, high = float(images.min()), float(images.max())
    if not (low >= 0 and high <= 255):  # NaN is neither
        raise TBNError(f"pixels of {path.name} go from {low:g} to {high:g}", "scale them to 0..255 or 0..1")
    shares = images.dtype.kind in "fb" and high <= 1
    return np.ascontiguousarray(np.rint(images * 255.0 if shares else images).astype(np.uint8))


def _clouds(points: Array, path: Path) -> NDArray[np.float32]:
    if points.ndim != 3 or 3 not in points.shape[1:] or points.dtype.kind not in "uif":
        raise TBNError(
            f"points of {path.name} are {points.shape} {points.dtype}",
            "give (N, points, 3) numbers: x, y, z of each point",
        )
    points = points if points.shape[2] == 3 else points.swapaxes(1, 2)
    if not np.isfinite(points).all():
        raise TBNError(f"points of {path.name} are not all finite", "leave such clouds out")
    return np.ascontiguousarray(unit_sphere(points.astype(np.float32)).swapaxes(1, 2))


def _mask(masks: Array, images: Array, path: Path) -> NDArray[np.uint8]:
    if masks.shape != (len(images), *images.shape[2:]) or masks.dtype.kind not in "uib":
        wanted = "x".join(map(str, (len(images), *images.shape[2:])))
        raise TBNError(
            f"masks of {path.name} are {masks.shape} {masks.dtype}", f"give whole numbers of the images' size, {wanted}"
        )
    if masks.min() < 0 or masks.max() > IGNORED:
        raise TBNError(
            f"masks of {path.name} go from {masks.min()} to {masks.max()}",
            "use 0, 1, ... and 255 for what does not count",
        )
    return masks.astype(np.uint8)


def spellings(word: str, part: str) -> tuple[str, ...]:
    """What an array may be called: ``x_train`` or ``train_x``; without a part ``x``."""
    return (f"{word}_{part}", f"{part}_{word}") if part else (word,)


def _key(held: Sequence[str], known: Sequence[str], part: str) -> str | None:
    return next((name for word in known for name in spellings(word, part) if name in held), None)


def _both(found: Mapping[str, Any], ready: Callable[[Array, Path], Array], path: Path) -> tuple[Array, Array]:
    """Training and test inputs made ready, all of one size."""
    train, test = (ready(found[part][0], path) for part in PARTS)
    if train.shape[1:] != test.shape[1:]:
        raise TBNError(
            f"training samples of {path.name} are {train.shape[1:]}, test samples {test.shape[1:]}",
            "make them of one size",
        )
    return train, test


def _labels(found: Mapping[str, Any], path: Path) -> Labels:
    """A class to each sample: ``read`` has seen that there are as many."""
    return labels_of(found["train"][1], found["test"][1], found["names"], path)


def _task(
    name: str,
    kind: str,
    source: str,
    labels: Labels,
    train: Array,
    test: Array,
    scale: float,
    offset: float,
    path: Path,
) -> Task:
    return Task(
        name, kind, source, labels.classes, train, labels.train, test, labels.test, scale, offset, f"{path.name}; see where it comes from",
        baselines=majority(labels.train, labels.test),
    )  # fmt: skip
