"""Every page: with nothing to show, with runs, with a broken folder; choices from the address; errors as sentences."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from kernels.orders import ORDERS
from pages.parts import contents, train_more
from pages.parts.words import train_command
from tbn import jobs, models
from tbn.estimators import ESTIMATORS
from tbn.export.report import ArenaPart, ExportedLayer, ExportReport

PAGES = (
    "",
    "pages/run/train.py",
    "pages/run/data.py",
    "pages/explore/kernels.py",
    "pages/explore/memory.py",
    "pages/deploy/firmware.py",
)
Open = Callable[..., AppTest]
Add = Callable[..., Path]
ROOT = Path(__file__).parents[2]


def words(app: AppTest) -> str:
    kinds = (app.title, app.subheader, app.markdown, app.caption, app.info, app.warning, app.error, app.success)
    return "\n".join(str(element.value) for kind in kinds for element in kind)


def command(app: AppTest) -> str:
    """The first command that the page shows."""
    return next(str(code.value) for code in app.code if str(code.value).startswith("tbn "))


@pytest.mark.parametrize("page", PAGES)
def test_a_page_with_nothing_to_show_says_what_to_do(page: str, folder: Path, open_page: Open) -> None:
    app = open_page(page)
    assert not app.error and app.title[0].value
    if page not in ("pages/explore/kernels.py",):
        assert "train" in words(app).lower()


@pytest.mark.parametrize("page", PAGES)
def test_a_page_with_runs(page: str, trained: Path, open_page: Open) -> None:
    app = open_page(page)
    assert not app.error and not app.warning


@pytest.mark.parametrize("page", PAGES)
def test_broken_folders_are_named_and_left_out(page: str, trained: Path, open_page: Open) -> None:
    (trained / "fashion_mnist-mlp-4-s0" / "result.json").write_text("{")
    (trained / "fashion_mnist-mlp-8-s0" / "config.json").write_text("[]")
    (trained / "half").mkdir()
    (trained / "half" / "config.json").write_text(json.dumps({"task": "digits", "model": "mlp", "p": 2}))
    app = open_page(page)
    assert not app.error
    if not page:
        assert "mlp-4-s0" in app.warning[0].value and "cannot be read" in app.warning[0].value
        assert len(app.dataframe[0].value) == 6


def test_tradeoff_by_address(trained: Path, open_page: Open) -> None:
    app = open_page(run="fashion_mnist-mlp-4-s1", size="bits per weight", part="Setup")
    assert app.subheader[0].value == "mlp, p = 4, seed 1"
    assert [(m.label, m.value) for m in app.metric] == [
        ("Test accuracy", "85.00 %"),
        ("Weights", "3,316 B"),
        ("Bits a weight", "0.261"),
    ]
    assert "84.50 % ± 0.71 % over 2 seeds" in words(app)
    figure = json.loads(app.get("plotly_chart")[0].proto.spec)
    assert figure["layout"]["xaxis"]["title"]["text"] == "Stored bits a weight (log2 axis)"
    assert (
        "tbn train --task fashion_mnist --model mlp --p 4 --min-layer-size 64000 --alpha tile --alpha-source separate --epochs 2 --seed 1"
        in [code.value for code in app.code]
    )


def test_tradeoff_table_lists_every_run_and_marks_the_front(trained: Path, open_page: Open, add_run: Add) -> None:
    add_run(2, score=0.5)
    table = open_page().dataframe[0].value.set_index("run")
    assert len(table) == 9
    assert table.loc["fashion_mnist-mlp-2-s0", "front"] == "" and (table["front"] == "★").sum() == 8


def test_an_address_with_an_unknown_run_says_so(trained: Path, open_page: Open) -> None:
    app = open_page(run="nonsense")
    assert "no run `nonsense`" in app.warning[0].value


def test_tasks_are_kept_apart(trained: Path, open_page: Open, add_run: Add) -> None:
    add_run(4, task="digits")
    app = open_page(task="digits")
    assert list(app.dataframe[0].value["run"]) == ["digits-mlp-4-s0"]
    app.selectbox(key="task").select("fashion_mnist").run()
    assert len(app.dataframe[0].value) == 8


@pytest.fixture
def all_kinds(add_run: Add) -> None:
    """Runs of a classifier, a segmentation network (fp32 and tiled) and a forecaster, which is best at p = 4."""
    add_run(4)
    for kind in ("segmentation", "forecasting"):
        for p, score in ((0, 0.52), (1, 0.6), (4, 0.5)):
            add_run(p, score=score, kind=kind)


def test_a_forecast_is_judged_by_its_error(all_kinds: None, open_page: Open) -> None:
    app = open_page(run="beijing-forecaster_mlp-4-s0")
    assert app.selectbox(key="task").value == "beijing"
    assert "Beijing PM2.5 - time series forecasting" in app.selectbox(key="task").options
    assert (app.metric[0].label, app.metric[0].value) == ("Test MSE", "0.5000")
    figure = json.loads(app.get("plotly_chart")[0].proto.spec)
    assert figure["layout"]["yaxis"]["title"]["text"].startswith("Test MSE (standardised data)")
    assert [note["text"] for note in figure["layout"]["annotations"]] == ["↑ repeat last 0.8520, seasonal 0.9000"]
    table = app.dataframe[0].value.set_index("run")
    assert list(table.index[table["front"] == "★"]) == ["beijing-forecaster_mlp-4-s0"]
    assert table.loc["beijing-forecaster_mlp-4-s0", "score"] == 0.5
    scores = app.dataframe[1].value.set_index("Test set")
    assert scores.loc["this network"].to_dict() == {"MSE": "0.5000", "MAE": "0.5000", "Loss": "0.5"}
    assert scores.loc["repeat last"].to_dict() == {"MSE": "0.8520", "MAE": "0.6100", "Loss": "not measured"}
    assert "Lower is better for MSE and MAE." in words(app) and "On the training set: MSE 0.4000." in words(app)


def test_a_segmentation_is_judged_by_its_mean_iou(all_kinds: None, open_page: Open) -> None:
    app = open_page(task="earthcover", run="earthcover-unet-4-s0")
    assert (app.metric[0].label, app.metric[0].value) == ("Test mean IoU", "50.00 %")
    assert app.dataframe[0].value.set_index("run").loc["earthcover-unet-4-s0", "score"] == 50
    scores = app.dataframe[1].value.set_index("Test set")
    assert (
        list(scores.columns) == ["Mean IoU", "Accuracy", "Loss"]
        and scores.loc["majority class", "Mean IoU"] == "7.10 %"
    )


def test_signals_of_a_tiled_run(all_kinds: None, open_page: Open) -> None:
    app = open_page(run="earthcover-unet-4-s0", part="Signals")
    told = [chart.proto.alt for chart in app.get("plotly_chart")]
    assert any("signs that flipped" in text for text in told) and any(
        text.startswith("Alphas after epoch 2") for text in told
    )
    assert "1906.02107" in words(app)
    assert "No signals: full precision" in words(open_page(run="earthcover-unet-0-s0", part="Signals"))


def test_a_run_without_signals_says_so(trained: Path, open_page: Open) -> None:
    (trained / "fashion_mnist-mlp-4-s0" / "signals.jsonl").unlink()
    app = open_page(run="fashion_mnist-mlp-4-s0", part="Signals")
    assert "No signals: this run was trained without" in words(app) and not app.error


def test_a_task_without_runs_says_how_to_train_one(
    trained: Path, open_page: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TBN_DATA", raising=False)
    app = open_page(task="household")
    assert "no finished run of **Household power" in words(app)
    assert command(app).startswith("tbn train --task household --model forecaster_")
    app.selectbox(key="task").select("modelnet40").run()
    assert "modelnet40_ply_hdf5_2048" in words(app) and "--data-root FOLDER" in command(app)
    app.selectbox(key="task").select("fashion_mnist").run()
    assert len(app.dataframe[0].value) == 8


def test_another_task_drops_the_run_of_the_last_one(all_kinds: None, open_page: Open) -> None:
    app = open_page(run="beijing-forecaster_mlp-4-s0")
    app.selectbox(key="task").select("earthcover").run()
    assert app.selectbox(key="run").value is None and not app.warning and not app.error


def test_memory_serves_runs_of_every_kind_and_firmware_refuses_in_words(all_kinds: None, open_page: Open) -> None:
    run = "earthcover-unet-4-s0"
    memory = open_page("pages/explore/memory.py", run=run)
    assert memory.subheader[0].value.startswith("Weights of") and "No firmware" in words(memory) and not memory.error
    firmware = open_page("pages/deploy/firmware.py", run=run)
    assert "runs only" in firmware.info[0].value and not firmware.error
    runs = firmware.selectbox(key="run").options
    assert "fashion_mnist-mlp-4-s0" in runs and "beijing-forecaster_mlp-4-s0" in runs and run not in runs


def test_memory_of_the_chosen_run(trained: Path, open_page: Open) -> None:
    app = open_page("pages/explore/memory.py", run="fashion_mnist-mlp-4-s0")
    assert {metric.label: metric.value for metric in app.metric}["This run"] == "3,316 B"
    charts = [json.loads(chart.proto.spec) for chart in app.get("plotly_chart")]
    assert [len(chart["data"]) for chart in charts[:2]] == [3, 2]


def test_charts_are_said_in_words(trained: Path, open_page: Open) -> None:
    for page in PAGES:
        for chart in open_page(page, run="fashion_mnist-mlp-4-s0").get("plotly_chart"):
            assert len(chart.proto.alt) > 20


def test_train_shows_its_command_and_starts_a_job(folder: Path, open_page: Open) -> None:
    app = open_page("pages/run/train.py", task="digits", p="4", epochs="1", **{"lambda": "1000"})
    shown = command(app)
    assert (
        shown
        == "tbn train --task digits --model mlp --p 4 --min-layer-size 1000 --alpha tile --alpha-source separate --epochs 1 --seed 0"
    )
    app.button(key="start").click().run()
    (job,) = jobs.every(folder)
    assert job.kind == "train" and job.argv[:3] == ("train", "--task", "digits") and "--json" in job.argv
    again = open_page("pages/run/train.py")  # another tab, another server: it sees the same job
    assert again.selectbox(key="job").value == job.folder.name
    end = time.monotonic() + 90
    while (job := jobs.status(job.folder)).running and time.monotonic() < end:
        time.sleep(0.2)
    assert job.state == "done", job.tail()
    done = open_page("pages/run/train.py", job=job.folder.name)
    assert "Test accuracy" in done.success[0].value
    assert open_page(task="digits", run=job.folder.name).subheader[0].value == "mlp, p = 4, seed 0"


def test_models_are_those_for_the_task(folder: Path, open_page: Open) -> None:
    app = open_page("pages/run/train.py", task="digits", model="cnn")
    assert app.selectbox(key="model").value == "cnn" and "unet" not in app.selectbox(key="model").options
    app.selectbox(key="task").select("earthcover").run()
    assert app.selectbox(key="model").options == list(models.names("segmentation"))
    assert "--task earthcover --model unet" in command(app)


def test_a_task_that_needs_files_asks_for_their_folder(
    folder: Path, open_page: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TBN_DATA", "/no/such/place")
    app = open_page("pages/run/train.py", task="s3dis")
    assert "Area" in words(app) and "no folder `/no/such/place`" in app.warning[0].value
    assert "--data-root /no/such/place" in command(app)
    app = open_page("pages/run/train.py", task="s3dis", data_root=str(folder.parent))
    assert f"--data-root {folder.parent}" in command(app) and not app.warning
    app.selectbox(key="task").select("digits").run()
    assert "--data-root" not in command(app)


def test_more_choices_are_in_the_address_and_in_the_command(all_kinds: None, open_page: Open) -> None:
    app = open_page(
        "pages/run/train.py", task="earthcover", recipe="paper_cifar_cnn", lr="0.05", batch_size="32", label_smoothing="0.1",
        model_args="width=16\n depth = 3", ema="0.99", own="down*=2, head = 1", warm_start="earthcover-unet-0-s0", teacher="earthcover-unet-0-s0",
    )  # fmt: skip
    shown = command(app)
    for part in ("--recipe paper_cifar_cnn", "--lr 0.05", "--batch-size 32", "--label-smoothing 0.1", "--model-arg width=16 --model-arg depth=3",
                 "--ema 0.99", "--per-layer 'down*=2' --per-layer head=1",
                 "--warm-start earthcover-unet-0-s0", "--teacher earthcover-unet-0-s0"):  # fmt: skip
        assert part in shown, shown
    assert app.selectbox(key="teacher").options == ["earthcover-unet-0-s0"]  # the dense run of this task, and no other
    plain = command(open_page("pages/run/train.py", task="earthcover"))
    assert "--recipe" not in plain and "--lr" not in plain and "--teacher" not in plain
    beyond = open_page(
        "pages/run/train.py", order="rolled", estimator="hat", progressive="0.5", standardise="true", norm_batches="20"
    )
    words_of_it = command(beyond)
    for part in ("--order rolled", "--estimator hat", "--standardise", "--progressive 0.5", "--norm-batches 20"):
        assert part in words_of_it, words_of_it
    dense = command(open_page("pages/run/train.py", p="0", order="rolled", estimator="hat", standardise="true"))
    assert "--order" not in dense and "--estimator" not in dense and "--standardise" not in dense
    assert (train_more.ORDERS, train_more.ESTIMATORS) == (ORDERS, ESTIMATORS)
    assert "no factor for a layer" in open_page("pages/run/train.py", own="fc1=x").error[0].value
    bad = open_page("pages/run/train.py", task="earthcover", model_args="width")
    assert "not NAME=VALUE" in bad.error[0].value and "**What to do:** write it as e.g. width=16" in bad.error[0].value


def test_the_command_of_a_run_trains_it_again() -> None:
    config = {
        "task": "csv_forecast", "model": "forecaster_mlp", "p": 4, "min_layer_size": 1000, "alpha": "tile", "alpha_source": "separate",
        "alpha_init": "default", "exclude": [], "per_layer": {"head": 2}, "model_args": {"hidden": [64, 32]},
        "task_args": {"file": "a b.csv", "horizon": 24},
        "recipe": "forecast", "epochs": 50, "batch_size": 64, "lr": 0.002, "label_smoothing": 0.0, "augment": "none", "accumulate": 1, "ema": 0.99,
        "warm_start": None, "teacher": None, "distillation": 0.5, "temperature": 2.0, "seed": 1, "data": "auto", "data_root": "/data",
        "device": "cpu",
    }  # fmt: skip
    assert train_command(config) == (
        "tbn train --task csv_forecast --model forecaster_mlp --p 4 --min-layer-size 1000 --alpha tile --alpha-source separate --per-layer head=2 "
        "--task-arg 'file=a b.csv' --task-arg horizon=24 --model-arg 'hidden=[64, 32]' --epochs 50 --recipe forecast --lr 0.002 --ema 0.99 "
        "--data-root /data --seed 1"
    )


def test_a_refused_training_is_a_sentence_with_its_fix(folder: Path, open_page: Open) -> None:
    app = open_page("pages/run/train.py", task="digits", p="4", epochs="1", **{"lambda": "9000000"})
    app.button(key="start").click().run()
    (job,) = jobs.every(folder)
    while jobs.status(job.folder).running:
        time.sleep(0.2)
    told = open_page("pages/run/train.py").error[0].value
    assert told.startswith("p=4 tiles nothing") and "**What to do:**" in told and "Traceback" not in told


def test_a_killed_training_has_failed_and_can_go_on(folder: Path, open_page: Open) -> None:
    app = open_page("pages/run/train.py", task="digits", epochs="500", **{"lambda": "1000"})
    app.button(key="start").click().run()
    (job,) = jobs.every(folder)
    while not (job.folder / "metrics.jsonl").exists():
        time.sleep(0.1)
    os.killpg(job.pid, signal.SIGKILL)
    while jobs.status(job.folder).running:
        time.sleep(0.1)
    app = open_page("pages/run/train.py")
    assert "killed" in app.error[0].value and "resume" in app.error[0].value
    app.button(key="resume").click().run()
    assert jobs.status(job.folder).running
    app.run()
    app.button(key="cancel").click().run()
    assert jobs.status(job.folder).state == "cancelled"
    assert not open_page("pages/run/train.py").error


def test_kernels_say_what_was_not_measured(
    folder: Path, open_page: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pages.parts.data.RESULTS", tmp_path)
    app = open_page("pages/explore/kernels.py")
    assert "not measured yet" in app.info[0].value and "kernels.bench cpu" in app.code[0].value
    record = {"device": "cpu", "machine": "A processor", "date": "2026-11-23", "versions": {"torch": "2"}, "threads": 1}
    row = {
        "op": "linear", "shape": "4x4", "batch": 1, "p": 2, "engine": "compute-once (torch)", "ours": True, "dtype": "float32", "timing": "loop",
        "median_us": 1.0, "baseline": "torch fp32", "ratio": 2.0, "fastest_dense": "torch fp32", "ratio_fastest": 2.0, "weight_bytes": 9,
        "relative_error": 0.0, "floor_us": 0.5, "bound": "memory", "repeats": 5,
    }  # fmt: skip
    peer = row | {"engine": "torch fp32", "ours": False, "p": None, "median_us": 2.0, "ratio": 1.0, "floor_us": None}
    layers = {"kind": "kernels", "rows": [row, peer], "not_measured": ["ggml Q1_0: not here"]}
    (tmp_path / "a.json").write_text(json.dumps(record | layers))
    (tmp_path / "broken.json").write_text("{")
    app = open_page("pages/explore/kernels.py")
    assert "A processor" in words(app) and "measured 2026-11-23" in words(app) and "ggml Q1" in words(app)
    assert [box.value for box in app.subheader] == ["One layer"]
    whole = {
        "model": "mlp", "p": 4, "batch": 1, "engine": "packed", "ours": True, "median_ms": 1.0, "inputs_per_second": 1e3, "baseline": "OpenVINO",
        "baseline_ms": 3.0, "ratio": 3.0, "limit": 3.8, "relative_error": 0.0, "repeats": 5,
    }  # fmt: skip
    networks = {"kind": "models", "rows": [whole], "not_measured": [], "models": {"mlp p=4": {"limit": 3.8}}}
    (tmp_path / "models.json").write_text(json.dumps(record | networks))
    assert [box.value for box in open_page("pages/explore/kernels.py").subheader] == ["One layer", "Whole networks"]
    row = {"kernel": "linear", "blocks": [64, 16, 4, 3, 1], "target": "sm_90a", "spills": 0}
    report = {"triton": "3", "date": "2026-11-23", "rows": [row]}
    (tmp_path / "sm90-compile.json").write_text(json.dumps(report))
    app = open_page("pages/explore/kernels.py", device="GPU (CUDA)")
    assert "not measured yet" in app.info[0].value and "sm_90a" in words(app)


def test_a_bug_is_one_sentence_and_no_traceback(
    trained: Path, open_page: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ValueError("a bug")

    monkeypatch.setattr("tbn.charts.tradeoff", broken)
    app = open_page()
    assert "could not be drawn" in app.error[0].value and "Traceback" not in app.error[0].value


def test_no_page_loads_torch(trained: Path) -> None:
    code = (
        "import sys; from streamlit.testing.v1 import AppTest; app = AppTest.from_file('app.py', default_timeout=60).run()\n"
        f"for page in {PAGES[1:]!r}: app.switch_page(page).run(); assert not app.exception and not app.error, page\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, capture_output=True, timeout=120)


def flash_job(folder: Path, state: str, **files: object) -> None:
    """What a flash on the emulated board leaves in its folder."""
    steps = [{"name": name, "state": "done", "message": ""} for name in ("check", "generate", "build")]
    steps += [
        {"name": "fit", "state": state, "message": "too big"},
        {"name": "flash", "state": "waiting", "message": ""},
    ]
    job = {
        "kind": "flash",
        "argv": ["flash", folder.parents[1].name],
        "pid": 1,
        "started": 1.0,
        "ended": 3.0,
        "returncode": int(state == "failed"),
    }
    folder.mkdir(parents=True)
    for name, value in {"job.json": job, "progress.json": {"fraction": 0.6, "steps": steps}, **files}.items():
        (folder / name).write_text(json.dumps(value))


def test_a_failed_flash_shows_its_step_cause_and_fix(trained: Path, open_page: Open) -> None:
    folder = trained / "fashion_mnist-mlp-4-s0" / "firmware" / "nucleo_f411re"
    flash_job(
        folder,
        "failed",
        **{"output.txt": {"error": "the firmware is 10 bytes too big for the flash", "fix": "take a larger p"}},
    )
    app = open_page("pages/deploy/firmware.py", run="fashion_mnist-mlp-4-s0")
    assert app.error[0].value == "The firmware is 10 bytes too big for the flash.  \n**What to do:** take a larger p."
    assert ":red[:material/error:] **fit**" in words(
        app
    ) and ":gray[:material/radio_button_unchecked:] **flash**" in words(app)
    assert "tbn flash fashion_mnist-mlp-4-s0 --board nucleo_f411re --port emulator" in [code.value for code in app.code]


def test_a_flash_that_is_done_shows_the_board_s_report(trained: Path, open_page: Open) -> None:
    built = {"run": "fashion_mnist-mlp-4-s0", "flash_bytes": 9000, "flash_limit_bytes": 524288, "ram_bytes": 5000, "ram_limit_bytes": 131072,
             "stack_reserve_bytes": 4096, "linked_weight_bytes": 3316}  # fmt: skip
    report = {"build": built, "port": "emulator", "passed": 32, "total": 32, "max_difference": 3e-7, "ticks": 123456, "tick_unit": "instructions",
              "seconds": 4.2, "date": "2026-11-23T00:00:00"}  # fmt: skip
    flash_job(trained / "fashion_mnist-mlp-4-s0" / "firmware" / "nucleo_f411re", "done", **{"report.json": report})
    app = open_page("pages/deploy/firmware.py", run="fashion_mnist-mlp-4-s0")
    shown = {metric.label: metric.value for metric in app.metric}
    assert shown == {
        "Self-test": "32/32",
        "Flash": "9,000 B",
        "RAM": "5,000 B",
        "Instructions per inference": "123,456",
    }


def test_a_board_with_no_port_cannot_be_flashed(
    trained: Path, open_page: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tbn.boards.ports.list_ports", lambda: ())
    monkeypatch.setattr("tbn.boards.list_ports", lambda: (), raising=False)
    app = open_page("pages/deploy/firmware.py", board="esp32dev")
    assert app.button(key="flash").disabled and "Plug the Espressif ESP32 DevKit in" in words(app)


def test_a_board_s_drive_is_a_place_to_flash_to(
    trained: Path, open_page: Open, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "INFO_UF2.TXT").write_text("UF2 Bootloader\r\nBoard-ID: RPI-RP2\r\n")
    monkeypatch.setattr("tbn.boards.drives.mounted", lambda: [tmp_path])
    app = open_page("pages/deploy/firmware.py", board="pico", run="fashion_mnist-mlp-4-s0")
    app.selectbox(key="port").select(f"drive: {tmp_path}").run()
    assert "dropped onto the board's USB drive" in words(app)
    assert f"tbn flash fashion_mnist-mlp-4-s0 --board pico --drive {tmp_path}" in [code.value for code in app.code]


@pytest.fixture
def exported_run(trained: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A run whose C source in integers was generated before."""
    call = "tbn_integer_outputs(&tbn_1_head, arena->codes, 128, outputs, 10, &scratch);"
    (tmp_path / "model.c").write_text(f"tbn_status tbn_model_run(int x)\n{{\n    return {call}\n}}\n")
    layers = (
        ExportedLayer(
            "fc1", "integer", 128, 784, 4, 32, True, 3144, {"tile": ("tbn_0_fc1_tile", 3136), "multipliers": ("m", 8)}
        ),
    )
    arena = (ArenaPart("sums of an operation", 0, 128), ArenaPart("fc1", 128, 128))
    report = ExportReport(
        tmp_path, "0" * 16, "fashion_mnist", 784, 10, 3144, 256, 32, layers, arena, precision="integer"
    )
    monkeypatch.setattr("pages.parts.firmware_panel.exported", lambda *_: report)
    (trained / "fashion_mnist-mlp-4-s0" / "packed.safetensors").write_bytes(b"")
    return trained


