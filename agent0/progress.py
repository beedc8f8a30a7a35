"""Progress of long work, as events that any display can follow.

A stage reports steps, or watches trajectories being drawn (`Drawing`); where the environment variable `AGENT0_PROGRESS`
names a file, each event is appended to it as one JSON line (the command line draws a live table from that), otherwise
it is printed as a plain line. Steps of one unit make at most one line in `PRINT_INTERVAL` seconds, apart from the last.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, Protocol

from agent0.errors import explain

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
        self._last: dict[str, float] = {}
        self._began = time.monotonic()

    def start(self) -> None:
        """Say that the stage has begun."""
        self._began = time.monotonic()
        self._emit("start")

    def step(
        self, done: int, total: int, unit: str, metrics: Mapping[str, float] | None = None, detail: str = ""
    ) -> None:
        """Say that `done` of `total` units are finished; frequent calls are thinned out, the last one is not.

        Args:
            done: units finished so far.
            total: units of the whole work.
            unit: what is counted, in the plural.
            metrics: numbers of this step.
            detail: what else to show, in words.
        """
        now = time.monotonic()
        interval = WRITE_INTERVAL if self._path else PRINT_INTERVAL
        if done < total and now - self._last.get(unit, float("-inf")) < interval:
            return
        self._last[unit] = now
        self._emit("step", done=done, total=total, unit=unit, metrics=dict(metrics or {}), detail=detail)

    def note(self, message: str) -> None:
        """Say something that a person may want to know before the result is there."""
        self._emit("note", message=message)

    def warn(self, message: str) -> None:
        """Say something that a person should know and that stops nothing."""
        self._emit("warning", message=message)

    def end(self, message: str) -> None:
        """Say that the stage has finished, with a short result."""
        self._emit("end", message=message, seconds=time.monotonic() - self._began)

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


class Shown(Protocol):
    """What `Drawing` needs of whoever shows it; `Progress` is one."""

    def step(self, done: int, total: int, unit: str, *, detail: str) -> None:
        """Say that `done` of `total` units are finished."""

    def warn(self, message: str) -> None:
        """Say something that a person should know and that stops nothing."""


class _Unshown:
    def step(self, done: int, total: int, unit: str, *, detail: str) -> None:
        """See `Shown`."""

    def warn(self, message: str) -> None:
        """See `Shown`."""


UNSHOWN: Shown = _Unshown()
"""Shows nothing."""


class Drawing:
    """Counts trajectories and their tokens while they are drawn; see `agent0.rollout.drawing_watch.Watch`.

    Args:
        progress: shows the counts, for instance the progress of the stage that draws.
        total: trajectories of the whole work.
        unit: what they are called.
        done: how many of them are finished already.
    """

    def __init__(self, progress: Shown, total: int, unit: str = "trajectories", done: int = 0) -> None:
        self._progress = progress
        self._total = total
        self._unit = unit
        self._before = self._done = done
        self._tokens = 0
        self._began = time.monotonic()

    def expect(self, more: int) -> None:
        """Take note that the whole work has so many trajectories more."""
        self._total += more

    def drew(self, tokens: int) -> None:
        """Take note of `tokens` more tokens."""
        self._tokens += tokens
        self._show()

    def finished(self) -> None:
        """Take note of one more trajectory; those of an interrupted window may be drawn again, and count once."""
        self._done = min(self._total, self._done + 1)
        self._show()

    def warn(self, message: str) -> None:
        """Pass a warning on."""
        self._progress.warn(message)

    def _show(self) -> None:
        seconds = time.monotonic() - self._began
        rate = f"{self._tokens / seconds:,.0f} tok/s" if seconds else ""
        left = time_left(self._done - self._before, self._total - self._before, seconds)
        detail = ", ".join(filter(None, (f"{self._tokens:,} tokens", rate, left)))
        self._progress.step(self._done, self._total, self._unit, detail=detail)


def time_left(done: int, total: int, seconds: float) -> str:
    """Return how long the rest takes at the pace so far, in words; empty where nothing or all is done."""
    return f"{duration(seconds * (total - done) / done)} left" if 0 < done < total else ""


def duration(seconds: float) -> str:
    """Return seconds in a unit that fits, such as '12.4 s', '4 min 05 s' or '3 h 20 min'."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def read_events(data: bytes) -> Iterator[dict[str, Any]]:
    """Yield the events in a part of the file of events, without lines that a full disk has cut short."""
    for line in data.splitlines():
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict):
            yield event


def plain_line(event: Mapping[str, object]) -> str:
    """Return an event as one line of text."""
    head = f"[iteration {event['iteration']}] {str(event['stage']).replace('_', ' ')}"
    if event["kind"] == "step":
        shown = "".join(f"  {part}" for part in details(event))
        return f"{head}: {event['done']:,}/{event['total']:,} {event['unit']}{shown}"
    mark = "warning: " if event["kind"] == "warning" else ""
    return f"{head}: {mark}{event.get('message') or 'started'}"


def details(event: Mapping[str, object]) -> list[str]:
    """Return what a step says beside its count: its metrics, and its detail in words."""
    metrics = event.get("metrics")
    values = metrics if isinstance(metrics, dict) else {}
    words = str(event.get("detail") or "")
    return [f"{name} {value:.3g}" for name, value in values.items()] + ([words] if words else [])


@contextmanager
def reported(stage: str, iteration: int) -> Iterator[Progress]:
    """Report the start of a stage, and an error that ends it, before the error goes on."""
    progress = Progress(stage, iteration)
    progress.start()
    try:
        yield progress
    except Exception as error:
        progress.error(explain(error))
        raise
