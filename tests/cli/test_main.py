from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import Done, run_here

from agent0 import __version__

Command = Callable[..., Done]


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Command:
    """Run the command line in this process, which spares its imports, and in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: str | bytes) -> Done:
        return run_here(monkeypatch, capfd, arguments)

    return run


def agent0(*arguments: str, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process of its own."""
    command = [sys.executable, "-c", "from agent0.cli.main import main; main()", *arguments]
    env = {**os.environ, "COLUMNS": "200", **environment}
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=env, check=False, timeout=250)


def test_the_short_help_is_the_help_and_the_version_is_an_option() -> None:
    for command in ([], ["pipeline", "run"], ["models", "list"]):
        assert agent0(*command, "-h").stdout == agent0(*command, "--help").stdout
    assert agent0("--version").stdout == agent0("version").stdout == f"{__version__}\n"


def test_a_busy_port_is_an_error(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = agent0("ui", "--port", port, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith(f"agent0: Nothing can listen at 127.0.0.1, port {port} (Address already in use")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["evolve", "--recipe", "tinny"], 2, "did you mean 'tiny'"),
        (["evolve", "--set", "executor.stepz=3"], 2, "did you mean 'executor.steps'"),
        (["evolve", "--set", "filtering.min_self_consistency=0.9"], 2, "swap them"),
        (["evolve", "--set", "execution.samples=1"], 2, "greater than or equal to 2"),
        (["evolve", "--resume"], 2, "no evolution to resume"),
        (["evolve", "--resume", "--seed", "1"], 2, "the run's own settings"),
        (["evaluate", "--model", "no/such/model"], 2, "There is no folder no/such/model"),
        (["evolve", "--output", "s3://bucket/run"], 2, "cannot be the folder of a run of this machine"),
        (["report", "."], 1, "holds no history"),
        (["report", "s3://"], 1, "s3:// holds no history"),
        (["report", "a", "b", "c", "d", "e", "f"], 2, "at most 5 runs, and 6 are named"),
        (["pipeline", "compile", "evaluatoin", "-o", "x.yaml"], 2, "There is no pipeline"),
        (["pipeline", "upload", "x.yaml"], 2, "There is no file x.yaml"),
        (["pipeline", "list", "--endpoint", "http://127.0.0.1:9"], 1, "does not answer at http://127.0.0.1:9"),
        (["config", "--recipe", "missing.toml"], 2, "There is no recipe file"),
        (["config", "--recipe", "latin.toml"], 2, "is not UTF-8 text"),
        (["config", "--recipe", "deep.toml"], 2, "is nested more than 100 levels deep"),
        (["config", "--recipe", "digits.toml"], 2, "a number of more than 4,300 digits"),
        (["config", "--set", "executor.steps=1\niterations=3"], 2, "executor.steps"),
        (["config", "--set", "executor.steps=9007199254740993"], 2, "steps is beyond 2**53"),
        (["config", "--set", "x" * 5000 + "=1"], 2, "(5,000 characters)"),
        (["config", "--recipe", b"caf\xe9.toml"], 2, "is not UTF-8"),
        (["plan", "--gpus", "1xH100", "--rates", "latin.toml"], 2, "is not UTF-8 text"),
        (["report", "nothing", "--output", "http://x/y"], 1, "holds no history"),
        (["evolve", "--output", "latin.toml/run"], 2, "Nothing can be written to the folder latin.toml/run"),
        (["evolve", "--output", "/proc/run"], 2, "Nothing can be written to the folder /proc/run"),
        (["evaluate", "--model", "tiny", "--limit", "3"], 2, "--limit is for published benchmarks"),
        (["plan", "--gpus", "9" * 5000 + "xH100"], 2, "is not of the form COUNTxGPU"),
        (["ui", "--port", "65536"], 2, "less than or equal to 65535"),
        (["sandbox", "serve", "--port", "65536"], 2, "less than or equal to 65535"),
        (["sandbox", "serve", "--host", "192.0.2.1", "--port", "0"], 2, "without a bearer token"),
        (["sandbox", "serve", "--workers", "10000"], 2, "less than or equal to 1024"),
        (["sandbox", "run", "latin.toml", "--timeout", "0.001"], 2, "greater than or equal to 0.1"),
        (["sandbox", "run", "latin.toml", "--timeout", "nan"], 2, "finite number"),
        (["gate", "a", "b", "--draws", "1000000000"], 2, "less than or equal to 1000000"),
        (["gate", "a", "b", "--seed", "-1"], 2, "greater than or equal to 0"),
        (["pipeline", "list", "--timeout", "nan"], 2, "equal to 86400"),
        (["tracking", "flush", "latin.toml"], 2, "is no tracking buffer"),
    ],
    ids=str,
)
def test_bad_input_is_one_sentence_and_an_exit_code(
    arguments: list[str | bytes], code: int, message: str, command: Command, tmp_path: Path
) -> None:
    (tmp_path / "latin.toml").write_bytes(b"name = 'caf\xe9'")
    (tmp_path / "deep.toml").write_text(f"a = {'[' * 5000}{']' * 5000}")
    (tmp_path / "digits.toml").write_text(f"iterations = {'9' * 5000}")
    done = command(*arguments)
    assert message in done.stderr
    assert done.returncode == code
    assert "Traceback" not in done.stderr
    assert len(done.stderr) < 1200


