"""The runtime on an ATmega2560, whose constants lie in another address space and whose int has 16 bits: the reference's bits, under simavr."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tbn.export import firmware_root
from tbn.export.c_integer import generate
from tbn.integer import IntegerNetwork, run
from tbn.integer.network import MaxPool, Window
from tests.firmware.test_runtime_cores import SAME, vectors
from tests.integer.networks import codes, ended, layer

RUNTIME = firmware_root() / "lib" / "tbn_runtime"
SIMULATOR = r"""
#include <simavr/sim_avr.h>
#include <simavr/sim_elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int count, char **words)
{
    elf_firmware_t image;
    memset(&image, 0, sizeof image);
    avr_t *avr = avr_make_mcu_by_name("atmega2560");
    if (count != 4 || avr == NULL || elf_read_firmware(words[1], &image) != 0) return 1;
    avr_init(avr);
    avr_load_firmware(avr, &image);
    int state;
    do state = avr_run(avr); while (state != cpu_Done && state != cpu_Crashed);
    const unsigned char *at = avr->data + (strtol(words[2], NULL, 16) & 0xffff);
    FILE *file = fopen("outputs", "wb");
    fwrite(at, 4, (size_t)atoi(words[3]), file);
    fclose(file);
    return state == cpu_Crashed;
}
"""
MAIN = """
#include "model.h"
#include <avr/interrupt.h>
#include <avr/sleep.h>
static const uint8_t input[] = {%s};
static tbn_model_arena arena;
int32_t outputs[TBN_MODEL_OUTPUTS + 1];
int main(void)
{
    outputs[TBN_MODEL_OUTPUTS] = tbn_model_run(input, sizeof input, &arena, outputs, TBN_MODEL_OUTPUTS);
    cli();
    sleep_enable();
    sleep_cpu();
    return 0;
}
"""


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A program that runs an image until it sleeps, and writes numbers out of its memory."""
    if not shutil.which("avr-gcc") or not shutil.which("gcc"):
        pytest.skip("avr-gcc is not installed (apt-get install gcc-avr avr-libc)")
    folder = tmp_path_factory.mktemp("simavr")
    (folder / "run.c").write_text(SIMULATOR)
    done = subprocess.run(
        ["gcc", "run.c", "-o", "run", "-lsimavr", "-lelf"], cwd=folder, capture_output=True, text=True, timeout=60
    )
    if done.returncode:
        pytest.skip("simavr's library is not installed (apt-get install libsimavr-dev libelf-dev)")
    return folder / "run"


def images() -> IntegerNetwork:
    """Four positions at a time: rows on byte borders and across them, a stride, one row a group, a single pixel; and a pooling."""
    return ended(
        layer(1, 12, 18, 1, zero=73, window=SAME, name="first"),
        layer(2, 12, 9, 1, source=1, target=2, zero=12, window=SAME, groups=12, gain=True, name="depthwise"),
        layer(3, 16, 108, 4, source=2, target=3, zero=0, window=Window((3, 3), (2, 2), (1, 1)), name="stride"),
        layer(4, 8, 144, 4, source=3, target=4, zero=255, window=SAME, name="same"),
        MaxPool("pool", 4, 5, Window((2, 2), (2, 2))),
        layer(5, 12, 8, 1, source=5, target=6, zero=3, window=Window((1, 1)), name="pixel"),
        shapes=[(2, 6, 6), (12, 6, 6), (12, 6, 6), (16, 3, 3), (8, 3, 3), (8, 1, 1), (12, 1, 1)],
    )


@pytest.mark.parametrize("make", [vectors, images])
def test_avr_gives_the_references_bits(simulator: Path, make, tmp_path: Path) -> None:
    net = make()
    source, sample = generate(net, "test"), codes(7, 1, *net.tensors[0].shape)
    for name, text in (
        ("model.h", source.header),
        ("model.c", source.code),
        ("main.c", MAIN % ", ".join(map(str, sample.reshape(-1)))),
    ):
        (tmp_path / name).write_text(text)
    argv = [
        "avr-gcc",
        "-mmcu=atmega2560",
        "-std=c99",
        "-Os",
        "-ffunction-sections",
        "-Wl,--gc-sections",
        f"-I{RUNTIME / 'include'}",
    ]
    argv += ["main.c", "model.c", *map(str, sorted((RUNTIME / "src").glob("*.[cS]"))), "-o", "firmware.elf"]
    subprocess.run(argv, cwd=tmp_path, check=True, timeout=120)
    names = subprocess.run(
        ["avr-nm", "firmware.elf"], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60
    ).stdout
    address = next(line.split()[0] for line in names.splitlines() if line.endswith(" outputs"))
    argv = [str(simulator), "firmware.elf", address, str(net.outputs + 1)]
    subprocess.run(argv, cwd=tmp_path, check=True, capture_output=True, timeout=120)
    words = (tmp_path / "outputs").read_bytes()
    found = [int.from_bytes(words[i : i + 4], "little", signed=True) for i in range(0, len(words), 4)]
    assert found == [*run(net, sample)[0].tolist(), 0]
