import json

import numpy as np
import pytest

from tbn import TBNError, tasks
from tbn.tasks import clouds, embedded
from tbn.tasks.parts import SHAPENET_PARTS, _family, _test_families


def test_kicad_parts():
    task = tasks.create("kicad_parts")
    assert task.input_shape == (4, 512) and task.train_inputs.dtype == np.float32
    assert len(task.train_inputs) == 679 and len(task.test_inputs) == 276 and "split by name family" in task.source
    assert task.classes == ("terminal", "body") and task.train_targets.dtype == np.uint8
    assert len(task.categories) == 17 and set(task.categories.values()) == {(0, 1)}
    assert task.model_arguments == {"input_shape": [4, 512], "categories": 17, "classes": 2}
    np.testing.assert_allclose(np.linalg.norm(task.test_inputs[:, :3], axis=1).max(1), 1, rtol=1e-5)
    category = task.train_inputs[:, 3]
    assert (category == category[:, :1]).all() and set(category[:, 0]) == set(range(17))
    assert (task.baselines()["majority class"] == 1).all()  # body


def test_no_family_is_on_both_sides():
    arrays = embedded.arrays("kicad_parts")
    families = [_family(str(model)) for model in arrays["model"]]
    inputs = clouds.unit_sphere(arrays["points"].astype(np.float32) / 127).swapaxes(1, 2)
    # two models may have equal points: then both families count, which only makes the test stricter
    of_cloud = {}
    for cloud, family in zip(inputs, families, strict=True):
        of_cloud.setdefault(cloud.tobytes(), set()).add(family)
    task = tasks.create("kicad_parts")
    train, test = (
        {family for cloud in side[:, :3] for family in of_cloud[np.ascontiguousarray(cloud).tobytes()]}
        for side in (task.train_inputs, task.test_inputs)
    )
    assert not train & test and train | test == set(families)
    assert {category for category, _ in families} - {category for category, _ in test} == {"Varistor"}


def test_a_family_has_no_sizes_and_no_numbers():
    assert _family("Connector_JST/JST_EH_B11B-EH-A_1x11_P2.50mm_Vertical.wrl") == (
        "Connector_JST",
        "JST EH EH Vertical",
    )
    assert _family("Package_DFN_QFN/QFN-44-1EP_9x9mm_Pitch0.65mm_EP7.5x7.5mm.wrl") == ("Package_DFN_QFN", "QFN")
    assert _family("Capacitor_THT/CP_Axial_L10.0mm_D4.5mm_P15.00mm_Horizontal.wrl")[1] == "CP Axial Horizontal"
    assert (
        _family("Button_Switch_SMD/SW_DIP_SPSTx12_Slide_Omron_A6S-110x_W8.9mm_P2.54mm.wrl")[1] == "SW DIP Slide Omron"
    )


def test_about_a_quarter_of_each_category_is_held_out():
    families = (
        [("a", "x")] * 6
        + [("a", "y")] * 2
        + [("b", "only")] * 5
        + [("c", "p")] * 3
        + [("c", "q")] * 3
        + [("c", "r")] * 2
    )
    assert _test_families(families) == {("a", "y"), ("c", "p")}


FOLDER = "shapenetcore_partanno_segmentation_benchmark_v0_normal"
SYNSETS = {name: f"{2_000_000 + k:08d}" for k, name in enumerate(SHAPENET_PARTS)}


@pytest.fixture
def shapenet(tmp_path):
    """A shape of every category that trains, one that validates, two that test, in the official layout, 30 points each."""
    folder = tmp_path / FOLDER
    (folder / "train_test_split").mkdir(parents=True)
    (folder / "synsetoffset2category.txt").write_text(
        "".join(f"{name}\t{synset}\n" for name, synset in SYNSETS.items())
    )
    random = np.random.default_rng(0)
    split = {
        "train": [(name, "a") for name in SYNSETS],
        "val": [("Table", "b")],
        "test": [("Mug", "c"), ("Rocket", "d")],
    }
    firsts = dict(zip(SHAPENET_PARTS, np.cumsum([0, *SHAPENET_PARTS.values()])[:-1], strict=True))
    for name, shapes in split.items():
        for category, shape in shapes:
            parts = firsts[category] + np.arange(30) % SHAPENET_PARTS[category]
            path = folder / SYNSETS[category] / f"{shape}.txt"
            path.parent.mkdir(exist_ok=True)
            np.savetxt(path, np.column_stack([random.normal(size=(30, 6)), parts]), "%.6f")
        listed = [f"shape_data/{SYNSETS[category]}/{shape}" for category, shape in shapes]
        (folder / "train_test_split" / f"shuffled_{name}_file_list.json").write_text(json.dumps(listed))
    return tmp_path


def test_shapenet_part(shapenet):
    task = tasks.create("shapenet_part", shapenet, points=24)
    assert task.train_inputs.shape == (17, 4, 24) and task.test_targets.shape == (2, 24)  # training and validation
    assert task.train_inputs[16, 3, 0] == 15 and task.test_inputs[:, 3, 0].tolist() == [11, 13]
    assert task.source.startswith("17 training and 2 test shapes from")
    assert task.model_arguments == {"input_shape": [4, 24], "categories": 16, "classes": 50}
    np.testing.assert_allclose(np.linalg.norm(task.train_inputs[:, :3], axis=1).max(1), 1, rtol=1e-5)


