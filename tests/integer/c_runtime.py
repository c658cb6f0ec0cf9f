"""The C operations through ctypes, one call an operation: an integer network run by the runtime without any generated source."""

from __future__ import annotations

import ctypes
import subprocess
from pathlib import Path

import numpy as np

from kernels.machine import compilers
from tbn.export import firmware_root
from tbn.integer.network import Add, Affine, AveragePool, IntegerNetwork, Layer, MaxPool, Signs, Table, Window

RUNTIME = firmware_root() / "lib" / "tbn_runtime"
SOURCES = sorted((RUNTIME / "src").glob("tbn_integer*.c"))
BLOCK_BYTES = 512
WAYS = ("slow", "block", "four")
U8, U32, I32, POINTER = ctypes.c_uint8, ctypes.c_uint32, ctypes.c_int32, ctypes.c_void_p


def structure(name: str, *fields: tuple[type, str]) -> type[ctypes.Structure]:
    """A C structure: (type, names) in order."""
    flat = [(field, kind) for kind, names in fields for field in names.split()]
    return type(name, (ctypes.Structure,), {"_fields_": flat})


LayerC = structure(
    "Layer", (U32, "rows row_length distinct_rows tile_length sums groups multiplier_count bias_count"),
    (POINTER, "tile weights multipliers biases"), (U8, "zero sum_shift bias_shift shift low high"),
)  # fmt: skip
ScratchC = structure("Scratch", (POINTER, "block sums"), (U32, "sum_count"), (POINTER, "patch"), (U32, "patch_count"))
ImageC = structure("Image", (U32, "channels height width"))
WindowC = structure("Window", (U32, "kernel_height kernel_width stride_y stride_x top left dilation_y dilation_x"))
AverageC = structure("Average", (I32, "multiplier bias"), (U8, "zero shift low high"))
SumC = structure("Sum", (I32, "multiplier other_multiplier bias"), (U8, "shift low high"))
ChannelsC = structure(
    "Channels", (U32, "channels"), (POINTER, "multipliers biases"), (U8, "zero bias_shift shift low high")
)


def build(folder: Path, compiler: list[str] | None = None) -> ctypes.CDLL:
    """The integer operations as a shared library."""
    library = folder / "integer.so"
    argv = [*(compiler or compilers()[0]), "-std=c99", "-O2", "-fPIC", "-shared", f"-I{RUNTIME / 'include'}"]
    subprocess.run([*argv, *map(str, SOURCES), "-o", str(library)], check=True, timeout=300)
    return ctypes.CDLL(str(library))


def layer_of(op: Layer) -> tuple[ctypes.Structure, list[np.ndarray]]:
    """The C structure of a layer, and the arrays that it points to."""
    weights, part = op.weights, op.scaling
    signs = isinstance(weights, Signs)
    stored = np.ascontiguousarray(weights.tile if signs else weights.matrix)
    arrays = [stored, np.ascontiguousarray(part.multipliers), np.ascontiguousarray(part.biases)]
    first = (stored.ctypes.data, None) if signs else (None, stored.ctypes.data)
    return LayerC(
        weights.rows, weights.row_length, weights.distinct_rows, weights.tile_length, len(weights.pieces), op.groups, arrays[1].size,
        arrays[2].size, *first, arrays[1].ctypes.data, arrays[2].ctypes.data, op.zero, part.sum_shift, part.bias_shift, part.shift, part.low,
        part.high,
    ), arrays  # fmt: skip


def window_of(window: Window) -> ctypes.Structure:
    return WindowC(*window.kernel, *window.stride, *window.before, *window.dilation)


def run_c(library: ctypes.CDLL, net: IntegerNetwork, sample: np.ndarray, way: str = "four") -> np.ndarray:
    """Outputs (outputs,) int32 of one sample. ``way``: what scratch allows, "slow", "block" or also "four" positions of a convolution at once."""
    values = {0: np.ascontiguousarray(sample)}
    for op in net.operations:
        source = values[op.source]
        last = op.target < 0
        target = np.zeros(net.outputs if last else net.tensors[op.target].count, np.int32 if last else np.uint8)
        values[op.target] = target
        images = [ImageC(*net.tensors[t].image) for t in (op.source, max(op.target, 0))]
        a, b = POINTER(source.ctypes.data), POINTER(target.ctypes.data)
        if isinstance(op, Layer):
            own, arrays = layer_of(op)
            sums = np.zeros(len(op.weights.pieces) * (6 if way == "four" else 1), np.int32)
            patch = np.zeros(op.weights.row_length * op.groups, np.uint8)
            block = np.full(BLOCK_BYTES // 4, -1, np.int32)
            scratch = ScratchC(
                None if way == "slow" else block.ctypes.data, sums.ctypes.data, sums.size, patch.ctypes.data, patch.size
            )
            here, there = map(ctypes.byref, (own, scratch))
            if op.window is not None:
                shapes = a, ctypes.byref(images[0]), b, ctypes.byref(images[1])
                status = library.tbn_integer_conv2d(here, ctypes.byref(window_of(op.window)), *shapes, there)
            else:
                function = library.tbn_integer_outputs if last else library.tbn_integer_fully_connected
                status = function(here, a, U32(source.size), b, U32(target.size), there)
            del arrays
        elif isinstance(op, MaxPool):
            shapes = a, ctypes.byref(images[0]), b, ctypes.byref(images[1])
            status = library.tbn_integer_max_pool(ctypes.byref(window_of(op.window)), *shapes)
        elif isinstance(op, AveragePool):
            own = AverageC(op.multiplier, op.bias, op.zero, op.shift, op.low, op.high)
            shapes = a, ctypes.byref(images[0]), b, ctypes.byref(images[1])
            status = library.tbn_integer_average_pool(ctypes.byref(own), ctypes.byref(window_of(op.window)), *shapes)
        elif isinstance(op, Add):
            own = SumC(op.multiplier, op.other_multiplier, op.bias, op.shift, op.low, op.high)
            other = POINTER(values[op.other].ctypes.data)
            status = library.tbn_integer_add(ctypes.byref(own), a, other, b, U32(target.size))
        elif isinstance(op, Affine):
            part = op.scaling
            arrays = [np.ascontiguousarray(part.multipliers), np.ascontiguousarray(part.biases)]
            own = ChannelsC(
                arrays[0].size,
                *(array.ctypes.data for array in arrays),
                op.zero,
                part.bias_shift,
                part.shift,
                part.low,
                part.high,
            )
            status = library.tbn_integer_affine(ctypes.byref(own), a, b, U32(target.size // arrays[0].size))
        else:
            assert isinstance(op, Table)
            kept = np.ascontiguousarray(op.table)
            status = library.tbn_integer_table(POINTER(kept.ctypes.data), a, b, U32(target.size))
        assert status == 0, (op.name, status)
    return values[-1]
