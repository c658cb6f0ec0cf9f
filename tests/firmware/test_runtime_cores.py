"""The runtime's code for Cortex-M4 and Cortex-M0, run instruction by instruction: the reference's bits, and no more instructions than promised."""

from pathlib import Path

import numpy as np
import pytest

from tbn.boards.counting import CORES, Program, link, link_model
from tbn.errors import TBNError
from tbn.export.c_integer import generate
from tbn.integer import IntegerNetwork, run
from tbn.integer.network import Window
from tests.integer.networks import codes, ended, layer, network
from tests.integer.test_c_integer import example

SAME = Window((3, 3), (1, 1), (1, 1))
MOST = {"cortex-m4f": 1.6, "cortex-m0": 2.2, "cortex-m0plus": 2.2}  # instructions per multiply of a computed row


def program(core: str, net: IntegerNetwork, folder: Path) -> tuple[Program, int]:
    """The network on a core, and the bytes of its arena."""
    source = generate(net, "test")
    (folder / "model").mkdir()
    (folder / "model" / "model.h").write_text(source.header)
    (folder / "model" / "model.c").write_text(source.code)
    return Program(link_model(core, folder / "model", folder), core), source.arena.bytes


def convolutions() -> IntegerNetwork:
    """Rows on byte borders and across them, strides, groups of one and of several rows, copies, more than 256 inputs of a row."""
    return ended(
        layer(1, 12, 18, 1, zero=73, window=SAME, name="first"),
        layer(2, 12, 9, 1, source=1, target=2, zero=12, window=SAME, groups=12, gain=True, name="depthwise"),
        layer(3, 32, 108, 4, source=2, target=3, zero=0, window=Window((3, 3), (2, 2), (1, 1)), name="stride"),
        layer(4, 24, 288, 4, source=3, target=4, zero=255, window=SAME, name="long"),
        layer(5, 12, 8, 1, source=4, target=5, zero=3, window=Window((1, 1)), groups=3, name="groups"),
        shapes=[(2, 9, 9), (12, 9, 9), (12, 9, 9), (32, 5, 5), (24, 5, 5), (12, 5, 5)],
    )


def vectors() -> IntegerNetwork:
    """Fully connected: whole bytes, other rows, a single row, rows that are cut, more than one block of inputs, int8 weights."""
    return network(
        layer(1, 64, 784, 4, zero=33),
        layer(2, 36, 64, 3, source=1, target=2, zero=255),
        layer(3, 27, 36, 27, source=2, target=3, zero=1),
        layer(4, 10, 27, 6, source=3, target=4, zero=0),
        layer(5, 700, 10, 1, source=4, target=5, zero=9),
        layer(6, 13, 700, 1, source=5, target=6, zero=200, int8=True),
        layer(7, 3, 13, 1, source=6, target=-1, zero=128),
        shapes=[(784,), (64,), (36,), (27,), (10,), (700,), (13,)],
    )


@pytest.mark.parametrize("core", ["cortex-m4f", "cortex-m0"])
@pytest.mark.parametrize("make", [example, vectors, convolutions])
def test_cores_give_the_references_bits(core: str, make, tmp_path: Path) -> None:
    net = make()
    inputs = codes(7, 3, *net.tensors[0].shape)
    inputs[1], inputs[2] = 0, 255
    own, arena = program(core, net, tmp_path)
    for sample, wanted in zip(inputs, run(net, inputs), strict=True):
        assert own.run_model(sample.tobytes(), arena, net.outputs) == wanted.tolist()


@pytest.mark.parametrize("core", sorted(CORES))
@pytest.mark.parametrize("zero", [0, 33])
def test_a_computed_row_takes_few_instructions(core: str, zero: int, tmp_path: Path) -> None:
    """The hidden layer of the MLP 784-128-10 with p = 4, all that is around its multiplies included."""
    net = network(layer(1, 128, 784, 4, zero=zero, target=-1), shapes=[(784,)])
    sample = codes(3, 1, 784)
    own, arena = program(core, net, tmp_path)
    assert own.run_model(sample.tobytes(), arena, 128) == run(net, sample)[0].tolist()
    assert own.instructions / (32 * 784) <= MOST[core]


def test_instructions_are_counted_one_by_one(tmp_path: Path) -> None:
    """A loop whose length is known: each further round takes the same number, and a call that does nothing takes one."""
    (tmp_path / "loop.c").write_text(
        "#include <stdint.h>\nvoid nothing(void) {}\n"
        'uint32_t loop(uint32_t rounds) { __asm__ volatile("1: subs %0, #1\\n bne 1b" : "+l"(rounds) : : "cc"); return rounds; }\n'
    )
    own = Program(
        link("cortex-m0", [tmp_path / "loop.c"], tmp_path, ["loop", "nothing"], flags=["-fomit-frame-pointer"]),
        "cortex-m0",
    )
    counts = []
    for rounds in (1, 2, 1000):
        assert own.call("loop", rounds) == 0
        counts.append(own.instructions)
    assert np.diff(counts).tolist() == [2, 998 * 2]
    own.call("nothing")
    assert own.instructions == 1


def test_a_word_that_is_not_aligned_stops_a_cortex_m0(tmp_path: Path) -> None:
    (tmp_path / "load.c").write_text(
        "#include <stdint.h>\nuint32_t load(const volatile uint32_t *at) { return *at; }\n"
    )
    for core, fails in (("cortex-m0", True), ("cortex-m4f", False)):
        own = Program(link(core, [tmp_path / "load.c"], tmp_path, ["load"]), core)
        address = own.put(b"\x01\x02\x03\x04\x05\x06\x07\x08")
        assert own.call("load", address) == 0x04030201
        if fails:
            with pytest.raises(TBNError, match="not aligned"):
                own.call("load", address + 1)
        else:
            assert own.call("load", address + 1) == 0x05040302


def test_a_bad_address_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "load.c").write_text(
        "#include <stdint.h>\nuint32_t load(const volatile uint32_t *at) { return *at; }\n"
    )
    own = Program(link("cortex-m4f", [tmp_path / "load.c"], tmp_path, ["load"]), "cortex-m4f")
    with pytest.raises(TBNError, match="load stopped at"):
        own.call("load", 0)
