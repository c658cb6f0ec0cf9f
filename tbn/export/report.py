"""What an export says about itself: export.json beside the generated source. Imports no torch, so that pages and boards can read it."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tbn.integer.series import forecasts, standardised

REPORT, HEADER, SOURCE, REFERENCE = "export.json", "model.h", "model.c", "selftest.npz"
INTEGER, FLOAT32 = "integer", "float32"
PRECISIONS = (INTEGER, FLOAT32)
BLOCK = "block of an operation"  # the name of a part of the arena
SMALL_RAM = 4096


@dataclass(frozen=True)
class ExportedLayer:
    """One operation in the C source that has arrays in flash; symbols name them.

    Attributes:
        operation: "integer", "integer convolution", "table", "norm", "fold" or "channels"; of float32 source "tiled", "pieces",
            "interleaved", "ordered" or "float32".
        rows, row_length: shape of the weight; 0 where there is none.
        p: tiling factor; 0 for weights that are no signs.
        bytes: of all arrays together.
        symbols: {"tile" | "weights" | "multipliers" | "biases" | "table" | "weight" | "alphas" | "bias" | "copies":
            (C name, bytes)}.
    """

    name: str
    operation: str
    rows: int
    row_length: int
    p: int
    distinct_rows: int
    relu: bool
    bytes: int
    symbols: dict[str, tuple[str, int]]


@dataclass(frozen=True)
class ArenaPart:
    """A stretch of the arena: what it holds, from which byte on, how many bytes. Tensors that live at different times share bytes."""

    name: str
    start: int
    bytes: int


@dataclass(frozen=True)
class ExportReport:
    """An exported model. Sizes in bytes; ``images`` is how many test inputs selftest.npz holds; ``fingerprint`` is of what it came from.

    Attributes:
        precision: "integer" (uint8 activations, int32 outputs) or "float32".
        output_scale: the model's output is this times the board's; 1 for float32.
        reason: why an export that was free to choose is not in integers; "" otherwise.
        input_scale, input_zero: an input value is the byte ``round(value / input_scale) + input_zero``; input_scale 0: inputs are bytes.
        front: what the host does before and after: "" nothing, or a kind of ``tbn.integer.series``.
    """

    folder: Path
    model_hash: str
    task: str
    input_bytes: int
    outputs: int
    weight_bytes: int
    arena_bytes: int
    images: int
    layers: tuple[ExportedLayer, ...]
    arena: tuple[ArenaPart, ...]
    fingerprint: str = ""
    precision: str = FLOAT32
    output_scale: float = 1.0
    reason: str = ""
    input_scale: float = 0.0
    input_zero: int = 0
    front: str = ""

    @property
    def source(self) -> Path:
        return self.folder / SOURCE

    @property
    def reference(self) -> Path:
        """Test inputs and their answers, .npz: inputs uint8, labels, and outputs int32 (bit for bit) or logits float32 (to 1e-5)."""
        return self.folder / REFERENCE

    @property
    def output_type(self) -> np.dtype[Any]:
        """Of one number that the board answers: int32 or float32, little-endian."""
        return np.dtype("<i4" if self.precision == INTEGER else "<f4")

    def arena_bytes_on(self, ram_bytes: int) -> int:
        """The arena's bytes on a board of so much RAM: the smallest have half the block (see tbn_integer.h)."""
        block = sum(part.bytes for part in self.arena if part.name == BLOCK)
        return self.arena_bytes - (block // 2 if ram_bytes < SMALL_RAM else 0)

    def encode(self, inputs: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
        """A task's raw inputs (samples, ...) as what the board takes, (requests, input_bytes) uint8; of a forecast one request a channel."""
        found = standardised(inputs, self.front) if self.front else np.asarray(inputs)
        flat = np.ascontiguousarray(found).reshape(len(found), -1)
        if self.input_scale:
            flat = np.clip(np.rint(flat / np.float64(self.input_scale)) + self.input_zero, 0, 255)
        return flat.astype(np.uint8)

    def decode(self, outputs: npt.NDArray[Any], inputs: npt.NDArray[Any] | None = None) -> npt.NDArray[np.float32]:
        """What the board answers, (requests, outputs), as the model's outputs for the raw inputs, (samples, ...)."""
        found = outputs * np.float64(self.output_scale)
        if self.front and inputs is not None:
            found = forecasts(found, inputs, self.front)
        return found.astype(np.float32)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self) | {"folder": str(self.folder)}


def read_report(folder: Path) -> ExportReport | None:
    """The report of a finished export, or None where there is none (or one of another version)."""
    try:
        found = json.loads((folder / REPORT).read_text())
        layers = tuple(
            ExportedLayer(**layer | {"symbols": {key: (name, size) for key, (name, size) in layer["symbols"].items()}})
            for layer in found["layers"]
        )
        return ExportReport(
            **found | {"folder": folder, "layers": layers, "arena": tuple(ArenaPart(**part) for part in found["arena"])}
        )
    except (OSError, ValueError, TypeError, KeyError):
        return None
