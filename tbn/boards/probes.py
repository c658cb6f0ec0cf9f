"""Firmwares that hold one function of the C runtime and nothing else, built for a board: what ``tbn.boards.measuring`` reads."""

import re
import shlex
import subprocess
from pathlib import Path

from elftools.elf.constants import SH_FLAGS
from elftools.elf.elffile import ELFFile

from tbn.boards import pio
from tbn.boards.catalogue import Board
from tbn.code_sizes import PROBE_INPUT_BYTES, PROBE_OUTPUTS
from tbn.errors import TBNError
from tbn.export import firmware_root
from tbn.export.report import FLOAT32, INTEGER

HEADER = """\
#ifndef TBN_MODEL_H
#define TBN_MODEL_H
{includes}
#define TBN_MODEL_HASH "0123456789abcdef"
#define TBN_MODEL_INPUT_BYTES {inputs}
#define TBN_MODEL_OUTPUTS {outputs}
#define TBN_MODEL_WEIGHT_BYTES 0
{arena}
#endif
"""
ARENAS = {
    INTEGER: """\
#define TBN_MODEL_ARENA_BYTES 4
#define TBN_MODEL_OUTPUT_SCALE 1.0f
typedef struct { int32_t sums[1]; } tbn_model_arena;
tbn_status tbn_model_run(const uint8_t *input, uint32_t input_bytes, tbn_model_arena *arena, int32_t *outputs, uint32_t output_count);""",
    FLOAT32: """\
#define TBN_MODEL_ARENA_FLOATS 1
tbn_status tbn_model_run(const uint8_t *input, uint32_t input_bytes, float *arena, uint32_t arena_floats, float *outputs, uint32_t output_count);""",
}
BODY = """\
#include "model.h"
{arrays}
{prototype}
{{
    {uses}
    {unused}
    return TBN_OK;
}}
"""
SIZE_OF = "tbn_size_of_"  # of the arrays that are as long as a structure of the runtime
SECONDS = 300.0


def functions_of(precision: str) -> tuple[str, ...]:
    """Functions of the runtime that a model of this precision may call."""
    found = []
    for text in _headers().values():
        found += re.findall(r"^tbn_status (tbn_\w+)\(", text, re.MULTILINE)
    return tuple(name for name in found if name.startswith("tbn_integer_") == (precision == INTEGER))


def types_of() -> tuple[str, ...]:
    """Structures of the runtime (and its enumerations, which do no harm)."""
    return tuple(
        dict.fromkeys(
            name for text in _headers().values() for name in re.findall(r"^\} (tbn_\w+);", text, re.MULTILINE)
        )
    )


def write_probe(folder: Path, precision: str, what: str | None) -> None:
    """A model that computes nothing. ``what``: a function of the runtime whose address it has, or ``SIZE_OF``: arrays as long as the structures."""
    arena = ARENAS[precision]
    prototype = arena[arena.index("tbn_status") :].rstrip(";")
    includes = "\n".join(f'#include "{name}"' for name in _headers())
    header = HEADER.format(includes=includes, arena=arena, inputs=PROBE_INPUT_BYTES, outputs=PROBE_OUTPUTS)
    arrays, uses = [], []
    if what == SIZE_OF:
        arrays = [f"const uint8_t {SIZE_OF}{name}[sizeof({name})] = {{1}};" for name in types_of()]
        uses = [f"{{ const void *volatile used = {SIZE_OF}{name}; (void)used; }}" for name in types_of()]
    elif what is not None:
        uses = [f"void (*volatile used)(void) = (void (*)(void)){what}; (void)used;"]
    unused = " ".join(f"(void){name};" for name in re.findall(r"(\w+)[,)]", prototype))
    body = BODY.format(prototype=prototype, arrays="\n".join(arrays), uses="\n    ".join(uses), unused=unused)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.h").write_text(header)
    (folder / "model.c").write_text(body)


def _headers() -> dict[str, str]:
    folder = firmware_root() / "lib" / "tbn_runtime" / "include"
    return {path.name: path.read_text() for path in sorted(folder.glob("*.h"))}


class Bench:
    """Builds models for one board in one workspace."""

    def __init__(self, board: Board, folder: Path) -> None:
        self.board, self.folder = board, folder

    def build(self, model: Path) -> Path:
        """The ELF file of a model's firmware, from PlatformIO; its commands are in the log."""
        environment = self.board.emulator_environment
        self._log.unlink(missing_ok=True)
        pio.run(["--environment", environment, "--verbose"], self._workspace, model, self._log, SECONDS)
        return self._workspace / "build" / environment / "firmware.elf"

    def probe(self, precision: str, what: str | None) -> Path:
        """The ELF file of a probe. Each but the first needs two of PlatformIO's commands again: compile model.c, link."""
        model = self.folder / "model"
        write_probe(model, precision, what)
        if what is None:
            return self.build(model)
        elf = self._workspace / "build" / self.board.emulator_environment / "firmware.elf"
        lines = [line for line in self._log.read_text().splitlines() if " -o " in line]
        variables = pio.environment(self._workspace, model) | {"ZIG_LOCAL_CACHE_DIR": str(self.folder / "zig")}
        for target in ("model.o", "firmware.elf"):
            command = next(shlex.split(line) for line in lines if line.split(" -o ")[1].split(" ")[0].endswith(target))
            done = subprocess.run(
                command, cwd=firmware_root(), env=variables, capture_output=True, text=True, timeout=SECONDS
            )
            if done.returncode:
                raise TBNError(
                    f"{what} cannot be linked: {done.stderr.strip()[-500:]}",
                    "build an example first: tbn build RUN",
                )
        return elf

    @property
    def _workspace(self) -> Path:
        return self.folder / "pio"

    @property
    def _log(self) -> Path:
        return self.folder / "build.log"

    def alignments(self) -> dict[str, int]:
        """Alignment of every variable, from the object files (each variable has a section of its own)."""
        found: dict[str, int] = {}
        for path in self.folder.glob("pio/build/**/*.o"):
            with path.open("rb") as file:
                for section in ELFFile(file).iter_sections():
                    name = re.fullmatch(r"\.(?:bss|data|noinit)\.(.+)", section.name)
                    if name and section["sh_flags"] & SH_FLAGS.SHF_WRITE:
                        found[name[1]] = max(found.get(name[1], 1), section["sh_addralign"])
        return found
