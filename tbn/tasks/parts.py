"""Part segmentation of point clouds: the embedded KiCad models, and ShapeNetPart from a folder.

Inputs are (N, 4, points) float32: x, y, z in the unit sphere, and the number of the shape's category; targets (N, points) uint8.
"""

from __future__ import annotations

import re
import zlib
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tbn.errors import TBNError
from tbn.files import read_json
from tbn.tasks import embedded
from tbn.tasks.base import Baselines, Task, check_whole, data_root, majority
from tbn.tasks.clouds import (
    FETCH_AGAIN,
    find_folder,
    not_found,
    read_lines,
    read_table,
    resample,
    source_of,
    unit_sphere,
)

# ShapeNetPart: categories in the field's order, with how many of the 50 parts belong to each, numbered on
SHAPENET_PARTS = {
    "Airplane": 4,
    "Bag": 2,
    "Cap": 2,
    "Car": 4,
    "Chair": 4,
    "Earphone": 3,
    "Guitar": 3,
    "Knife": 2,
    "Lamp": 4,
    "Laptop": 2,
    "Motorbike": 6,
    "Mug": 2,
    "Pistol": 3,
    "Rocket": 3,
    "Skateboard": 3,
    "Table": 3,
}


def _family(model: str) -> tuple[str, str]:
    """Category and name family of a KiCad model: the words of its name of two letters or more, without sizes and numbers.

    ``Connector_JST/JST_EH_B11B-EH-A_1x11_P2.50mm_Vertical.wrl`` is of ``("Connector_JST", "JST EH EH Vertical")``.
    """
    category, _, name = model.removesuffix(".wrl").partition("/")
    return category, " ".join(word for word in re.split("[_-]", name) if word.isalpha() and len(word) > 1)


def _test_families(families: list[tuple[str, str]]) -> set[tuple[str, str]]:
    """The families that are held out: of each category, largest first, those that bring its test share nearer to a quarter.

    A category with a single family stays in the training set.
    """
    held_out = set()
    in_category = Counter(category for category, _ in families)
    in_test: Counter[str] = Counter()
    sizes = Counter(families)
    for family in sorted(sizes, key=lambda family: (-sizes[family], family)):
        category = family[0]
        missing = in_category[category] / 4 - in_test[category]
        if abs(missing - sizes[family]) < abs(missing):
            held_out.add(family)
            in_test[category] += sizes[family]
    return held_out


def kicad_parts(root: Path | None, data: str) -> Task:
    """955 electronic components of 17 categories, 512 surface points each, with the parts terminal and body.

    The set is split by name family (``_family``): KiCad's models are drawn by programs, and many differ in one size or in the number
    of pins only, so that a random split trains on variants of its test shapes. The varistors are one family and only train.
    """
    arrays = embedded.arrays("kicad_parts")
    names = tuple(map(str, arrays["categories"]))
    families = [_family(str(model)) for model in arrays["model"]]
    held_out = _test_families(families)
    is_test = np.array([family in held_out for family in families])
    points = unit_sphere(arrays["points"].astype(np.float32) / 127)
    inputs, parts = _with_category(points, arrays["category"]), arrays["part"]
    return Task(
        "kicad_parts",
        "parts",
        f"embedded set, split by name family: {(~is_test).sum()} training and {is_test.sum()} test shapes",
        ("terminal", "body"),
        inputs[~is_test],
        parts[~is_test],
        inputs[is_test],
        parts[is_test],
        1.0,
        0.0,
        "KiCad libraries, CC-BY-SA 4.0, see kicad_parts.LICENSE.txt",
        categories=dict.fromkeys(names, (0, 1)),
        baselines=majority(parts[~is_test], parts[is_test]),
    )


def _with_category(points: NDArray[np.float32], categories: NDArray[Any]) -> NDArray[np.float32]:
    """(N, points, 3) and (N,) category numbers to inputs (N, 4, points)."""
    inputs = np.empty((len(points), 4, points.shape[1]), np.float32)
    inputs[:, :3] = points.swapaxes(1, 2)
    inputs[:, 3] = categories[:, None]
    return inputs


