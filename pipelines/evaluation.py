"""The pipeline `evaluation`: one model on any benchmarks, each in a task of its own, and the promotion gate.

Only the image is fixed by compiling: model, benchmarks (`evaluation.benchmarks`), champion and thresholds are run
parameters, so one uploaded pipeline serves a schedule.
"""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

from kfp import dsl

from agent0.config import Config
from agent0.evaluation.gate import GateSettings
from agent0_kfp.components import DEFAULT_IMAGE, containerized
from agent0_kfp.components.base_model.component import base_model
from agent0_kfp.components.benchmark_evaluation.component import benchmark_evaluation
from agent0_kfp.components.evaluation_comparison.component import evaluation_comparison
from agent0_kfp.components.evaluation_preparation.component import evaluation_preparation
from agent0_kfp.pipelines.compiling import write_pipeline

FUNCTIONS = (evaluation_preparation, base_model, benchmark_evaluation, evaluation_comparison)
PIPELINE_NAME = "agent0-evaluation"


class EvaluationOutputs(NamedTuple):
    """The whole evaluation, with the gate's decision."""

    compared: dsl.Dataset


def compile_evaluation(config: Config, path: Path, image: str = DEFAULT_IMAGE) -> None:
    """Write the evaluation pipeline of `config` as YAML; the same arguments give the same bytes."""
    write_pipeline(make_evaluation(config, image), path, f"{PIPELINE_NAME}: recipe {config.recipe}")


def make_evaluation(config: Config, image: str = DEFAULT_IMAGE) -> Callable[..., Any]:
    """Return the pipeline with the seed and the sections of `config` as defaults."""
    defaults = {**config.model_dump(mode="json"), "gate": GateSettings().model_dump(mode="json")}
    components = SimpleNamespace(**{function.__name__: containerized(function, image) for function in FUNCTIONS})
    benchmarks = _make_benchmarks(components)

    @dsl.pipeline(name=PIPELINE_NAME, description="Agent0: one model on benchmarks, and the promotion gate.")
    def evaluation(
        name: str = "",
        seed: int = config.seed,
        champion: str = "",
        promote: bool = True,
        history: str = "",
        model: dict = defaults["model"],
        rollout: dict = defaults["rollout"],
        sandbox: dict = defaults["sandbox"],
        evaluation: dict = defaults["evaluation"],
        gate: dict = defaults["gate"],
        tracking: dict = defaults["tracking"],
    ) -> EvaluationOutputs:
        """Evaluate one model.

        Args:
            name: Name of the model in tables; empty for the last part of its source.
            seed: Seed of the sampling.
            champion: models:/NAME@champion, or folder or s3:// place of an evaluation to compare with; empty for none.
            promote: Whether the alias in champion moves to the evaluated version when the gate says so.
            history: Folder or s3:// place that keeps the record of every run of a schedule; empty for none.
            model: The model: source (folder, s3:// place, models:/NAME@ALIAS or models:/NAME/VERSION, hub id, or tiny).
            rollout: Prompt set, world, and the token budget of a trajectory.
            sandbox: Limits of one model-written program.
            evaluation: Which benchmarks, how they are asked, and of how many questions.
            gate: Thresholds by which the model replaces the champion.
            tracking: MLflow experiment.

        Returns:
            The record of all benchmarks with comparison page and decision.
        """
        prepared = components.evaluation_preparation(
            name=name,
            seed=seed,
            champion=champion,
            model=model,
            rollout=rollout,
            sandbox=sandbox,
            evaluation=evaluation,
            gate=gate,
            tracking=tracking,
        )
        # A run of its own each time, and with it no cached result: what lies behind a place may have changed.
        prepared.set_caching_options(False)
        run_id, resolved = prepared.outputs["mlflow_run_id"], prepared.outputs["resolved_model"]
        provided = components.base_model(seed=seed, mlflow_run_id=run_id, model=resolved)
        scored = benchmarks(
            by_benchmark=prepared.outputs["Output"],
            seed=seed,
            mlflow_run_id=run_id,
            name=name,
            champion=champion,
            resolved_champion=prepared.outputs["resolved_champion"],
            promote=promote,
            history=history,
            model=resolved,
            rollout=rollout,
            sandbox=sandbox,
            gate=gate,
            executor_model=provided.outputs["base"],
        )
        return EvaluationOutputs(compared=scored.outputs["compared"])

    return evaluation


def _make_benchmarks(components: SimpleNamespace) -> Callable[..., Any]:
    """Return the loop over the benchmarks, with what brings it together, as a pipeline to nest.

    It is nested because the local runner takes every output of another task that enters a loop for the loop's item; a
    nested pipeline's inputs are left alone.
    """

    @dsl.pipeline(name="benchmarks")
    def benchmarks(
        by_benchmark: list[dict],
        seed: int,
        mlflow_run_id: str,
        name: str,
        champion: str,
        resolved_champion: str,
        promote: bool,
        history: str,
        model: dict,
        rollout: dict,
        sandbox: dict,
        gate: dict,
        executor_model: dsl.Input[dsl.Model],
    ) -> EvaluationOutputs:
        with dsl.ParallelFor(by_benchmark, name="by-benchmark") as evaluation:
            scored = components.benchmark_evaluation(
                seed=seed,
                iteration=0,
                mlflow_run_id=mlflow_run_id,
                rollout=rollout,
                sandbox=sandbox,
                evaluation=evaluation,
                executor_model=executor_model,
            )
        compared = components.evaluation_comparison(
            seed=seed,
            mlflow_run_id=mlflow_run_id,
            name=name,
            champion=champion,
            resolved_champion=resolved_champion,
            promote=promote,
            history=history,
            model=model,
            gate=gate,
            evaluations=dsl.Collected(scored.outputs["scores"]),
        )
        return EvaluationOutputs(compared=compared.outputs["compared"])

    return benchmarks
