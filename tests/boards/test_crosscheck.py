"""Second opinions on the emulated boards: QEMU and labwired, where they are installed, give the same answers and the same counts."""

import shutil
from pathlib import Path

import pytest

from tbn.boards import pio
from tbn.boards.chips import CORTEX_M4F, MODELS
from tbn.boards.crosscheck import LABWIRED, Answers, ask, emulators_of
from tbn.export import firmware_root

pytestmark = pytest.mark.board


@pytest.fixture(scope="session")
def plain_c(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Images of the example model in the runtime's plain C, by Cortex-M4 board."""
    boards = [name for name in LABWIRED if MODELS[name].core == CORTEX_M4F]
    workspace = tmp_path_factory.mktemp("plain")
    environments = [word for name in boards for word in ("--environment", f"sim_{name}")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TBN_BUILD_FLAGS", "-DTBN_PORTABLE")
        pio.run(environments, workspace, firmware_root() / "example_model", workspace / "log", pio.BUILD_SECONDS)
    return {name: (workspace / "build" / f"sim_{name}" / "firmware.elf").read_bytes() for name in boards}


def compare(emulator: str, board: str, elf: bytes) -> tuple[Answers, Answers]:
    """Of unicorn and of another emulator: everything but the counts has to be equal."""
    ours, theirs = ask("unicorn", board, elf), ask(emulator, board, elf)
    assert (theirs.board, theirs.model_hash) == (board, ours.model_hash)
    assert theirs.outputs == ours.outputs and theirs.crc == ours.crc
    assert len(set(ours.outputs)) == len(ours.outputs) == 3
    return ours, theirs


@pytest.mark.parametrize("board", list(LABWIRED))
def test_labwired(board: str, request: pytest.FixtureRequest) -> None:
    """A model of the whole chip by others: exactly as many instructions. Plain C where it lacks instructions of the fast path.

    The Pico's ticks come from two counters; one may go on between.
    """
    pytest.importorskip("labwired", reason="pip install labwired")
    if MODELS[board].core == CORTEX_M4F:
        elf = request.getfixturevalue("plain_c")[board]
    else:
        elf = (request.getfixturevalue("built")[board] / "firmware.elf").read_bytes()
    ours, theirs = compare("labwired", board, elf)
    between = int(board == "pico")
    assert all(abs(a - b) <= between for a, b in zip(ours.instructions, theirs.instructions, strict=True))
    assert min(ours.instructions) > 1000


@pytest.mark.skipif(shutil.which("qemu-system-arm") is None, reason="apt-get install qemu-system-arm")
@pytest.mark.parametrize("board", ["microbit", "nucleo_f411re"])
def test_qemu(board: str, built: dict[str, Path]) -> None:
    """The image with its fast paths. QEMU's timer counts 1.024 ticks an instruction; its Nucleo has no counter."""
    assert "qemu" in emulators_of(board)
    ours, theirs = compare("qemu", board, (built[board] / "firmware.elf").read_bytes())
    if board == "microbit":
        assert all(abs(a - b) <= 2 for a, b in zip(ours.instructions, theirs.instructions, strict=True))
    else:
        assert theirs.instructions == ()
