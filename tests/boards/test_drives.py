"""Boards as USB drives: folders and, for root, real file systems on a loop device, with a thread in the board's place."""

import os
import shutil
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tbn.boards import drives
from tbn.boards.drives import DriveKind, choose, find, look, mounts_of, not_there
from tbn.boards.dropping import flash_drive
from tbn.boards.images import check_image
from tbn.errors import TBNError

NUCLEO = DriveKind("bin", ("MBED.HTM", "DETAILS.TXT"), r"code=0740", "NODE_F411RE")
MICROBIT = DriveKind("hex", ("DETAILS.TXT",), r"Unique ID: *990[01]", "MICROBIT")
PICO = DriveKind("uf2", ("INFO_UF2.TXT",), r"Board-ID: *RPI-RP2\b", "RPI-RP2")
INFO = {
    "NUCLEO": ("MBED.HTM", '<meta http-equiv="refresh" content="0; url=http://mbed.org/device/?code=0740022109"/>'),
    "MICROBIT": ("DETAILS.TXT", "# DAPLink Firmware\r\nUnique ID: 9900000031864e45\r\nRemount count: 1\r\n"),
    "PICO": ("INFO_UF2.TXT", "UF2 Bootloader v3.0\r\nModel: Raspberry Pi RP2\r\nBoard-ID: RPI-RP2\r\n"),
}
HEX = b":0400000001020304F2\r\n:00000001FF\r\n"
LIMITS: dict[str, Any] = {"copy_seconds": 20, "take_seconds": 5, "return_seconds": 0.3}


def board(kind: DriveKind | None) -> Any:
    return SimpleNamespace(title="Some Board", drive=kind)


def uf2(blocks: int = 3) -> bytes:
    parts = []
    for index in range(blocks):
        head = struct.pack(
            "<8I", 0x0A324655, 0x9E5D5157, 0x2000, 0x10000000 + 256 * index, 256, index, blocks, 0xE48BFF56
        )
        parts.append(head + os.urandom(476) + struct.pack("<I", 0x0AB16F30))
    return b"".join(parts)


def write_info(folder: Path, name: str) -> None:
    (folder / INFO[name][0]).write_text(INFO[name][1])


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TBN_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def nucleo(tmp_path: Path) -> Path:
    folder = tmp_path / "Drive with spaces ä" / "NODE_F411RE"
    folder.mkdir(parents=True)
    write_info(folder, "NUCLEO")
    return folder


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "firmware.bin"
    path.write_bytes(os.urandom(50_000))
    return path


def taking(folder: Path, name: str, then: Callable[[bytes], None], size: int) -> threading.Thread:
    """A board: waits for the whole file, then does what it does."""

    def work() -> None:
        until = time.monotonic() + 10
        while time.monotonic() < until:
            path = folder / name
            if path.is_file() and path.stat().st_size == size:
                then(path.read_bytes())
                return
            time.sleep(0.01)

    thread = threading.Thread(target=work)
    thread.start()
    return thread


# ---- finding and choosing


def test_a_drive_is_known_by_its_info_file(tmp_path: Path) -> None:
    for name, kind in (("NUCLEO", NUCLEO), ("MICROBIT", MICROBIT), ("PICO", PICO)):
        folder = tmp_path / name
        folder.mkdir()
        write_info(folder, name)
        for other in (NUCLEO, MICROBIT, PICO):
            assert (look(folder, other) is not None) == (other is kind)
    assert [drive.path.name for drive in find(MICROBIT, tmp_path.iterdir())] == ["MICROBIT"]
    assert look(tmp_path / "MICROBIT", MICROBIT).identity == "Unique ID: 9900000031864e45"  # type: ignore[union-attr]
    assert look(tmp_path / "nowhere", PICO) is None
    (tmp_path / "PICO" / "INFO_UF2.TXT").write_text("Board-ID: RP2350\r\n")
    assert look(tmp_path / "PICO", PICO) is None


def test_an_info_file_of_another_version_is_known_by_the_volume_s_name(tmp_path: Path) -> None:
    for name, known in (("NODE_F411RE", True), ("NODE_F411RE1", True), ("NODE_F401RE", False)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "details.txt").write_text("Version: 9999\r\n")  # some systems show names in lower case
        assert (look(tmp_path / name, NUCLEO) is not None) == known


