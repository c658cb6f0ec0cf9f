"""Memory maps of a firmware: predicted from the exported model, and linked, read back from the ELF. Imports no torch.

A row is {"region": "flash" | "ram", "address": int or None, "bytes": int, "symbol": str, "owner": str}. Owners are the model's layers by
name, "arena" (the model's working memory), "self-test" (serial line and requests), "runtime" (the operations), "startup" (vectors, C
library) and "other" (text constants and gaps, which have no symbol). The rows of a linked map add up to the image's sections.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import TypedDict

import pandas as pd
from elftools.elf.constants import SH_FLAGS
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import Section, SymbolTableSection

from tbn.export.report import ExportReport

SELF_TEST = ("device_", "answer", "put_", "tbn_device", "tbn_frame", "tbn_crc32", "tbn_port", "main", "drop", "read_u")


class Block(TypedDict):
    """A stretch of memory."""

    region: str
    address: int | None
    bytes: int
    symbol: str
    owner: str


def predicted(report: ExportReport) -> list[Block]:
    """What the model itself will take: the arrays of each layer in flash, the arena in RAM."""
    blocks: list[Block] = []
    for layer in report.layers:
        for symbol, size in layer.symbols.values():
            blocks.append({"region": "flash", "address": None, "bytes": size, "symbol": symbol, "owner": layer.name})
    for part in report.arena:
        blocks.append({"region": "ram", "address": None, "bytes": part.bytes, "symbol": part.name, "owner": "arena"})
    return blocks


def linked(elf: Path, report: ExportReport) -> list[Block]:
    """What lies where in the image, by address; initial values of variables stand in flash too."""
    layer_of = {symbol: layer.name for layer in report.layers for symbol, _ in layer.symbols.values()}
    blocks: list[Block] = []
    with elf.open("rb") as file:
        image = ELFFile(file)
        table = image.get_section_by_name(".symtab")
        symbols = list(table.iter_symbols()) if isinstance(table, SymbolTableSection) else []
        for index, section in enumerate(image.iter_sections()):
            if not section["sh_flags"] & SH_FLAGS.SHF_ALLOC or not section["sh_size"]:
                continue
            inside = sorted(
                (
                    symbol["st_value"] & ~1 if symbol["st_info"]["type"] == "STT_FUNC" else symbol["st_value"],
                    symbol["st_size"],
                    symbol.name,
                )
                for symbol in symbols
                if symbol["st_shndx"] == index
                and symbol["st_size"]
                and symbol["st_info"]["type"] in ("STT_FUNC", "STT_OBJECT")
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


def owner_of(symbol: str, layer_of: dict[str, str]) -> str:
    """Who a symbol belongs to."""
    if symbol in layer_of:
        return layer_of[symbol]
    if symbol == "tbn_model_arena":
        return "arena"
    if symbol.startswith(("tbn_layer_", "tbn_model_")):
        return "runtime"
    if symbol.startswith(SELF_TEST):
        return "self-test"
    return "runtime" if symbol.startswith("tbn_") and symbol != "tbn_vectors" else "startup"


def _blocks(section: Section, symbols: list[tuple[int, int, str]], layer_of: dict[str, str]) -> list[Block]:
    """One section cut at its symbols; what no symbol covers belongs to "other"."""
    writable = bool(section["sh_flags"] & SH_FLAGS.SHF_WRITE)
    region = "ram" if writable else "flash"
    start, end = section["sh_addr"], section["sh_addr"] + section["sh_size"]
    blocks: list[Block] = []
    for address, size, name in symbols:
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
                    "owner": owner_of(name, layer_of),
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
