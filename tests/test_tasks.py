import gzip
import struct

import numpy as np
import pytest

from tbn import TBNError, tasks


def write_idx(path, array, compress=False):
    data = (
        bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.astype(np.uint8).tobytes()
    )
    path.write_bytes(gzip.compress(data) if compress else data)


@pytest.fixture
def tiny(tmp_path):
    """A synthetic full set in torchvision's layout."""
    folder = tmp_path / "FashionMNIST" / "raw"
    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    for split, count in (("train", 20), ("t10k", 10)):
        write_idx(folder / f"{split}-images-idx3-ubyte", random.integers(0, 256, (count, 28, 28)))
        write_idx(folder / f"{split}-labels-idx1-ubyte.gz", random.integers(0, 10, count), compress=True)
    return tmp_path


def test_embedded_fashion_mnist():
    task = tasks.create("fashion_mnist", data="embedded")
    assert task.train_inputs.shape == (5000, 1, 28, 28) and task.test_inputs.shape == (1000, 1, 28, 28)
    assert task.source == "embedded subset, the first 5,000 training and 1,000 test images" and len(task.classes) == 10
    x = task.train_inputs.astype(np.float32) * task.scale + task.offset
    assert abs(x.mean()) < 0.02 and abs(x.std() - 1) < 0.02
    assert np.bincount(task.test_labels).min() > 80


def test_a_full_set_is_found_and_named(tiny, monkeypatch):
    task = tasks.create("fashion_mnist", tiny)
    assert len(task.train_labels) == 20 and task.source.startswith("20 training and 10 test images from")
    assert tasks.create("fashion_mnist", tiny, "embedded").source.startswith("embedded")
    monkeypatch.setenv("TBN_DATA", str(tiny))
    assert len(tasks.create("fashion_mnist").train_labels) == 20


def test_asked_for_and_not_found(tmp_path, monkeypatch):
    monkeypatch.setattr("tbn.tasks.images.DEBIAN", tmp_path / "none")
    with pytest.raises(TBNError, match="the full Fashion-MNIST is not in .*apt-get install dataset-fashion-mnist"):
        tasks.create("fashion_mnist", tmp_path, "full")
    assert tasks.create("fashion_mnist", tmp_path).source.startswith("embedded")


def test_a_cut_or_foreign_file(tiny):
    path = tiny / "FashionMNIST" / "raw" / "train-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(TBNError, match="is cut short: 15580 of 15680 values; fetch the data set again"):
        tasks.create("fashion_mnist", tiny)
    path.write_bytes(b"hello")
    with pytest.raises(TBNError, match="is not an idx file"):
        tasks.create("fashion_mnist", tiny)


def test_digits():
    task = tasks.create("digits")
    assert task.input_shape == (1, 8, 8) and len(task.test_labels) == 360 and task.train_inputs.max() == 16


def test_unknown():
    with pytest.raises(TBNError, match="unknown task 'nope'; choose one of fashion_mnist, digits"):
        tasks.create("nope")