def test_mount_table() -> None:
    table = (
        "proc /proc proc rw 0 0\n/dev/sda1 / ext4 rw 0 0\n"
        "/dev/sdb /media/me/NODE_F411RE vfat rw,nosuid 0 0\n//server/x /mnt/x cifs rw 0 0\n"
        "/dev/sdc1 /media/me/My\\040drive\\134 vfat rw 0 0\n"
    )
    assert mounts_of(table) == [Path("/media/me/NODE_F411RE"), Path("/media/me/My drive\\")]
    assert all(isinstance(folder, Path) for folder in drives.mounted())


def test_none_is_found(tmp_path: Path) -> None:
    with pytest.raises(TBNError, match="no drive of a Some Board is mounted"):
        choose(board(PICO), None, [])
    assert "hold BOOTSEL" in not_there(board(PICO), "linux") and "by-label/RPI-RP2" in not_there(board(PICO), "linux")
    assert "/Volumes/MICROBIT" in not_there(board(MICROBIT), "darwin") and "data cable" in not_there(
        board(NUCLEO), "darwin"
    )
    assert "Explorer" in not_there(board(NUCLEO), "win32")
    with pytest.raises(TBNError, match="does not show itself as a drive"):
        choose(board(None))


def test_several_are_asked_about_and_a_name_decides(tmp_path: Path) -> None:
    for name in ("MICROBIT", "MICROBIT1"):
        (tmp_path / name).mkdir()
        write_info(tmp_path / name, "MICROBIT")
    with pytest.raises(TBNError, match="several drives") as error:
        choose(board(MICROBIT), "auto", sorted(tmp_path.iterdir()))
    assert "MICROBIT1" in error.value.fix and "--drive" in error.value.fix
    assert choose(board(MICROBIT), str(tmp_path / "MICROBIT1")).path.name == "MICROBIT1"
    assert choose(board(MICROBIT), None, [tmp_path / "MICROBIT"]).path.name == "MICROBIT"
    with pytest.raises(TBNError, match="is no drive of a Some Board"):
        choose(board(PICO), str(tmp_path / "MICROBIT"))
    with pytest.raises(TBNError, match="is not there"):
        choose(board(PICO), str(tmp_path / "nothing"))


# ---- the image


@pytest.mark.parametrize(
    ("kind", "data", "words"),
    [
        ("bin", b"", "empty"),
        ("hex", HEX[:-13], "its end is missing"),
        ("hex", HEX.replace(b"F2", b"F3"), "line 1 is damaged"),
        ("hex", b"<html>", "line 1"),
        ("uf2", b"", "no blocks"),
        ("uf2", uf2()[:-100], "no blocks"),
        ("uf2", uf2()[:-512], "says that it is 0 of 3"),
        ("uf2", bytes(512), "block 0 is damaged"),
    ],
)
def test_an_image_that_is_not_whole_is_not_copied(kind: str, data: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / f"firmware.{kind}").write_bytes(data)
    write_info(tmp_path, "PICO")
    drive = look(tmp_path, replace(PICO, image=kind))
    assert drive is not None
    with pytest.raises(TBNError, match=words) as error:
        flash_drive(drive, tmp_path / f"firmware.{kind}", lambda: None)
    assert error.value.fix == "build the firmware again"
    assert {path.name for path in tmp_path.iterdir()} == {"INFO_UF2.TXT", f"firmware.{kind}"}


def test_whole_images_and_wrong_kinds(tmp_path: Path) -> None:
    for kind, data in (("hex", HEX), ("uf2", uf2()), ("bin", b"x")):
        (tmp_path / f"a.{kind}").write_bytes(data)
        assert check_image(tmp_path / f"a.{kind}", kind) == len(data)
    with pytest.raises(TBNError, match=r"no \.hex file"):
        check_image(tmp_path / "a.bin", "hex")
    with pytest.raises(TBNError, match="cannot read"):
        check_image(tmp_path / "b.bin", "bin")


# ---- flashing a folder


