"""Data sets that users bring: what is read out of each kind of file, what is refused with a fix, and what is kept."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from tbn import TBNError, data_charts, tasks, uploads
from tbn.charts import alt_text

RANDOM = np.random.default_rng(0)
PIXELS = RANDOM.integers(0, 256, (40, 6, 5, 3), dtype=np.uint8)
NINE = RANDOM.random((9, 8, 8))
DAYS = "date,load\n" + "".join(f"2024-{1 + k // 28:02d}-{1 + k % 28:02d},{k % 7}\n" for k in range(300))


def npz(**arrays) -> bytes:
    found = io.BytesIO()
    np.savez_compressed(found, **arrays)
    return found.getvalue()


def rows(header: str, count: int, row) -> bytes:
    return (header + "\n" + "".join(row(k) + "\n" for k in range(count))).encode()


def test_images_channels_last_with_words_for_classes(tmp_path):
    kept = uploads.keep("..\\my pictures.npz", npz(images=PIXELS, labels=np.array(["cat", "dog"] * 20)), tmp_path)
    assert (kept.name, kept.task, kept.classes, kept.train, kept.test, kept.shape) == (
        "my-pictures.npz",
        "npz_images",
        ("cat", "dog"),
        32,
        8,
        (3, 6, 5),
    )
    task = kept.load()
    pictures = np.moveaxis(PIXELS, 3, 1)
    held = [next(k for k in range(40) if np.array_equal(pictures[k], one)) for one in task.test_inputs]
    assert (
        held == sorted(held) and [k % 2 for k in held] == list(task.test_targets) and sum(task.test_targets) == 4
    )  # one in five of each class
    rest = [k for k in range(40) if k not in held]
    assert np.array_equal(task.train_inputs, pictures[rest]) and np.array_equal(
        kept.load().test_inputs, task.test_inputs
    )
    assert "one in five drawn" in task.source
    assert task.source == kept.source and set(task.baselines()) == {"majority class"}
    assert [upload.name for upload in uploads.every(tmp_path)] == [kept.name]
    assert all(len(alt_text(figure)) > 20 for figure in data_charts.overview(task))


def test_images_split_and_named(tmp_path):
    shares = RANDOM.random((9, 4, 4))
    content = npz(
        x_train=shares,
        y_train=np.arange(9) % 3,
        x_test=shares[:3],
        y_test=[[0], [1], [1]],
        classes=["a", "b", "c", "d"],
    )
    task = uploads.keep("s.npz", content, tmp_path).load()
    assert np.array_equal(task.train_inputs[:, 0], np.rint(shares * 255)) and task.train_inputs.dtype == np.uint8
    assert task.classes == ("a", "b", "c", "d") and list(task.test_targets) == [0, 1, 1]


def test_masks_and_clouds(tmp_path):
    masks = RANDOM.integers(0, 3, (40, 6, 5))
    masks[0, 0, 0] = 255
    kept = uploads.keep("m.npz", npz(x=PIXELS, y=masks), tmp_path)
    assert (kept.task, kept.classes) == (
        "npz_masks",
        ("class 0", "class 1", "class 2"),
    ) and kept.load().kind == "segmentation"
    clouds = RANDOM.normal(5, 2, (20, 32, 3))
    task = uploads.keep("c.npz", npz(points=clouds, label=np.arange(20) % 2), tmp_path).load()
    assert (task.kind, task.input_shape, task.classes) == ("points", (3, 32), ("0", "1"))
    assert np.linalg.norm(task.train_inputs, axis=1).max() == pytest.approx(1, abs=1e-5)
    for name in ("m.npz", "c.npz"):
        assert data_charts.overview(uploads.read(uploads.folder(tmp_path) / name).load())


def test_a_table_is_standardised_and_in_8_bits(tmp_path):
    content = rows("a,b,kind,split", 20, lambda k: f"{k},{3},{'x' if k % 2 else 'y'},{'test' if k >= 16 else 'train'}")
    kept = uploads.keep("t.csv", content, tmp_path, label="kind")
    task = kept.load()
    assert (kept.task, kept.classes, kept.shape, kept.train, kept.test) == ("csv_table", ("x", "y"), (1, 1, 2), 16, 4)
    values = (np.arange(20) - 7.5) / np.arange(16).std()
    network_sees = task.test_inputs[:, 0, 0, 0] * task.scale + task.offset
    assert network_sees == pytest.approx(values[16:], abs=1 / 64) and set(task.train_inputs[:, 0, 0, 1]) == {
        128
    }  # a constant column is only centred
    assert tasks.kind_of(kept.task) == "images"


def test_a_series_takes_the_longest_windows_that_fit(tmp_path):
    kept = uploads.keep("s.csv", DAYS.encode(), tmp_path)
    assert (
        kept.task == "csv_forecast"
        and kept.task_args == {"lookback": 48, "horizon": 24, "file": "s.csv"}
        and kept.shape == (48, 1)
    )
    assert data_charts.overview(kept.load())


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.zip", b"a", "is no data set; choose a file that ends in .npz or .csv"),
        ("../.npz", b"a", "is no data set"),
        ("x.npz", b"", "x.npz is empty"),
        ("x.npz", b"PK nonsense", "x.npz is damaged or no .npz"),
        ("x.npz", npz(a=np.arange(3)), "x.npz holds a: no inputs with targets; save it with numpy"),
        ("x.npz", npz(x=np.array([{}] * 20, object).reshape(20, 1, 1), y=np.arange(20)), "holds Python objects, which are not read"),
        ("x.npz", npz(x=RANDOM.random((20, 3)), y=np.arange(20)), "or write a table as .csv"),
        ("x.npz", npz(x=RANDOM.normal(size=(20, 8, 8)), y=np.arange(20) % 2), "pixels of x.npz go from -.*scale them to 0..255"),
        ("x.npz", npz(x=np.full((20, 8, 8), np.nan), y=np.arange(20) % 2), "pixels of x.npz go from nan"),
        ("x.npz", npz(x=RANDOM.random((20, 8, 8)), y=RANDOM.random(20)), "are quantities such as .*this is no regression"),
        ("x.npz", npz(x=RANDOM.random((20, 8, 8)), y=np.zeros(20)), "has 1 classes; 2 to 1,000 are possible"),
        ("x.npz", npz(x=RANDOM.random((20, 8, 8)), y=np.eye(20)), "of one-hot rows take argmax"),
        ("x.npz", npz(x=RANDOM.random((20, 8, 8)), y=np.arange(19)), "give one target to each sample"),
        ("x.npz", npz(x=RANDOM.random((6, 8, 8)), y=np.arange(6) % 2), "has 6 samples; give at least 10"),
        ("x.npz", npz(x_train=NINE, y_train=np.arange(9) % 2, x_test=NINE[:2], y_test=[1, 7]), "class 7 .* test part alone"),
        ("x.npz", npz(x_train=NINE, y_train=np.arange(9) % 2, x_test=NINE[:2, :4], y_test=[1, 0]), "of one size"),
        ("x.npz", npz(x=PIXELS, y=np.zeros((40, 5, 6), int)), "give whole numbers of the images' size, 32x6x5"),
        ("x.csv", b"\x00\xff" * 50, "x.csv"),
        ("x.csv", rows("a,label", 20, lambda k: f"{'?' if k == 3 else k},{k % 2}"), "column 'a' .* has '\\?', which is no finite number, in line 5"),
        ("x.csv", rows("a,label", 20, lambda k: f"{'' if k == 3 else k},{k % 2}"), "column 'a' of x.csv has no value in line 5"),
        ("x.csv", rows("a,label", 20, lambda k: f"{k},{k / 7}"), "this is no regression"),
        ("x.csv", rows("label", 20, lambda k: f"{k % 2}"), "has 0 columns beside 'label'"),
        ("x.csv", rows("date,v", 20, lambda k: f"2024-01-{k + 1:02d},{k}"), "lookback 12 and horizon 6 do not fit"),
    ],
)  # fmt: skip
def test_what_is_refused_says_why_and_leaves_nothing(tmp_path, name, content, message):
    with pytest.raises(TBNError, match=message) as caught:
        uploads.keep(name, content, tmp_path)
    assert caught.value.fix and str(tmp_path) not in str(caught.value)
    assert not [path for path in Path(tmp_path).rglob("*") if path.is_file()]


def test_limits_and_names(tmp_path, monkeypatch):
    first = npz(x=RANDOM.random((20, 4, 4)), y=np.arange(20) % 2)
    kept = uploads.keep("a.npz", first, tmp_path)
    assert uploads.keep("a.npz", first, tmp_path) == kept  # the same file again
    with pytest.raises(TBNError, match="another a.npz is kept already; rename"):
        uploads.keep("a.npz", npz(x=RANDOM.random((20, 4, 4)), y=np.arange(20) % 2), tmp_path)
    monkeypatch.setattr("tbn.tasks.detect.MOST_UNPACKED", 1000)
    with pytest.raises(TBNError, match="unpacks to"):
        uploads.keep("b.npz", first, tmp_path)
    monkeypatch.setattr(uploads, "MOST_IN_ALL", len(first))
    with pytest.raises(TBNError, match="delete one"):
        uploads.keep("b.npz", first, tmp_path)
    monkeypatch.setattr(uploads, "MOST_MB", 0)
    with pytest.raises(TBNError, match="--task-arg file=PATH"):
        uploads.keep("b.npz", first, tmp_path)
    (uploads.folder(tmp_path) / "a.npz.json").write_text("{")
    assert uploads.every(tmp_path) == []
    uploads.remove("a.npz", tmp_path)
    assert not list(uploads.folder(tmp_path).iterdir())


def test_a_bomb_is_seen_before_it_unpacks(tmp_path):
    header, found = io.BytesIO(), io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": (100_000, 256, 256)})
    with zipfile.ZipFile(found, "w") as archive:
        archive.writestr("x.npy", header.getvalue())
    with pytest.raises(TBNError, match="unpacks to 6.1 GB; 2 GB are possible"):
        uploads.keep("bomb.npz", found.getvalue(), tmp_path)


def test_a_file_cut_or_changed_anywhere_is_refused_or_read(tmp_path):
    """Whatever a byte of it says: an error with a fix, or a data set; never another exception."""
    whole = npz(x=RANDOM.integers(0, 256, (20, 4, 4), dtype=np.uint8), y=np.arange(20) % 2)
    for place in range(0, len(whole), 7):
        for content in (whole[:place], whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :]):
            try:
                uploads.keep("x.npz", content, tmp_path)
            except TBNError as error:
                assert error.fix
            else:
                uploads.remove("x.npz", tmp_path)


@pytest.mark.parametrize("task", ["npz_images", "npz_points", "npz_masks", "csv_table"])
def test_a_task_without_its_file_says_how_to_name_it(task, tmp_path):
    with pytest.raises(TBNError, match="none was named; name it: --task-arg file=NAME"):
        tasks.create(task)
    with pytest.raises(TBNError, match="no file 'a.b'"):
        tasks.create(task, tmp_path, file="a.b")


def test_a_table_is_trained_on_and_goes_to_a_board(tmp_path):
    """From a user's file to whole numbers in C: the network that was trained is the one that the board would run."""
    from tbn.config import RunConfig
    from tbn.evaluate import evaluate
    from tbn.export.run import export_run
    from tbn.train import fit

    points = RANDOM.normal(size=(200, 2)).round(3)
    content = rows(
        "a,b,side", 200, lambda k: f"{points[k, 0]},{points[k, 1]},{'up' if points[k].sum() > 0 else 'down'}"
    )
    kept = uploads.keep("side.csv", content, tmp_path)
    config = RunConfig(
        task="csv_table", model="mlp", p=4, min_layer_size=100, epochs=8, lr=0.01, data_root=str(kept.folder), task_args=dict(kept.task_args)
    )  # fmt: skip
    run = fit(config, tmp_path)
    assert run.result["metrics"]["accuracy"] > 0.85 and run.result["task"]["source"] == kept.source
    assert evaluate(run.path, "packed").max_relative_difference < 1e-5
    report = export_run(run)
    assert (report.precision, report.input_bytes, report.outputs) == ("integer", 2, 2)
