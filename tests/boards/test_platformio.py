"""The PlatformIO project itself: clean configuration, and a plain `pio run` of the example model."""

import subprocess
import sys
from pathlib import Path

import pytest

from tbn.boards import pio
from tbn.export import firmware_root

pytestmark = pytest.mark.board


def test_configuration_is_clean(tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "platformio", "project", "config", "--lint", "--project-dir", str(firmware_root())]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120, env=pio.environment(tmp_path, tmp_path))
    assert done.returncode == 0 and "free from linting errors" in done.stdout, done.stdout + done.stderr


def test_example_model_builds_without_a_warning(tmp_path: Path) -> None:
    log = tmp_path / "build.log"
    pio.run([], tmp_path / "pio", firmware_root() / "example_model", log, pio.BUILD_SECONDS)
    text = log.read_text()
    assert "sim_nucleo_f411re" in text and "SUCCESS" in text and "warning" not in text.lower()
    assert (tmp_path / "pio" / "build" / "sim_nucleo_f411re" / "firmware.bin").stat().st_size > 4000


def test_same_image_from_another_folder(tmp_path: Path) -> None:
    images = []
    for name in ("a", "folder with a space"):
        workspace = tmp_path / name
        pio.run([], workspace, firmware_root() / "example_model", tmp_path / "build.log", pio.BUILD_SECONDS)
        images.append((workspace / "build" / "sim_nucleo_f411re" / "firmware.bin").read_bytes())
    assert images[0] == images[1]
