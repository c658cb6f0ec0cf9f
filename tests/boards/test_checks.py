"""tbn doctor."""

import os
from pathlib import Path

import pytest

from tbn.boards import doctor


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


def test_asks_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("network")

    monkeypatch.setattr("socket.create_connection", refuse)
    assert doctor() and os.environ