def shapenet_part(root: Path | None, data: str, points: int = 2048) -> Task:
    """ShapeNetPart (Yi et al., SIGGRAPH Asia 2016) from a folder: 16 categories, 50 parts. Reading it takes about a minute.

    The folder ``shapenetcore_partanno_segmentation_benchmark_v0_normal`` has ``synsetoffset2category.txt``,
    ``train_test_split/shuffled_{train,val,test}_file_list.json`` and ``<synset>/<id>.txt`` of x y z nx ny nz part. Training and
    validation shapes train, as is usual; normals are not used. Each shape has ``points`` points, drawn by its own name's seed:
    without repetition where it has as many, else some more than once.

    Raises:
        TBNError: no such folder, a listed file is missing or damaged, an unknown category, or a part of another category.
    """
    check_whole("points", points, 1, 1_000_000)
    top = None if data == "embedded" else data_root(root)
    name = "shapenetcore_partanno_segmentation_benchmark_v0_normal"
    folder = find_folder(top, (name,), ("synsetoffset2category.txt", "train_test_split"))
    if folder is None:
        raise not_found("ShapeNetPart", name, top, "kicad_parts")
    category_of = _synsets(folder / "synsetoffset2category.txt")
    labels = iter(range(sum(SHAPENET_PARTS.values())))
    categories = {name: tuple(next(labels) for _ in range(count)) for name, count in SHAPENET_PARTS.items()}
    train = _listed(folder, "train") + _listed(folder, "val")
    test = _listed(folder, "test")
    x, y = _read_shapes(folder, train, category_of, categories, points)
    x_test, y_test = _read_shapes(folder, test, category_of, categories, points)
    return Task(
        "shapenet_part",
        "parts",
        f"{source_of(len(x), len(x_test), (14_007, 2_874), folder)}, {points:,} points of each",
        tuple(f"{name} part {part - parts[0] + 1}" for name, parts in categories.items() for part in parts),
        x,
        y,
        x_test,
        y_test,
        1.0,
        0.0,
        "ShapeNetPart: Yi et al., A Scalable Active Framework for Region Annotation in 3D Shape Collections, 2016; ShapeNet's terms",
        categories=categories,
        baselines=_category_majority(x, y, x_test),
    )


def _synsets(path: Path) -> dict[str, str]:
    """Synset number -> category name, from lines like ``Airplane 02691156``."""
    pairs = [line.split() for line in read_lines(path)]
    if any(len(pair) != 2 or pair[0] not in SHAPENET_PARTS for pair in pairs) or len(pairs) < len(SHAPENET_PARTS):
        raise TBNError(f"{path} does not name the {len(SHAPENET_PARTS)} categories of ShapeNetPart", FETCH_AGAIN)
    return {synset: name for name, synset in pairs}


def _listed(folder: Path, split: str) -> list[str]:
    """The shapes of a split as ``<synset>/<id>``, from a JSON list of ``shape_data/<synset>/<id>``."""
    path = folder / "train_test_split" / f"shuffled_{split}_file_list.json"
    if not path.is_file():
        raise TBNError(f"{path} is missing", FETCH_AGAIN)
    entries = read_json(path)
    if not isinstance(entries, list) or not entries or not all(isinstance(e, str) and "/" in e for e in entries):
        raise TBNError(f"{path} is not a list of shapes like shape_data/<synset>/<id>", FETCH_AGAIN)
    return ["/".join(entry.split("/")[-2:]) for entry in entries]


def _read_shapes(
    folder: Path,
    shapes: list[str],
    category_of: dict[str, str],
    categories: dict[str, tuple[int, ...]],
    points: int,
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Inputs (N, 4, points) and parts (N, points) of the shapes named ``<synset>/<id>``."""
    clouds = np.empty((len(shapes), points, 3), np.float32)
    numbers = np.empty(len(shapes), np.int64)
    parts = np.empty((len(shapes), points), np.uint8)
    for k, shape in enumerate(shapes):
        synset, path = shape.split("/")[0], folder / f"{shape}.txt"
        if synset not in category_of:
            raise TBNError(f"shape {shape} is of no category in synsetoffset2category.txt", FETCH_AGAIN)
        category = category_of[synset]
        table = read_table(path, 7)
        if not np.isin(table[:, 6], categories[category]).all():
            first, last = categories[category][0], categories[category][-1]
            raise TBNError(f"{path} has parts other than {first} to {last}, those of {category}", FETCH_AGAIN)
        chosen = table[resample(len(table), points, np.random.default_rng(zlib.crc32(shape.encode())))]
        clouds[k], parts[k], numbers[k] = unit_sphere(chosen[:, :3]), chosen[:, 6], list(categories).index(category)
    return _with_category(clouds, numbers), parts


def _category_majority(inputs: NDArray[Any], parts: NDArray[Any], test_inputs: NDArray[Any]) -> Baselines:
    """The baseline of many categories: always the part that is most frequent in the shape's category."""

    def predict() -> dict[str, NDArray[Any]]:
        of, of_test = inputs[:, 3, 0], test_inputs[:, 3, 0]
        answer = np.zeros((len(test_inputs), parts.shape[1]), np.int64)
        for category in np.intersect1d(of, of_test):
            answer[of_test == category] = np.bincount(parts[of == category].ravel()).argmax()
        return {"most frequent part of the category": answer}

    return predict
