"""Tiled Bit Networks: neural networks below one bit a weight (arXiv 2407.12075).

The public names; each is loaded at first use, so that ``import tbn`` and the parts without tensors (runs, jobs, charts, boards) need no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tbn.artifact import load, save
    from tbn.convert import ConversionReport, TilingConfig, freeze, tile_
    from tbn.errors import TBNError
    from tbn.fusion import fuse
    from tbn.layers import TiledConv1d, TiledConv2d, TiledConv3d, TiledLinear, TiledTransposedLinear
    from tbn.packed import PackedConv1d, PackedConv2d, PackedConv3d, PackedLinear, PackedTransposedLinear
    from tbn.size import Summary, summary

__version__ = "0.1.0"
__all__ = [
    "ConversionReport",
    "PackedConv1d",
    "PackedConv2d",
    "PackedConv3d",
    "PackedLinear",
    "PackedTransposedLinear",
    "Summary",
    "TBNError",
    "TiledConv1d",
    "TiledConv2d",
    "TiledConv3d",
    "TiledLinear",
    "TiledTransposedLinear",
    "TilingConfig",
    "freeze",
    "fuse",
    "load",
    "save",
    "summary",
    "tile_",
]

_HOME = {
    "load": "artifact",
    "save": "artifact",
    "ConversionReport": "convert",
    "TilingConfig": "convert",
    "freeze": "convert",
    "fuse": "fusion",
    "tile_": "convert",
    "TBNError": "errors",
    "TiledConv1d": "layers",
    "TiledConv2d": "layers",
    "TiledConv3d": "layers",
    "TiledLinear": "layers",
    "TiledTransposedLinear": "layers",
    "PackedConv1d": "packed",
    "PackedConv2d": "packed",
    "PackedConv3d": "packed",
    "PackedLinear": "packed",
    "PackedTransposedLinear": "packed",
    "Summary": "size",
    "summary": "size",
}


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'tbn' has no attribute {name!r}")
    return getattr(import_module(f"tbn.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
