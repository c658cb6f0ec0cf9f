"""Image classification: Fashion-MNIST, scikit-learn's digits, and MNIST and CIFAR-10 from a folder.

Every task says which data it holds (``source``): a score on the embedded subset is not the full benchmark's.
"""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tbn.errors import TBNError
from tbn.tasks.base import Task, data_root, majority
from tbn.tasks.embedded import arrays

DEBIAN = Path("/usr/share/datasets/fashion-mnist")  # the Debian package dataset-fashion-mnist
FETCH_AGAIN = "fetch the data set again"
CLOTHES = ("T-shirt/top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")


def _idx(path: Path) -> NDArray[np.uint8]:
    """Read one idx file of unsigned bytes, gzipped or not (format: http://yann.lecun.com/exdb/mnist)."""
    raw = path.read_bytes()
    data = gzip.decompress(raw) if path.suffix == ".gz" else raw
    if data[:3] != b"\x00\x00\x08" or len(data) < 4 + 4 * data[3]:
        raise TBNError(f"{path} is not an idx file of bytes", FETCH_AGAIN)
    shape = np.frombuffer(data, ">u4", data[3], 4)
    values = np.frombuffer(data, np.uint8, offset=4 + 4 * data[3])
    if values.size != int(np.prod(shape)):
        raise TBNError(f"{path} is cut short: {values.size} of {int(np.prod(shape))} values", FETCH_AGAIN)
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


def _mnist_like(root: Path | None, name: str, more: tuple[Path, ...] = ()) -> tuple[list[Path] | None, list[Path]]:
    """The idx files of a set in torchvision's layout or plainly in a folder, and the folders that were searched."""
    folders = [] if root is None else [root, root / name / "raw", root / "raw"]
    return _find_idx([*folders, *more]), [*folders, *more]


def _full_source(train: int, test: int, official: tuple[int, int], folder: Path) -> str:
    """What a full set is called; a folder with other counts is named by its counts."""
    if (train, test) == official:
        return f"full set, {train:,} training and {test:,} test images"
    return f"{train:,} training and {test:,} test images from {folder}"


def fashion_mnist(root: Path | None, data: str) -> Task:
    """Fashion-MNIST (Zalando, MIT licence): 28 x 28 grey images of ten kinds of clothes.

    The full set where it is found, else the embedded 5,000 + 1,000.
    """
    paths, folders = _mnist_like(data_root(root), "FashionMNIST", (DEBIAN,))
    if paths and data != "embedded":
        x, y, x_test, y_test = (_idx(path) for path in paths)
        source = _full_source(len(x), len(x_test), (60_000, 10_000), paths[0].parent)
    elif data == "full":
        raise TBNError(
            f"the full Fashion-MNIST is not in {', '.join(map(str, folders))}",
            "apt-get install dataset-fashion-mnist, or name the folder of the four idx files: --data-root, or TBN_DATA",
        )
    else:
        archive = arrays("fashion_mnist_5k1k")
        x, y, x_test, y_test = (archive[key] for key in ("x_train", "y_train", "x_test", "y_test"))
        source = "embedded subset, the first 5,000 training and 1,000 test images"
    mean, std = 0.2860, 0.3530  # of the training pixels / 255
    return _grey("fashion_mnist", source, CLOTHES, (x, y, x_test, y_test), mean, std, "Zalando Research, MIT licence")


def mnist(root: Path | None, data: str) -> Task:
    """MNIST (LeCun, Cortes, Burges): 28 x 28 grey images of handwritten digits. No subset comes with the package."""
    paths, folders = _mnist_like(data_root(root), "MNIST")
    if not paths or data == "embedded":
        raise _not_embedded("MNIST", "train-images-idx3-ubyte, train-labels-idx1-ubyte and the t10k files", folders)
    x, y, x_test, y_test = (_idx(path) for path in paths)
    source = _full_source(len(x), len(x_test), (60_000, 10_000), paths[0].parent)
    return _grey("mnist", source, tuple("0123456789"), (x, y, x_test, y_test), 0.1307, 0.3081, "LeCun, Cortes, Burges")


def _grey(
    name: str,
    source: str,
    classes: tuple[str, ...],
    arrays: tuple[NDArray[np.uint8], ...],
    mean: float,
    std: float,
    credit: str,
) -> Task:
    """A task of 28 x 28 grey images: inputs are normalised by the training pixels' mean and deviation."""
    x, y, x_test, y_test = arrays
    return Task(
        name,
        "images",
        source,
        classes,
        x.reshape(-1, 1, 28, 28),
        y.astype(np.int64),
        x_test.reshape(-1, 1, 28, 28),
        y_test.astype(np.int64),
        1 / 255 / std,
        -mean / std,
        credit,
        baselines=majority(y, y_test),
    )


def cifar10(root: Path | None, data: str) -> Task:
    """CIFAR-10 (Krizhevsky), binary version: 32 x 32 colour images of ten kinds. No subset comes with the package."""
    root = data_root(root)
    folders = [] if root is None else [root, root / "cifar-10-batches-bin"]
    names = [*(f"data_batch_{k}.bin" for k in range(1, 6)), "test_batch.bin"]
    folder = next((folder for folder in folders if all((folder / name).is_file() for name in names)), None)
    if folder is None or data == "embedded":
        raise _not_embedded("CIFAR-10", "cifar-10-batches-bin/data_batch_1.bin to 5 and test_batch.bin", folders)
    records = []
    for name in names:
        raw = np.fromfile(folder / name, np.uint8)
        if raw.size == 0 or raw.size % 3073:
            raise TBNError(f"{folder / name} is cut short: {raw.size} is no multiple of 3073 bytes", FETCH_AGAIN)
        records.append(raw.reshape(-1, 3073))
    train, test = np.concatenate(records[:5]), records[5]
    if max(train[:, 0].max(), test[:, 0].max()) > 9:
        raise TBNError(f"{folder} has labels above 9: it is not CIFAR-10's binary version", FETCH_AGAIN)
    mean, std = 0.4734, 0.2516  # of all training pixels / 255, one pair for the three channels
    return Task(
        "cifar10",
        "images",
        _full_source(len(train), len(test), (50_000, 10_000), folder),
        ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
        train[:, 1:].reshape(-1, 3, 32, 32),
        train[:, 0].astype(np.int64),
        test[:, 1:].reshape(-1, 3, 32, 32),
        test[:, 0].astype(np.int64),
        1 / 255 / std,
        -mean / std,
        "Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009",
        baselines=majority(train[:, 0], test[:, 0]),
    )


def _not_embedded(title: str, wanted: str, folders: list[Path]) -> TBNError:
    where = ", ".join(map(str, folders)) or "no folder of data sets was named"
    return TBNError(
        f"{title} does not come with the package and was not found ({where})",
        f"put {wanted} in a folder and name it: --data-root FOLDER, or TBN_DATA",
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
        baselines=majority(y[:-360], y[-360:]),
    )
