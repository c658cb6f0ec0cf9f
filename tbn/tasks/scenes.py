"""Semantic segmentation of rooms: S3DIS from a folder, and rooms composed of the embedded models as its stand-in.

A room is cut into blocks of 1 m x 1 m as PointNet did it (Qi et al., CVPR 2017, https://arxiv.org/abs/1612.00593). A block's input
is (9, points) float32: x and y from the block's centre and z from the floor in metres; r, g, b in 0..1; x, y, z in the room in 0..1.
Its target is (points,) uint8.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tbn.errors import TBNError
from tbn.tasks.base import Samples, Task, check_whole, data_root, majority
from tbn.tasks.clouds import FETCH_AGAIN, find_folder, not_found, read_table, resample
from tbn.tasks.points import SWEETHOME_CREDIT, sweethome

FEWEST_POINTS = 100  # a block with fewer is left out

S3DIS_CLASSES = (
    "ceiling",
    "floor",
    "wall",
    "beam",
    "column",
    "window",
    "door",
    "table",
    "chair",
    "sofa",
    "bookcase",
    "board",
    "clutter",
)

# composed rooms: the largest side of a model in metres (our choice: the embedded models have no scale)
FURNITURE = {"bed": 2.0, "sofa": 1.9, "cabinet": 1.6, "table": 1.4, "lamp": 1.4, "plant": 1.2, "chair": 0.9}
WALL_HEIGHT = 2.5  # metres
DENSITY = 200  # points per square metre of floor and wall
NOISE = 0.01  # metres, standard deviation of every coordinate: like a scanner's

# of every point: x y z in metres (n, 3), r g b in 0..1 (n, 3), class (n,)
Room = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.uint8]]
# features and classes, of one block or of many
Arrays = tuple[NDArray[np.float32], NDArray[np.uint8]]


def _blocks(room: Room, points: int, random: np.random.Generator) -> Iterator[Arrays]:
    """Cut a room into blocks; yields (9, points) and (points,) of each.

    A block with more points is thinned at random, one with fewer repeats some, one with fewer than ``FEWEST_POINTS`` is left out.
    """
    xyz, rgb, classes = room
    xyz = xyz - xyz.min(0)
    extent = np.maximum(xyz.max(0), 1e-6)
    last = np.maximum(np.ceil(extent[:2]).astype(np.int64) - 1, 0)
    cells = np.minimum(xyz[:, :2].astype(np.int64), last)  # a point on the far edge belongs to the last block
    number = cells[:, 0] * (last[1] + 1) + cells[:, 1]
    order = np.argsort(number, kind="stable")
    for inside in np.split(order, np.flatnonzero(np.diff(number[order])) + 1):
        if len(inside) < FEWEST_POINTS:
            continue
        chosen = inside[resample(len(inside), points, random)]
        centre = np.array([*(cells[chosen[0]] + 0.5), 0.0], np.float32)
        features = np.concatenate([xyz[chosen] - centre, rgb[chosen], xyz[chosen] / extent], 1)
        yield features.T.astype(np.float32), classes[chosen]


def _stack(blocks: list[Arrays], points: int) -> Arrays:
    """All blocks in one array each. Empties the list as it goes: the full S3DIS is not held twice."""
    inputs = np.empty((len(blocks), 9, points), np.float32)
    targets = np.empty((len(blocks), points), np.uint8)
    while blocks:
        last = len(blocks) - 1
        inputs[last], targets[last] = blocks.pop()
    return inputs, targets


def s3dis(root: Path | None, data: str, points: int = 4096, test_area: int = 5) -> Task:
    """S3DIS (Armeni et al., CVPR 2016) from a folder: six areas of scanned offices, 13 classes, one area held out.

    The folder, or ``Stanford3dDataset_v1.2_Aligned_Version`` in it, has ``Area_<k>/<room>/Annotations/<class>_<n>.txt`` of
    x y z r g b. A class beyond the thirteen (stairs) is clutter. Blocks do not overlap and are drawn by the room's name. The areas that
    are there train. The full set takes some minutes to read, and 150 KB of memory for each block of 4,096 points.

    Raises:
        TBNError: no such folder, no test area or no other area, a room without annotations, or a damaged file; the published set
            has a few lines with a stray control character, and the message names file and line.
    """
    check_whole("points", points, 1, 1_000_000)
    check_whole("test_area", test_area, 1, 6)
    top = None if data == "embedded" else data_root(root)
    areas = tuple(f"Area_{k}" for k in range(1, 7))
    names = ("Stanford3dDataset_v1.2_Aligned_Version", "Stanford3dDataset_v1.2")
    folder = find_folder(top, names, areas)
    if folder is None:
        raise not_found("S3DIS", f"{names[0]} (its folders Area_1 to Area_6)", top, "composed_rooms")
    present = [area for area in areas if (folder / area).is_dir()]
    held_out = f"Area_{test_area}"
    if held_out not in present or len(present) < 2:
        raise TBNError(
            f"{folder} has {', '.join(present) or 'no area'}: test_area={test_area} needs {held_out} and another to train on",
            f"name another test_area, or {FETCH_AGAIN}",
        )
    train: list[Arrays] = []
    test: list[Arrays] = []
    rooms = 0
    for area in present:
        for room in sorted(path for path in (folder / area).iterdir() if path.is_dir()):
            random = np.random.default_rng(zlib.crc32(f"{area}/{room.name}".encode()))
            (test if area == held_out else train).extend(_blocks(_read_room(room), points, random))
            rooms += 1
    if not train or not test:
        raise TBNError(f"{folder} has no block of {FEWEST_POINTS} points to train or to test on", FETCH_AGAIN)
    x, y = _stack(train, points)
    x_test, y_test = _stack(test, points)
    return Task(
        "s3dis",
        "scenes",
        f"{rooms} rooms of {len(present)} areas from {folder}, Area {test_area} held out: "
        f"{len(x):,} training and {len(x_test):,} test blocks of {points:,} points",
        S3DIS_CLASSES,
        x,
        y,
        x_test,
        y_test,
        1.0,
        0.0,
        "S3DIS, Stanford University: Armeni et al., 3D Semantic Parsing of Large-Scale Indoor Spaces, CVPR 2016",
        baselines=majority(y, y_test),
    )


def _read_room(folder: Path) -> Room:
    """All annotated objects of a room of S3DIS."""
    paths = sorted((folder / "Annotations").glob("*_*.txt"))
    if not paths:
        raise TBNError(f"{folder} has no Annotations/<class>_<n>.txt", FETCH_AGAIN)
    tables, classes = [], []
    for path in paths:
        tables.append(read_table(path, 6))
        name = path.stem.rpartition("_")[0]
        label = S3DIS_CLASSES.index(name if name in S3DIS_CLASSES else "clutter")
        classes.append(np.full(len(tables[-1]), label, np.uint8))
    table = np.concatenate(tables)
    return table[:, :3], table[:, 3:] / np.float32(255), np.concatenate(classes)


def composed_rooms(root: Path | None, data: str, rooms: int = 24, points: int = 1024) -> Task:
    """Rooms composed of the embedded models: a stand-in for S3DIS that needs no files. No score here is one on S3DIS.

    A room of 2.4 to 2.9 m has a floor, four walls and pieces of furniture in quarter turns that stand on the floor and do not
    overlap; room k is always the same. ``rooms`` training rooms use models of sweethome's training set, and a third as many test
    rooms those of its test set. Neither has colours: r, g and b are 0.

    Raises:
        TBNError: ``rooms`` or ``points`` is out of range.
    """
    check_whole("rooms", rooms, 3 * len(FURNITURE), 10_000)  # so that every kind is in some test room
    check_whole("points", points, 1, 100_000)
    shapes = sweethome(None, "embedded")
    x, y = _composed_blocks(shapes.train_inputs, shapes.train_targets, shapes.classes, 0, rooms, points)
    x_test, y_test = _composed_blocks(shapes.test_inputs, shapes.test_targets, shapes.classes, 1, rooms // 3, points)
    return Task(
        "composed_rooms",
        "scenes",
        f"rooms composed of the embedded models, a stand-in: not S3DIS; {rooms} training and {rooms // 3} test rooms, "
        f"{len(x):,} and {len(x_test):,} blocks of {points:,} points, without colour",
        ("floor", "wall", *FURNITURE),
        x,
        y,
        x_test,
        y_test,
        1.0,
        0.0,
        SWEETHOME_CREDIT,
        baselines=majority(y, y_test),
    )


def _composed_blocks(
    inputs: Samples, targets: Samples, classes: tuple[str, ...], side: int, rooms: int, points: int
) -> Arrays:
    """The blocks of rooms of the models ``inputs`` (N, 3, points); ``side`` 0 trains and 1 tests."""
    models = {name: inputs[np.asarray(targets) == classes.index(name)] for name in FURNITURE}
    blocks: list[Arrays] = []
    for number in range(rooms):
        random = np.random.default_rng((side, number))
        blocks.extend(_blocks(_compose(models, number % len(models), random), points, random))
    return _stack(blocks, points)


def _compose(models: dict[str, NDArray[np.float32]], first: int, random: np.random.Generator) -> Room:
    """One room; ``models`` holds (N, 3, points) of each kind of furniture, y up. Kind ``first`` is there for sure: it is placed first."""
    width, depth = random.uniform(2.4, 2.9, 2)
    floor = random.uniform(0, (width, depth, 0), (int(DENSITY * width * depth), 3))
    wall = random.uniform(0, 1, (int(DENSITY * 2 * (width + depth) * WALL_HEIGHT), 3)) * (width, depth, WALL_HEIGHT)
    along_x = random.uniform(size=len(wall)) < width / (width + depth)
    far = random.integers(0, 2, len(wall))
    wall[along_x, 1] = (far * depth)[along_x]
    wall[~along_x, 0] = (far * width)[~along_x]
    pieces = [(0, floor), (1, wall)]
    pieces += [(2 + kind, piece) for kind, piece in _furnish(models, width, depth, first, random)]
    xyz = np.concatenate([piece for _, piece in pieces])
    xyz += random.normal(0, NOISE, xyz.shape)
    classes = np.concatenate([np.full(len(piece), label, np.uint8) for label, piece in pieces])
    return xyz.astype(np.float32), np.zeros(xyz.shape, np.float32), classes


def _furnish(
    models: dict[str, NDArray[np.float32]], width: float, depth: float, first: int, random: np.random.Generator
) -> list[tuple[int, NDArray[np.float64]]]:
    """Furniture that stands on the floor: the kind (its position in ``models``) and the points (n, 3) of each piece.

    A piece of kind ``first``, then one of each kind in random order; a piece that finds no free place in thirty tries is left out.
    """
    placed: list[tuple[int, NDArray[np.float64]]] = []
    taken: list[tuple[NDArray[np.float64], NDArray[np.float64]]] = []  # lower and upper corners of footprints
    names = list(models)
    for kind in (first, *map(int, random.permutation(len(names)))):
        name = names[kind]
        x, up, y = models[name][random.integers(len(models[name]))].astype(np.float64)
        for _ in range(random.integers(4)):
            x, y = -y, x  # a quarter turn
        piece = np.stack([x, -y, up], 1)  # y up to z up
        piece *= FURNITURE[name] * random.uniform(0.85, 1.15) / np.ptp(piece, 0).max()
        piece -= piece.min(0)
        size = piece.max(0)[:2]
        for corner in random.uniform(size=(30, 2)) * (np.array([width, depth]) - size):
            blocked = any((corner < upper).all() and (corner + size > lower).all() for lower, upper in taken)
            if (corner >= 0).all() and not blocked:
                piece[:, :2] += corner
                placed.append((kind, piece))
                taken.append((corner, corner + size))
                break
    return placed
