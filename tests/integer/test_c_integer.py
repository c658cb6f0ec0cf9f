"""Generated C of integer networks: golden files, the reference's integers bit for bit, no warnings, planned bytes."""

import ctypes
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from kernels.machine import compilers
from tbn import restore, runs
from tbn.export import firmware_root
from tbn.export.c_integer import export_integer, generate
from tbn.export.host import compile_model
from tbn.export.report import HEADER, REFERENCE, REPORT, SOURCE, ExportReport, read_report
from tbn.integer import IntegerNetwork, quantise, run
from tbn.integer.network import Add, Affine, AveragePool, MaxPool, Scaling, Table, Window
from tests.integer.networks import codes, ended, layer

GOLDEN = Path(__file__).parent / "golden"
RUNTIME = firmware_root() / "lib" / "tbn_runtime"
STRICT = ["-Wall", "-Wextra", "-Werror", "-Wconversion", "-O2", "-c"]


def example() -> IntegerNetwork:
    """Every operation once: two convolutions (cut rows; depthwise), a table, channels, a sum, both pools, int8 weights, a tiled layer."""
    three = Window((3, 3), (1, 1), (1, 1))
    numbers = np.array([[20000, 12000, -9000, 16000], [4000, -3000, 25000, 8000]], np.int16)
    return ended(
        layer(1, 4, 18, 3, zero=73, window=three, name="conv"),
        Table("gelu", 1, 2, np.arange(255, -1, -1).astype(np.uint8)),
        layer(2, 4, 9, 1, source=2, target=3, zero=12, window=three, groups=4, gain=True, name="depthwise"),
        Affine("norm", 3, 4, 40, Scaling(0, numbers[0], numbers[1], 6, 14)),
        Add("add", 1, 4, 5, 700000, 500000, -(2**24), 20),
        MaxPool("pool", 5, 6, Window((3, 3), (2, 2), (1, 1))),
        AveragePool("mean", 6, 7, 9, Window((2, 2), (2, 2)), 300000, 2**19, 20),
        layer(3, 16, 4, 1, source=7, target=8, zero=9, int8=True, name="dense"),
        layer(4, 32, 16, 4, source=8, target=9, zero=0, bias=False, name="fc"),
        shapes=[(2, 6, 6), (4, 6, 6), (4, 6, 6), (4, 6, 6), (4, 6, 6), (4, 6, 6), (4, 3, 3), (4, 1, 1), (16,), (32,)],
    )


def data(net: IntegerNetwork, count: int = 40) -> SimpleNamespace:
    shape = net.tensors[0].shape
    return SimpleNamespace(name="example", test_inputs=codes(1, count, *shape), test_targets=np.zeros(count))


