import shutil

import numpy as np
import pytest
from PIL import Image

from tbn import TBNError, tasks

from .pictures import cut, write_image, write_mask


def write_pair(folder, name, size=(10, 8), largest=2, seed=0, ending="png"):
    """An image with a mask whose first pixel has the largest label."""
    write_image(folder / "images" / f"{name}.{ending}", size, seed=seed)
    labels = np.random.default_rng(seed).integers(0, largest + 1, size[::-1])
    labels[0, 0], labels[0, 1] = largest, 255
    write_mask(folder / "masks" / f"{name}.png", labels)
    return labels


@pytest.fixture
def shapes(tmp_path):
    """Ten images with masks of three classes and ignored pixels."""
    for k in range(10):
        write_pair(tmp_path, f"s{k}", seed=k, ending="jpg" if k % 2 else "png")
    return tmp_path


def test_earthcover():
    task = tasks.create("earthcover")
    assert task.train_inputs.shape == (349, 3, 64, 64) and task.test_inputs.shape == (86, 3, 64, 64)
    assert task.train_targets.shape == (349, 64, 64) and task.test_targets.dtype == task.train_inputs.dtype == np.uint8
    assert task.kind == "segmentation" and len(task.classes) == 5 and task.metric == "mean_iou"
    assert task.source == "full set, 349 training and 86 test tiles of 64 x 64" and "NASA" in task.credit
    assert set(np.unique(task.train_targets)) == set(np.unique(task.test_targets)) == {0, 1, 2, 3, 4}  # no 255
    x = task.train_inputs * np.float32(task.scale) + np.float32(task.offset)
    assert abs(x.mean()) < 1e-3 and abs(x.std() - 1) < 1e-3
    baseline = task.baselines()["majority class"]
    assert (baseline == task.test_targets).mean() == pytest.approx(0.355, abs=0.001)


def test_earthcover_has_its_channels_and_classes_in_order():
    """Water is blue, barren land is bright, forest is green: a shuffled axis or label would show."""
    task = tasks.create("earthcover")
    pixels = np.moveaxis(task.train_inputs, 1, -1)
    colours = {name: pixels[task.train_targets == label].mean(0) for label, name in enumerate(task.classes)}
    assert colours["water"].argmax() == 2 and colours["forest"].argmax() == 1
    assert max(colours, key=lambda name: colours[name].sum()) == "barren"


def test_masks_of_ones_own(shapes):
    task = tasks.create("mask_folder", shapes)
    assert task.train_inputs.shape == (8, 3, 8, 10) and task.test_inputs.shape == (2, 3, 8, 10)
    assert task.train_targets.shape == (8, 8, 10) and task.classes == ("class 0", "class 1", "class 2")
    assert task.source == f"8 training and 2 test images from {shapes}, 10 x 8"
    images, masks = task.train_inputs[:], task.train_targets[:]
    for row, path in enumerate(task.train_inputs.paths):
        seed = int(path.split(".")[-2][-1])
        labels = np.random.default_rng(seed).integers(0, 3, (8, 10))
        labels[0, 0], labels[0, 1] = 2, 255
        assert np.array_equal(masks[row], labels)
        if path.endswith("png"):
            pixels = np.random.default_rng(seed).integers(0, 256, (8, 10, 3), dtype=np.uint8)
            assert np.array_equal(images[row], pixels.transpose(2, 0, 1))
    assert task.baselines()["majority class"].shape == (2, 8, 10)


def test_the_draw_of_the_test_set_is_by_name_alone(shapes):
    test = {path.split("/")[-1] for path in tasks.create("mask_folder", shapes).test_inputs.paths}
    shutil.copytree(shapes, shapes / "copy")
    assert test == {path.split("/")[-1] for path in tasks.create("mask_folder", shapes / "copy").test_inputs.paths}
    task = tasks.create("mask_folder", shapes)
    assert not test & {path.split("/")[-1] for path in task.train_inputs.paths}


@pytest.mark.parametrize("name", ["val", "test"])
def test_parts_of_ones_own(tmp_path, name):
    write_pair(tmp_path / "train", "a", seed=1)
    write_pair(tmp_path / "train", "b", seed=2)
    write_pair(tmp_path / name, "a", seed=3)
    task = tasks.create("mask_folder", tmp_path)
    assert len(task.train_targets) == 2 and task.test_inputs.paths == [str(tmp_path / name / "images" / "a.png")]


