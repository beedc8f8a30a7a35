"""The pipeline `ablation`: the paper's table of ablations, each variant a whole evolution, and one comparison.

Variants and seeds are run parameters: one flat loop over their pairs, side by side or `parallel_variants` at a time.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from kfp import dsl

from agent0.ablations import ABLATIONS, FULL
from agent0.config import Config
from agent0.errors import UsageError
from agent0.kubeflow.compile_options import CompileOptions
from agent0_kfp.components.ablation_comparison.component import ablation_comparison
from agent0_kfp.components.ablation_preparation.component import ablation_preparation
from agent0_kfp.components.closing.component import closing
from agent0_kfp.pipelines.compiling import write_pipeline
from agent0_kfp.pipelines.pod_placement import TaskFactory
from agent0_kfp.pipelines.rounds import FUNCTIONS as ROUND_FUNCTIONS
from agent0_kfp.pipelines.rounds import SECTION_DESCRIPTIONS, Rounds, section_inputs, section_parameters
from agent0_kfp.pipelines.signatures import Parameter, make_pipeline, values_of

FUNCTIONS = (*ROUND_FUNCTIONS, ablation_preparation, ablation_comparison, closing)
PIPELINE_NAME = "agent0-ablation"
PAPER = (FULL, *(name for name, ablation in ABLATIONS.items() if ablation.paper))
NEW = {"start_iteration": 1, "curriculum_model_uri": "", "executor_model_uri": "", "history_uri": ""}
NEW |= {"mlflow_run_id": "", "seed": 0}
"""Every variant begins anew, with the seed that it names itself."""


class GrownOutputs(NamedTuple):
    """The history of one variant."""

    history: dsl.Artifact


class ComparedOutputs(NamedTuple):
    """The table of all variants."""

    compared: dsl.Dataset


def compile_ablation(config: Config, path: Path, options: CompileOptions) -> None:
    """Write the ablation pipeline of `config` as YAML; the same arguments give the same bytes.

    Raises:
        UsageError: `config` asks for several pods.
    """
    title = f"{PIPELINE_NAME}: {config.iterations} iterations, recipe {config.recipe}"
    write_pipeline(make_ablation(config, options), path, title)


def make_ablation(config: Config, options: CompileOptions) -> Callable[..., Any]:
    """Return the pipeline, with the sections of `config` as defaults."""
    if config.pods > 1:
        raise UsageError(
            f"pods is {config.pods}: a loop over pods inside the loop over variants is nested, and Kubeflow's local "
            "runner gives nested loops wrong values; set pods to 1 for an ablation."
        )
    factory = TaskFactory(FUNCTIONS, config, options)
    variants = _make_variants(factory, _make_variant(Rounds(config, factory), factory))

    def body(inputs: dict[str, Any]) -> None:
        closed = factory.task("closing", inputs, job=dsl.PIPELINE_JOB_ID_PLACEHOLDER, tracking=inputs["tracking"])
        with dsl.ExitHandler(closed, name="variants"):  # what lies in it can be no output of the pipeline
            prepared = factory.task(
                "ablation_preparation",
                inputs,
                **{name: inputs[name] for name in ("recipe", "variants", "seeds", "group", "tracking")},
                job=dsl.PIPELINE_JOB_ID_PLACEHOLDER,
            )
            variants(
                runs=prepared.outputs["Output"],
                mlflow_run_id=prepared.outputs["mlflow_run_id"],
                **{name: inputs[name] for name in ("recipe", "group", "code_version", *SECTION_DESCRIPTIONS)},
                **values_of(factory.parameters, inputs),
            )

    parameters = [
        Parameter("recipe", str, "Name under which the runs are tracked.", config.recipe),
        Parameter("variants", list, f"What to compare: {FULL!r} and ablations.", list(PAPER)),
        Parameter("seeds", list, "Seeds; each variant is run with each. One pair shows nothing.", [config.seed]),
        Parameter("group", str, "Name that runs of one ablation share, each with some variants; empty: one run.", ""),
        *section_parameters(config),
        Parameter("code_version", str, "Version of the code that cached results must be of; empty: the image's.", ""),
        *factory.parameters,
    ]
    about = "Agent0: the method with parts left out, compared."
    return make_pipeline(PIPELINE_NAME, about, parameters, None, body, factory.limits)


def _make_variant(rounds: Rounds, factory: TaskFactory) -> Callable[..., Any]:
    """Return one evolution as a pipeline to nest."""

    def body(inputs: dict[str, Any]) -> GrownOutputs:
        return GrownOutputs(history=rounds.make({**inputs, **NEW}, variant=inputs["variant"])["history"])

    parameters = [
        Parameter("recipe", str, "Name under which the run is tracked."),
        Parameter("variant", dict, "What is left out, and the seed."),
        *section_inputs(),
        Parameter("code_version", str, "Version of the code."),
        *(parameter.required() for parameter in factory.parameters),
    ]
    return make_pipeline("evolution", "One variant.", parameters, GrownOutputs, body)


def _make_variants(factory: TaskFactory, variant: Callable[..., Any]) -> Callable[..., Any]:
    """Return the loop with its comparison as a pipeline to nest; see `evaluation` for why it is nested."""

    def body(inputs: dict[str, Any]) -> ComparedOutputs:
        with dsl.ParallelFor(
            inputs["runs"], name="by-variant", parallelism=factory.options.parallel_variants or None
        ) as run:
            grown = variant(
                variant=run,
                **{name: inputs[name] for name in ("recipe", "code_version", *SECTION_DESCRIPTIONS)},
                **values_of(factory.parameters, inputs),
            )
        compared = factory.task(
            "ablation_comparison",
            inputs,
            **{name: inputs[name] for name in ("recipe", "group", "tracking")},
            mlflow_run_id=inputs["mlflow_run_id"],
            histories=dsl.Collected(grown.outputs["history"]),
        )
        return ComparedOutputs(compared=compared.outputs["compared"])

    parameters = [
        Parameter("runs", list[dict], "Each variant with each seed."),
        Parameter("mlflow_run_id", str, "MLflow run of the ablation."),
        Parameter("recipe", str, "Name under which the runs are tracked."),
        Parameter("group", str, "Name that runs of one ablation share."),
        Parameter("code_version", str, "Version of the code."),
        *section_inputs(),
        *(parameter.required() for parameter in factory.parameters),
    ]
    return make_pipeline("variants", "All variants, and their comparison.", parameters, ComparedOutputs, body)
