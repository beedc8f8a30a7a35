"""The commands `agent0 tracking …` and `agent0 reproduce`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from agent0.errors import UsageError

app = typer.Typer(help="What is written to MLflow.", no_args_is_help=True)


@app.callback()
def tracking() -> None:
    """Keep `flush` a command of its own while it is the only one."""


@app.command()
def flush(
    files: Annotated[
        list[str], typer.Argument(help="Tracking buffers: files, s3:// places, or folders of such files.")
    ],
    uri: Annotated[str, typer.Option(help="Tracking store; the one that the stage tracked to if not given.")] = "",
) -> None:
    """Deliver what MLflow had not taken when a stage ended. Doing it twice does no harm.

    Example: [bold]agent0 tracking flush runs/evolution/workspace/tracking[/bold]
    """
    from agent0.tracking.flush import flush as deliver

    for place in [place for given in files for place in _buffers(given)]:
        print(f"{place}: {deliver(place, uri)} entries delivered", flush=True)


def _buffers(place: str) -> list[str]:
    if place.startswith("s3://") or not Path(place).is_dir():
        return [place]
    found = sorted(str(path) for path in Path(place).rglob("*.jsonl"))
    if not found:
        raise UsageError(f"{place} holds no tracking buffers (*.jsonl).")
    return found
