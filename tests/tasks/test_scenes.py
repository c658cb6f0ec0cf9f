import numpy as np
import pytest

from tbn import TBNError, tasks
from tbn.tasks import scenes

AREA = "Stanford3dDataset_v1.2_Aligned_Version"


def write_room(folder, seed, objects=("floor_1", "wall_1", "chair_1", "stairs_1")):
    """A room of 2 m x 1.5 m x 3 m away from the origin: one colour for each object, 300 points each."""
    (folder / "Annotations").mkdir(parents=True)
    random = np.random.default_rng(seed)
    for number, name in enumerate(objects):
        xyz = random.uniform((-10, 5, 1), (-8, 6.5, 4), (300, 3))
        np.savetxt(
            folder / "Annotations" / f"{name}.txt", np.column_stack([xyz, np.full((300, 3), 51 * number)]), "%.3f"
        )


@pytest.fixture
def tiny(tmp_path):
    """Two rooms in area 1, one in area 5, in the official layout."""
    for seed, room in enumerate(("Area_1/office_1", "Area_1/hallway_1", "Area_5/office_1")):
        write_room(tmp_path / AREA / room, seed)
    (tmp_path / AREA / "Area_1" / ".DS_Store").write_text("")  # the published archive has some
    return tmp_path


def test_s3dis(tiny):
    task = tasks.create("s3dis", tiny, points=256)
    assert task.train_inputs.shape == (8, 9, 256) and task.test_targets.shape == (4, 256)  # 2 x 2 blocks a room
    assert task.train_inputs.dtype == np.float32 and task.train_targets.dtype == np.uint8
    assert len(task.classes) == 13 and task.classes[0] == "ceiling" and task.classes[12] == "clutter"
    assert set(np.unique(task.train_targets)) == {1, 2, 8, 12}  # stairs are clutter
    assert "3 rooms of 2 areas" in task.source and "Area 5 held out: 8 training and 4 test blocks" in task.source
    assert task.model_arguments == {"input_shape": [9, 256], "classes": 13}
    x = task.train_inputs
    assert np.abs(x[:, :2]).max() <= 0.5 and x[:, 2].min() == pytest.approx(0, abs=0.05) and x[:, 2].max() > 2.9
    assert x[:, 6:].min() >= 0 and x[:, 6:].max() == 1
    np.testing.assert_allclose(np.unique(x[:, 3:6]), [0, 0.2, 0.4, 0.6], atol=1e-6)


def test_the_class_travels_with_its_point(tiny):
    task = tasks.create("s3dis", tiny, points=256)
    names = {"chair": 2, "floor": 0, "stairs": 3, "wall": 1}  # number of the colour that write_room gave
    label = {"chair": 8, "floor": 1, "stairs": 12, "wall": 2}
    colour_of = {label[name]: 0.2 * number for name, number in names.items()}
    for block, classes in zip(task.test_inputs, task.test_targets, strict=True):
        np.testing.assert_allclose(block[3], [colour_of[c] for c in classes], atol=1e-6)


def test_blocks_are_the_same_every_time_and_for_every_set_of_rooms(tiny):
    one, two = (tasks.create("s3dis", tiny, points=128) for _ in range(2))
    np.testing.assert_array_equal(one.train_inputs, two.train_inputs)
    write_room(tiny / AREA / "Area_2" / "office_1", 9)
    np.testing.assert_array_equal(tasks.create("s3dis", tiny, points=128).test_inputs, one.test_inputs)


def test_another_area_and_the_folder_itself(tiny):
    task = tasks.create("s3dis", tiny / AREA, points=128, test_area=1)
    assert len(task.train_inputs) == 4 and len(task.test_inputs) == 8


def test_a_sparse_block_is_left_out_and_a_small_one_repeats():
    random = np.random.default_rng(0)
    xyz = np.concatenate([random.uniform(0, 0.99, (150, 3)), random.uniform((1.1, 0, 0), (1.9, 1, 1), (99, 3))])
    xyz[0] = 0  # a corner of the room, whose blocks are counted from it
    room = (xyz.astype(np.float32), np.zeros((249, 3), np.float32), np.arange(249, dtype=np.uint8))
    ((features, classes),) = scenes._blocks(room, 300, random)
    assert features.shape == (9, 300) and set(classes) == set(range(150))


def test_every_point_of_a_room_is_in_one_block():
    random = np.random.default_rng(0)
    xyz = random.uniform(-3, 0, (5000, 3)).astype(np.float32)
    xyz[0], xyz[1] = (-3, -3, -3), (0, 0, 0)  # a room of exactly 3 m: its far corner is in the last block
    room = (xyz, np.zeros_like(xyz), np.zeros(5000, np.uint8))
    found = [
        tuple(row) for features, _ in scenes._blocks(room, 5000, random) for row in np.unique(features[6:], axis=1).T
    ]
    assert len(found) == len(set(found)) == 5000


@pytest.mark.parametrize(
    "content, message",
    [
        (
            "1 2 3 0 0 0\n" * 3 + "1 2 3 103.0\x100000 0 0\n",
            r"chair_1.txt is no table of numbers: .* at row 3, .*; mend that line, or",
        ),
        ("1 2 3\n" * 10, "has 3 columns where 6 columns are expected"),
        ("", "has no lines where 6 columns"),
        ("1 2 inf 0 0 0\n", "holds values that are not finite"),
    ],
)
def test_a_damaged_annotation(tiny, content, message):
    (tiny / AREA / "Area_1" / "office_1" / "Annotations" / "chair_1.txt").write_text(content)
    with pytest.raises(TBNError, match=message):
        tasks.create("s3dis", tiny, points=128)


