"""image.py size ELF | image.py bin ELF OUT: what `size` and `objcopy` do, with the pyelftools that PlatformIO brings."""

import sys

from elftools.elf.constants import SH_FLAGS
from elftools.elf.elffile import ELFFile


def sizes(path: str) -> tuple[int, int]:
    """(flash, ram) bytes of the sections that lie in the board's memory; initialised data counts in both."""
    flash = ram = 0
    with open(path, "rb") as file:
        for section in ELFFile(file).iter_sections():
            if section["sh_flags"] & SH_FLAGS.SHF_ALLOC:
                flash += section["sh_size"] if section["sh_type"] != "SHT_NOBITS" else 0
                ram += section["sh_size"] if section["sh_flags"] & SH_FLAGS.SHF_WRITE else 0
    return flash, ram


def flash_image(path: str) -> bytes:
    """The bytes of the flash from its first used address on; gaps are erased flash (0xFF)."""
    with open(path, "rb") as file:
        segments = sorted((s["p_paddr"], s.data()) for s in ELFFile(file).iter_segments("PT_LOAD") if s["p_filesz"])
    image = bytearray()
    for address, data in segments:
        image += b"\xff" * (address - segments[0][0] - len(image)) + data
    return bytes(image)


if __name__ == "__main__":
    if sys.argv[1] == "size":
        flash, ram = sizes(sys.argv[2])
        print(f"flash {flash}\nram {ram}")
    else:
        with open(sys.argv[3], "wb") as out:
            out.write(flash_image(sys.argv[2]))
