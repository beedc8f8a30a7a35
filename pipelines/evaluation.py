"""The pipeline `evaluation`: one model on any benchmarks, each in a task of its own, and the promotion gate.

Model, benchmarks (`evaluation.benchmarks`), champion and thresholds are run parameters, so one uploaded pipeline serves
a schedule. A closing task runs however it ends.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from kfp import dsl

from agent0.config import WIRE, Config
from agent0.kubeflow.compile_options import CompileOptions
from agent0_kfp.components.base_model.component import base_model
from agent0_kfp.components.benchmark_evaluation.component import benchmark_evaluation
from agent0_kfp.components.closing.component import closing
from agent0_kfp.components.evaluation_comparison.component import evaluation_comparison
from agent0_kfp.components.evaluation_preparation.component import evaluation_preparation
from agent0_kfp.pipelines.compiling import write_pipeline
from agent0_kfp.pipelines.pod_placement import TaskFactory
from agent0_kfp.pipelines.rounds import SECTION_DESCRIPTIONS
from agent0_kfp.pipelines.signatures import Parameter, make_pipeline, values_of

FUNCTIONS = (evaluation_preparation, base_model, benchmark_evaluation, evaluation_comparison, closing)
PIPELINE_NAME = "agent0-evaluation"
COMPARED = ("name", "champion", "promote", "publish_to", "history")
RUN = ("config", "mlflow_run_id")
SECTIONS = ("model", "rollout", "sandbox", "evaluation", "gate", "tracking")
DESCRIPTIONS = {
    **SECTION_DESCRIPTIONS,
    "model": "The model: source (folder, s3://, models:/NAME@ALIAS or models:/NAME/VERSION, hub id, or tiny).",
    "gate": "Thresholds by which the model replaces the champion.",
    "tracking": "MLflow experiment.",
}


class EvaluationOutputs(NamedTuple):
    """The whole evaluation, with the gate's decision."""

    compared: dsl.Dataset


def compile_evaluation(config: Config, path: Path, options: CompileOptions) -> None:
    """Write the evaluation pipeline of `config` as YAML; the same arguments give the same bytes."""
    write_pipeline(make_evaluation(config, options), path, f"{PIPELINE_NAME}: recipe {config.recipe}")


def make_evaluation(config: Config, options: CompileOptions) -> Callable[..., Any]:
    """Return the pipeline with the seed and the sections of `config` as defaults."""
    defaults = config.model_dump(mode="json")
    factory = TaskFactory(FUNCTIONS, config, options)
    benchmarks = _make_benchmarks(factory)

    def body(inputs: dict[str, Any]) -> None:
        closed = factory.task("closing", inputs, job=dsl.PIPELINE_JOB_ID_PLACEHOLDER, tracking=inputs["tracking"])
        with dsl.ExitHandler(closed, name="evaluation"):  # what lies in it can be no output of the pipeline
            prepared = factory.task(
                "evaluation_preparation",
                inputs,
                **{name: inputs[name] for name in ("name", "seed", "champion", *SECTIONS)},
                job=dsl.PIPELINE_JOB_ID_PLACEHOLDER,
                wire=WIRE,
            )
            run = {name: prepared.outputs[name] for name in RUN}
            benchmarks(
                benchmarks=prepared.outputs["Output"],
                **run,
                resolved_champion=prepared.outputs["resolved_champion"],
                executor_model=factory.task("base_model", inputs, **run).outputs["base"],
                **{name: inputs[name] for name in COMPARED},
                **values_of(factory.parameters, inputs),
            )

    parameters = [
        Parameter("name", str, "Name of the model in tables; empty for the last part of its source.", ""),
        Parameter("seed", int, "Seed of the sampling.", config.seed),
        Parameter(
            "champion",
            str,
            "models:/NAME@champion, or folder or s3:// place of an evaluation to compare with; empty for none.",
            "",
        ),
        Parameter("promote", bool, "Whether the alias in champion moves to the version when the gate says so.", True),
        Parameter("publish_to", str, "Kubeflow's model registry, for a version that became champion; empty: none.", ""),
        Parameter("history", str, "Folder or s3:// place of a schedule's records; empty for none.", ""),
        *(Parameter(name, dict, DESCRIPTIONS[name], defaults[name]) for name in SECTIONS),
        *factory.parameters,
    ]
    return make_pipeline(
        PIPELINE_NAME,
        "Agent0: one model on benchmarks, and the promotion gate.",
        parameters,
        None,
        body,
        factory.limits,
    )


def _make_benchmarks(factory: TaskFactory) -> Callable[..., Any]:
    """Return the loop over the benchmarks, with what brings it together, as a pipeline to nest.

    It is nested because the local runner takes every output of another task that enters a loop for the loop's item; a
    nested pipeline's inputs are left alone.
    """

    def body(inputs: dict[str, Any]) -> EvaluationOutputs:
        run = {name: inputs[name] for name in RUN}
        with dsl.ParallelFor(inputs["benchmarks"], name="by-benchmark") as benchmark:
            scored = factory.task(
                "benchmark_evaluation",
                inputs,
                **run,
                iteration=0,
                benchmark=benchmark,
                executor_model=inputs["executor_model"],
            )
        compared = factory.task(
            "evaluation_comparison",
            inputs,
            **run,
            **{name: inputs[name] for name in (*COMPARED, "resolved_champion")},
            evaluations=dsl.Collected(scored.outputs["scores"]),
        )
        return EvaluationOutputs(compared=compared.outputs["compared"])

    parameters = [
        Parameter("benchmarks", list[str], "Names of the benchmarks."),
        Parameter("config", dict, "All settings."),
        Parameter("mlflow_run_id", str, "MLflow run of the evaluation."),
        Parameter("name", str, "Name of the model in tables."),
        Parameter("champion", str, "What the model is compared with."),
        Parameter("resolved_champion", str, "The same, an alias replaced by its version."),
        Parameter("promote", bool, "Whether the alias in champion may move."),
        Parameter("publish_to", str, "Model registry in which a new champion is published."),
        Parameter("history", str, "Place of a schedule's records."),
        Parameter("executor_model", dsl.Input[dsl.Model], "The model."),
        *(parameter.required() for parameter in factory.parameters),
    ]
    return make_pipeline(
        "benchmarks", "Each benchmark in a task of its own, and their comparison.", parameters, EvaluationOutputs, body
    )
