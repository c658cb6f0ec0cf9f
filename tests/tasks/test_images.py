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
    assert np.bincount(task.test_targets).min() > 80


def test_a_full_set_is_found_and_named(tiny, monkeypatch):
    task = tasks.create("fashion_mnist", tiny)
    assert len(task.train_targets) == 20 and task.source.startswith("20 training and 10 test images from")
    assert tasks.create("fashion_mnist", tiny, "embedded").source.startswith("embedded")
    monkeypatch.setenv("TBN_DATA", str(tiny))
    assert len(tasks.create("fashion_mnist").train_targets) == 20


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


def test_mnist_from_a_folder(tiny):
    (tiny / "FashionMNIST").rename(tiny / "MNIST")
    task = tasks.create("mnist", tiny)
    assert task.name == "mnist" and len(task.test_targets) == 10 and task.classes == tuple("0123456789")
    assert task.source.startswith("20 training and 10 test images from")


@pytest.fixture
def tiny_cifar(tmp_path):
    """Five batches of four records and a test batch, in CIFAR-10's binary layout."""
    folder = tmp_path / "cifar-10-batches-bin"
    folder.mkdir()
    random = np.random.default_rng(0)
    for name in [*(f"data_batch_{k}" for k in range(1, 6)), "test_batch"]:
        records = random.integers(0, 256, (4, 3073), dtype=np.uint8)
        records[:, 0] %= 10
        (folder / f"{name}.bin").write_bytes(records.tobytes())
    return tmp_path


def test_cifar10_from_a_folder(tiny_cifar):
    task = tasks.create("cifar10", tiny_cifar)
    assert task.train_inputs.shape == (20, 3, 32, 32) and task.test_inputs.shape == (4, 3, 32, 32)
    raw = (tiny_cifar / "cifar-10-batches-bin" / "data_batch_2.bin").read_bytes()
    assert task.train_targets[4] == raw[0] and task.train_inputs[4, 0, 0, 1] == raw[2]  # red plane first, row by row


def test_cifar10_cut_short_or_foreign(tiny_cifar):
    path = tiny_cifar / "cifar-10-batches-bin" / "test_batch.bin"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    with pytest.raises(TBNError, match="is cut short: 12291 is no multiple of 3073"):
        tasks.create("cifar10", tiny_cifar)
    path.write_bytes(b"\x63" + whole[1:])
    with pytest.raises(TBNError, match="labels above 9"):
        tasks.create("cifar10", tiny_cifar)


@pytest.mark.parametrize("name", ["mnist", "cifar10"])
def test_sets_that_do_not_come_along_say_where_to_put_them(name, tmp_path, monkeypatch):
    monkeypatch.delenv("TBN_DATA", raising=False)
    with pytest.raises(TBNError, match="does not come with the package.*--data-root FOLDER, or TBN_DATA"):
        tasks.create(name)
    with pytest.raises(TBNError, match="was not found"):
        tasks.create(name, tmp_path)


def test_digits():
    task = tasks.create("digits")
    assert task.input_shape == (1, 8, 8) and len(task.test_targets) == 360 and task.train_inputs.max() == 16


def test_unknown():
    with pytest.raises(TBNError, match="unknown task 'nope'; choose one of fashion_mnist, digits, mnist, cifar10"):
        tasks.create("nope")
