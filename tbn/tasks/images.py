"""Image classification: Fashion-MNIST and scikit-learn's digits.

Every task says which data it holds (``source``): a score on the embedded subset is not the full benchmark's.
"""

from __future__ import annotations

import gzip
import os
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tbn.errors import TBNError

DEBIAN = Path("/usr/share/datasets/fashion-mnist")  # the Debian package dataset-fashion-mnist
CLOTHES = ("T-shirt/top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")


@dataclass(frozen=True)
class Task:
    """Data and what a network needs to know of it.

    Attributes:
        name, kind: e.g. "fashion_mnist", "images".
        source: which data this is, in words.
        classes: class names, in the order of the labels.
        train_inputs, test_inputs: (N, channels, height, width) uint8, raw.
        train_labels, test_labels: (N,) int64.
        scale, offset: the network's input is ``raw * scale + offset``, float32.
        credit: licence and origin of the data.
    """

    name: str
    kind: str
    source: str
    classes: tuple[str, ...]
    train_inputs: NDArray[np.uint8]
    train_labels: NDArray[np.int64]
    test_inputs: NDArray[np.uint8]
    test_labels: NDArray[np.int64]
    scale: float
    offset: float
    credit: str

    @property
    def input_shape(self) -> tuple[int, ...]:
        """(channels, height, width)."""
        return tuple(self.train_inputs.shape[1:])


def _idx(path: Path) -> NDArray[np.uint8]:
    """Read one idx file of unsigned bytes, gzipped or not (format: http://yann.lecun.com/exdb/mnist)."""
    raw = path.read_bytes()
    data = gzip.decompress(raw) if path.suffix == ".gz" else raw
    if data[:3] != b"\x00\x00\x08" or len(data) < 4 + 4 * data[3]:
        raise TBNError(f"{path} is not an idx file of bytes", "fetch the data set again")
    shape = np.frombuffer(data, ">u4", data[3], 4)
    values = np.frombuffer(data, np.uint8, offset=4 + 4 * data[3])
    if values.size != int(np.prod(shape)):
        raise TBNError(
            f"{path} is cut short: {values.size} of {int(np.prod(shape))} values", "fetch the data set again"
        )
    return values.reshape(shape).copy()  # writable, as torch wants it


def _find_idx(folders: list[Path]) -> list[Path] | None:
    """The four files of an MNIST-like set in the first folder that has them all, gzipped or not."""
    for folder in folders:
        found = [
            next((folder / f"{name}{end}" for end in ("", ".gz") if (folder / f"{name}{end}").is_file()), None)
            for name in (
                "train-images-idx3-ubyte",
                "train-labels-idx1-ubyte",
                "t10k-images-idx3-ubyte",
                "t10k-labels-idx1-ubyte",
            )
        ]
        if all(found):
            return [path for path in found if path]
    return None


def fashion_mnist(root: Path | None, data: str) -> Task:
    """Fashion-MNIST (Zalando, MIT licence): 28 x 28 grey images of ten kinds of clothes; the full set, or the embedded 5,000 + 1,000."""
    if root is None and "TBN_DATA" in os.environ:
        root = Path(os.environ["TBN_DATA"])
    folders = [DEBIAN] if root is None else [root, root / "FashionMNIST" / "raw", root / "raw", DEBIAN]
    paths = None if data == "embedded" else _find_idx(folders)
    if paths:
        x, y, x_test, y_test = (_idx(path) for path in paths)
        source = "full set, 60,000 training and 10,000 test images"
        if (len(x), len(x_test)) != (60_000, 10_000):
            source = f"{len(x):,} training and {len(x_test):,} test images from {paths[0].parent}"
    elif data == "full":
        raise TBNError(
            f"the full Fashion-MNIST is not in {', '.join(map(str, folders))}",
            "apt-get install dataset-fashion-mnist, or put the four idx files below --data-root",
        )
    else:
        with (
            as_file(files("tbn.tasks") / "data" / "fashion_mnist_5k1k.npz") as path,
            np.load(path, allow_pickle=False) as archive,
        ):
            x, y, x_test, y_test = (archive[key] for key in ("x_train", "y_train", "x_test", "y_test"))
        source = "embedded subset, the first 5,000 training and 1,000 test images"
    mean, std = 0.2860, 0.3530  # of the training pixels / 255
    return Task(
        "fashion_mnist",
        "images",
        source,
        CLOTHES,
        x.reshape(-1, 1, 28, 28),
        y.astype(np.int64),
        x_test.reshape(-1, 1, 28, 28),
        y_test.astype(np.int64),
        1 / 255 / std,
        -mean / std,
        "Fashion-MNIST, Zalando Research, MIT licence",
    )


def digits(root: Path | None, data: str) -> Task:
    """scikit-learn's handwritten digits: 8 x 8 grey images (0..16); the last 360 of the 1,797 are the test set."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    x, y = bunch.images.astype(np.uint8)[:, None], bunch.target.astype(np.int64)
    return Task(
        "digits",
        "images",
        "scikit-learn's digits, 1,437 training and 360 test images",
        tuple("0123456789"),
        x[:-360],
        y[:-360],
        x[-360:],
        y[-360:],
        1 / 16,
        -0.5,
        "UCI Optical Recognition of Handwritten Digits, CC BY 4.0",
    )
