"""Generated C of integer networks: golden files, the reference's integers bit for bit, no warnings, planned bytes."""

import ctypes
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from kernels.machine import compilers
from tbn import restore, runs
from tbn.export import firmware_root
from tbn.export.c_integer import export_integer, generate
from tbn.export.host import compile_model, run_library
from tbn.export.report import HEADER, REFERENCE, REPORT, SOURCE, read_report
from tbn.integer import IntegerNetwork, quantise, run
from tbn.integer.classes import shares
from tbn.integer.network import Add, Affine, AveragePool, MaxPool, Scaling, Swap, Table, Window
from tests.integer.networks import codes, ended, layer, norm, product, slow

GOLDEN = Path(__file__).parent / "golden"
RUNTIME = firmware_root() / "lib" / "tbn_runtime"
STRICT = ["-Wall", "-Wextra", "-Werror", "-Wconversion", "-O2", "-c"]


def example() -> IntegerNetwork:
    """Every operation once: three convolutions (cut rows; depthwise; of one pixel, largest outputs only), a table, channels, a sum, both pools,
    int8 weights, a tiled layer, a layer on each of several vectors, a norm of theirs, swapped axes, a product."""
    three = Window((3, 3), (1, 1), (1, 1))
    numbers = np.array([[20000, 12000, -9000, 16000], [4000, -3000, 25000, 8000]], np.int16)
    return ended(
        layer(1, 4, 18, 3, zero=73, window=three, name="conv"),
        Table("gelu", 1, 2, np.arange(255, -1, -1).astype(np.uint8)),
        layer(2, 4, 9, 1, source=2, target=3, zero=12, window=three, groups=4, gain=True, name="depthwise"),
        Affine("norm", 3, 4, 40, Scaling(0, numbers[0], numbers[1], 6, 14)),
        Add("add", 1, 4, 5, 700000, 500000, -(2**24), 20),
        MaxPool("pool", 5, 6, Window((3, 3), (2, 2), (1, 1))),
        Swap("turn", 5, 7, 1, 4, 36, 1),
        layer(5, 8, 4, 2, source=7, target=8, zero=31, positions=36, name="tokens"),
        replace(norm(6, 8, source=8, target=9, epsilon=77), name="vectors"),
        replace(product(7, 4, 9, 32, source=6, other=9, target=10, zeros=(20, 130)), name="matrix"),
        layer(8, 16, 4, 4, source=10, target=11, zero=99, window=Window((1, 1)), largest=True, name="most"),
        AveragePool("mean", 6, 12, 9, Window((2, 2), (2, 2)), 300000, 2**19, 20),
        layer(3, 16, 4, 1, source=12, target=13, zero=9, int8=True, name="dense"),
        Add("sum", 11, 13, 14, 400000, 600000, 2**19, 20),
        layer(4, 32, 16, 4, source=14, target=15, zero=0, bias=False, name="fc"),
        shapes=[
            (2, 6, 6), (4, 6, 6), (4, 6, 6), (4, 6, 6), (4, 6, 6), (4, 6, 6), (4, 3, 3), (36, 4), (36, 8), (36, 8), (4, 32), (16,), (4, 1, 1),
            (16,), (16,), (32,),
        ],
    )  # fmt: skip


def data(net: IntegerNetwork, count: int = 40) -> SimpleNamespace:
    shape = net.tensors[0].shape
    return SimpleNamespace(name="example", test_inputs=codes(1, count, *shape), test_targets=np.zeros(count))


def test_golden_files(tmp_path: Path) -> None:
    """What the generator writes today is what lies here (run this file as a script to renew it)."""
    net = example()
    report = export_integer(net, data(net), tmp_path, "example")
    for name in (HEADER, SOURCE):
        assert (tmp_path / name).read_text() == (GOLDEN / name).read_text()
    assert read_report(tmp_path) == report
    with np.load(report.reference) as stored:
        np.testing.assert_array_equal(stored["outputs"], run(net, stored["inputs"].reshape(-1, 2, 6, 6)))


def test_every_operation_gives_the_references_bits(tmp_path: Path) -> None:
    """Two compilers; an arena that is full of something else at first; the same as loops over plain numbers."""
    net = example()
    inputs = data(net).test_inputs
    np.testing.assert_array_equal(run(net, inputs[:4]), [slow(net, sample) for sample in inputs[:4]])
    report = export_integer(net, data(net), tmp_path / "model", "example")
    for compiler in (compilers()[0], compilers()[-1]):
        found = run_library(compile_model(report, compiler), report, inputs)
        np.testing.assert_array_equal(found, run(net, inputs))


def accuracy(outputs: np.ndarray, labels: np.ndarray) -> float:
    return float((outputs.argmax(1) == labels).mean())


# model of the registry: (zoo entry, test inputs, most that its accuracy may lose against float)
ENTRIES = {
    "mlp": ("fashion_mnist-mlp-p4-s0", 1000, 0.003), "cnn": ("fashion_mnist-cnn-p4-s0", 40, 0.05),
    "vgg_small": ("fashion_mnist-vgg_small-p4-s0", 40, 0.05), "resnet18": ("fashion_mnist-resnet18-p4-s0", 40, 0.05),
    "convmixer": ("fashion_mnist-convmixer-p4-s0", 40, 0.05), "mlp_mixer": ("fashion_mnist-mlp_mixer-p4-s0", 100, 0.03),
    "pointnet_cls": ("sweethome-pointnet_cls-p4-s0", 20, 0.1), "forecaster_mlp": ("appliances-forecaster_mlp-p4-s0", 4, 0),
    "masked forecaster_mlp": ("beijing-forecaster_mlp-p4-s0", 4, 0), "float32 weights": ("fashion_mnist-mlp-fp32-s0", 100, 0.02),
}  # fmt: skip