def test_the_drive_is_mounted_again_and_the_board_answers(nucleo: Path, image: Path) -> None:
    """At another place, as desktops do when the first one is not free yet."""
    got: list[bytes] = []
    elsewhere = nucleo.with_name("NODE_F411RE1")

    def remount(data: bytes) -> None:
        got.append(data)
        shutil.rmtree(nucleo)
        time.sleep(0.1)
        elsewhere.mkdir()
        write_info(elsewhere, "NUCLEO")

    drive = choose(board(NUCLEO), str(nucleo))
    thread = taking(nucleo, "FIRMWARE.BIN", remount, 50_000)
    assert flash_drive(drive, image, lambda: "32 of 32", folders=lambda: [elsewhere], **LIMITS) == "32 of 32"
    thread.join()
    assert got == [image.read_bytes()]


def test_the_drive_does_not_come_back_but_the_board_answers(nucleo: Path, image: Path) -> None:
    """A computer without a desktop mounts nothing by itself."""
    thread = taking(nucleo, "FIRMWARE.BIN", lambda _: shutil.rmtree(nucleo), 50_000)
    assert flash_drive(choose(board(NUCLEO), str(nucleo)), image, lambda: 1, folders=list, **LIMITS) == 1
    thread.join()


def test_a_boot_loader_s_drive_is_gone_at_once(tmp_path: Path) -> None:
    folder = tmp_path / "RPI-RP2"
    folder.mkdir()
    write_info(folder, "PICO")
    (tmp_path / "firmware.uf2").write_bytes(uf2())
    thread = taking(folder, "FIRMWARE.UF2", lambda _: shutil.rmtree(folder), 1536)
    assert flash_drive(choose(board(PICO), str(folder)), tmp_path / "firmware.uf2", lambda: True, **LIMITS)
    thread.join()


def test_a_boot_loader_that_stays_has_not_taken_it(tmp_path: Path) -> None:
    write_info(tmp_path, "PICO")
    (tmp_path / "firmware.uf2").write_bytes(uf2())
    with pytest.raises(TBNError, match="has not taken the image"):
        flash_drive(
            choose(board(PICO), str(tmp_path)),
            tmp_path / "firmware.uf2",
            lambda: True,
            **LIMITS | {"take_seconds": 0.2},
        )


def test_what_the_board_says_about_a_failure_is_told(nucleo: Path, image: Path) -> None:
    (nucleo / "FAIL.TXT").write_text("an old failure")

    def never() -> None:
        raise AssertionError("asked a board that has refused")

    def refuse(_: bytes) -> None:  # a programmer makes up its drive anew, all at once
        (nucleo / "FAIL.TXT").write_text("The interface firmware FAILED to reset/halt the target MCU")
        (nucleo / "FIRMWARE.BIN").unlink()

    thread = taking(nucleo, "FIRMWARE.BIN", refuse, 50_000)
    with pytest.raises(TBNError, match="FAILED to reset/halt") as error:
        flash_drive(choose(board(NUCLEO), str(nucleo)), image, never, **LIMITS)
    thread.join()
    assert "jumpers" in error.value.fix


def test_an_old_failure_is_none_and_a_board_that_is_silent_is_told(nucleo: Path, image: Path) -> None:
    (nucleo / "FAIL.TXT").write_text("an old failure")
    drive = choose(board(NUCLEO), str(nucleo))
    assert flash_drive(drive, image, lambda: "ok", **LIMITS | {"take_seconds": 0.2}) == "ok"

    def silent() -> None:
        raise TBNError("the board did not answer", "press reset")

    with pytest.raises(TBNError, match="did not answer"):
        flash_drive(drive, image, silent, **LIMITS | {"take_seconds": 0.2})


def test_two_flashes_of_one_drive(nucleo: Path, image: Path) -> None:
    drive = choose(board(NUCLEO), str(nucleo))
    inside, go = threading.Event(), threading.Event()

    def slow() -> str:
        inside.set()
        go.wait(10)
        return "first"

    outcome: list[str] = []
    limits = LIMITS | {"take_seconds": 0.1}
    thread = threading.Thread(target=lambda: outcome.append(flash_drive(drive, image, slow, **limits)))
    thread.start()
    assert inside.wait(10)
    with pytest.raises(TBNError, match="in use by another flash"):
        flash_drive(drive, image, lambda: "second", **limits)
    go.set()
    thread.join()
    assert outcome == ["first"]