def run_library(library: Path, report: ExportReport, inputs: np.ndarray) -> np.ndarray:
    """(samples, outputs) int32 from the generated C."""
    function = ctypes.CDLL(str(library)).tbn_model_run
    function.argtypes = [ctypes.c_void_p, ctypes.c_uint32, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint32]
    arena = np.full(report.arena_bytes // 4, -1, np.int32)
    outputs = np.zeros((len(inputs), report.outputs), np.int32)
    for sample, out in zip(np.ascontiguousarray(inputs), outputs, strict=True):
        status = function(sample.ctypes.data, sample.size, arena.ctypes.data, out.ctypes.data, report.outputs)
        assert status == 0
    return outputs


def test_golden_files(tmp_path: Path) -> None:
    """What the generator writes today is what lies here (run this file as a script to renew it)."""
    net = example()
    report = export_integer(net, data(net), tmp_path, "example")
    for name in (HEADER, SOURCE):
        assert (tmp_path / name).read_text() == (GOLDEN / name).read_text()
    assert read_report(tmp_path) == report
    with np.load(report.reference) as stored:
        np.testing.assert_array_equal(stored["values"], run(net, stored["inputs"]))


def test_every_operation_gives_the_references_bits(tmp_path: Path) -> None:
    """Two compilers; an arena that is full of something else at first."""
    net = example()
    inputs = data(net).test_inputs
    report = export_integer(net, data(net), tmp_path / "model", "example")
    for compiler in (compilers()[0], compilers()[-1]):
        found = run_library(compile_model(report, compiler), report, inputs)
        np.testing.assert_array_equal(found, run(net, inputs))


@pytest.mark.parametrize("entry", ["mlp-p4", "cnn-p4", "resnet18-p4"])
def test_zoo_entries_give_the_references_bits(entry: str, tmp_path: Path) -> None:
    found = runs.complete(f"fashion_mnist-{entry}-s0")
    task = restore.task_of(found)
    net = quantise(restore.deployed_model(found), task)
    report = export_integer(net, task, tmp_path / "model", entry)
    inputs = task.test_inputs[:40]
    np.testing.assert_array_equal(run_library(compile_model(report), report, inputs), run(net, inputs))
    assert report.weight_bytes == sum(net.bytes_by_part().values()) == sum(layer.bytes for layer in report.layers)


def test_no_warning_from_any_compiler(tmp_path: Path) -> None:
    """model.c as C99 and as C++, with all warnings as errors; on AVR, where constants are read by an instruction of their own, too."""
    choices = [[*compiler, "-std=c99"] for compiler in compilers()]
    choices += [["g++", "-x", "c++", "-std=c++20"]] if shutil.which("g++") else []
    choices += [["avr-gcc", "-std=c99", "-mmcu=atmega2560"]] if shutil.which("avr-gcc") else []
    for choice in choices:
        argv = [*choice, *STRICT, f"-I{RUNTIME / 'include'}", str(GOLDEN / SOURCE), "-o", str(tmp_path / "x.o")]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr


def test_no_undefined_behaviour(tmp_path: Path) -> None:
    """Address and undefined-behaviour sanitisers over every operation, with buffers exactly as long as they have to be."""
    if not shutil.which("gcc"):
        pytest.skip("gcc is not installed")
    (tmp_path / "main.c").write_text(
        '#include <stdlib.h>\n#include "model.h"\n'
        "int main(void) {\n"
        "    uint8_t *in = malloc(TBN_MODEL_INPUT_BYTES);\n"
        "    tbn_model_arena *arena = malloc(sizeof *arena);\n"
        "    int32_t *out = malloc(4 * TBN_MODEL_OUTPUTS);\n"
        "    int bad = 0;\n"
        "    for (int k = 0; k < 50; k++) {\n"
        "        for (int i = 0; i < TBN_MODEL_INPUT_BYTES; i++) in[i] = k < 2 ? (uint8_t)(255 * k) : (uint8_t)(37 * i * k);\n"
        "        bad |= tbn_model_run(in, TBN_MODEL_INPUT_BYTES, arena, out, TBN_MODEL_OUTPUTS);\n"
        "    }\n"
        "    free(in); free(arena); free(out);\n"
        "    return bad;\n}\n"
    )
    argv = ["gcc", "-std=c99", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover", f"-I{GOLDEN}"]
    sources = [tmp_path / "main.c", GOLDEN / SOURCE, *sorted((RUNTIME / "src").glob("tbn_integer*.c"))]
    argv += [f"-I{RUNTIME / 'include'}", *map(str, sources)]
    subprocess.run([*argv, "-o", str(tmp_path / "a.out")], check=True, timeout=120)
    done = subprocess.run([str(tmp_path / "a.out")], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("input_bytes", "outputs", "status"), [(72, 3, 0), (71, 3, 3), (72, 2, 3)])
def test_buffers_that_are_too_short(
    input_bytes: int, outputs: int, status: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.getbasetemp() / "buffers"
    net = example()
    library = ctypes.CDLL(str(compile_model(export_integer(net, data(net), folder / "model", "example"))))
    buffers = [np.zeros(size, np.int32) for size in (18, 4096, 3)]
    given, arena, out = (ctypes.c_void_p(buffer.ctypes.data) for buffer in buffers)
    count, length = ctypes.c_uint32(outputs), ctypes.c_uint32(input_bytes)
    assert library.tbn_model_run(given, length, arena, out, count) == status
    assert library.tbn_model_run(None, length, arena, out, count) == 1


def test_the_hash_is_of_the_numbers_and_not_of_the_title() -> None:
    net, other = example(), example()
    assert generate(net, "a").model_hash == generate(net, "b */ #error").model_hash
    assert "b */" not in generate(net, "b */ #error").code
    other.layers[0].weights.tile[0] ^= 1
    assert generate(other, "a").model_hash != generate(net, "a").model_hash


def test_report(tmp_path: Path) -> None:
    net = example()
    report = export_integer(net, data(net), tmp_path, "example", "from here")
    assert [layer.operation for layer in report.layers] == [
        "integer convolution", "table", "integer convolution", "channels", "integer", "integer", "integer",
    ]  # fmt: skip
    assert [layer.distinct_rows for layer in report.layers] == [4, 0, 4, 0, 16, 8, 3]
    text = (tmp_path / SOURCE).read_text()
    assert all(f" {name}[" in text for layer in report.layers for name, _ in layer.symbols.values())
    assert {part.name for part in report.arena} >= {"t1", "t9", "sums of an operation", "patch of an operation"}
    assert max(part.start + part.bytes for part in report.arena) <= report.arena_bytes
    assert (tmp_path / REPORT).is_file() and (tmp_path / REFERENCE).is_file()


def test_generator_needs_no_torch() -> None:
    code = "import sys, tbn.export.c_integer; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0


if __name__ == "__main__":
    export_integer(example(), data(example()), GOLDEN, "example")
    for leftover in (REFERENCE, REPORT):
        (GOLDEN / leftover).unlink()
