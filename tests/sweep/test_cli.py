"""``tbn sweep`` and ``tbn fit --task``, as they are typed."""

import json
import re

import pytest

from tbn.cli import main
from tbn.cli.sweep import choices
from tbn.errors import TBNError
from tbn.sweep import Range


def tbn(capsys, *arguments):
    """(exit status, stdout, stderr) of one command in this process."""
    with pytest.raises(SystemExit) as stop:
        main(list(map(str, arguments)))
    out = capsys.readouterr()
    return stop.value.code or 0, out.out, out.err


SWEEP = ("sweep", "--task", "digits", "--model", "mlp", "--epochs", 1, "--workers", 0)


def test_a_sweep_and_the_same_command_again(capsys, runs_folder, tmp_path):
    command = (
        *SWEEP,
        "--p",
        "1,4",
        "--seeds",
        2,
        "--storage",
        f"sqlite:///{tmp_path}/sweep.db",
        "--folder",
        tmp_path / "job",
    )
    code, out, _ = tbn(capsys, *command, "--json")
    told = json.loads(out)
    assert code == 0 and told["finished"] == 4 and [row["seeds"] for row in told["points"]] == [2, 2]
    assert json.loads((tmp_path / "job" / "progress.json").read_text())["fraction"] == 1.0
    before = {path: path.stat().st_mtime_ns for path in runs_folder.glob("*/*")}
    assert len({path.parent for path in before}) >= 4
    code, out, _ = tbn(capsys, *command)
    assert code == 0 and "4 trials, 4 complete" in out and "* 1" in out
    assert {path: path.stat().st_mtime_ns for path in runs_folder.glob("*/*")} == before
    code, out, _ = tbn(capsys, *command, "--status", "--json")
    assert code == 0 and json.loads(out)["trials"] == told["trials"]
    code, out, _ = tbn(capsys, "runs", "--json")
    assert sum(row["source"] == "runs" and row["state"] == "complete" for row in json.loads(out)["runs"]) == 4


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(("--p", "4"), "the space is empty: nothing varies"), (("--p", "1,,2"), "leaves a value out"), (("--vary", "width"), "is not NAME=VALUE"),
     (("--objectives", "mse"), "'mse' is not measured on tasks of kind images"), (("--method", "random"), "goes on for ever"),
     (("--storage", "mysql://x"), "mysql:// is not a storage"), (("--storage", "sqlite:////proc/none/s.db"), "cannot make /proc/none"),
     (("--storage", "postgresql://u:secret@127.0.0.1:1/x"), "cannot be reached"), (("--vary", "colour=1,2"), "no option 'colour'"),
     (("--status", "--name", "x"), "there is no sweep yet"), (("--set", "lr=-1"), "lr=-1 is not a positive number")],
)  # fmt: skip
def test_bad_input_is_one_line_with_its_fix(arguments, words, capsys, runs_folder):
    code, out, err = tbn(capsys, *SWEEP, *arguments, "--json")
    told = json.loads(out)
    assert code == 1 and words in err and err.count("\n") == 1 and told["fix"] and "secret" not in out + err
    assert not list(runs_folder.glob("*/config.json"))


def test_one_value_is_fixed_and_several_are_varied():
    space, fixed = choices(
        ["p=1,2", "lr=1e-4..1e-2:log", "epochs=3", "model_args.hidden=[8,8],[16]"], ["data=embedded", "p=4"]
    )
    assert fixed == {"epochs": 3, "data": "embedded", "p": 4}
    assert space == {"lr": Range(1e-4, 1e-2, log=True), "model_args.hidden": ([8, 8], [16])}
    with pytest.raises(TBNError, match="--set 'x' is not NAME=VALUE"):
        choices([], ["x"])


FIT = ("fit", "--task", "digits", "--model", "cnn", "--width", "width=2,4", "--set", "epochs=2", "--short-epochs", 1)


def test_the_best_network_under_a_budget(capsys, runs_folder):
    code, out, err = tbn(capsys, *FIT, "--budget", "1100B", "--against-uniform", "--json")
    told = json.loads(out)
    assert code == 0 and told["best"]["bytes"] <= 1100 and told["uniform"]["bytes"] <= 1100 and "held out" in err
    code, out, _ = tbn(capsys, "summary", told["best"]["runs"][0], "--json")
    whole = json.loads(out)
    assert whole["total_bytes"] == told["best"]["bytes"], "what was planned is what the file holds"
    assert {layer["name"]: layer["p"] for layer in whole["layers"]} == told["best"]["layers"]
    assert len({tuple(row["layers"].items()) for row in told["candidates"]}) > 1 and set(told["sensitivity"]) <= set(
        told["best"]["layers"]
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [((), "fit takes a run, or --task"), (("--task", "digits"), "there is no budget"),
     (("--task", "digits", "--budget", "lots"), "is not a number of bytes"),
     (("--task", "digits", "--model", "cnn", "--width", "width=2", "--budget", "10B"), "nothing fits 10 bytes: the smallest possible is"),
     (("--task", "digits", "--budget", "1kB", "--ram", "2kB"), "are those of a board"),
     (("--task", "digits", "--budget", "1kB", "--board", "toaster"), "toaster"),
     (("--task", "digits", "--budget", "1kB", "--set", "p=4"), "'p' is what a budget chooses"),
     (("--task", "digits", "--budget", "1kB", "--width", "8,16"), "is not a list of widths")],
)  # fmt: skip
def test_a_budget_that_makes_no_sense_is_told(arguments, words, capsys, runs_folder):
    code, out, err = tbn(capsys, "fit", *arguments, "--json")
    assert code == 1 and words in err and err.count("\n") == 1 and json.loads(out)["fix"] and not runs_folder.exists()


NARROW = (
    "fit",
    "--task",
    "digits",
    "--model",
    "mlp",
    "--width",
    "hidden=[16],[32]",
    "--set",
    "epochs=1",
    "--board",
    "microbit",
)


@pytest.mark.board
def test_a_budget_of_a_board(capsys, runs_folder):
    code, out, _ = tbn(capsys, *NARROW, "--budget", "1kB", "--ram", "2kB", "--instructions", 8_000, "--json")
    told = json.loads(out)
    assert code == 0 and told["best"]["bytes"] <= 1000
    taken = told["board"]
    assert (
        taken["ram_bytes"] <= taken["ram_limit"] == 2000
        and taken["flash_bytes"] <= taken["flash_limit"]
        and taken["instructions"] <= 8_000
    )
    best = told["best"]["runs"][0]
    code, out, _ = tbn(capsys, "fit", best, "--board", "microbit", "--json")
    fit = json.loads(out)["boards"][0]
    assert (
        code == 0
        and fit["fits"]
        and (fit["flash_bytes"], fit["ram_bytes"]) == (taken["flash_bytes"], taken["ram_bytes"])
    )
    code, out, _ = tbn(capsys, "eval", best, "--engine", "board", "--board", "microbit", "--limit", 1, "--json")
    assert json.loads(out)["instructions"] == taken["instructions"], (
        "what was planned is what the trained network takes"
    )


@pytest.mark.board
@pytest.mark.parametrize(("limit", "words"), [(("--ram", "100B"), r"the smallest possible: .* 7\d\d bytes of RAM of 100;"),
                                              (("--instructions", 100), r"the smallest possible: .*, \d,\d{3} instructions;")])  # fmt: skip
def test_a_board_that_nothing_fits_is_told_with_the_smallest_possible(limit, words, capsys, runs_folder):
    code, _, err = tbn(capsys, *NARROW, *limit)
    assert code == 1 and re.search(words, err) and not list(runs_folder.glob("*"))
