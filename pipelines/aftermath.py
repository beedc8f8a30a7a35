"""What is left to do for a run of this machine when its process is killed: MLflow must not say that it goes on.

A small process beside the run (`python -m agent0_kfp.pipelines.aftermath FOLDER URI`) waits on its standard input,
which the kernel closes when the run's process ends, however that happens. It has a session of its own, so that no
signal from the terminal reaches it, and imports little more than the standard library until there is something to do.
"""

import fcntl
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from agent0.errors import Agent0Error, explain

ARTIFACTS_FOLDER = "artifacts"
LOCK_FILE = ".lock"
DONE = "done"


@contextmanager
def followed(folder: Path, tracking_uri: str, log: TextIO) -> Iterator[None]:
    """See to it that the run in `folder` does not stay open in MLflow, however the block and this process end.

    A pipeline that ends, or that fails, has told MLflow itself by its last task, unless that failed, too.
    """
    command = [sys.executable, "-m", __name__, str(folder.resolve()), tracking_uri]
    told = DONE
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=log, stderr=log, text=True, start_new_session=True
    ) as follower:
        try:
            yield
        except Agent0Error:  # nothing of it was run
            raise
        except BaseException as error:
            told = "Interrupted at the keyboard." if isinstance(error, KeyboardInterrupt) else explain(error)
            raise
        finally:
            follower.communicate(told)


def run_id_of(folder: Path) -> str:
    """Return the MLflow run that the newest attempt at the run in `folder` opened; empty if none did."""
    opened = folder.glob(f"{ARTIFACTS_FOLDER}/*/opening/executor_output.json")
    for path in sorted(opened, key=lambda path: path.stat().st_mtime, reverse=True):
        try:
            return str(json.loads(path.read_text(encoding="utf-8"))["parameterValues"]["Output"])
        except (ValueError, KeyError, TypeError):
            continue  # damaged; an earlier attempt opened the same run
    return ""


def follow(folder: Path, tracking_uri: str) -> None:
    """Wait for the end of the process that runs `folder`, and close what it left open in MLflow."""
    told = sys.stdin.read()
    run_id = run_id_of(folder)
    if told == DONE or not run_id:
        return
    from agent0.tracking.job_runs import end_run

    with (folder / LOCK_FILE).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return  # another process goes on with the run
        end_run(tracking_uri, run_id, "KILLED", told or "The process of the run was killed.")


if __name__ == "__main__":
    follow(Path(sys.argv[1]), sys.argv[2])
