import sys

import h5py
import numpy as np
import pytest

from tbn import TBNError, tasks
from tbn.tasks import clouds, embedded


def families(fold):
    """(class, creator, first word) of the training and of the test shapes of a fold, matched by the points themselves."""
    arrays = embedded.arrays("sweethome3d_points")
    task = tasks.create("sweethome", fold=fold)
    key = {
        cloud.tobytes(): (int(label), str(creator), str(name).split()[0])
        for cloud, label, (_, name, creator) in zip(
            clouds.unit_sphere(arrays["points"].astype(np.float32) / 127).swapaxes(1, 2),
            arrays["label"],
            arrays["source"],
            strict=True,
        )
    }
    return tuple({key[cloud.tobytes()] for cloud in inputs} for inputs in (task.train_inputs, task.test_inputs))


def test_sweethome_is_dealt_in_four_folds():
    folds = [tasks.create("sweethome", fold=fold) for fold in range(4)]
    assert [len(task.test_targets) for task in folds] == [84, 86, 86, 84]
    assert all(len(task.train_targets) + len(task.test_targets) == 340 for task in folds)
    tested = {cloud.tobytes() for task in folds for cloud in task.test_inputs}
    assert len(tested) == 340  # every shape is tested once
    for task in folds:
        assert np.bincount(task.test_targets, minlength=11).min() >= 3
        assert "too few to rank methods" in task.source
    assert folds[0].source.startswith("embedded set, fold 0 of 4: 256 training and 84 test shapes")


@pytest.mark.parametrize("fold", range(4))
def test_a_name_family_is_on_one_side(fold):
    train, test = families(fold)
    assert not train & test


def test_sweethome_is_centred_in_the_unit_sphere():
    task = tasks.create("sweethome")
    assert task.input_shape == (3, 1024) and task.train_inputs.dtype == np.float32
    assert np.abs(task.train_inputs.mean(2)).max() < 1e-5
    np.testing.assert_allclose(np.linalg.norm(task.train_inputs, axis=1).max(1), 1, rtol=1e-5)
    assert task.model_arguments == {"input_shape": [3, 1024], "classes": 11}
    assert (task.baselines()["majority class"] == task.classes.index("chair")).all()


@pytest.mark.parametrize("fold", [-1, 4, "0", True, 1.0])
def test_a_fold_that_is_not_there(fold):
    with pytest.raises(TBNError, match=r"fold=.* is out of range; use a whole number from 0 to 3"):
        tasks.create("sweethome", fold=fold)


CLASSES = ("airplane", "night_stand", "xbox")


@pytest.fixture
def h5(tmp_path):
    """Two training files and a test file in the layout of ModelNet40's h5 form, 64 points a shape."""
    folder = tmp_path / "modelnet40_ply_hdf5_2048"
    folder.mkdir()
    random = np.random.default_rng(0)
    for name, count in (("ply_data_train0", 6), ("ply_data_train1", 3), ("ply_data_test0", 4)):
        with h5py.File(folder / f"{name}.h5", "w") as file:
            file["data"] = random.normal(size=(count, 64, 3)).astype(np.float32)
            file["label"] = (np.arange(count) % 3).astype(np.uint8)[:, None]
    listed = "data/modelnet40_ply_hdf5_2048/ply_data_"  # the official lists have a folder in front
    (folder / "train_files.txt").write_text(f"{listed}train0.h5\n{listed}train1.h5\n")
    (folder / "test_files.txt").write_text(f"{listed}test0.h5\n")
    (folder / "shape_names.txt").write_text("\n".join(CLASSES) + "\n")
    return tmp_path


def test_modelnet40_from_h5(h5):
    task = tasks.create("modelnet40", h5, points=32)
    assert task.train_inputs.shape == (9, 3, 32) and task.test_inputs.shape == (4, 3, 32)
    assert task.classes == CLASSES and task.train_targets.tolist() == [0, 1, 2, 0, 1, 2, 0, 1, 2]
    assert task.source.startswith("9 training and 4 test shapes from") and task.source.endswith(
        "first 32 points of each"
    )
    with h5py.File(h5 / "modelnet40_ply_hdf5_2048" / "ply_data_train1.h5") as file:
        first = file["data"][0, :32]
    np.testing.assert_allclose(task.train_inputs[6].T, clouds.unit_sphere(first), rtol=1e-6)


def test_modelnet40_in_the_folder_itself_and_without_names(h5):
    folder = h5 / "modelnet40_ply_hdf5_2048"
    (folder / "shape_names.txt").unlink()
    task = tasks.create("modelnet40", folder, points=64)
    assert task.classes == tuple(map(str, range(40)))


def test_more_points_than_h5_has(h5):
    with pytest.raises(TBNError, match=r"points=65: .*train0.h5 has 64 points a shape; use at most points=64"):
        tasks.create("modelnet40", h5, points=65)


