"""The self-test of a flashed board, and whole test sets through it: known images in, the generated model's answers back.

An integer model has to answer bit for bit as the reference does, on real images and on inputs that the board makes itself from a seed; a
float32 model to ``TOLERANCE``, because compilers may round differently.
"""

import zlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from tbn.boards.device import Device, Info, Outputs
from tbn.boards.line import BoardError, LineClosed
from tbn.export.report import INTEGER, ExportReport

TOLERANCE = 1e-5  # of float32 models: largest difference relative to the image's largest logit
STREAM_SEED, STREAM_INPUTS = 1, 8
RECONNECTS = 3  # so often an evaluation goes on with a board that was away
Opened = AbstractContextManager[tuple[Device, Info]]


@dataclass(frozen=True)
class SelfTest:
    """Outcome of the self-test.

    Attributes:
        passed, total: images that agree, and all.
        max_difference: the largest, relative to each image's largest output.
        ticks: mean of one inference.
        stream_inputs: inputs that the board made itself (integer models; else 0).
        stream_agrees: whether the outputs' CRC is the one that the same C gives on this computer.
    """

    passed: int
    total: int
    max_difference: float
    ticks: int
    stream_inputs: int
    stream_agrees: bool

    @property
    def ok(self) -> bool:
        return self.passed == self.total and self.stream_agrees


def stream_inputs(seed: int, count: int, input_bytes: int) -> npt.NDArray[np.uint8]:
    """(count, input_bytes) uint8: what a board makes of a seed in its self-test (Marsaglia's xorshift32, "Xorshift RNGs", 2003).

    Each step gives four bytes, the lowest first; an input begins with a new step, and what is left of its last one is not used.
    """
    steps = -(-input_bytes // 4)
    words = np.empty(count * steps, "<u4")
    word = seed
    for index in range(len(words)):
        word ^= word << 13 & 0xFFFFFFFF
        word ^= word >> 17
        word ^= word << 5 & 0xFFFFFFFF
        words[index] = word
    return np.ascontiguousarray(words.view(np.uint8).reshape(count, 4 * steps)[:, :input_bytes])


def stream_crc(outputs: Outputs) -> int:
    """CRC-32 of (count, outputs) float32 or int32 as a board computes it: little-endian, one input after another."""
    return zlib.crc32(np.ascontiguousarray(outputs, outputs.dtype.newbyteorder("<")).tobytes())


def relative_difference(found: Outputs, expected: Outputs) -> npt.NDArray[np.float64]:
    """(images,) largest |found - expected| of each image over its largest |expected|. Inputs (images, outputs)."""
    difference = np.abs(found.astype(np.float64) - expected.astype(np.float64)).max(axis=1)
    result: npt.NDArray[np.float64] = difference / np.maximum(np.abs(expected.astype(np.float64)).max(axis=1), 1e-30)
    return np.where(np.isfinite(result), result, np.inf)


def check_model(info: Info, export: ExportReport) -> None:
    """Is this the run's firmware?

    Raises:
        BoardError: no.
    """
    if info.model_hash != export.model_hash:
        raise BoardError(
            f"the board runs model {info.model_hash}, not {export.model_hash}", "flash this run's firmware"
        )
    if (info.input_bytes, info.outputs) != (export.input_bytes, export.outputs):
        raise BoardError(
            f"the board takes {info.input_bytes} bytes and gives {info.outputs} outputs, not {export.input_bytes} and {export.outputs}",
            "flash this run's firmware",
        )


def evaluate(
    open_board: Callable[[], Opened], export: ExportReport, inputs: npt.NDArray[np.uint8],
    progress: Callable[[float, str], None] | None = None,
) -> tuple[Outputs, npt.NDArray[np.int64]]:  # fmt: skip
    """Send raw inputs (images, input_bytes) through a board that runs ``export``.

    A board that was reset meanwhile is asked again. One that was unplugged is looked for with ``open_board``, and where it comes back within
    that call's time, the evaluation goes on with the image that had no answer.

    Returns:
        outputs (images, outputs) int32 or float32, and ticks (images,).

    Raises:
        BoardError: it runs another model, does not answer, or stayed away.
    """
    outputs = np.zeros((len(inputs), export.outputs), export.output_type)
    ticks = np.zeros(len(inputs), np.int64)
    done, away = 0, 0
    while done < len(inputs):
        try:
            with open_board() as (device, info):
                check_model(info, export)
                while done < len(inputs):
                    outputs[done], ticks[done] = device.infer(inputs[done])
                    done += 1
                    if progress is not None and done % max(1, len(inputs) // 100) == 0:
                        progress(done / len(inputs), f"{done:,} of {len(inputs):,} images")
        except LineClosed:
            away += 1
            if away > RECONNECTS:
                raise
            if progress is not None:
                gone = f"the board is gone after {done:,} of {len(inputs):,} images: plug it in again"
                progress(done / len(inputs), gone)
    return outputs, ticks


def self_test(device: Device, info: Info, export: ExportReport) -> SelfTest:
    """Send the images of the export's reference (selftest.npz) and compare; then let an integer model compute inputs of its own."""
    check_model(info, export)
    exact = export.precision == INTEGER
    with np.load(export.reference) as stored:
        inputs, expected = stored["inputs"], stored["outputs" if exact else "logits"]
    answers = [device.infer(image) for image in inputs]
    found = np.stack([outputs for outputs, _ in answers])
    ticks = round(sum(ticks for _, ticks in answers) / len(answers))
    difference = relative_difference(found, expected)
    agree = (found == expected).all(axis=1) if exact else difference <= TOLERANCE
    agrees = not exact or device.self_test(STREAM_SEED, STREAM_INPUTS)[0] == _expected_stream_crc(export)
    return SelfTest(
        int(agree.sum()), len(inputs), float(difference.max()), ticks, STREAM_INPUTS if exact else 0, agrees
    )


def _expected_stream_crc(export: ExportReport) -> int:
    from tbn.export.host import compile_model, run_library

    codes = stream_inputs(STREAM_SEED, STREAM_INPUTS, export.input_bytes)
    return stream_crc(run_library(compile_model(export), replace(export, input_scale=0.0, front=""), codes))
