"""Is a firmware file whole? ``.bin`` (bytes of the flash), ``.hex`` (Intel HEX) and ``.uf2`` (blocks of 512 bytes)."""

import struct
from pathlib import Path

from tbn.errors import TBNError

UF2_BLOCK, UF2_MAGICS, UF2_END = 512, (0x0A324655, 0x9E5D5157), 0x0AB16F30
AGAIN = "build the firmware again"


def check_image(image: Path, kind: str) -> int:
    """The length of a whole image in bytes.

    Args:
        kind: "bin", "hex" or "uf2".

    Raises:
        TBNError: it is missing, of another kind, or not whole.
    """
    if image.suffix.lower() != f".{kind}":
        raise TBNError(f"{image.name} is no .{kind} file, and this drive takes nothing else", AGAIN)
    try:
        data = image.read_bytes()
    except OSError as error:
        raise TBNError(f"cannot read the image {image}: {error.strerror}", AGAIN) from error
    fault = {"bin": _bin_fault, "hex": _hex_fault, "uf2": _uf2_fault}[kind](data)
    if fault:
        raise TBNError(f"the image {image} is not whole: {fault}", AGAIN)
    return len(data)


def _bin_fault(data: bytes) -> str:
    return "" if data else "it is empty"


def _hex_fault(data: bytes) -> str:
    """Every record begins with a colon and adds up to 0; the last one says that it is."""
    lines = data.split()
    for number, line in enumerate(lines, 1):
        try:
            record = bytes.fromhex(line[1:].decode("ascii"))
        except ValueError:
            return f"line {number} is no record"
        if line[:1] != b":" or len(record) < 5 or len(record) != record[0] + 5 or sum(record) & 0xFF:
            return f"line {number} is damaged"
        if record[3] == 1:
            return "" if number == len(lines) else f"it ends at line {number}, and goes on"
    return "its end is missing"


def _uf2_fault(data: bytes) -> str:
    """Every block names its number and how many there are."""
    if not data or len(data) % UF2_BLOCK:
        return f"it has {len(data):,} bytes, which are no blocks of {UF2_BLOCK}"
    count = len(data) // UF2_BLOCK
    for index in range(count):
        block = data[index * UF2_BLOCK : (index + 1) * UF2_BLOCK]
        first, second, _, _, size, number, of, _ = struct.unpack_from("<8I", block)
        if (first, second) != UF2_MAGICS or struct.unpack_from("<I", block, UF2_BLOCK - 4)[0] != UF2_END or size > 476:
            return f"block {index} is damaged"
        if (number, of) != (index, count):
            return f"block {index} says that it is {number} of {of}"
    return ""
