"""`agent0 models …`: the registered models, where each version comes from, which is the champion, and getting it."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from agent0.cli.bars import Bars
from agent0.cli.interruption import SENTENCE, interruptible
from agent0.cli.screen import console, show_json
from agent0.cli.shared_options import AsJson, Quiet
from agent0.errors import UsageError

if TYPE_CHECKING:
    from agent0.tracking.registry import Client

SHORT_DIGEST = 12
MODEL_HELP = "models:/NAME@ALIAS or models:/NAME/VERSION."
app = typer.Typer(
    help="The registered models: list them, show where one comes from, promote one, get it back.", no_args_is_help=True
)


@app.command("list")
def list_models(
    name: Annotated[str, typer.Argument(help="Registered model; without it, all models are listed.")] = "",
    as_json: AsJson = False,
) -> None:
    """List the registered models, or the versions of one, newest first.

    Example: [bold]agent0 models list agent0-executor[/bold]
    """
    from agent0.cli.models_view import models_table, versions_table
    from agent0.tracking.model_uri import check_model_name

    if name:
        check_model_name(name)
    client = _open()
    (versions_table(client, name) if name else models_table(client)).show(as_json=as_json)


@app.command()
def show(model: Annotated[str, typer.Argument(help=MODEL_HELP)], as_json: AsJson = False) -> None:
    """Show a version: its lineage back to the base model, its scores, its aliases, and where its files are.

    Example: [bold]agent0 models show models:/agent0-executor@champion[/bold]
    """
    from agent0.cli.models_view import version_view
    from agent0.tracking.model_uri import parse_model_uri
    from agent0.tracking.registry import resolve

    client = _open()
    facts, lineage, scores = version_view(client, resolve(client, parse_model_uri(model)))
    if as_json:
        show_json({**facts, "lineage": lineage.records(), "scores": scores.records()})
        return
    told = "\n".join(f"{key:<10} {value}" for key, value in facts.items())
    for part in (told, lineage, scores):
        console().print(part, "", soft_wrap=True)


@app.command()
def download(
    model: Annotated[str, typer.Argument(help=MODEL_HELP)],
    folder: Annotated[
        str, typer.Argument(help="New or empty folder, local or s3://; it appears when all is there and right.")
    ],
    quiet: Quiet = False,
) -> None:
    """Get a version's files back, byte for byte as they were registered. Interrupted? The same command goes on.

    Example: [bold]agent0 models download models:/agent0-executor@champion champion[/bold]
    """
    from agent0.storage.uri_files import output_folder
    from agent0.tracking.model_fetching import digest_of, fetch_model
    from agent0.tracking.model_uri import parse_model_uri
    from agent0.tracking.registry import resolve

    client = _open()
    version = resolve(client, parse_model_uri(model))
    with (
        interruptible(f"{SENTENCE} The same command goes on."),
        output_folder(folder, resume=False) as output,
        Bars(console(stderr=True), quiet=quiet) as bars,
    ):
        fetch_model(client, version, output.folder, bars.transfer(f"{version.name} {version.version}"))
    print(f"{folder}: {version.name} version {version.version}, sha256 {digest_of(version)[:SHORT_DIGEST]}… verified")


@app.command()
def promote(
    model: Annotated[str, typer.Argument(help=MODEL_HELP)],
    alias: Annotated[str, typer.Option(help="What shall point to it.")] = "champion",
    evaluation: Annotated[
        str, typer.Option(help="Its evaluation, a folder or s3://; the latest that can be compared if not given.")
    ] = "",
    against: Annotated[str, typer.Option(help="The same of the version that the alias points to now.")] = "",
    force: Annotated[bool, typer.Option("--force", help="Without asking the gate; needs --reason.")] = False,
    reason: Annotated[str, typer.Option(help="Why, kept on the version.")] = "",
    as_json: AsJson = False,
) -> None:
    """Move the champion's alias to a version if the promotion gate says so. Exits with 0 if it moved, with 3 if not.

    Example: [bold]agent0 models promote models:/agent0-executor@candidate[/bold], or with
    --force --reason "the champion's licence ended"
    """
    from agent0.cli.gate import KEEP_EXIT_CODE
    from agent0.promotion.by_hand import promote_by_force, promote_by_gate

    if force != bool(reason):
        raise UsageError("--force and --reason belong together: say why the gate shall not be asked.")
    if force and (evaluation or against):
        raise UsageError("--force asks no gate; leave out --evaluation and --against.")
    if bool(evaluation) != bool(against):
        raise UsageError("--evaluation and --against belong together; without both, the recorded ones are compared.")
    client = _open()
    if force:
        outcome = promote_by_force(client, model, alias, reason)
    else:
        outcome = promote_by_gate(client, model, alias, evaluation, against)
    if as_json:
        show_json(asdict(outcome))
    else:
        print(outcome.told)
    raise typer.Exit(0 if outcome.after == outcome.version else KEEP_EXIT_CODE)


def _open() -> Client:
    from agent0.tracking.mlflow_runs import open_client
    from agent0.tracking.tracking_location import tracking_uri

    return open_client(tracking_uri())
