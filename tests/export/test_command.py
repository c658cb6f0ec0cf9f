"""``tbn export``: the precision is said, the arena is listed."""

import json
from pathlib import Path

import pytest

from tbn.cli import main

ENTRY = "fashion_mnist-mlp-p4-s0"


def called(*arguments: str) -> int:
    with pytest.raises(SystemExit) as left:
        main(["export", ENTRY, *arguments])
    return int(left.value.code or 0)


def test_integer_unless_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert called("--out", str(tmp_path), "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["precision"] == "integer" and "int32_t *outputs" in (tmp_path / "model.h").read_text()
    assert called("--out", str(tmp_path / "f"), "--precision", "float32", "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["precision"] == "float32" and "float *outputs" in (tmp_path / "f" / "model.h").read_text()


def test_the_plan_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert called("--out", str(tmp_path)) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == "integer: weights 3,310 bytes, arena 768 bytes of RAM"
    assert any(line.split()[:3] == ["640", "..", "767"] and "fc1" in line for line in lines[2:])


def test_wrong_precisions(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert called("--precision", "int4") == 1
    assert "unknown precision 'int4'; choose one of integer, float32" in capsys.readouterr().err
    assert called("--to", "onnx", "--precision", "integer") == 1
    assert "an ONNX file has no precision to choose" in capsys.readouterr().err
