"""The transcript in docs/kubeflow.md: real commands against the test server.

`python -m tests.kubeflow.transcript` writes it anew; a test compares. Clock, commit and address are fixed, everything
else is what the commands print.
"""

from __future__ import annotations

import os
import shlex
import tempfile
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from unittest import mock

from typer.testing import CliRunner

from agent0.cli.main import app
from agent0.errors import Agent0Error
from tests.kubeflow.server import State, kfp_server

PAGE = Path(__file__).parents[2] / "docs" / "kubeflow.md"
BEGIN, END = "<!-- transcript: python -m tests.kubeflow.transcript -->\n", "<!-- end of transcript -->\n"
ADDRESS = "http://localhost:8888"
IMAGE = "registry.example/agent0-python@sha256:" + "5e" * 32
COMMANDS = (
    f"compile evaluation --image {IMAGE} -o evaluation.yaml",
    "upload evaluation.yaml",
    "run evaluation --param seed=1 --benchmarks tiny,gsm8k --name first --wait --interval 0.1",
    "run evaluation --benchmarks tiny,gsm8k --name second --wait --interval 0.1",
    f"compile evaluation --image {IMAGE} --set evaluation.limit=200 -o evaluation.yaml",
    "diff evaluation evaluation.yaml",
    "upload evaluation.yaml --version 200-questions",
    "upload evaluation.yaml",
    'schedule evaluation --cron "0 3 * * *" --name nightly',
    'schedule evaluation --cron "0 0 3 * * *" --name nightly --latest '
    "--model models:/agent0-executor@candidate --benchmarks gsm8k,math_500",
    "schedules",
    'schedule evaluation --cron "0 0 4 * * *" --name pinned --version 200-questions',
    "list evaluation",
    "unschedule nightly",
)
TROUBLE = {
    "second": (
        {"benchmark-evaluation": "main: OOMKilled (exit code 137)"},
        {"benchmark-evaluation": "gsm8k: 1,319 questions, 1 samples of each\nLoading weights: 100%\n"},
    )
}
"""What fails in the runs of these names, and its log."""


class Noon(datetime):
    """A clock that stands still."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
        return datetime(2026, 1, 1, 12, tzinfo=tz or UTC)


def make_transcript() -> str:
    """Return the commands, each followed by what it prints."""
    state = State(steps_per_look=2, mlflow_url="https://mlflow.example")
    settings = {"COLUMNS": "100", "MLFLOW_TRACKING_URI": "", "NO_COLOR": "1"}
    parts, before = [], Path.cwd()
    with (
        kfp_server(state) as server,
        tempfile.TemporaryDirectory() as folder,
        mock.patch.dict(os.environ, {**settings, "KF_PIPELINES_ENDPOINT": server.url, "KF_PIPELINES_NAMESPACE": ""}),
        mock.patch("agent0.kubeflow.pipeline_versions._commit", return_value="1a2b3c4d5"),
        mock.patch("agent0.cli.pipeline_schedule.datetime", Noon),
    ):
        os.chdir(folder)
        try:
            for command in COMMANDS:
                name = command.partition("--name ")[2].partition(" ")[0]
                state.failing, state.logs = TROUBLE.get(name, ({}, {}))
                result = CliRunner().invoke(app, ["pipeline", *shlex.split(command)])
                error = result.exception
                if error and not isinstance(error, Agent0Error | SystemExit):
                    raise error
                failed = f"agent0: {error}\n" if isinstance(error, Agent0Error) else ""
                shown = (result.output + failed).replace(server.url, ADDRESS)
                text = "\n".join(line.rstrip() for line in shown.splitlines() if line.strip())
                parts.append(f"$ agent0 pipeline {command.replace(IMAGE, '$IMAGE')}\n{text}\n")
        finally:
            os.chdir(before)
    return "\n".join(parts)


def with_transcript(page: str, transcript: str) -> str:
    """Return the page with the transcript in its place."""
    head, _, rest = page.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return f"{head}{BEGIN}```console\n{transcript}```\n{END}{tail}"


if __name__ == "__main__":
    PAGE.write_text(with_transcript(PAGE.read_text(encoding="utf-8"), make_transcript()), encoding="utf-8")
