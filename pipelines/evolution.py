"""The pipeline `evolution`: N rounds of co-evolution, and a closing task that runs however they end.

Every section of the configuration is a run parameter whose default is the recipe's; so are the seed, the models and the
history to begin with, and where the pods run. The numbers of iterations and of pods and the rest of `CompileOptions`
are fixed by compiling.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from kfp import dsl

from agent0.config import Config
from agent0.kubeflow.compile_options import CompileOptions
from agent0_kfp.components.closing.component import closing
from agent0_kfp.pipelines.compiling import write_pipeline
from agent0_kfp.pipelines.pod_placement import TaskFactory
from agent0_kfp.pipelines.rounds import FUNCTIONS as ROUND_FUNCTIONS
from agent0_kfp.pipelines.rounds import Rounds, section_parameters
from agent0_kfp.pipelines.signatures import Parameter, make_pipeline

FUNCTIONS = (*ROUND_FUNCTIONS, closing)
PIPELINE_NAME = "agent0-evolution"


def compile_evolution(config: Config, path: Path, options: CompileOptions) -> None:
    """Write the evolution pipeline of `config` as YAML; the same arguments give the same bytes."""
    title = f"{PIPELINE_NAME}: {config.iterations} iterations, recipe {config.recipe}"
    write_pipeline(make_evolution(config, options), path, title)


def make_evolution(config: Config, options: CompileOptions) -> Callable[..., Any]:
    """Return the pipeline of `config.iterations` rounds, with the sections of `config` as defaults."""
    factory = TaskFactory(FUNCTIONS, config, options)
    rounds = Rounds(config, factory)

    def body(inputs: dict[str, Any]) -> None:
        closed = factory.task("closing", inputs, job=dsl.PIPELINE_JOB_ID_PLACEHOLDER, tracking=inputs["tracking"])
        with dsl.ExitHandler(closed, name="rounds"):  # what lies in it can be no output of the pipeline
            rounds.make(inputs)

    parameters = [
        Parameter("recipe", str, "Name under which the run is tracked.", config.recipe),
        Parameter("seed", int, "Seed of the whole evolution.", config.seed),
        *section_parameters(config),
        Parameter("start_iteration", int, "Number of the first round; above 1 the evolution goes on with another.", 1),
        Parameter(
            "curriculum_model_uri",
            str,
            "Curriculum agent to begin with (models:/, a folder, s3://, a hub id); empty: the base model.",
            "",
        ),
        Parameter("executor_model_uri", str, "Executor agent to begin with, likewise; empty: the base model.", ""),
        Parameter(
            "history_uri", str, "History to go on with: runs:/ID of MLflow, a folder or s3://; empty: a new one.", ""
        ),
        Parameter(
            "code_version",
            str,
            "Version of the code that results from the cache must be of; empty: the one in the image.",
            "",
        ),
        Parameter("mlflow_run_id", str, "MLflow run of an unfinished evolution to go on with; empty: a new one.", ""),
        *factory.parameters,
    ]
    return make_pipeline(
        PIPELINE_NAME,
        f"Agent0: {config.iterations} rounds of co-evolution.",
        parameters,
        None,
        body,
        factory.limits,
    )