def test_h5_without_h5py(h5, monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(TBNError, match=r"h5py is not installed; pip install h5py"):
        tasks.create("modelnet40", h5, points=32)


def test_h5_damaged(h5):
    path = h5 / "modelnet40_ply_hdf5_2048" / "ply_data_train1.h5"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(
        TBNError, match=r"train1.h5 is cut short or no h5 file of ModelNet40: .*; fetch the data set again"
    ):
        tasks.create("modelnet40", h5, points=32)
    path.unlink()
    with pytest.raises(TBNError, match=r"train1.h5 is listed and missing"):
        tasks.create("modelnet40", h5, points=32)


@pytest.mark.parametrize(
    "arrays, message",
    [
        ({"data": np.zeros((2, 64, 3), "f4")}, "no h5 file of ModelNet40: .*label"),
        ({"data": np.zeros((2, 64), "f4"), "label": [0, 1]}, r"holds data of shape \(2, 64\) and 2 labels"),
        (
            {"data": np.zeros((2, 64, 3), "f4"), "label": [0]},
            r"shape \(2, 64, 3\) and 1 labels, not \(N, 2048, 3\) and N",
        ),
    ],
)
def test_h5_of_another_kind(h5, arrays, message):
    with h5py.File(h5 / "modelnet40_ply_hdf5_2048" / "ply_data_test0.h5", "w") as file:
        for key, value in arrays.items():
            file[key] = value
    with pytest.raises(TBNError, match=message):
        tasks.create("modelnet40", h5, points=32)


def test_lists_and_names_that_do_not_fit(h5):
    folder = h5 / "modelnet40_ply_hdf5_2048"
    (folder / "shape_names.txt").write_text("airplane\nxbox\n")
    with pytest.raises(TBNError, match="has labels outside of its 2 classes, up to 2; fetch"):
        tasks.create("modelnet40", h5, points=32)
    (folder / "shape_names.txt").write_text("airplane\n")
    with pytest.raises(TBNError, match="names only 1 class"):
        tasks.create("modelnet40", h5, points=32)
    (folder / "test_files.txt").write_text("\n")
    with pytest.raises(TBNError, match=r"test_files.txt is empty"):
        tasks.create("modelnet40", h5, points=32)
    (folder / "test_files.txt").unlink()
    with pytest.raises(TBNError, match=r"test_files.txt is missing or cannot be read; fetch the data set again"):
        tasks.create("modelnet40", h5, points=32)


@pytest.fixture
def texts(tmp_path):
    """Three training shapes and two test shapes in the layout of the resampled text form, 20 points each."""
    folder = tmp_path / "modelnet40_normal_resampled"
    random = np.random.default_rng(0)
    split = {"train": ["airplane_0001", "night_stand_0001", "xbox_0001"], "test": ["airplane_0002", "night_stand_0002"]}
    for name, shapes in split.items():
        for shape in shapes:
            path = folder / shape.rpartition("_")[0] / f"{shape}.txt"
            path.parent.mkdir(parents=True, exist_ok=True)
            np.savetxt(path, random.normal(size=(20, 6)), "%.6f", ",")
        (folder / f"modelnet40_{name}.txt").write_text("\n".join(shapes) + "\n")
    (folder / "modelnet40_shape_names.txt").write_text("\n".join(CLASSES) + "\n")
    return tmp_path


def test_modelnet40_from_texts(texts):
    task = tasks.create("modelnet40", texts, points=16)
    assert task.train_inputs.shape == (3, 3, 16) and task.train_targets.tolist() == [0, 1, 2]
    assert task.test_targets.tolist() == [0, 1] and task.classes == CLASSES
    table = np.loadtxt(texts / "modelnet40_normal_resampled" / "night_stand" / "night_stand_0002.txt", delimiter=",")
    np.testing.assert_allclose(task.test_inputs[1].T, clouds.unit_sphere(table[:16, :3]), atol=1e-5)


@pytest.mark.parametrize(
    "content, message",
    [
        ("1,2,3\n" * 20, "has 3 columns where 6 columns are expected"),
        ("1,2,3,4,5,6\n" * 15, "points=16: .*xbox_0001.txt has 15 points; use at most points=15"),
        ("1,2,3,4,5,six\n" * 20, "is no table of numbers: .*'six'.*; mend that line, or fetch"),
        ("1,2,3,4,5,6\n" * 15 + "1,2", "is no table of numbers: .*columns changed"),
        ("1,2,nan,4,5,6\n" * 20, "holds values that are not finite"),
        ("", "has no lines where 6 columns are expected"),
    ],
)
def test_a_text_that_is_damaged(texts, content, message):
    (texts / "modelnet40_normal_resampled" / "xbox" / "xbox_0001.txt").write_text(content)
    with pytest.raises(TBNError, match=message):
        tasks.create("modelnet40", texts, points=16)


def test_a_listed_text_that_is_missing_or_of_no_class(texts):
    folder = texts / "modelnet40_normal_resampled"
    (folder / "modelnet40_test.txt").write_text("airplane_0009\n")
    with pytest.raises(TBNError, match=r"airplane_0009.txt is missing or cannot be read; fetch the data set again"):
        tasks.create("modelnet40", texts, points=16)
    (folder / "modelnet40_test.txt").write_text("bird_0001\n")
    with pytest.raises(TBNError, match=r"lists shape 'bird_0001' and no class 'bird'"):
        tasks.create("modelnet40", texts, points=16)


@pytest.mark.parametrize("data", ["auto", "full", "embedded"])
def test_modelnet40_does_not_come_along(tmp_path, monkeypatch, data):
    monkeypatch.delenv("TBN_DATA", raising=False)
    for root in (None, tmp_path):
        with pytest.raises(
            TBNError,
            match=r"ModelNet40 does not come with the package.*--data-root FOLDER, or TBN_DATA; task sweethome",
        ):
            tasks.create("modelnet40", root, data)


def test_resampling_repeats_no_point_before_all_came():
    random = np.random.default_rng(0)
    assert len(set(clouds.resample(50, 20, random))) == 20
    assert np.bincount(clouds.resample(20, 50, random)).tolist().count(2) == 10
    assert np.bincount(clouds.resample(20, 50, random)).min() == 2
