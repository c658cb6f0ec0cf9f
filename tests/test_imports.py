"""Who may import whom: the rules of the architecture, held by reading the imports and by importing with parts missing."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import tbn

ROOT = Path(tbn.__file__).parent.parent


def imports(path: Path) -> set[str]:
    """Top-level and nested module names that a file imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{name.name}" for name in node.names)}
    return found


def test_only_pages_import_streamlit():
    for folder in ("tbn", "kernels"):
        for path in (ROOT / folder).rglob("*.py"):
            assert not any(name.split(".")[0] == "streamlit" for name in imports(path)), path


def test_kernels_import_nothing_of_tbn():
    for path in (ROOT / "kernels").rglob("*.py"):
        assert not any(name.split(".")[0] == "tbn" for name in imports(path)), path


def test_the_core_points_one_way():
    """tiling <- layers <- packed <- convert <- config <- build <- restore <- train; nothing below imports what is above it."""
    order = [
        "tiling",
        "layers",
        "packed",
        "convert",
        "config",
        "build",
        "batches",
        "restore",
        "loop",
        "train",
        "export",
        "boards",
        "evaluate",
    ]
    for index, name in enumerate(order):
        above = {f"tbn.{other}" for other in order[index + 1 :]}
        file = ROOT / "tbn" / f"{name}.py"
        for path in [file] if file.is_file() else (ROOT / "tbn" / name).rglob("*.py"):
            assert not {".".join(found.split(".")[:2]) for found in imports(path)} & above, path
    for path in (ROOT / "tbn").rglob("*.py"):
        if path.name != "__main__.py" and path.parent.name != "cli":
            assert not any(name.startswith("tbn.cli") for name in imports(path)), path


@pytest.mark.parametrize(
    "module",
    [
        "tbn",
        "tbn.runs",
        "tbn.jobs",
        "tbn.pareto",
        "tbn.charts",
        "tbn.training_charts",
        "tbn.kernel_charts",
        "tbn.memory_charts",
        "tbn.front_charts",
        "tbn.learn_charts",
        "tbn.front",
        "tbn.predictions",
        "tbn.prediction_charts",
        "tbn.comparing",
        "tbn.compare_charts",
        "tbn.layer_views",
        "tbn.layer_charts",
        "tbn.axes",
        "tbn.palette",
        "tbn.measured",
        "tbn.uploads",
        "tbn.data_charts",
        "tbn.adopt",
        "tbn.run_rows",
        "tbn.answer_charts",
        "tbn.speedup_charts",
        "tbn.drawing",
        "tbn.boards.console",
        "tbn.boards.asking",
        "tbn.sweep",
        "tbn.sweep_charts",
        "tbn.analysis_charts",
        "tbn.boards",
        "tbn.memory",
        "tbn.models",
        "tbn.tasks",
    ],
)
def test_pages_modules_need_no_torch(module):
    subprocess.run([sys.executable, "-c", f"import sys, {module}; assert 'torch' not in sys.modules"], check=True)


@pytest.mark.parametrize(
    "module",
    ["tbn.train", "tbn.evaluate", "tbn.artifact", "tbn.size", "tbn.boards", "kernels.dispatch", "kernels.bench"],
)
def test_imports_without_streamlit_platformio_or_triton(module):
    code = f"""
import sys
for name in ("streamlit", "platformio", "plotly", "unicorn", "ziglang", "SCons", "jinja2", "serial", "elftools"):
    sys.modules[name] = None
import {module}
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_public_names():
    assert set(tbn.__all__) <= set(dir(tbn))
    for name in tbn.__all__:
        assert getattr(tbn, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nope'"):
        tbn.nope  # noqa: B018


def test_pages_are_short_and_one_level_down():
    assert not list((ROOT / "pages").glob("*.py")), "a script directly in pages/ would be run without app.py's frame"
    assert len((ROOT / "app.py").read_text().splitlines()) <= 60
    for path in (ROOT / "pages").glob("*/*.py"):
        assert len(path.read_text().splitlines()) <= (250 if path.parent.name == "parts" else 150), path
