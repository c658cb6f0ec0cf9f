"""Point-cloud classification: the embedded Sweet Home 3D models, and ModelNet40 from a folder.

Inputs are (N, 3, points) float32: x, y, z, each cloud centred and scaled to the unit sphere.
"""

from __future__ import annotations

from collections import Counter
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tbn.errors import TBNError
from tbn.tasks import embedded
from tbn.tasks.base import Task, check_whole, data_root, majority
from tbn.tasks.clouds import (
    FETCH_AGAIN,
    find_folder,
    not_found,
    read_lines,
    read_table,
    source_of,
    unit_sphere,
)

FOLDS = 4
SWEETHOME_CREDIT = "Sweet Home 3D model libraries, CC-BY 3.0 or CC0 by model, see sweethome3d_points.LICENSE.txt"


def _folds(families: list[tuple[int, str, str]]) -> NDArray[np.int64]:
    """Deal shapes to folds: whole families, the largest first, each to the fold with the fewest shapes of its class.

    Args:
        families: of each shape its class, creator and first word of its name.

    Returns:
        (shapes,) the fold of each shape.
    """
    sizes = Counter(families)
    of_class: Counter[tuple[int, int]] = Counter()  # (class, fold) -> shapes
    in_all: Counter[int] = Counter()  # fold -> shapes
    fold_of = {}
    for family in sorted(sizes, key=lambda family: (-sizes[family], family)):
        label = family[0]
        fold = min(range(FOLDS), key=lambda fold: (of_class[label, fold], in_all[fold], fold))
        fold_of[family] = fold
        of_class[label, fold] += sizes[family]
        in_all[fold] += sizes[family]
    return np.array([fold_of[family] for family in families])


def _inputs(points: NDArray[Any]) -> NDArray[np.float32]:
    """(N, points, 3) as the task's inputs (N, 3, points), in the unit sphere."""
    return np.ascontiguousarray(unit_sphere(points).swapaxes(1, 2))


def sweethome(root: Path | None, data: str, fold: int = 0) -> Task:
    """340 models of furniture, people, plants and vehicles in 11 classes, 1,024 surface points each; y points up.

    Fold ``fold`` of four is the test set. Every class is spread over the folds; models of one class and creator whose names begin
    with the same word ("Wooden table", "Wooden teak table") are in one fold. A fold has about 85 shapes, where two methods that
    differ by a few percent cannot be ranked: use the mean over the four folds.

    Raises:
        TBNError: ``fold`` is not 0 to 3.
    """
    check_whole("fold", fold, 0, FOLDS - 1)
    arrays = embedded.arrays("sweethome3d_points")
    labels = arrays["label"].astype(np.int64)
    points = _inputs(arrays["points"].astype(np.float32) / 127)
    families = [
        (int(label), str(creator), str(name).split()[0])
        for label, (_, name, creator) in zip(labels, arrays["source"], strict=True)
    ]
    is_test = _folds(families) == fold
    return Task(
        "sweethome",
        "points",
        f"embedded set, fold {fold} of {FOLDS}: {(~is_test).sum()} training and {is_test.sum()} test shapes, "
        f"too few to rank methods by one fold",
        tuple(map(str, arrays["classes"])),
        points[~is_test],
        labels[~is_test],
        points[is_test],
        labels[is_test],
        1.0,
        0.0,
        SWEETHOME_CREDIT,
        baselines=majority(labels[~is_test], labels[is_test]),
    )


