"""tbn doctor."""

import socket
import time
from pathlib import Path

import pytest

from tbn.boards import checks, doctor, pio


def test_this_machine_is_ready() -> None:
    checks = {check.name: check for check in doctor()}
    assert {
        "platformio",
        "scons",
        "ziglang",
        "unicorn",
        "compiler",
        "firmware project",
        "tool cache",
        "disk",
        "serial ports",
        "board drives",
        "old tools",
        "registry",
        "CPU kernel",
    } <= set(checks)
    assert all(check.ok for check in checks.values() if check.needed), checks
    assert checks["compiler"].message.startswith("zig 0.")


def test_what_is_wrong_comes_with_its_fix(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TBN_CACHE", str(tmp_path / "file"))
    monkeypatch.setenv("TBN_FIRMWARE", str(tmp_path))
    monkeypatch.setattr("tbn.boards.checks.FREE_BYTES", 1 << 60)
    wrong = [check for check in doctor() if not check.ok]
    assert {"firmware project", "tool cache", "disk"} <= {check.name for check in wrong}
    assert all(check.fix for check in wrong)


def test_missing_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tbn.boards.checks.NEEDED", {"nothing": "no-such-package-anywhere"})
    check = doctor()[0]
    assert not check.ok and "pip install" in check.fix and check.to_dict()["name"] == "no-such-package-anywhere"


@pytest.mark.parametrize(
    ("status", "ok"),
    [
        ("avx512: the best that this CPU can run; /some/file.so, built with cc", True),
        ("torch: forced by TBN_CPU", True),
        ("torch: there is no C compiler; install gcc or clang, or pip install ziglang", False),
        ("none: TBN_CPU='fast' in the environment: say avx512 or unset it", False),
    ],
)
def test_the_cpu_kernel_is_told_and_not_needed(status: str, ok: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kernels.cpu.status", lambda: status)
    check = doctor()[-1]
    assert check.name == "CPU kernel" and check.ok == ok and check.message == status and not check.needed
    assert bool(check.fix) != ok


def test_an_unreachable_registry_is_told_within_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name server that never answers counts too: the limit is not the socket's own."""
    monkeypatch.setattr("socket.create_connection", lambda *_: time.sleep(60))
    monkeypatch.setattr(pio.registry_fault, "__defaults__", (0.2,))
    started = time.monotonic()
    check = checks._registry()
    assert time.monotonic() - started < 5
    assert not check.ok and not check.needed and "no answer in time" in check.message and "emulated" in check.fix
    monkeypatch.undo()
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setattr("tbn.boards.pio.REGISTRY", server.getsockname())
        assert checks._registry().ok


def test_tools_of_other_versions_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TBN_CACHE", str(tmp_path))
    pio.core_dir().mkdir(parents=True)
    assert checks._old_tools().ok
    (tmp_path / "pio-6.0.0 x" / "packages").mkdir(parents=True)
    (tmp_path / "pio-6.0.0 x" / "packages" / "tool").write_bytes(bytes(3_000_000))
    check = checks._old_tools()
    assert not check.ok and not check.needed and "take 3 MB" in check.message
    assert check.fix == f"rm -r '{tmp_path / 'pio-6.0.0 x'}'"


def test_udev_rules(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr(checks, "RULES_FOLDERS", (str(tmp_path),))
    check = checks._rules()
    assert check is not None and not check.ok and not check.needed and "udev-rules.html" in check.fix
    (tmp_path / checks.RULES).write_text("")
    check = checks._rules()
    assert check is not None and check.ok
    monkeypatch.setattr("sys.platform", "darwin")
    assert checks._rules() is None


def test_avr_tools(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    check = checks._avr()
    assert not check.ok and not check.needed and "gcc-avr" in check.fix


def test_drives_of_boards_are_listed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "INFO_UF2.TXT").write_text("UF2 Bootloader\r\nBoard-ID: RPI-RP2\r\n")
    monkeypatch.setattr("tbn.boards.drives.mounted", lambda: [tmp_path])
    assert f"{tmp_path} (pico)" in checks._drives().message
