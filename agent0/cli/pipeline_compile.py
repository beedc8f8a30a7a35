"""`agent0 pipeline compile`: write a pipeline as YAML."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agent0.cli.screen import Table
from agent0.cli.shared_options import Ablations, AsJson, Overrides, Recipe
from agent0.errors import UsageError, warn

if TYPE_CHECKING:
    from agent0.config import Config
    from agent0.kubeflow.compile_options import CompileOptions


def compile_pipeline(
    name: Annotated[str, typer.Argument(help="Pipeline: evolution, evaluation or ablation.")],
    output: Annotated[str, typer.Option("--output", "-o", help="YAML file to write, local or s3://.")],
    iterations: Annotated[int | None, typer.Option(help="Rounds of an evolution; the recipe's if not given.")] = None,
    recipe: Recipe = "tiny",
    overrides: Overrides = None,
    ablations: Ablations = None,
    image: Annotated[str | None, typer.Option(help="Image of all components; pin it by digest.")] = None,
    gpus: Annotated[int | None, typer.Option(help="GPUs of each pod that trains or generates; 0: none.")] = None,
    workspace: Annotated[
        str | None,
        typer.Option(help="s3:// prefix or mounted folder of unfinished work: AGENT0_WORKSPACE of all pods."),
    ] = None,
    options: Annotated[
        list[str] | None,
        typer.Option(
            "--option", "-O", help="Any other option, e.g. -O retries=0; `agent0 pipeline options` lists them."
        ),
    ] = None,
    server: Annotated[
        str,
        typer.Option(
            help="Release of Kubeflow Pipelines that it is for, 2.16 or 2.17; every supported one if not given."
        ),
    ] = "",
) -> None:
    """Compile a pipeline to YAML that Kubeflow runs. The same arguments give the same bytes.

    Settings that the GPUs of a pod cannot serve are refused, and so is what the server would not run
    (see agent0 pipeline check).

    Example: [bold]agent0 pipeline compile evolution --recipe qwen3-8b --gpus 8 --workspace s3://team/workspace --image
    registry.example.com/agent0-gpu:1 -o evolution.yaml[/bold]
    """
    from agent0.config import read_overrides
    from agent0.consistency import read_settings
    from agent0.kubeflow.compile_options import CompileOptions
    from agent0.storage.atomic_file import atomic_write
    from agent0.storage.uri_files import write_file
    from agent0_kfp.pipelines.pipeline_catalogue import PIPELINES

    if name not in PIPELINES:
        raise UsageError(f"There is no pipeline {name!r}; there are: {', '.join(PIPELINES)}.")
    if name == "evaluation" and iterations is not None:
        raise UsageError("An evaluation has no iterations; leave out --iterations.")
    fixed = [] if iterations is None else [f"iterations={iterations}"]
    config = read_settings(recipe, [*(overrides or []), *fixed], ablations, evolves=name != "evaluation")
    given = {"image": image, "gpus": gpus, "workspace": workspace}
    named = {key: value for key, value in given.items() if value is not None}
    chosen = CompileOptions.parse({**read_overrides(options or []), **named})
    _check_gpus(name, config, chosen)
    with tempfile.TemporaryDirectory() as folder:
        compiled = Path(folder) / "pipeline.yaml"
        PIPELINES[name](config, compiled, chosen)
        _check_servers(compiled, server)
        with write_file(output) as path, atomic_write(path) as file:
            file.write(compiled.read_text(encoding="utf-8"))
    what = (
        f"of {', '.join(config.evaluation.benchmarks)}" if name == "evaluation" else f"{config.iterations} iterations"
    )
    print(f"{output}: {name} {what}, recipe {config.recipe}")


def _check_servers(path: Path, server: str) -> None:
    """Refuse what the named release would not run or, where none is named, none of them; warn of the others."""
    from agent0.kubeflow.acceptance import RELEASES, check_package, release_named
    from agent0.kubeflow.acceptance.finding_sentences import require_accepted, sentences
    from agent0.kubeflow.compiled_pipeline import read_package

    package = read_package(str(path))
    releases = [release_named(server)] if server else list(RELEASES.values())
    checked = {release: check_package(package, release) for release in releases}
    if not any(found.accepted for found in checked.values()):
        require_accepted(package, releases[-1])
    said = {line: None for found in checked.values() for line in sentences(found.findings)}
    for line in said:
        warn(line)


def _check_gpus(name: str, config: Config, options: CompileOptions) -> None:
    """Refuse GPUs that do not fit the settings, and warn where asking for none or keeping nothing looks forgotten."""
    from agent0.planning import check_pods
    from agent0.planning.placement import GENERATION_STAGES, TRAINING_STAGES

    trains = name != "evaluation"
    on_vllm = config.rollout.on_vllm or (trains and config.training.policy_backend != "transformers")
    queue = config.training.trainjob.queue if trains and config.training.launcher == "trainjob" else ""
    if queue and queue == options.queue:
        warn(
            f"the pods that train and the TrainJobs that they wait for are both in the queue {queue!r}: where it is "
            "full, each waits for the other. Give them separate queues (-O queue, training.trainjob.queue)."
        )
    training, generation = options.gpus_of("training"), options.gpus_of("generation")
    if training or generation:
        for stages, gpus in ((TRAINING_STAGES if trains else (), training), (GENERATION_STAGES, generation)):
            if gpus:
                check_pods(config, stages, gpus)
        if trains and not options.workspace:
            refused = ", and model.handed_on 'bfloat16', which needs one, is refused" if config.model.rounded else ""
            warn(
                "no workspace is given. Unless the ConfigMap sets AGENT0_WORKSPACE, checkpoints lie on the pod's own "
                f"disk and a preempted training starts anew{refused}: give --workspace s3://… or a mounted folder."
            )
    here = trains and config.training.launcher == "pod"
    idle = [role for role, gpus in (("train", training if here else 1), ("generate", generation)) if not gpus]
    if idle and on_vllm:
        which = "its pods" if len(idle) == 2 or not here else f"its pods that {idle[0]}"
        warn(f"recipe {config.recipe!r} draws with vLLM and {which} ask for no GPU: give --gpus N.")


def list_options(as_json: AsJson = False) -> None:
    """List what compiling fixes, with the defaults; every other setting is a parameter of the run.

    Example: [bold]agent0 pipeline options[/bold], then agent0 pipeline compile evolution -O retries=5 -o evolution.yaml
    """
    from agent0.kubeflow.compile_options import CompileOptions

    table = Table("option", "default", "meaning")
    for option, field in CompileOptions.model_fields.items():
        default = ", ".join(field.default) if isinstance(field.default, tuple) else str(field.default)
        table.add(option, default or "–", field.description or "")
    table.show(as_json=as_json)
