"""An evolution of this machine on the screen: finished stages as lines, the running one as a bar.

The file of progress events is followed from a thread, so the run itself knows nothing of terminals.
"""

from __future__ import annotations

import os
import shlex
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent0.cli.bars import Bars
from agent0.cli.screen import console
from agent0.config import load_config
from agent0.errors import Agent0Error
from agent0.progress import details, read_events
from agent0.recipes import MEASURED

if TYPE_CHECKING:
    from agent0_kfp.pipelines.local_evolution import LocalEvolution

POLL_SECONDS = 0.1
WHOLE = "evolution"
LOCAL_SERVER = "http://127.0.0.1:5000"
"""What `agent0 ui` serves, unless it is given another port."""


def run_on_screen(run: LocalEvolution, *, quiet: bool) -> None:
    """Run an evolution of this machine to its end with its progress on the screen, and print its table."""
    from agent0.cli.report_view import history_table
    from agent0.stages.open_history import read_history

    # The run sends standard output to its log, so what is shown goes to a copy of the descriptor.
    with os.fdopen(os.dup(sys.stdout.fileno()), "w") as terminal:
        screen = console(file=terminal)
        if not quiet:
            screen.print(intention(run), soft_wrap=True)
        with Bars(screen, quiet=quiet) as bars, _followed(run.progress_file, EventView(bars, run.stages)):
            run.run()
        history = read_history(run.folder)
        screen.print(history_table(history))
        screen.print(
            f"report   {run.folder / 'report.html'}\nsummary  {run.folder / 'summary.json'}\n"
            f"mlflow   {charts(run.tracking_uri, history.mlflow_run_id)}",
            soft_wrap=True,
        )


def charts(uri: str, run_id: str) -> str:
    """Return where the charts of a run are, once a store of this machine is served; or why MLflow does not say."""
    from agent0.tracking.job_runs import charts_below

    try:
        if uri.startswith(("http://", "https://")):
            return charts_below(uri, uri, run_id)
        return f"agent0 ui, then {charts_below(uri, LOCAL_SERVER, run_id)}"
    except Agent0Error as error:  # the run is finished all the same
        return str(error)


def intention(run: LocalEvolution) -> str:
    """Return what a run will do, and about how long that takes where it was measured."""
    config = run.config
    measured = MEASURED.get(config.recipe)
    if measured is None:
        time = f"was not measured; agent0 plan --recipe {config.recipe} --gpus 1xH100 estimates it for GPUs"
    else:
        time = f"about {measured.before + config.iterations * measured.each_round:.0f} min on {measured.machine}"
        usual = load_config(config.recipe, [f"iterations={config.iterations}", f"seed={config.seed}"])
        time += "" if config == usual else ", as the recipe is; this run has other settings"
    begun = f", after round {run.beginning.iteration - 1} of another" if run.beginning.iteration > 1 else ""
    begun += " (goes on; what is finished is not repeated)" if run.progress_file.is_file() else ""
    return (
        f"evolve   {config.recipe}, seed {config.seed}: {config.iterations} round(s) from {config.model.source}, "
        f"{run.stages} stages{begun}\ninto     {run.folder}; tracked in {run.tracking_uri}\ntime     {time}\n"
        f"Ctrl-C   keeps what is finished; go on with: agent0 evolve --output {shlex.quote(str(run.folder))} --resume\n"
    )


class EventView:
    """Turns the events of `total` stages into lines and bars."""

    def __init__(self, bars: Bars, total: int) -> None:
        self._bars = bars
        self._total = total
        self._done = 0

    def show(self, event: Mapping[str, Any]) -> None:
        """Show one event."""
        name = f"iteration {event['iteration']}  {event['stage'].replace('_', ' ')}"
        match event["kind"]:
            case "start":
                self._bars.show(WHOLE, self._done, self._total, "stages", lines=False)
                self._bars.show(name, 0, None, lines=False)
            case "step":
                self._bars.show(name, event["done"], event["total"], event["unit"], "  ".join(details(event)))
            case "note":
                self._bars.say("note", "dim", f"{name}: {event['message']}")
            case "warning":
                self._bars.say("warn", "yellow", f"{name}: {event['message']}")
            case "end":
                self._bars.drop(name)
                self._done += 1
                self._bars.show(WHOLE, self._done, self._total, "stages", lines=False)
                self._bars.say("done", "green", f"{name:<38} {event['seconds']:6.1f} s  {event['message']}")
            case "error":
                self._bars.drop(name)
                self._bars.say("failed", "red", name)


@contextmanager
def _followed(path: Path, view: EventView) -> Iterator[None]:
    """Hand each complete line that is appended to `path` while the block runs to the view."""
    offset = path.stat().st_size if path.is_file() else 0
    stop = threading.Event()

    def follow() -> None:
        nonlocal offset
        last = False
        while not last:
            last = stop.wait(POLL_SECONDS)
            if not path.is_file():
                continue
            with path.open("rb") as file:
                file.seek(offset)
                data = file.read()
            complete = data[: data.rfind(b"\n") + 1]
            offset += len(complete)
            for event in read_events(complete):
                view.show(event)

    follower = threading.Thread(target=follow, daemon=True)
    follower.start()
    try:
        yield
    finally:
        stop.set()
        follower.join()
