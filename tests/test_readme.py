"""README's Python runs, its commands exist, and its pictures and links are there."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer.main

import tbn
from tbn.boards import bench
from tbn.cli import app
from tests.browser import times
from tests.sweep import budgets
from tests.sweep import times as sweep_times

ROOT = Path(tbn.__file__).parent.parent
TEXT = (ROOT / "README.md").read_text()


def test_python_blocks_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    assert blocks
    for block in blocks:
        exec(compile(block, "README.md", "exec"), {})
    assert (tmp_path / "model.safetensors").stat().st_size < 60_000


def test_commands_and_options_exist():
    commands = typer.main.get_command(app).commands
    found = re.findall(r"^tbn (\w+)(.*?)(?:\s+#.*)?$", TEXT, re.MULTILINE)
    assert len(found) >= 6
    for name, rest in found:
        known = {option for parameter in commands[name].params for option in parameter.opts}
        assert set(re.findall(r"--[\w-]+", rest)) <= known, name


def test_make_targets_exist():
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"^make ([\w-]+)", TEXT, re.MULTILINE)) <= targets


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\]\((?!http)([^)#]+)\)", TEXT))))
def test_links_and_pictures_are_there(target):
    assert (ROOT / target).is_file()


@pytest.mark.parametrize("command", [["tbn", "zoo", "table"], ["kernels.records"]])
def test_tables_are_what_their_commands_print(command):
    printed = subprocess.run(
        [sys.executable, "-m", *command], capture_output=True, text=True, check=True, cwd=ROOT
    ).stdout
    assert printed.strip() in TEXT


def test_the_table_of_the_boards_is_the_record():
    record = json.loads((ROOT / "kernels" / "results" / "mcu.json").read_text())
    assert f"<!-- tbn bench mcu -->\n{bench.markdown(record)}\n<!-- end -->" in TEXT


@pytest.mark.parametrize("module", [times, sweep_times, budgets], ids=lambda module: module.__name__)
def test_the_tables_of_what_was_measured_are_the_records(module):
    record = json.loads(Path(module.__file__).with_suffix(".json").read_text())
    assert f"<!-- python -m {module.__name__} -->\n{module.markdown(record)}\n<!-- end -->" in TEXT


def architecture() -> list[tuple[str, str]]:
    """The files that the table of the architecture names, each with its top-level folder; a name may be a pattern."""
    table = TEXT.split("## Architecture")[1].split("## ")[0]
    cells = [re.findall(r"`([^`]+)`", cell) for cell in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE)]
    return [(Path(names[0]).parts[0], name) for names in cells for name in names]


def test_files_of_the_architecture_are_there():
    for folder, name in architecture():
        assert any(any(base.glob(name)) for base in (ROOT, ROOT / folder)), name


def test_every_module_is_in_the_architecture():
    for folder in ("tbn", "kernels"):
        named = [name.removeprefix(f"{folder}/").rstrip("/") for place, name in architecture() if place == folder]
        for path in (ROOT / folder).iterdir():
            if (path.suffix == ".py" or (path / "__init__.py").is_file()) and not path.name.startswith("__"):
                assert any(path.match(name) for name in named if name), (
                    f"{folder}/{path.name} is not in README's architecture"
                )
