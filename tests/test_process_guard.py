from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from agent0.process_guard import command_line

FAMILY = (
    "import subprocess, sys, time\n"
    "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
    "open(sys.argv[1], 'w').write(str(child.pid))\n"
    "{then}"
)


def wait_for(path: Path) -> psutil.Process:
    deadline = time.monotonic() + 30
    while not (path.exists() and path.read_text()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return psutil.Process(int(path.read_text()))


def start(then: str, path: Path, grace_seconds: float = 5.0) -> subprocess.Popen[bytes]:
    return subprocess.Popen(command_line(grace_seconds, [sys.executable, "-c", FAMILY.format(then=then), str(path)]))


def test_the_guard_exits_as_the_command_did() -> None:
    assert subprocess.run(command_line(1, [sys.executable, "-c", "raise SystemExit(7)"]), check=False).returncode == 7


def test_what_a_crashed_command_leaves_is_ended(tmp_path: Path) -> None:
    guard = start("time.sleep(600)", tmp_path / "pid")
    grandchild = wait_for(tmp_path / "pid")
    grandchild.parent().kill()
    assert guard.wait(20) == 128 + signal.SIGKILL
    assert not grandchild.is_running()


@pytest.mark.parametrize(
    "then", ["time.sleep(600)", "import signal; signal.signal(15, signal.SIG_IGN); time.sleep(600)"]
)
def test_ending_the_guard_ends_the_command_even_if_it_refuses(tmp_path: Path, then: str) -> None:
    guard = start(then, tmp_path / "pid", grace_seconds=1.0)
    grandchild = wait_for(tmp_path / "pid")
    time.sleep(0.2)
    guard.terminate()
    assert guard.wait(20) in (128 + signal.SIGTERM, 128 + signal.SIGKILL)
    assert not grandchild.is_running()


def test_nothing_outlives_a_killed_owner(tmp_path: Path) -> None:
    path = tmp_path / "pid"
    command = [sys.executable, "-c", FAMILY.format(then="time.sleep(600)"), str(path)]
    code = (
        "import subprocess; from agent0.process_guard import command_line\n"
        f"subprocess.run(command_line(1.0, {command!r}))"
    )
    owner = subprocess.Popen([sys.executable, "-c", code])
    grandchild = wait_for(path)
    family = [grandchild, *psutil.Process(owner.pid).children(recursive=True)]
    os.kill(owner.pid, signal.SIGKILL)
    owner.wait()
    _, alive = psutil.wait_procs(family, timeout=20)
    assert alive == []
