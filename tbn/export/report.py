"""What an export says about itself: export.json beside the generated source. Imports no torch, so that pages and boards can read it."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

REPORT, HEADER, SOURCE, REFERENCE = "export.json", "model.h", "model.c", "selftest.npz"


@dataclass(frozen=True)
class ExportedLayer:
    """One fully connected layer in the C source. ``operation`` is "tiled", "pieces" or "float32"; symbols name the arrays in flash.

    Attributes:
        rows, row_length: shape of the weight.
        p: tiling factor; 0 for float32 weights.
        bytes: tile (or weight), alphas and bias together.
        symbols: {"tile" | "weight" | "alphas" | "bias": (C name, bytes)}.
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
    """A stretch of the arena: what it holds, from which float on, how many bytes."""

    name: str
    start: int
    bytes: int


@dataclass(frozen=True)
class ExportReport:
    """An exported model. Sizes in bytes; ``images`` is how many test images selftest.npz holds; ``fingerprint`` is of what it came from."""

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

    @property
    def source(self) -> Path:
        return self.folder / SOURCE

    @property
    def reference(self) -> Path:
        """Raw test images and the logits of the packed model: .npz with inputs uint8, logits float32, labels int64."""
        return self.folder / REFERENCE

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