def test_a_room_without_annotations(tiny):
    (tiny / AREA / "Area_1" / "lobby_1").mkdir()
    with pytest.raises(TBNError, match=r"lobby_1 has no Annotations/<class>_<n>.txt; fetch the data set again"):
        tasks.create("s3dis", tiny, points=128)


def test_areas_that_are_missing(tiny):
    with pytest.raises(
        TBNError, match=r"has Area_1, Area_5: test_area=2 needs Area_2 and another.*; name another test_area"
    ):
        tasks.create("s3dis", tiny, test_area=2)
    with pytest.raises(TBNError, match=r"test_area=7 is out of range; use a whole number from 1 to 6"):
        tasks.create("s3dis", tiny, test_area=7)
    only = tiny / "only"
    write_room(only / "Area_5" / "office_1", 0)
    with pytest.raises(TBNError, match=r"has Area_5: test_area=5 needs Area_5 and another to train on"):
        tasks.create("s3dis", only)
    write_room(only / "Area_1" / "office_1", 0, objects=())
    (only / "Area_1" / "office_1" / "Annotations" / "wall_1.txt").write_text("1 2 3 0 0 0\n" * 99)
    with pytest.raises(TBNError, match=r"has no block of 100 points to train or to test on"):
        tasks.create("s3dis", only)


def test_s3dis_does_not_come_along(tmp_path, monkeypatch):
    monkeypatch.delenv("TBN_DATA", raising=False)
    with pytest.raises(
        TBNError, match=r"S3DIS does not come with the package.*Area_1 to Area_6.*task composed_rooms needs no files"
    ):
        tasks.create("s3dis", tmp_path)


def test_composed_rooms():
    task = tasks.create("composed_rooms")
    assert task.source.startswith(
        "rooms composed of the embedded models, a stand-in: not S3DIS; 24 training and 8 test rooms"
    )
    assert task.classes[:2] == ("floor", "wall") and task.input_shape == (9, 1024)
    assert len(task.train_inputs) == 216 and len(task.test_inputs) == 72  # 3 x 3 blocks a room
    for targets in (task.train_targets, task.test_targets):
        assert np.bincount(targets.ravel(), minlength=9).min() > 1000  # every class is on both sides
    assert not task.train_inputs[:, 3:6].any()  # no colour
    floor = task.train_inputs[:, 2][task.train_targets == 0]
    assert floor.std() < 0.02 and task.train_inputs[:, 2].max() == pytest.approx(2.55, abs=0.05)
    assert (task.baselines()["majority class"] == 1).all()
    again = tasks.create("composed_rooms")
    np.testing.assert_array_equal(task.train_inputs, again.train_inputs)


def test_a_room_does_not_depend_on_how_many_there_are():
    few, more = (tasks.create("composed_rooms", rooms=rooms, points=64) for rooms in (21, 30))
    np.testing.assert_array_equal(more.train_inputs[: len(few.train_inputs)], few.train_inputs)


def test_test_rooms_use_only_test_models(monkeypatch):
    """Training models that are flat and test models that are not: only test rooms have furniture with height."""
    real = scenes.sweethome(None, "embedded")

    def flat(root, data):
        inputs = real.train_inputs.copy()
        inputs[:, 1] = 0
        return scenes.Task(**(vars(real) | {"train_inputs": inputs}))

    monkeypatch.setattr(scenes, "sweethome", flat)
    task = tasks.create("composed_rooms", points=256)
    assert task.train_inputs[:, 2][task.train_targets >= 2].max() < 0.1
    assert task.test_inputs[:, 2][task.test_targets >= 2].max() > 1


def test_furniture_stands_on_the_floor_inside_the_room_and_does_not_overlap():
    shapes = scenes.sweethome(None, "embedded")
    models = {
        name: shapes.train_inputs[shapes.train_targets == shapes.classes.index(name)] for name in scenes.FURNITURE
    }
    for seed in range(20):
        placed = scenes._furnish(models, 2.4, 2.9, seed % 7, np.random.default_rng(seed))
        assert placed[0][0] == seed % 7  # the first piece always finds a place
        boxes = [(piece[:, :2].min(0), piece[:, :2].max(0)) for _, piece in placed]
        assert all(piece[:, 2].min() == 0 for _, piece in placed)
        assert all((low >= -1e-9).all() and (high <= (2.4 + 1e-9, 2.9 + 1e-9)).all() for low, high in boxes)
        for i, (low, high) in enumerate(boxes):
            assert all(
                (high <= other_low + 1e-9).any() or (low >= other_high - 1e-9).any()
                for other_low, other_high in boxes[:i]
            )


@pytest.mark.parametrize(
    "options, message", [({"rooms": 20}, "rooms=20 .*from 21 to 10000"), ({"points": "64"}, "points='64'")]
)
def test_composed_rooms_refuses(options, message):
    with pytest.raises(TBNError, match=message):
        tasks.create("composed_rooms", **options)