@pytest.mark.parametrize("name", ENTRIES)
def test_zoo_entries_give_the_references_bits(name: str, tmp_path: Path) -> None:
    """Every model of the registry that has a twin, on real test inputs; its outputs are near the float model's."""
    entry, count, loss = ENTRIES[name]
    found = runs.complete(entry)
    task, model = restore.task_of(found), restore.deployed_model(found)
    net = quantise(model, task)
    report = export_integer(net, task, tmp_path / "model", entry)
    inputs = task.test_inputs[:count]
    outputs = run_library(compile_model(report), report, inputs)
    codes_in = report.encode(inputs)
    np.testing.assert_array_equal(outputs, run(net, codes_in.reshape(-1, *net.tensors[0].shape)))
    assert report.weight_bytes == sum(net.bytes_by_part().values()) == sum(layer.bytes for layer in report.layers)
    if net.tensors[0].shape == tuple(task.input_shape) and name != "pointnet_cls":  # which multiplies activations, too
        assert net.products == found.result["size"]["macs_computed"]
    wanted, decoded = restore.logits_of(model, task, count), report.decode(outputs, inputs)
    assert decoded.shape == wanted.shape
    assert np.corrcoef(decoded.ravel(), wanted.ravel())[0, 1] > 0.98
    if loss:
        labels = task.test_targets[:count]
        assert accuracy(decoded, labels) >= accuracy(wanted, labels) - loss


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


def random_network(seed: int) -> IntegerNetwork:
    """Images that go through operations of any kind, some of them twice, and end in a vector."""
    numbers = np.random.default_rng(seed)
    shapes, operations = [(int(numbers.integers(1, 4)), int(numbers.integers(4, 8)), int(numbers.integers(4, 8)))], []
    for target in range(1, 8):
        source = int(numbers.choice([max(target - 1, 0), numbers.integers(0, target)]))
        channels, height, width = shapes[source]
        alike = [number for number, shape in enumerate(shapes) if shape == shapes[source]]
        kind, zero, shape = int(numbers.integers(0, 8)), int(numbers.integers(0, 256)), shapes[source]
        kernel, stride = int(numbers.integers(1, 4)), int(numbers.integers(1, 3))
        window = Window((kernel, kernel), (stride, stride), (kernel // 2, kernel // 2))
        space = [(size + 2 * (kernel // 2) - kernel) // stride + 1 for size in (height, width)]
        if kind <= 2:
            groups = channels if kind == 2 else 1
            rows = channels * int(numbers.integers(1, 4)) if kind == 2 else int(numbers.integers(1, 20))
            taps, shape = channels // groups * kernel * kernel, (rows, *space)
            p = int(numbers.choice([k for k in (1, 2, 3, 4) if rows * taps % k == 0]))
            op = layer(seed, rows, taps, p, source=source, target=target, zero=zero, window=window, groups=groups, per_tile=bool(kind),
                       int8=bool(numbers.integers(0, 4) == 0 and p == 1))  # fmt: skip
        elif kind == 3:
            op, shape = MaxPool("pool", source, target, window), (channels, *space)
        elif kind == 4:
            op = Table("table", source, target, numbers.integers(0, 256, 256).astype(np.uint8))
        elif kind == 5:
            op = Add("add", source, int(numbers.choice(alike)), target, 500000, -300000, 2**26, 20)
        elif kind == 6:
            op = norm(seed, width, source=source, target=target)
        else:
            op, shape = Swap("turn", source, target, 1, channels, height, width), (height, channels, width)
        operations.append(replace(op, name=f"{type(op).__name__}{target}"))
        shapes.append(shape)
    return ended(*operations, shapes=shapes)


@pytest.mark.parametrize("seed", range(6))
def test_random_networks(seed: int, tmp_path: Path) -> None:
    """Whatever the planner puts over what: the C answers as loops over plain numbers do."""
    net = random_network(seed)
    inputs = data(net, 5).test_inputs
    report = export_integer(net, data(net), tmp_path / "model", "random")
    found = run_library(compile_model(report), report, inputs)
    np.testing.assert_array_equal(found, run(net, inputs))
    np.testing.assert_array_equal(found[:2], [slow(net, sample) for sample in inputs[:2]])


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


def test_shares_of_the_classes(tmp_path: Path) -> None:
    """The generated rate is that of the outputs' scale."""
    net = replace(example(), output_scale=3e-5)
    library = ctypes.CDLL(str(compile_model(export_integer(net, data(net), tmp_path / "model", "example"))))
    outputs = np.array([12_000, -80_000, 60_000], np.int32)
    found = np.zeros(3, np.uint16)
    given, out = (ctypes.c_void_p(array.ctypes.data) for array in (outputs, found))
    assert library.tbn_model_shares(given, ctypes.c_uint32(3), out) == 0
    np.testing.assert_array_equal(found, shares(outputs[None], 3e-5)[0])
    powers = np.exp(outputs * 3e-5)
    np.testing.assert_allclose(found / 65535, powers / powers.sum(), atol=0.002)


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
        "integer convolution", "table", "integer convolution", "channels", "integer", "norm", "integer convolution", "integer", "integer", "integer",
    ]  # fmt: skip
    assert [layer.distinct_rows for layer in report.layers] == [4, 0, 4, 0, 4, 0, 4, 16, 8, 3]
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
