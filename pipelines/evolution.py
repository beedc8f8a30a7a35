"""The pipeline `evolution`: N rounds of co-evolution, unrolled when it is compiled.

Each round is a nested pipeline, so Kubeflow shows it as one box. Every section of the configuration is a run parameter
whose default is the recipe's; the seed is one as well. The numbers of iterations and of pods and the image are fixed by
compiling.

Compiled for several pods, task generation and sandboxed execution are each a flat loop over the pods, followed by a
component that collects what they made. For one pod there is no loop: a list of artifacts can only come from one, and
the two stages then need no second task to bring their own output together.
"""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

from kfp import dsl

from agent0.config import Config
from agent0_kfp.components import DEFAULT_IMAGE, containerized
from agent0_kfp.components.base_model.component import base_model
from agent0_kfp.components.benchmark_evaluation.component import benchmark_evaluation
from agent0_kfp.components.curriculum_training.component import curriculum_training
from agent0_kfp.components.execution_collection.component import execution_collection
from agent0_kfp.components.executor_training.component import executor_training
from agent0_kfp.components.iteration_report.component import iteration_report
from agent0_kfp.components.prepare.component import prepare
from agent0_kfp.components.sandboxed_execution.component import sandboxed_execution
from agent0_kfp.components.task_collection.component import task_collection
from agent0_kfp.components.task_filtering.component import task_filtering
from agent0_kfp.components.task_generation.component import task_generation
from agent0_kfp.pipelines.compiling import write_pipeline

FUNCTIONS = (
    prepare,
    base_model,
    curriculum_training,
    task_generation,
    task_collection,
    sandboxed_execution,
    execution_collection,
    task_filtering,
    executor_training,
    benchmark_evaluation,
    iteration_report,
)
PIPELINE_NAME = "agent0-evolution"


class IterationOutputs(NamedTuple):
    """Both agents after a round, and the history with it."""

    curriculum_model: dsl.Model
    executor_model: dsl.Model
    history: dsl.Artifact


class EvolutionOutputs(NamedTuple):
    """The last executor, and the whole history."""

    executor_model: dsl.Model
    history: dsl.Artifact


def compile_evolution(config: Config, path: Path, image: str = DEFAULT_IMAGE) -> None:
    """Write the evolution pipeline of `config` as YAML; the same arguments give the same bytes."""
    title = f"{PIPELINE_NAME}: {config.iterations} iterations, recipe {config.recipe}"
    write_pipeline(make_evolution(config, image), path, title)


def make_evolution(config: Config, image: str = DEFAULT_IMAGE) -> Callable[..., Any]:
    """Return the pipeline of `config.iterations` rounds, with the sections of `config` as defaults."""
    defaults = config.model_dump(mode="json")
    components = SimpleNamespace(**{function.__name__: containerized(function, image) for function in FUNCTIONS})
    iteration = _make_iteration(components, config.pods)

    @dsl.pipeline(name=PIPELINE_NAME, description=f"Agent0: {config.iterations} rounds of co-evolution.")
    def evolution(
        recipe: str = config.recipe,
        seed: int = config.seed,
        model: dict = defaults["model"],
        rollout: dict = defaults["rollout"],
        sandbox: dict = defaults["sandbox"],
        curriculum: dict = defaults["curriculum"],
        generation: dict = defaults["generation"],
        execution: dict = defaults["execution"],
        filtering: dict = defaults["filtering"],
        executor: dict = defaults["executor"],
        training: dict = defaults["training"],
        evaluation: dict = defaults["evaluation"],
        tracking: dict = defaults["tracking"],
    ) -> EvolutionOutputs:
        """Grow two agents from one base model.

        Args:
            recipe: Name under which the run is tracked.
            seed: Seed of the whole evolution.
            model: Base model: source (hub id or folder), dtype.
            rollout: Prompt set, world, and the token budget of a trajectory.
            sandbox: Limits of one model-written program.
            curriculum: GRPO of the curriculum agent: steps, groups, rates, reward weights.
            generation: How many proposals are drawn, and how.
            execution: Votes per task (k), sampling, difficulty probe.
            filtering: Self-consistency band and the least number of tasks.
            executor: ADPO of the executor agent: steps, groups, rates, scale and clip constants.
            training: Devices, precision, sharding, vLLM placement, LoRA, checkpoints, guards.
            evaluation: Which benchmarks, how they are asked, and of how many questions.
            tracking: MLflow experiment and registered model.

        Returns:
            The last executor, and the history with report and summary.
        """
        shared = {
            "seed": seed,
            "model": model,
            "rollout": rollout,
            "sandbox": sandbox,
            "curriculum": curriculum,
            "generation": generation,
            "execution": execution,
            "filtering": filtering,
            "executor": executor,
            "training": training,
            "evaluation": evaluation,
            "tracking": tracking,
        }
        prepared = components.prepare(recipe=recipe, iterations=config.iterations, pods=config.pods, **shared)
        run_id = prepared.outputs["Output"]
        base = components.base_model(seed=seed, mlflow_run_id=run_id, model=model).outputs["base"]
        base_scores = components.benchmark_evaluation(
            seed=seed,
            iteration=0,
            mlflow_run_id=run_id,
            rollout=rollout,
            sandbox=sandbox,
            evaluation=evaluation,
            executor_model=base,
        ).outputs["scores"]
        curriculum_model, executor_model, history = base, base, prepared.outputs["history"]
        for number in range(1, config.iterations + 1):
            done = iteration(
                iteration=number,
                mlflow_run_id=run_id,
                curriculum_model=curriculum_model,
                executor_model=executor_model,
                first_executor_model=base,
                base_evaluation=base_scores,
                history=history,
                **shared,
            ).set_display_name(f"iteration {number}")
            curriculum_model, executor_model, history = (
                done.outputs[name] for name in ("curriculum_model", "executor_model", "history")
            )
        return EvolutionOutputs(executor_model=executor_model, history=history)

    return evolution