def modelnet40(root: Path | None, data: str, points: int = 1024) -> Task:
    """ModelNet40 (Wu et al., CVPR 2015, https://modelnet.cs.princeton.edu) from a folder, in either of its two common forms.

    - ``modelnet40_ply_hdf5_2048``: ``train_files.txt`` and ``test_files.txt`` list h5 files with ``data`` (N, 2048, 3) and ``label``
    - ``modelnet40_normal_resampled``: ``modelnet40_train.txt`` and ``modelnet40_test.txt`` list shapes, each a file
      ``<class>/<class>_0001.txt`` of x,y,z,nx,ny,nz; the normals are not used

    The first ``points`` points of each shape are taken, as is usual, then centred and scaled.

    Raises:
        TBNError: no such folder, a listed file is missing or damaged, a label that is no class, or more points than a shape has.
    """
    check_whole("points", points, 1, 1_000_000)
    top = None if data == "embedded" else data_root(root)
    folder = find_folder(top, ("modelnet40_ply_hdf5_2048",), ("train_files.txt", "test_files.txt"))
    read = _read_h5
    if folder is None:
        folder = find_folder(top, ("modelnet40_normal_resampled",), ("modelnet40_train.txt", "modelnet40_test.txt"))
        read = _read_texts
    if folder is None:
        raise not_found("ModelNet40", "modelnet40_ply_hdf5_2048 or modelnet40_normal_resampled", top, "sweethome")
    classes, (x, y), (x_test, y_test) = read(folder, points)
    if len(classes) < 2:
        raise TBNError(f"{folder} names only {len(classes)} class", FETCH_AGAIN)
    worst = max(y.max(), y_test.max())
    if worst >= len(classes) or min(y.min(), y_test.min()) < 0:
        raise TBNError(f"{folder} has labels outside of its {len(classes)} classes, up to {worst}", FETCH_AGAIN)
    return Task(
        "modelnet40",
        "points",
        f"{source_of(len(y), len(y_test), (9840, 2468), folder)}, the first {points:,} points of each",
        classes,
        _inputs(x),
        y,
        _inputs(x_test),
        y_test,
        1.0,
        0.0,
        "ModelNet40, Princeton University: Wu et al., 3D ShapeNets, CVPR 2015",
        baselines=majority(y, y_test),
    )


Split = tuple[NDArray[np.float32], NDArray[np.int64]]  # (N, points, 3) and (N,)


def _read_h5(folder: Path, points: int) -> tuple[tuple[str, ...], Split, Split]:
    """Classes, training and test split of the h5 form; without ``shape_names.txt`` the classes are numbers."""
    try:
        h5py = import_module("h5py")
    except ImportError as error:
        raise TBNError(f"{folder} holds h5 files and h5py is not installed", "pip install h5py") from error
    named = (folder / "shape_names.txt").exists()
    classes = tuple(read_lines(folder / "shape_names.txt")) if named else tuple(map(str, range(40)))
    train, test = (
        _concatenate([_h5_file(h5py, folder / Path(line).name, points) for line in read_lines(folder / listing)])
        for listing in ("train_files.txt", "test_files.txt")
    )
    return classes, train, test


def _h5_file(h5py: Any, path: Path, points: int) -> Split:
    """One h5 file: (N, points, 3) and (N,)."""
    if not path.is_file():
        raise TBNError(f"{path} is listed and missing", FETCH_AGAIN)
    try:
        with h5py.File(path, "r") as file:
            shape = file["data"].shape
            x = file["data"][:, :points].astype(np.float32)
            y = file["label"][:].astype(np.int64).ravel()
    except (OSError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise TBNError(f"{path} is cut short or no h5 file of ModelNet40: {error}", FETCH_AGAIN) from error
    if len(shape) != 3 or shape[2] != 3 or len(y) != shape[0] or not len(y):
        raise TBNError(f"{path} holds data of shape {shape} and {len(y)} labels, not (N, 2048, 3) and N", FETCH_AGAIN)
    if shape[1] < points:
        raise TBNError(f"points={points}: {path} has {shape[1]} points a shape", f"use at most points={shape[1]}")
    return x, y


def _read_texts(folder: Path, points: int) -> tuple[tuple[str, ...], Split, Split]:
    """Classes, training and test split of the text form."""
    classes = tuple(read_lines(folder / "modelnet40_shape_names.txt"))
    train, test = (
        _concatenate([_text_file(folder, shape, classes, points) for shape in read_lines(folder / listing)])
        for listing in ("modelnet40_train.txt", "modelnet40_test.txt")
    )
    return classes, train, test


def _text_file(folder: Path, shape: str, classes: tuple[str, ...], points: int) -> Split:
    """One shape, named like ``night_stand_0001``: (1, points, 3) and (1,)."""
    name = shape.rpartition("_")[0]
    if name not in classes:
        raise TBNError(f"{folder} lists shape {shape!r} and no class {name!r}", FETCH_AGAIN)
    path = folder / name / f"{shape}.txt"
    table = read_table(path, 6, ",", points)
    if len(table) < points:
        raise TBNError(f"points={points}: {path} has {len(table)} points", f"use at most points={len(table)}")
    return table[None, :, :3], np.array([classes.index(name)])


def _concatenate(pieces: list[Split]) -> Split:
    return np.concatenate([x for x, _ in pieces]), np.concatenate([y for _, y in pieces])