def test_brought_to_one_size(shapes):
    write_pair(shapes, "large", (33, 50))
    task = tasks.create("mask_folder", shapes, size=16)
    assert task.train_inputs[:].shape[1:] == (3, 16, 16)
    assert set(np.unique(task.train_targets[:])) <= {0, 1, 2, 255}  # nearest: no labels between labels
    with pytest.raises(
        TBNError, match=r"s0.png is 10 x 8, .*large.png is 33 x 50; name one size for all, e.g. size=128"
    ):
        tasks.create("mask_folder", shapes)


def test_names_of_classes(shapes):
    (shapes / "classes.txt").write_text("sky\n earth \nsea\nfire\n\n")
    assert tasks.create("mask_folder", shapes).classes == ("sky", "earth", "sea", "fire")


def test_palette_masks_are_class_numbers(shapes):
    labels = write_pair(shapes, "s1", seed=1)
    image = Image.new("P", (10, 8))
    image.putdata(labels.ravel().tolist())
    image.putpalette([k for k in range(256) for _ in range(3)][::-1])
    image.save(shapes / "masks" / "s1.png")
    task = tasks.create("mask_folder", shapes)
    part, paths = max(
        (
            (part, [path for path in part.paths if path.endswith("s1.png")])
            for part in (task.train_targets, task.test_targets)
        ),
        key=lambda found: len(found[1]),
    )
    assert np.array_equal(part[part.paths.index(paths[0])], labels)


def test_a_label_outside_of_the_classes(shapes):
    (shapes / "classes.txt").write_text("sky\nearth\n")
    task = tasks.create("mask_folder", shapes)
    with pytest.raises(
        TBNError, match=r"masks/s\d.png has label 2, the classes are 0 to 1; mend the mask, add the class to"
    ):
        task.train_targets[0]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            lambda root: shutil.rmtree(root / "images"),
            "holds neither images/, nor train/ with val/ or test/; make it images/",
        ),
        (lambda root: shutil.rmtree(root / "masks"), "no folder .*masks; make it images/"),
        (lambda root: (root / "masks" / "s3.png").unlink(), "image .*s3.jpg has no mask .*masks/s3.png; add it"),
        (lambda root: (root / "images" / "s3.jpg").unlink(), "mask .*s3.png has no image; add it"),
        (
            lambda root: write_mask(root / "masks" / "s3.png", np.zeros((10, 8))),
            "s3.jpg is 10 x 8, its mask 8 x 10; make",
        ),
        (
            lambda root: write_image(root / "masks" / "s3.png", (10, 8)),
            r"mask .*s3.png has colours \(mode RGB\), not class",
        ),
        (lambda root: cut(root / "masks" / "s3.png"), "cannot read image .*masks/s3.png"),
        (lambda root: [path.unlink() for path in root.glob("*/*")], "no image in .*images; make it"),
        (lambda root: [path.unlink() for path in root.glob("*/*") if path.stem != "s0"], "has one image; add more"),
        (
            lambda root: (root / "classes.txt").write_text("all\n"),
            "number of classes is 1, 2 to 255 are possible; masks need labels 0, 1",
        ),
    ],
)
def test_wrong_folders(shapes, damage, message):
    damage(shapes)
    with pytest.raises(TBNError, match=message):
        tasks.create("mask_folder", shapes)


def test_a_foreground_of_255_is_told(tmp_path):
    for k in range(3):
        write_image(tmp_path / "images" / f"{k}.png", (4, 4))
        write_mask(tmp_path / "masks" / f"{k}.png", np.eye(4) * 255)
    with pytest.raises(TBNError, match="where 255 is the foreground, write 1"):
        tasks.create("mask_folder", tmp_path)


def test_labels_above_255(shapes):
    Image.fromarray(np.full((8, 10), 300, np.uint16)).save(shapes / "masks" / "s3.png")
    with pytest.raises(TBNError, match="s3.png has label 300; use 0 to 254"):
        tasks.create("mask_folder", shapes)


def test_a_damaged_image(shapes):
    task = tasks.create("mask_folder", shapes)
    path = task.test_inputs.paths[0]
    with open(path, "r+b") as file:  # noqa: PTH123
        file.truncate(120)
    with pytest.raises(TBNError, match="cannot read image .*images/s"):
        task.test_inputs[:]


@pytest.mark.parametrize("size", [0, 9000, "16"])
def test_sizes_that_do_not_do(shapes, size):
    with pytest.raises(TBNError, match=f"size={size!r} is out of range"):
        tasks.create("mask_folder", shapes, size=size)
