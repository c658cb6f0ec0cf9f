"""Memory maps of a firmware: predicted from the exported model, and linked, read back from the ELF. Imports no torch.

A row is {"region": "flash" | "ram", "address": int or None, "bytes": int, "symbol": str, "owner": str}. Owners are the model's layers by
name, "arena" (the model's working memory), "self-test" (serial line and requests), "runtime" (the operations), "startup" (vectors, C
library) and "other" (text constants and gaps, which have no symbol). The rows of a linked map add up to the image's sections.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypedDict

import pandas as pd
from elftools.elf.constants import SH_FLAGS
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import Section, SymbolTableSection

from tbn.export.report import ExportReport

if TYPE_CHECKING:
    from tbn.code_sizes import CodeSizes

ARENA = "tbn_device_arena"
SELF_TEST = ("device_", "tbn_device", "tbn_frame", "tbn_crc32", "tbn_port", "main")
SELF_TEST_FILES = ("device", "tbn_frame", "tbn_crc32", "main")


class Block(TypedDict):
    """A stretch of memory."""

    region: str
    address: int | None
    bytes: int
    symbol: str
    owner: str


def predicted(report: ExportReport, code: CodeSizes | None = None) -> list[Block]:
    """What a firmware will take, before it is built.

    Args:
        code: sizes of the board's code and buffers (``tbn.code_sizes``); None: only what the model itself takes, the arrays of each layer in
            flash and the arena in RAM.
    """
    blocks: list[Block] = []
    for layer in report.layers:
        for symbol, size in layer.symbols.values():
            blocks.append({"region": "flash", "address": None, "bytes": size, "symbol": symbol, "owner": layer.name})
    if code is not None:
        return [block for block in [*blocks, *code.blocks(report)] if block["bytes"]]
    arena: Block = {"region": "ram", "address": None, "bytes": report.arena_bytes, "symbol": ARENA, "owner": "arena"}
    return [*blocks, arena]


def totals(blocks: Iterable[Block]) -> dict[str, int]:
    """Bytes by region: {"flash": ..., "ram": ...}."""
    found = {"flash": 0, "ram": 0}
    for block in blocks:
        found[block["region"]] += block["bytes"]
    return found


def linked(elf: Path, report: ExportReport) -> list[Block]:
    """What lies where in the image, by address; initial values of variables stand in flash too."""
    layer_of = {symbol: layer.name for layer in report.layers for symbol, _ in layer.symbols.values()}
    blocks: list[Block] = []
    with elf.open("rb") as file:
        image = ELFFile(file)
        table = image.get_section_by_name(".symtab")
        symbols = _symbols(table) if isinstance(table, SymbolTableSection) else []
        for index, section in enumerate(image.iter_sections()):
            if not section["sh_flags"] & SH_FLAGS.SHF_ALLOC or not section["sh_size"]:
                continue
            inside = sorted(
                (place.address, place.bytes, place.name, place.file) for place in symbols if place.section == index
            )
            blocks += _blocks(section, inside, layer_of)
    return blocks


def linked_weight_bytes(elf: Path, report: ExportReport) -> int:
    """Bytes of the model's arrays in the image."""
    layers = {layer.name for layer in report.layers}
    names = {symbol for layer in report.layers for symbol, _ in layer.symbols.values()}
    return sum(block["bytes"] for block in linked(elf, report) if block["owner"] in layers and block["symbol"] in names)


def frame(blocks: Iterable[Block]) -> pd.DataFrame:
    """The rows as a table."""
    return pd.DataFrame(list(blocks), columns=["region", "address", "bytes", "symbol", "owner"])


def owner_of(symbol: str, layer_of: dict[str, str], file: str = "") -> str:
    """Who a symbol belongs to; ``file`` is the source file of a static one, where the image says so."""
    stem = re.split(r"[/\\]", file)[-1].split(".")[0]
    if symbol in layer_of:
        return layer_of[symbol]
    if symbol == ARENA:
        return "arena"
    if symbol.startswith(SELF_TEST) or stem.startswith(SELF_TEST_FILES):
        return "self-test"
    if (symbol.startswith("tbn_") and symbol != "tbn_vectors") or stem.startswith(("tbn_", "model")):
        return "runtime"
    return "startup"


class _Place(NamedTuple):
    """A function or variable of an image."""

    section: int
    address: int
    bytes: int
    name: str
    file: str


def _symbols(table: SymbolTableSection) -> list[_Place]:
    """Functions and variables; a static one stands behind the name of its source file."""
    found, file = [], ""
    for symbol in table.iter_symbols():
        kind = symbol["st_info"]["type"]
        if kind == "STT_FILE":
            file = symbol.name
        elif kind in ("STT_FUNC", "STT_OBJECT") and symbol["st_size"]:
            address = symbol["st_value"] & ~1 if kind == "STT_FUNC" else symbol["st_value"]
            own = file if symbol["st_info"]["bind"] == "STB_LOCAL" else ""
            found.append(_Place(symbol["st_shndx"], address, symbol["st_size"], symbol.name, own))
    return found


def _blocks(section: Section, symbols: list[tuple[int, int, str, str]], layer_of: dict[str, str]) -> list[Block]:
    """One section cut at its symbols; what no symbol covers belongs to "other"."""
    writable = bool(section["sh_flags"] & SH_FLAGS.SHF_WRITE)
    region = "ram" if writable else "flash"
    start, end = section["sh_addr"], section["sh_addr"] + section["sh_size"]
    blocks: list[Block] = []
    for address, size, name, file in symbols:
        stop = min(end, address + size)
        if address > start:
            blocks.append(
                {"region": region, "address": start, "bytes": address - start, "symbol": "", "owner": "other"}
            )
        if stop > max(start, address):  # two names of one place count once
            first = max(start, address)
            blocks.append(
                {
                    "region": region,
                    "address": first,
                    "bytes": stop - first,
                    "symbol": name,
                    "owner": owner_of(name, layer_of, file),
                }
            )
        start = max(start, stop)
    if end > start:
        blocks.append({"region": region, "address": start, "bytes": end - start, "symbol": "", "owner": "other"})
    if writable and section["sh_type"] != "SHT_NOBITS":
        blocks.append(
            {
                "region": "flash",
                "address": None,
                "bytes": section["sh_size"],
                "symbol": section.name,
                "owner": "startup",
            }
        )
    return blocks
