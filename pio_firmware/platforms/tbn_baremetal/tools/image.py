"""What `size` and `objcopy` do, and UF2, with the pyelftools that PlatformIO brings.

image.py size ELF            bytes of flash and RAM
image.py bin ELF OUT         the flash from its first used address on
image.py hex ELF OUT         the same as Intel HEX
image.py uf2 ELF OUT FAMILY  the same in the blocks that USB boot loaders take
image.py boot2 ELF           write the checksum of an RP2040's second boot stage into the ELF itself
"""

import struct
import sys

from elftools.elf.constants import SH_FLAGS
from elftools.elf.elffile import ELFFile

HEX_LINE_BYTES = 16
UF2_PAYLOAD_BYTES, UF2_MAGIC, UF2_FAMILY_PRESENT = 256, (0x0A324655, 0x9E5D5157, 0x0AB16F30), 0x2000
BOOT2_BYTES = 252


def sizes(path: str) -> tuple[int, int]:
    """(flash, ram) bytes of the sections that lie in the board's memory; initialised data counts in both."""
    flash = ram = 0
    with open(path, "rb") as file:
        for section in ELFFile(file).iter_sections():
            if section["sh_flags"] & SH_FLAGS.SHF_ALLOC:
                flash += section["sh_size"] if section["sh_type"] != "SHT_NOBITS" else 0
                ram += section["sh_size"] if section["sh_flags"] & SH_FLAGS.SHF_WRITE else 0
    return flash, ram


def flash_image(path: str) -> tuple[int, bytes]:
    """The first used address of the flash, and its bytes from there on; gaps are erased flash (0xFF)."""
    with open(path, "rb") as file:
        segments = sorted((s["p_paddr"], s.data()) for s in ELFFile(file).iter_segments("PT_LOAD") if s["p_filesz"])
    image = bytearray()
    for address, data in segments:
        image += b"\xff" * (address - segments[0][0] - len(image)) + data
    return segments[0][0], bytes(image)


def intel_hex(start: int, data: bytes) -> str:
    """Lines of 16 bytes from a multiple of 16 on; one with the upper half of the address before each 64 KB."""
    lines, upper = [], 0
    for position in range(0, len(data), HEX_LINE_BYTES):
        address = start + position
        if address >> 16 != upper:
            upper = address >> 16
            lines.append(_hex_line(0, 4, struct.pack(">H", upper)))
        lines.append(_hex_line(address & 0xFFFF, 0, data[position : position + HEX_LINE_BYTES]))
    return "\n".join([*lines, _hex_line(0, 1, b""), ""])


def _hex_line(address: int, kind: int, data: bytes) -> str:
    record = struct.pack(">BHB", len(data), address, kind) + data
    return ":" + (record + bytes([-sum(record) & 0xFF])).hex().upper()


def uf2(start: int, data: bytes, family: int) -> bytes:
    """Blocks of 512 bytes with 256 bytes of the image each; every one says where it belongs and for which chips it is."""
    parts = [
        data[i : i + UF2_PAYLOAD_BYTES].ljust(UF2_PAYLOAD_BYTES, b"\xff")
        for i in range(0, len(data), UF2_PAYLOAD_BYTES)
    ]
    blocks = []
    for index, part in enumerate(parts):
        address = start + index * UF2_PAYLOAD_BYTES
        head = struct.pack(
            "<8I", *UF2_MAGIC[:2], UF2_FAMILY_PRESENT, address, UF2_PAYLOAD_BYTES, index, len(parts), family
        )
        blocks.append((head + part).ljust(508, b"\0") + struct.pack("<I", UF2_MAGIC[2]))
    return b"".join(blocks)


def crc32_plain(data: bytes) -> int:
    """CRC-32 with polynomial 0x04C11DB7, start 0xFFFFFFFF, nothing reflected or inverted: what the RP2040's boot ROM computes."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1 ^ (0x04C11DB7 if crc >> 31 else 0)) & 0xFFFFFFFF
    return crc


def add_boot2_checksum(path: str) -> None:
    """The last four of the 256 bytes of section .boot2 become the CRC of the others."""
    with open(path, "r+b") as file:
        section = ELFFile(file).get_section_by_name(".boot2")
        if section is None or section["sh_size"] != BOOT2_BYTES + 4:
            raise SystemExit("Error: the image has no second boot stage of 256 bytes")
        crc = crc32_plain(section.data()[:BOOT2_BYTES])
        file.seek(section["sh_offset"] + BOOT2_BYTES)
        file.write(struct.pack("<I", crc))


if __name__ == "__main__":
    command, elf, *rest = sys.argv[1:]
    if command == "size":
        print("flash {}\nram {}".format(*sizes(elf)))
    elif command == "boot2":
        add_boot2_checksum(elf)
    else:
        start, data = flash_image(elf)
        if command == "hex":
            data = intel_hex(start, data).encode()
        elif command == "uf2":
            data = uf2(start, data, int(rest[1], 0))
        with open(rest[0], "wb") as out:
            out.write(data)
