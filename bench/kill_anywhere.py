"""Does an evolution survive being killed at any moment? Kills it at random points, resumes it, compares the results.

    python bench/kill_anywhere.py --kills 20 [--check]

One short evolution of the embedded world runs undisturbed. Then, for each kill, a new one starts with the same seed; at
a random moment either the whole run or the process of the stage at work gets SIGKILL; `agent0 evolve --resume` goes on
until it ends. Its summary must be the undisturbed one's but for times and the run's id in MLflow, and no process of the
killed run may be left. With --check it exits with 1 unless every run ended so.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console
from rich.table import Table

SHORT = (
    "iterations=2",
    "model.tiny.steps=260",
    "model.tiny.hidden_size=64",
    "model.tiny.direct_share=0.1",
    "curriculum.steps=3",
    "curriculum.executor_samples=4",
    "generation.proposals=48",
    "generation.shard_size=16",
    "execution.samples=4",
    "execution.shard_size=8",
    "execution.probe_tasks=8",
    "filtering.min_self_consistency=0.0",
    "filtering.max_self_consistency=1.0",
    "executor.steps=4",
    "evaluation.questions_per_level=6",
)
FEWEST_SECONDS = 1.0
SECONDS_TO_END = 20.0
MARK = "AGENT0_KILLED_RUN"
TEMPLATE_MODULE = "agent0_kfp.pipelines.warm_template"


def main() -> int:
    """Run, print, and judge if asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20, help="evolutions to kill once each")
    parser.add_argument("--seed", type=int, default=0, help="seed of the moments")
    parser.add_argument("--check", action="store_true", help="exit with 1 unless every run ends as the whole one")
    arguments = parser.parse_args()
    moments = random.Random(arguments.seed)
    table = Table(title="Evolutions killed once and resumed", title_justify="left")
    for column in ("kill", "after s", "victim", "stage at work", "left over", "same result"):
        table.add_column(column, justify="right")
    console, same = Console(), 0
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        evolve(folder, folder / "pretraining")  # fills the cache of base models, so that it is not timed
        began = time.monotonic()
        evolve(folder, folder / "whole")
        seconds = time.monotonic() - began
        whole = comparable(folder / "whole")
        console.print(f"undisturbed: {seconds:.0f} s")
        for number in range(1, arguments.kills + 1):
            output = folder / f"killed-{number}"
            moment = moments.uniform(FEWEST_SECONDS, seconds)
            victim = moments.choice(("run", "stage"))
            stage = kill_once(folder, output, moment, victim)
            left = survivors(output)
            evolve(folder, output, "--resume" if (output / "run.json").is_file() else "")
            equal = comparable(output) == whole
            same += equal and not left
            table.add_row(str(number), f"{moment:.1f}", victim, stage, str(left), "yes" if equal else "NO")
            result = f"{'same' if equal else 'OTHER'} result, {left} processes left over"
            console.print(f"{number}: after {moment:.1f} s, {victim} killed in {stage}: {result}")
    console.print(table)
    console.print(f"{same} of {arguments.kills} left no process and ended in the same result")
    return int(arguments.check and same < arguments.kills)


def command(output: Path, resume: str) -> list[str]:
    """Return the command line of a new or a resumed evolution."""
    start = ["--seed", "3", *(part for item in SHORT for part in ("--set", item))]
    return [
        sys.executable,
        "-m",
        "agent0",
        "evolve",
        "--quiet",
        "--output",
        str(output),
        *([resume] if resume else start),
    ]


def environment(folder: Path) -> dict[str, str]:
    """Return where all runs keep base models and their MLflow store."""
    return {
        **os.environ,
        "AGENT0_CACHE": str(folder / "cache"),
        "MLFLOW_TRACKING_URI": f"sqlite:///{folder / 'mlflow.db'}",
    }


def evolve(folder: Path, output: Path, resume: str = "") -> None:
    """Run an evolution to its end."""
    subprocess.run(command(output, resume), check=True, env=environment(folder), stdout=subprocess.DEVNULL)


def kill_once(folder: Path, output: Path, moment: float, victim: str) -> str:
    """Start an evolution, kill the whole of it or its stage after `moment` seconds, and return the stage at work."""
    process = subprocess.Popen(
        command(output, ""),
        env={**environment(folder), MARK: str(output)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        process.wait(moment)
    except subprocess.TimeoutExpired:
        stage = stage_at_work(output)
        target = process.pid if victim == "run" else newest_task(process.pid) or process.pid
        os.kill(target, signal.SIGKILL)
        process.wait()
        return stage
    return "none: it had ended"


def survivors(output: Path) -> int:
    """Return how many processes of the killed run are still there after a while; the kernel ends them one by one."""
    mark, left = f"{MARK}={output}\0".encode(), -1
    until = time.monotonic() + SECONDS_TO_END
    while left and time.monotonic() < until:
        time.sleep(0.2)
        left = sum(mark in _environment_of(folder) for folder in Path("/proc").glob("[0-9]*"))
    return left


def _environment_of(process: Path) -> bytes:
    try:
        return (process / "environ").read_bytes() + b"\0"
    except OSError:  # it has ended, or is somebody else's
        return b""


def stage_at_work(output: Path) -> str:
    """Return the stage that reported last."""
    file = output / "progress.jsonl"
    lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    if not lines:
        return "start"
    event = json.loads(lines[-1])
    return f"{event['iteration']} {event['stage']}"


def newest_task(pid: int) -> int | None:
    """Return the process of the stage at work, a fork of the run's template, if there is one at this moment."""
    try:
        for child in psutil.Process(pid).children():
            if TEMPLATE_MODULE in child.cmdline():
                return max(((task.create_time(), task.pid) for task in child.children()), default=(0.0, None))[1]
    except psutil.NoSuchProcess:
        return None
    return None


def comparable(output: Path) -> dict[str, Any]:
    """Return the summary without what two runs cannot share: times and the run's id."""
    summary: dict[str, Any] = json.loads((output / "summary.json").read_text(encoding="utf-8"))
    del summary["seconds"], summary["mlflow_run_id"]
    return summary


if __name__ == "__main__":
    sys.exit(main())