def test_a_drive_that_hangs_has_a_limit(nucleo: Path, image: Path) -> None:
    os.mkfifo(nucleo / "FIRMWARE.BIN")  # opening it waits for a reader, as a write to a dead drive waits
    started = time.monotonic()
    with pytest.raises(TBNError, match=r"within 0\.3 s"):
        flash_drive(choose(board(NUCLEO), str(nucleo)), image, lambda: None, **LIMITS | {"copy_seconds": 0.3})
    assert time.monotonic() - started < 5
    with (nucleo / "FIRMWARE.BIN").open("rb") as file:  # let the thread go
        file.read()


# ---- flashing a real file system


def run(*argv: object) -> bool:
    return subprocess.run([str(word) for word in argv], capture_output=True, timeout=30).returncode == 0


@pytest.fixture
def loop(tmp_path: Path) -> Iterator[Path]:
    """A mounted loop device: FAT where this system has it, else ext2. Its file lies in a RAM disk of 300 kB, so a large write is cut off."""
    backing, folder = tmp_path / "backing", tmp_path / "MICROBIT"
    backing.mkdir()
    folder.mkdir()
    if os.name == "nt" or os.geteuid() != 0 or not run("mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", backing):
        pytest.skip("mounting needs root")
    disk = backing / "disk.img"
    with disk.open("wb") as file:
        file.truncate(2 << 20)
    fat = "vfat" in Path("/proc/filesystems").read_text() and run("mkfs.vfat", disk)
    made = fat or run("mke2fs", "-q", "-t", "ext2", "-b", 1024, "-N", 16, disk)
    if not made or not run("mount", "-o", "loop", disk, folder):
        run("umount", backing)
        pytest.skip("no loop devices here")
    write_info(folder, "MICROBIT")
    yield folder
    run("umount", "-l", folder)
    run("umount", "-l", backing)


def hex_image(path: Path, count: int) -> Path:
    lines = []
    for index in range(count):
        record = bytes([16, index >> 8 & 0xFF, index & 0xFF, 0]) + os.urandom(16)
        lines.append(":" + (record + bytes([-sum(record) & 0xFF])).hex().upper())
    path.write_text("\n".join([*lines, ":00000001FF\n"]))
    return path


def test_a_real_drive_is_unmounted_by_the_board(loop: Path, tmp_path: Path) -> None:
    image = hex_image(tmp_path / "firmware.hex", 500)
    got: list[bytes] = []

    def vanish(data: bytes) -> None:
        got.append(data)
        run("umount", "-l", loop)

    thread = taking(loop, "FIRMWARE.HEX", vanish, image.stat().st_size)
    drive = choose(board(MICROBIT), None, [loop])
    assert flash_drive(drive, image, lambda: "ok", folders=list, **LIMITS) == "ok"
    thread.join()
    assert got == [image.read_bytes()]


def test_a_copy_that_power_cuts_off_is_an_error_and_the_next_one_works(loop: Path, tmp_path: Path) -> None:
    """The device takes only a part of what the system sends: the error comes at the flush. Then there is power again."""
    image = hex_image(tmp_path / "firmware.hex", 12_000)
    drive = choose(board(MICROBIT), None, [loop])

    def wrong() -> None:
        raise TBNError("the board runs model 1, not 2", "flash this run's firmware")

    limits = LIMITS | {"take_seconds": 0.2}
    with pytest.raises(TBNError, match="was cut off") as error:
        flash_drive(drive, image, wrong, **limits)
    assert "flash again" in error.value.fix
    assert run("mount", "-o", "remount,size=8m", tmp_path / "backing")
    assert flash_drive(drive, image, lambda: "ok", **limits) == "ok"
    assert (loop / "FIRMWARE.HEX").read_bytes() == image.read_bytes()


def test_an_image_larger_than_the_drive(loop: Path, tmp_path: Path) -> None:
    with pytest.raises(TBNError, match="has room for"):
        flash_drive(
            choose(board(MICROBIT), None, [loop]), hex_image(tmp_path / "firmware.hex", 60_000), lambda: None, **LIMITS
        )


def test_a_drive_that_is_read_only(loop: Path, tmp_path: Path) -> None:
    assert run("mount", "-o", "remount,ro", loop)
    with pytest.raises(TBNError, match="cannot write") as error:
        flash_drive(
            choose(board(MICROBIT), None, [loop]), hex_image(tmp_path / "firmware.hex", 10), lambda: None, **LIMITS
        )
    assert "read-only" in error.value.fix
