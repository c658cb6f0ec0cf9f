import shutil

import numpy as np
import pytest
from PIL import Image

from tbn import TBNError, tasks
from tbn.tasks.image_folder import centre_crop

from .pictures import cut, write_image


@pytest.fixture
def pets(tmp_path):
    """Two classes; three training images and one test image each. Dogs are bright."""
    for part, count in (("train", 3), ("val", 1)):
        for k in range(count):
            write_image(tmp_path / part / "cat" / f"{k}.png", (20, 16), (10, 20, 30 + k))
            write_image(tmp_path / part / "dog" / f"{k}.jpg", (16, 30), (200, 210, 220))
    return tmp_path


def test_images_of_ones_own(pets):
    task = tasks.create("image_folder", pets, size=14)
    assert task.kind == "images" and task.classes == ("cat", "dog") and task.input_shape == (3, 14, 14)
    assert task.train_targets.tolist() == [0, 0, 0, 1, 1, 1] and task.test_targets.tolist() == [0, 1]
    assert task.source == f"6 training and 2 test images from {pets}, 14 x 14"
    batch = task.train_inputs[np.array([5, 1])]
    assert (
        batch.dtype == np.uint8 and (batch[0] > 190).all() and (batch[1] == np.array([10, 20, 31])[:, None, None]).all()
    )
    x = np.asarray(task.train_inputs) * task.scale + task.offset
    assert abs(x.mean()) < 1e-6 and abs(x.std() - 1) < 1e-6
    assert task.baselines()["majority class"].tolist() == [0, 0]
    assert tasks.create("image_folder", pets).input_shape == (3, 64, 64)


def test_the_order_is_by_class_then_name_and_subfolders_count(pets):
    shutil.move(pets / "train" / "cat" / "0.png", pets / "train" / "cat" / "9.png")
    write_image(pets / "train" / "cat" / "more" / "x.png")
    (pets / "train" / "cat" / "notes.txt").write_text("not an image")
    (pets / "train" / "cat" / "._1.png").write_bytes(b"an operating system's")
    (pets / "train" / ".cache").mkdir()
    names = [path.split("/train/")[1] for path in tasks.create("image_folder", pets).train_inputs.paths]
    assert names[:4] == ["cat/1.png", "cat/2.png", "cat/9.png", "cat/more/x.png"] and len(names) == 7


def test_val_or_test(pets):
    (pets / "val").rename(pets / "test")
    assert len(tasks.create("image_folder", pets).test_targets) == 2


@pytest.mark.parametrize("size", [(40, 30), (30, 40), (30, 30), (7, 90), (500, 333)])
def test_centre_crop_is_the_usual_one(tmp_path, size):
    """Shorter side to 256/224 of the size, then the middle: as torchvision's Resize and CenterCrop."""
    from torchvision.transforms import v2

    path = tmp_path / "a.png"
    write_image(path, size)
    usual = v2.Compose([v2.Resize(32), v2.CenterCrop(28)])(Image.open(path))
    assert np.array_equal(centre_crop(str(path), 28), np.asarray(usual).transpose(2, 0, 1))


def test_an_image_of_that_size_is_as_it_is(tmp_path):
    pixels = write_image(tmp_path / "a.png", (28, 28))
    assert np.array_equal(centre_crop(str(tmp_path / "a.png"), 28), pixels.transpose(2, 0, 1))


def test_imagenet(pets):
    for part in ("train", "val"):
        (pets / part / "cat").rename(pets / part / "n02123045")
        (pets / part / "dog").rename(pets / part / "n02084071")
    task = tasks.create("imagenet", pets)
    assert task.input_shape == (3, 224, 224) and task.classes == ("n02084071", "n02123045")
    assert task.source.startswith("6 training and 2 test images from") and "full set" not in task.source
    middle = (0.449 * 255) * task.scale + task.offset
    assert abs(middle) < 1e-6 and task.scale == pytest.approx(1 / 255 / 0.226)
    (pets / "imagenet").mkdir()
    for part in ("train", "val"):
        (pets / part).rename(pets / "imagenet" / part)
    assert len(tasks.create("imagenet", pets, size=32).train_targets) == 6


def test_files_are_read_when_asked_for(pets):
    task = tasks.create("image_folder", pets, size=14)
    cut(pets / "val" / "dog" / "0.jpg")
    assert task.test_inputs[0].shape == (3, 14, 14)
    with pytest.raises(TBNError, match=r"cannot read image .*val/dog/0.jpg: .*; replace the file, or remove it"):
        task.test_inputs[:]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            lambda root: shutil.rmtree(root / "train"),
            r"has no folder train/; make it train/<class>/\*.jpg and val/<class>/",
        ),
        (lambda root: shutil.rmtree(root / "val"), "has a folder train/ and neither val/ nor test/; make it"),
        (
            lambda root: [shutil.rmtree(path) for path in (root / "train").iterdir()],
            "train has no class folders; make it",
        ),
        (lambda root: shutil.rmtree(root / "val" / "dog"), "class 'dog' is in train/ alone, .*same class folders"),
        (lambda root: (root / "val" / "emu").mkdir(), "class 'emu' is in val/ alone"),
        (
            lambda root: [path.unlink() for path in (root / "val" / "dog").iterdir()],
            "no image in .*val/dog; add JPG or PNG",
        ),
        (
            lambda root: [shutil.rmtree(root / part / "dog") for part in ("train", "val")],
            "the one class 'cat'; classification",
        ),
    ],
)
def test_wrong_layouts(pets, damage, message):
    damage(pets)
    for name in ("image_folder", "imagenet"):
        with pytest.raises(TBNError, match=message):
            tasks.create(name, pets)


@pytest.mark.parametrize("size", [0, 5000, "64", 6.5])
def test_sizes_that_do_not_do(pets, size):
    with pytest.raises(TBNError, match=f"size={size!r} is out of range; use a whole number"):
        tasks.create("image_folder", pets, size=size)
