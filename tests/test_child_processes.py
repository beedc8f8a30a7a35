from __future__ import annotations

import shutil
import subprocess
import sys

import psutil
import pytest

from agent0.child_processes import die_with
from agent0.errors import Agent0Error

BECOME_CHILD = "from agent0.child_processes import die_with_parent; die_with_parent(); print('lives', flush=True)"
START_CHILD = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {BECOME_CHILD!r}], check=True)"
LEAVE_ORPHAN = """
import os, sys, time
parent = os.getpid()
if os.fork() == 0:
    while os.getppid() == parent:
        time.sleep(0.01)
    from agent0.errors import Agent0Error
    from agent0.child_processes import die_with_parent
    try:
        die_with_parent()
    except Agent0Error as error:
        print(error, os.getppid(), flush=True)
"""
NAMESPACES = ["unshare", "--pid", "--fork", "--mount-proc"]


def run(code: str, *prefix: str) -> str:
    """Return what the code and the processes that it leaves print."""
    return subprocess.run(
        [*prefix, sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True, timeout=60
    ).stdout


def test_a_process_ends_with_its_parent() -> None:
    sleeping = f"{BECOME_CHILD}; import time; time.sleep(600)"
    code = f"import subprocess, sys; print(subprocess.Popen([sys.executable, '-c', {sleeping!r}]).pid, flush=True)"
    with subprocess.Popen(
        [sys.executable, "-c", f"{code}; import time; time.sleep(600)"], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        assert parent.stdout.readline() == "lives\n"
        parent.kill()
        child.wait(20)


def test_a_task_ends_with_its_run_across_a_shell() -> None:
    task = "import os, time; from agent0.child_processes import die_with; die_with(int(os.environ['RUN']))"
    task += "; print(os.getpid(), flush=True); time.sleep(600)"
    run_code = (
        "import os, subprocess, sys; "
        f"subprocess.run(['sh', '-c', '\"$0\" -c \"$1\"; true', sys.executable, {task!r}], "
        "env={**os.environ, 'RUN': str(os.getpid())})"
    )
    with subprocess.Popen([sys.executable, "-c", run_code], stdout=subprocess.PIPE, text=True) as started:
        assert started.stdout is not None
        child = psutil.Process(int(started.stdout.readline()))
        assert child.ppid() != started.pid
        started.kill()
        child.wait(20)


def test_a_task_of_a_run_that_has_ended_is_refused() -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    with pytest.raises(Agent0Error, match="has ended"):
        die_with(ended.pid)


def test_an_orphan_is_refused() -> None:
    message, adopter = run(LEAVE_ORPHAN).rsplit(maxsplit=1)
    if int(adopter) != 1:
        pytest.skip("here orphans do not become children of the first process")
    assert message == "The process that started this one has ended."


def test_a_containers_command_is_a_parent_like_any_other() -> None:
    if (
        shutil.which("unshare") is None
        or subprocess.run([*NAMESPACES, "true"], capture_output=True, check=False).returncode
    ):
        pytest.skip("process namespaces cannot be made here")
    assert run(f"import os; assert os.getpid() == 1; {START_CHILD}", *NAMESPACES) == "lives\n"