def test_memory_is_predicted_before_anything_is_built(exported_run: Path, open_page: Open) -> None:
    app = open_page("pages/explore/memory.py", run="fashion_mnist-mlp-4-s0", map_of="nucleo_f411re")
    assert not app.error, app.error[0].value
    told = [chart.proto.alt for chart in app.get("plotly_chart")]
    assert any(
        text.startswith("Flash and RAM of the firmware for ST Nucleo-F411RE") and "RAM, predicted" in text
        for text in told
    )
    assert any(
        text.startswith("Plan of the arena of 256 bytes: sums of an operation at 0, fc1 at 128") for text in told
    )
    assert "No image of this precision has been built" in words(app)


def test_boards_that_a_run_fits_are_listed(exported_run: Path, open_page: Open) -> None:
    app = open_page("pages/deploy/firmware.py", run="fashion_mnist-mlp-4-s0")
    table = app.dataframe[0].value.set_index("board")
    assert table.loc["nucleo_f411re", ""] == "✓ fits" and table.loc["nucleo_f411re", "smallest p"] == "1"
    assert table.loc["esp32dev", "flash"].startswith("about ")


def test_a_prediction_is_asked_for(trained: Path, open_page: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page itself loads no torch: the source is generated by a job."""
    asked: list[list[str]] = []
    monkeypatch.setattr("tbn.jobs.start", lambda folder, argv, kind: asked.append([kind, *argv]))
    monkeypatch.setattr("pages.parts.firmware_panel.exported", lambda *_: None)
    app = open_page("pages/explore/memory.py", run="fashion_mnist-mlp-4-s0", precision="integer")
    app.button(key="predict").click().run()
    run = str(trained / "fashion_mnist-mlp-4-s0")
    assert asked == [["fit", "fit", run, "--json", "--precision", "integer"]]


def test_a_refused_prediction_is_a_sentence_with_its_fix(
    trained: Path, open_page: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pages.parts.firmware_panel.exported", lambda *_: None)
    (trained / "fashion_mnist-mlp-4-s0" / "firmware").write_text("a file in the way")
    app = open_page("pages/explore/memory.py", run="fashion_mnist-mlp-4-s0")
    app.button(key="predict").click().run()
    assert "**What to do:**" in app.error[0].value and "firmware" in app.error[0].value
    assert not app.run().error  # said once


def test_the_precision_is_part_of_the_command(trained: Path, open_page: Open) -> None:
    app = open_page("pages/deploy/firmware.py", run="fashion_mnist-mlp-4-s0", precision="float32")
    command = "tbn flash fashion_mnist-mlp-4-s0 --board nucleo_f411re --port emulator --precision float32"
    assert command in [code.value for code in app.code]


def test_a_missing_package_is_a_sentence(trained: Path, open_page: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "serial.tools.list_ports", None)
    assert "is not installed" in open_page("pages/deploy/firmware.py").error[0].value


@pytest.mark.parametrize("page", contents.PAGES)
def test_a_page_is_drawn_in_a_second(page: str, trained: Path, open_page: Open) -> None:
    app, seconds = open_page(page), []
    for _ in range(4):
        begun = time.process_time()  # of this process: the machine's other work does not count
        app.run()
        seconds.append(time.process_time() - begun)
    assert min(seconds) < 1.0


def test_house_rules() -> None:
    assert len((ROOT / "app.py").read_text().splitlines()) <= 60
    for page in ROOT.glob("pages/*/*.py"):
        text = page.read_text()
        assert len(text.splitlines()) <= (250 if page.parent.name == "parts" else 150), page
        assert "use_container_width" not in text and "import torch" not in text, page
    assert not list(ROOT.glob("pages/*.py"))  # Streamlit's old discovery would run them without app.py
    settings = (ROOT / ".streamlit" / "config.toml").read_text()
    assert 'address = "127.0.0.1"' in settings and "gatherUsageStats = false" in settings