def test_shapenet_has_the_standard_parts(shapenet):
    categories = tasks.create("shapenet_part", shapenet, points=24).categories
    assert list(categories) == sorted(categories) and sum(categories.values(), ()) == tuple(range(50))
    expected = {"Earphone": (16, 18), "Motorbike": (30, 35), "Rocket": (41, 43), "Car": (8, 11), "Laptop": (28, 29)}
    expected |= {"Cap": (6, 7), "Skateboard": (44, 46), "Mug": (36, 37), "Guitar": (19, 21), "Bag": (4, 5)}
    expected |= {
        "Lamp": (24, 27),
        "Table": (47, 49),
        "Airplane": (0, 3),
        "Pistol": (38, 40),
        "Chair": (12, 15),
        "Knife": (22, 23),
    }
    assert {name: (parts[0], parts[-1]) for name, parts in categories.items()} == expected


def test_points_are_drawn_once_and_repeat_only_where_too_few(shapenet):
    few, many = (tasks.create("shapenet_part", shapenet, points=points) for points in (24, 70))
    again = tasks.create("shapenet_part", shapenet / FOLDER, points=24)
    np.testing.assert_array_equal(few.train_inputs, again.train_inputs)
    assert len(np.unique(few.test_inputs[0], axis=1).T) == 24 and len(np.unique(many.test_inputs[0], axis=1).T) == 30


def test_the_part_travels_with_its_point(shapenet):
    task = tasks.create("shapenet_part", shapenet, points=30)
    table = np.loadtxt(shapenet / FOLDER / SYNSETS["Rocket"] / "d.txt")
    expected = {
        (*xyz.round(4), part)
        for xyz, part in zip(clouds.unit_sphere(table[:, :3]).astype(float), table[:, 6], strict=True)
    }
    found = {
        (*xyz.round(4), part)
        for xyz, part in zip(task.test_inputs[1, :3].T.astype(float), task.test_targets[1], strict=True)
    }
    assert len(expected & found) >= 28  # one may round otherwise


def test_shapenet_baseline_knows_the_category(shapenet):
    table = shapenet / FOLDER / SYNSETS["Mug"] / "a.txt"
    np.savetxt(table, np.column_stack([np.random.default_rng(1).normal(size=(30, 6)), [37] * 20 + [36] * 10]), "%.4f")
    (answer,) = tasks.create("shapenet_part", shapenet, points=30).baselines().values()
    assert (answer[0] == 37).all() and np.isin(answer[1], (41, 42, 43)).all()


def damage(name, content):
    return lambda folder: (folder / name).write_text(content)


MUG = f"{SYNSETS['Mug']}/c.txt"


@pytest.mark.parametrize(
    "harm, message",
    [
        (damage(MUG, "1 2 3 4 5 6 38\n" * 30), "has parts other than 36 to 37, those of Mug; fetch the data set again"),
        (damage(MUG, "1 2 3 4 5 6 36.5\n" * 30), "has parts other than 36 to 37"),
        (damage(MUG, "1 2 3 4 5 6\n" * 30), "has 6 columns where 7 columns are expected"),
        (damage(MUG, "1 2 3 4 5 6 x\n" * 30), "is no table of numbers: .*; mend that line"),
        (lambda folder: (folder / MUG).unlink(), r"c.txt is missing or cannot be read; fetch"),
        (damage("synsetoffset2category.txt", "Airplane 02691156\n"), "does not name the 16 categories of ShapeNetPart"),
        (lambda folder: (folder / "synsetoffset2category.txt").unlink(), r"synsetoffset2category.txt is missing"),
        (
            lambda folder: (folder / "train_test_split" / "shuffled_val_file_list.json").unlink(),
            r"shuffled_val_file_list.json is missing; fetch the data set again",
        ),
        (damage("train_test_split/shuffled_test_file_list.json", "[1]"), "is not a list of shapes like shape_data"),
        (damage("train_test_split/shuffled_test_file_list.json", "[]"), "is not a list of shapes like shape_data"),
        (damage("train_test_split/shuffled_test_file_list.json", "{"), "it is not JSON"),
        (
            damage("train_test_split/shuffled_test_file_list.json", '["shape_data/09/c"]'),
            "shape 09/c is of no category",
        ),
    ],
)
def test_shapenet_damaged(shapenet, harm, message):
    harm(shapenet / FOLDER)
    with pytest.raises(TBNError, match=message):
        tasks.create("shapenet_part", shapenet, points=24)


def test_shapenet_does_not_come_along(tmp_path, monkeypatch):
    monkeypatch.delenv("TBN_DATA", raising=False)
    with pytest.raises(TBNError, match=r"ShapeNetPart does not come with the package.*task kicad_parts needs no files"):
        tasks.create("shapenet_part", tmp_path)
    with pytest.raises(TBNError, match=r"points=0 is out of range; use a whole number from 1"):
        tasks.create("shapenet_part", tmp_path, points=0)
