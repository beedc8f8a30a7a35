"""Progress of long work, as events that any display can follow.

A stage reports steps; where the environment variable `AGENT0_PROGRESS` names a file, each event is appended to it as
one JSON line (the command line draws a live table from that), otherwise it is printed as a plain line, at most one in
`PRINT_INTERVAL` seconds.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from agent0.errors import Agent0Error

ENVIRONMENT_VARIABLE = "AGENT0_PROGRESS"
PRINT_INTERVAL = 10.0
WRITE_INTERVAL = 0.2

Kind = Literal["start", "step", "note", "warning", "end", "error"]


class Progress:
    """Progress of one stage of one iteration."""

    def __init__(self, stage: str, iteration: int) -> None:
        self._stage = stage
        self._iteration = iteration
        path = os.environ.get(ENVIRONMENT_VARIABLE)
        self._path = Path(path) if path else None
        self._last = float("-inf")

    def start(self) -> None:
        """Say that the stage has begun."""
        self._emit("start")

    def step(self, done: int, total: int, unit: str, metrics: Mapping[str, float] | None = None) -> None:
        """Say that `done` of `total` units are finished; frequent calls are thinned out, the last one is not."""
        now = time.monotonic()
        if done < total and now - self._last < (WRITE_INTERVAL if self._path else PRINT_INTERVAL):
            return
        self._last = now
        self._emit("step", done=done, total=total, unit=unit, metrics=dict(metrics or {}))

    def note(self, message: str) -> None:
        """Say something that a person may want to know before the result is there."""
        self._emit("note", message=message)

    def warn(self, message: str) -> None:
        """Say something that a person should know and that stops nothing."""
        self._emit("warning", message=message)

    def end(self, message: str) -> None:
        """Say that the stage has finished, with a short result."""
        self._emit("end", message=message)

    def error(self, message: str) -> None:
        """Say that the stage has failed, in the sentence that a person should read."""
        self._emit("error", message=message)

    def _emit(self, kind: Kind, **fields: object) -> None:
        event = {
            "time": time.time(),
            "stage": self._stage,
            "iteration": self._iteration,
            "kind": kind,
            **fields,
        }
        if self._path:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(event) + "\n")
        else:
            print(plain_line(event), file=sys.stderr, flush=True)


def plain_line(event: Mapping[str, object]) -> str:
    """Return an event as one line of text."""
    head = f"[iteration {event['iteration']}] {str(event['stage']).replace('_', ' ')}"
    if event["kind"] == "step":
        metrics = event.get("metrics")
        values = metrics if isinstance(metrics, dict) else {}
        shown = "".join(f"  {name} {value:.3g}" for name, value in values.items())
        return f"{head}: {event['done']}/{event['total']} {event['unit']}{shown}"
    mark = "warning: " if event["kind"] == "warning" else ""
    return f"{head}: {mark}{event.get('message') or 'started'}"


@contextmanager
def reported(stage: str, iteration: int) -> Iterator[Progress]:
    """Report the start of a stage, and an error that ends it, before the error goes on."""
    progress = Progress(stage, iteration)
    progress.start()
    try:
        yield progress
    except Exception as error:
        progress.error(str(error) if isinstance(error, Agent0Error) else f"{type(error).__name__}: {error}")
        raise
