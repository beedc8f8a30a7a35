"""`agent0 models push` and `agent0 tasks push`: what an evolution made, on a hub, with a card that claims no more."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agent0.cli.interruption import SENTENCE, interruptible
from agent0.cli.models import MODEL_HELP
from agent0.cli.screen import show_json
from agent0.cli.shared_options import AsJson, Quiet

if TYPE_CHECKING:
    from agent0.hub.hub_repository import Kind

GO_ON = f"{SENTENCE} The same command sends what the hub lacks."
app = typer.Typer(help="The tasks that an evolution kept: push them to a hub.", no_args_is_help=True)

Repository = Annotated[str, typer.Argument(help="OWNER/NAME on the hub of HF_ENDPOINT; made if there is none.")]
Private = Annotated[bool, typer.Option("--private", help="Make a new repository for its owner's eyes alone.")]
Licence = Annotated[
    str, typer.Option("--license", help="Licence that the card names, as the hub calls it: apache-2.0.")
]
CardOnly = Annotated[bool, typer.Option("--card", help="Print the card, and push nothing.")]


@app.callback()
def tasks() -> None:
    """Keep `push` a command of its own while it is the only one."""


def push_model(
    model: Annotated[str, typer.Argument(help=MODEL_HELP)],
    repository: Repository,
    licence: Licence = "",
    private: Private = False,
    card_only: CardOnly = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Push a version to a hub, with a card that states what its evolution's report states.

    Example: [bold]agent0 models push models:/agent0-executor@champion lab/executor --license apache-2.0[/bold]

    Beside the card go the settings and the figures. The token is that of HF_TOKEN or of `hf auth login`.
    """
    from agent0.config import ModelSettings
    from agent0.hub import model_card
    from agent0.tracking.mlflow_runs import open_client
    from agent0.tracking.model_source import found_model
    from agent0.tracking.model_uri import parse_model_uri
    from agent0.tracking.registry import resolve
    from agent0.tracking.tracking_location import tracking_uri

    version = resolve(open_client(tracking_uri()), parse_model_uri(model))
    grown = model_card.grown(version)
    text = model_card.card(grown, licence)
    if card_only:
        print(text, end="")
        return
    with interruptible(GO_ON), found_model(ModelSettings(source=grown.source)) as found:
        _push(repository, "model", model_card.files(grown, found.folder, text), grown.title, private, as_json)


@app.command("push")
def push_tasks(
    run: Annotated[Path, typer.Argument(help="Folder of a run on this machine, or the output of an iteration_report.")],
    repository: Repository,
    licence: Licence = "",
    private: Private = False,
    card_only: CardOnly = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Push the tasks that an evolution kept, with their voted labels, as a data set.

    Example: [bold]agent0 tasks push runs/evolution lab/tasks --private[/bold]

    The card says how many labels are right, where that is known. The token is that of HF_TOKEN or of `hf auth login`.
    """
    from agent0.hub import task_set
    from agent0.stages.open_history import read_history

    folder = task_set.history_folder(run)
    history = read_history(folder)
    with tempfile.TemporaryDirectory(prefix="agent0-tasks-") as temporary:
        data = Path(temporary) / "tasks.parquet"
        text = task_set.card(history, task_set.write_rows(folder, data), licence)
        if card_only:
            print(text, end="")
            return
        with interruptible(GO_ON):
            title = f"Tasks of {history.title}, seed {history.seed}"
            _push(repository, "dataset", task_set.files(data, text), title, private, as_json)


def _push(
    repository: str, kind: Kind, files: Mapping[str, Path | str], title: str, private: bool, as_json: bool
) -> None:
    from agent0.hub.hub_repository import push

    pushed = push(repository, kind, files, title, private=private)
    if as_json:
        show_json(asdict(pushed))
    else:
        print(f"{title}: {len(files)} files at {pushed.url}, commit {pushed.commit}")
