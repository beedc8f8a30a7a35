from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from agent0_kfp.pipelines import warm_template


@pytest.fixture
def tasks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Modules that play tasks, on the path of every process."""
    (tmp_path / "play.py").write_text(
        textwrap.dedent("""
            import os, sys
            print("args", sys.argv[1:], "name", __name__, "folder", os.getcwd(), "MARK", os.environ.get("MARK"))
            print("to stderr", file=sys.stderr)
            if sys.argv[1:] == ["exit"]:
                sys.exit(7)
            if sys.argv[1:] == ["raise"]:
                raise ValueError("broken")
            if sys.argv[1:] == ["die"]:
                os.kill(os.getpid(), 9)
            if sys.argv[1:] == ["crash"]:
                import ctypes
                ctypes.string_at(0)
        """)
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    # The template imports only what each task needs; the whole evolution is tested with the real list.
    source = Path(warm_template.__file__).read_text().replace("for name in PRELOADED:", "for name in ('torch',):")
    (tmp_path / "warm_light.py").write_text(source)
    (tmp_path / "warm_client.py").write_text(Path(warm_template.__file__).with_name("warm_client.py").read_text())
    return tmp_path


def run(tasks: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "play", *arguments]
    env = {**os.environ, **environment}
    return subprocess.run(command, capture_output=True, text=True, cwd=tasks, env=env, check=False, timeout=60)


def test_a_task_gets_its_arguments_folder_environment_and_streams(tasks: Path) -> None:
    sys.path.insert(0, str(tasks))
    try:
        import warm_light  # type: ignore[import-not-found]
    finally:
        sys.path.remove(str(tasks))
    python = sys.executable
    with warm_light.warm_tasks():
        assert sys.executable != python
        done = run(tasks, "a b", "'c'", MARK="x")
        assert done.stdout == f"args ['a b', \"'c'\"] name __main__ folder {tasks} MARK x\n"
        assert (done.stderr, done.returncode) == ("to stderr\n", 0)
        assert "MARK None" in run(tasks).stdout  # nothing of one task is left for the next
        assert run(tasks, "exit").returncode == 7
        broken = run(tasks, "raise")
        assert broken.returncode == 1
        assert "ValueError: broken" in broken.stderr
        killed = run(tasks, "die")
        assert killed.returncode == 137
        assert killed.stderr == "to stderr\nThe task's process was ended by SIGKILL.\n"
        crashed = run(tasks, "crash")
        assert crashed.returncode == 128 + signal.SIGSEGV
        assert "play.py" in crashed.stderr  # where it was when it crashed
        assert "was ended by SIGSEGV" in crashed.stderr
        assert run(tasks).returncode == 0
    assert sys.executable == python
    assert run(tasks).returncode == 0


def test_a_template_that_cannot_start_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONHOME", "/nowhere")
    with pytest.raises(warm_template.Agent0Error, match="template process could not start"), warm_template.warm_tasks():
        pass