def _make_iteration(components: SimpleNamespace, pods: int) -> Callable[..., Any]:
    """Return one round as a pipeline to nest."""
    generate = _sharded(components.task_generation, "tasks", components.task_collection, pods)
    execute = _sharded(components.sandboxed_execution, "labelled", components.execution_collection, pods)

    @dsl.pipeline(name="iteration")
    def iteration(
        iteration: int,
        seed: int,
        mlflow_run_id: str,
        model: dict,
        rollout: dict,
        sandbox: dict,
        curriculum: dict,
        generation: dict,
        execution: dict,
        filtering: dict,
        executor: dict,
        training: dict,
        evaluation: dict,
        tracking: dict,
        curriculum_model: dsl.Input[dsl.Model],
        executor_model: dsl.Input[dsl.Model],
        first_executor_model: dsl.Input[dsl.Model],
        base_evaluation: dsl.Input[dsl.Dataset],
        history: dsl.Input[dsl.Artifact],
    ) -> IterationOutputs:
        run = {"seed": seed, "iteration": iteration, "mlflow_run_id": mlflow_run_id}
        machine = {"rollout": rollout, "sandbox": sandbox}
        proposer = components.curriculum_training(
            **run,
            **machine,
            model=model,
            curriculum=curriculum,
            training=training,
            tracking=tracking,
            curriculum_model=curriculum_model,
            executor_model=executor_model,
        ).outputs["trained"]
        tasks = generate(
            {**run, **machine, "generation": generation, "curriculum_model": proposer}, {**run, "rollout": rollout}
        )
        labelled = execute(
            {
                **run,
                **machine,
                "execution": execution,
                "tracking": tracking,
                "executor_model": executor_model,
                "first_executor_model": first_executor_model,
                "tasks": tasks,
            },
            run,
        )
        kept = components.task_filtering(**run, filtering=filtering, labelled=labelled).outputs["kept"]
        solver = components.executor_training(
            **run,
            **machine,
            model=model,
            executor=executor,
            training=training,
            tracking=tracking,
            executor_model=executor_model,
            tasks=kept,
        ).outputs["trained"]
        scores = components.benchmark_evaluation(
            **run, **machine, evaluation=evaluation, executor_model=solver
        ).outputs["scores"]
        grown = components.iteration_report(
            **run,
            history=history,
            base_evaluation=base_evaluation,
            evaluation=scores,
            curriculum_model=proposer,
            tasks=tasks,
            labelled=labelled,
            kept=kept,
            executor_model=solver,
        ).outputs["grown"]
        return IterationOutputs(curriculum_model=proposer, executor_model=solver, history=grown)

    return iteration


def _sharded(
    component: Callable[..., Any], output: str, collection: Callable[..., Any], pods: int
) -> Callable[..., Any]:
    """Return how `component` is called in a pipeline that is compiled for `pods` pods.

    The function takes the arguments of the component and those of its collection, and returns the artifact `output`.
    """

    def call(arguments: dict[str, Any], collected: dict[str, Any]) -> Any:
        if pods == 1:
            return component(**arguments).outputs[output]
        with dsl.ParallelFor(list(range(pods)), name=f"{output}-by-pod") as pod:
            part = component(**arguments, pod=pod, pods=pods)
        return collection(**collected, parts=dsl.Collected(part.outputs[output])).outputs[output]

    return call
