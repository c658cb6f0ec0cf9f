"""The ablation: settings are what they say, controls have the bytes they claim, results are read as they lie."""

from __future__ import annotations

import json

import pytest

from tbn import ablation, runs
from tbn.ablation_settings import BASES, SEEDS, SETTINGS, config_of, place, stored_bytes
from tbn.config import RunConfig
from tbn.train import fit

HERE = pytest.mark.parametrize("base", BASES)


@HERE
def test_settings_change_what_they_say_and_nothing_else(base):
    ground = config_of(base, "tiled", 0).to_dict()
    for name, setting in SETTINGS.items():
        if (setting.only and base not in setting.only) or setting.narrow:
            continue
        found = config_of(base, name, 0).to_dict()
        changed = {key for key in ground if ground[key] != found[key]}
        expected = set(setting.options) | ({"model_args"} if setting.model_args else set())
        assert changed - {"alpha_init"} == expected, name  # a warm start copies W into A


@HERE
def test_the_control_is_narrower_and_has_at_least_the_bytes(base):
    tiled, narrow = config_of(base, "tiled", 0), config_of(base, "binary, narrow", 0)
    assert narrow.p == 1 and stored_bytes(tiled) <= stored_bytes(narrow) < 1.1 * stored_bytes(tiled)
    assert stored_bytes(narrow) < stored_bytes(config_of(base, "binary, same width", 0))


def test_bytes_by_hand():
    """784 x 128 / 4 signs and 4 alphas, 1,280 signs and an alpha; the CNN has 2 x 80 numbers of BatchNorms and 10 biases beside them."""
    assert stored_bytes(config_of("mlp", "tiled", 0)) == 3_136 + 16 + 160 + 4
    assert stored_bytes(config_of("cnn", "tiled", 0)) == 72 + 4 + 144 + 16 + 288 + 16 + 160 + 4 + 2 * (2 * 80 + 10)


def small(base, setting, seed, folder=None):
    """A network of a second in the place of ``config_of``'s."""
    options = {
        "task": "digits",
        "model": "mlp",
        "model_args": {"hidden": [16]},
        "epochs": 2,
        "limit": 100,
        "min_layer_size": 100,
    }
    return RunConfig(**options, p=0 if setting == "full precision" else 4, seed=seed)


def test_runs_are_trained_collected_and_not_trained_again(tmp_path, monkeypatch):
    monkeypatch.setattr(ablation, "config_of", small)
    said: list[str] = []
    ablation.train(tmp_path, ["mlp"], ["tiled", "full precision"], said.append)
    assert len(said) == 2 * len(SEEDS)
    ablation.train(tmp_path, ["mlp"], ["tiled"], said.append)
    assert len(said) == 2 * len(SEEDS)
    results = ablation.collect(tmp_path)
    assert [row["setting"] for row in results["rows"]] == ["full precision", "tiled"] and results["torch"]
    (tmp_path / "out.json").write_text(json.dumps(results))
    table = ablation.frame(tmp_path / "out.json")
    assert list(table.columns) == list(ablation.COLUMNS) and table["gain"][1] == 0 and len(table["scores"][0]) == 3
    shown = ablation.markdown(tmp_path / "out.json")
    assert "| full precision | " in shown
    for words in ("seeds 0, 1, 2;", results["cpu"], results["machine"], results["date"][:10], results["data"]["mlp"]):
        assert words in shown.split("\n\n")[1]


def told(folder, **changes):
    """Writes that a run was made elsewhere."""
    result = json.loads((folder / "result.json").read_text())
    result["provenance"] |= changes
    (folder / "result.json").write_text(json.dumps(result))


def test_the_origin_is_the_runs_and_not_the_collecting_computers(tmp_path, monkeypatch):
    monkeypatch.setattr(ablation, "config_of", small)
    ablation.train(tmp_path, ["mlp"], ["tiled"], lambda line: None)
    here = {"date": "2030-01-01T00:00:00+00:00", "cpu": "of the collector", "machine": "none", "commit": "none"}
    monkeypatch.setattr("tbn.provenance.provenance", lambda: here)
    places = [place(tmp_path, "mlp", "tiled", seed) for seed in SEEDS]
    for folder in places:
        told(folder, cpu="Xeon", machine="Linux x86_64, 8 cores", date="2026-11-21T10:00:00+00:00", commit=None)
    same = ablation.collect(tmp_path)
    assert (same["cpu"], same["machine"], same["date"], same["commit"]) == (
        "Xeon",
        "Linux x86_64, 8 cores",
        "2026-11-21",
        None,
    )
    told(places[0], cpu="EPYC", date="2026-11-23T01:00:00+00:00", commit="abc")
    told(places[1], date="2026-11-22T23:59:59+00:00")
    mixed = ablation.collect(tmp_path)
    assert (mixed["cpu"], mixed["date"], mixed["commit"]) == ("EPYC, Xeon", "2026-11-21 to 2026-11-23", "abc")
    (tmp_path / "out.json").write_text(json.dumps(mixed))
    assert "; EPYC, Xeon, Linux x86_64, 8 cores; 2026-11-21 to 2026-11-23." in ablation.markdown(tmp_path / "out.json")


def test_nothing_collected_leaves_the_file_alone(tmp_path, capsys):
    out = tmp_path / "out.json"
    assert ablation.main(["--folder", str(tmp_path / "none"), "--collect", "--out", str(out)]) == 1
    assert "no setting has all its seeds" in capsys.readouterr().err and not out.exists()


def test_nothing_trained_is_an_empty_table(tmp_path):
    assert ablation.frame(tmp_path / "none.json").empty and "python -m tbn.ablation" in ablation.markdown(
        tmp_path / "none.json"
    )


def test_the_results_that_come_along_are_of_these_settings():
    table = ablation.frame()
    assert not table.empty
    assert set(table["network"]) <= set(BASES) and set(table["setting"]) <= set(SETTINGS)
    for row in table.to_dict("records"):
        config = config_of(row["network"], row["setting"], 0)
        assert row["bytes"] == stored_bytes(config) and row["p"] == config.p and len(row["scores"]) == len(SEEDS)


class Stop(BaseException):
    """As a kill: nothing is written after it."""


def test_a_run_is_taken_up_where_it_was_left(tmp_path, monkeypatch):
    monkeypatch.setattr(ablation, "config_of", small)
    target = place(tmp_path, "mlp", "binary, narrow", 2)
    assert target.name == "mlp-binary_narrow-s2"

    def stop(event):
        if event.get("epoch") == 1:
            raise Stop

    with pytest.raises(Stop):
        fit(small("mlp", "binary, narrow", 2), folder=target, listener=stop)
    (first,) = runs.read_lines(target / "metrics.jsonl")
    ablation.train(tmp_path, ["mlp"], ["binary, narrow"], lambda line: None)
    rows = runs.read_lines(target / "metrics.jsonl")
    assert runs.Run(target).state == "complete" and len(rows) == 2 and rows[0] == first