@pytest.mark.parametrize("scratch", ["missing", "file", "/proc"])
def test_a_scratch_folder_that_is_none_is_told_and_no_other_taken(scratch: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = agent0("config", TMPDIR=str(tmp_path / scratch))  # an absolute one stays as it is
    assert done.returncode == 2
    assert "no folder that can be written to" in done.stderr


def test_a_folder_that_was_removed_below_the_command_is_told(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    command = [sys.executable, "-c", "from agent0.cli.main import main; main()", "config"]
    done = subprocess.run(
        ["sh", "-c", 'rmdir "$PWD" && exec "$@"', "sh", *command], cwd=gone, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr == "agent0: The folder that this was started in was removed; change to another.\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
@pytest.mark.parametrize("arguments", [["version"], ["config"], ["benchmarks", "list"]])
def test_what_cannot_be_printed_is_an_error(arguments: list[str]) -> None:
    command = [sys.executable, "-c", "from agent0.cli.main import main; main()", *arguments]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False, timeout=250)
    assert done.returncode == 1
    assert done.stderr.startswith("agent0: The disk is full")
    assert done.stderr.count("\n") == 1


def test_a_terminal_that_lacks_a_sign_gets_its_number() -> None:
    done = agent0("ablations", PYTHONIOENCODING="ascii")
    assert done.returncode == 0, done.stderr


def test_help_waits_for_nothing_but_what_draws_it() -> None:
    def seconds(*arguments: str) -> float:
        process = subprocess.Popen([sys.executable, *arguments], stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0
        return usage.ru_utime + usage.ru_stime

    drawing = "import typer.rich_utils, rich.markdown, rich.table, rich.traceback"
    rounds = [(seconds("-m", "agent0", "--help"), seconds("-c", drawing)) for _ in range(5)]
    assert min(ours for ours, _ in rounds) <= 3 * min(theirs for _, theirs in rounds)


def test_commands_load_no_library_before_they_need_it() -> None:
    heavy = {"torch", "transformers", "trl", "vllm", "mlflow", "kfp", "boto3", "pydantic", "numpy", "sympy", "yaml"}
    seen = "import sys, agent0.cli.main; print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", seen], capture_output=True, text=True, check=True)
    assert heavy.isdisjoint(done.stdout.split())


def test_a_folder_that_holds_another_run_is_left_alone(command: Command, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.json").write_text("{}")
    done = command("evolve", "--output", "run")
    assert done.returncode == 2
    assert "already holds another run" in done.stderr
    assert "--resume" in done.stderr
    assert (tmp_path / "run" / "run.json").read_text() == "{}"


@pytest.mark.slow
def test_an_unreachable_mlflow_ends_the_run_with_its_sentence(tmp_path: Path) -> None:
    done = agent0("evolve", "--output", "run", cwd=tmp_path, MLFLOW_TRACKING_URI="http://127.0.0.1:9")
    assert done.returncode == 1
    assert "MLflow does not answer at http://127.0.0.1:9" in done.stderr
    assert "--resume" in done.stderr


def test_compiling_twice_gives_identical_bytes(tmp_path: Path) -> None:
    for name, seed in (("a.yaml", "1"), ("b.yaml", "2")):
        done = agent0(
            "pipeline", "compile", "evolution", "--iterations", "3", "-o", name, cwd=tmp_path, PYTHONHASHSEED=seed
        )
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "a.yaml").read_bytes() == (tmp_path / "b.yaml").read_bytes()


def test_config_prints_what_would_run(command: Command) -> None:
    done = command("config", "--set", "executor.steps=5")
    assert json.loads(done.stdout)["executor"]["steps"] == 5


INTERRUPTED = """
import os, signal, sys
import {module} as module
module.{name} = lambda *arguments, **named: os.kill(os.getpid(), signal.SIGINT)
sys.argv = ["agent0", *sys.argv[1:]]
from agent0.cli.main import main
main()
"""


@pytest.mark.parametrize(
    ("arguments", "at", "told"),
    [
        (["config"], "agent0.consistency read_settings", "Interrupted; what was finished is kept."),
        (["evolve"], "agent0.cli.local_run run_on_screen", "Go on with: agent0 evolve --output 'a run' --resume"),
        (
            ["evaluate", "-m", "tiny"],
            "agent0.evaluation.local_evaluation opened",
            "with --resume (--output 'a run') draws only",
        ),
    ],
    ids=["config", "evolve", "evaluate"],
)
def test_an_interrupted_command_says_what_is_kept_and_how_to_go_on(
    arguments: list[str], at: str, told: str, tmp_path: Path
) -> None:
    module, name = at.split()
    given = [*arguments, *([] if arguments == ["config"] else ["--output", "a run"])]
    command = [sys.executable, "-c", INTERRUPTED.format(module=module, name=name), *given]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False, timeout=250)
    assert done.returncode == 130
    assert told in done.stderr
    assert done.stderr.count("\n") == 1


def test_other_libraries_draw_no_bars_into_ours() -> None:
    seen = (
        "import sys; from agent0.cli.main import main; sys.argv = ['agent0', '--version']\n"
        "try: main()\nexcept SystemExit: pass\n"
        "from transformers.utils.logging import is_progress_bar_enabled; print(is_progress_bar_enabled())"
    )
    without = {name: value for name, value in os.environ.items() if name != "HF_HUB_DISABLE_PROGRESS_BARS"}
    done = subprocess.run([sys.executable, "-c", seen], capture_output=True, text=True, check=True, env=without)
    assert done.stdout.split() == [__version__, "False"]
