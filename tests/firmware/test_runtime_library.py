"""The runtime as others use it: as an Arduino library whose headers are found in src alone, and its example's answer."""

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from tbn.export import firmware_root

LIBRARY = firmware_root() / "lib" / "tbn_runtime"
EXAMPLE = LIBRARY / "examples" / "one_layer" / "one_layer.ino"
ARDUINO = """\
#include <cstdio>
#include <cstdint>
struct {
    void begin(long) {}
    void print(const char *text) { printf("%s", text); }
    void print(int value) { printf("%d", value); }
    void print(char letter) { printf("%c", letter); }
    void println() { printf("\\n"); }
} Serial;
static void delay(int) {}
"""


def test_example_as_an_arduino_library(tmp_path: Path) -> None:
    """Compiled with -Isrc and nothing else; the outputs are those of the same layer in numpy."""
    if not shutil.which("g++"):
        pytest.skip("g++ is not installed")
    (tmp_path / "sketch.cpp").write_text(f"{ARDUINO}{EXAMPLE.read_text()}int main() {{ setup(); loop(); return 0; }}\n")
    objects = []
    for source in [*sorted((LIBRARY / "src").glob("tbn_integer*.c")), tmp_path / "sketch.cpp"]:
        objects.append(tmp_path / f"{source.stem}.o")
        compiler = ["gcc", "-std=c99"] if source.suffix == ".c" else ["g++", "-std=c++11"]
        subprocess.run(
            [*compiler, "-Os", "-Wall", f"-I{LIBRARY / 'src'}", "-c", str(source), "-o", str(objects[-1])],
            check=True,
            timeout=60,
        )
    subprocess.run(["g++", *map(str, objects), "-o", str(tmp_path / "sketch")], check=True, timeout=60)
    done = subprocess.run([str(tmp_path / "sketch")], capture_output=True, text=True, timeout=60, check=True)
    signs = (
        np.unpackbits(np.array([0xF8, 0xFF, 0x5A, 0xFA], np.uint8), bitorder="little").astype(int).reshape(2, 16) * 2
        - 1
    )
    sums = signs @ (np.arange(16) * 10)
    wanted = np.clip(np.outer([64, 128, 192, 256], sums).reshape(-1) >> 10, 0, 255)
    assert len(set(wanted.tolist())) > 3
    assert done.stdout.split() == ["outputs", *map(str, wanted)]


def test_library_files_agree() -> None:
    """Version and headers are the same for PlatformIO and for the Arduino IDE; every public header can be found in src."""
    about = json.loads((LIBRARY / "library.json").read_text())
    properties = dict(line.split("=", 1) for line in (LIBRARY / "library.properties").read_text().splitlines())
    assert properties["version"] == about["version"] and properties["name"] == about["name"]
    for header in (LIBRARY / "include").glob("*.h"):
        assert (LIBRARY / "src" / header.name).read_text().startswith(f'#include "../include/{header.name}"')
    assert (LIBRARY / about["examples"][0]["base"] / "one_layer.ino").is_file()
