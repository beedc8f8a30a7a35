"""The rounds of an evolution, unrolled when a pipeline is compiled; each is a nested pipeline, one box in Kubeflow.

Compiled for several pods, task generation and sandboxed execution are each a flat loop over the pods, followed by a
component that collects what they made. For one pod there is no loop: a list of artifacts can only come from one, and
the two stages then need no second task to bring their own output together.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from kfp import dsl

from agent0.config import SECTIONS, Config
from agent0_kfp.components.base_evaluation.component import base_evaluation
from agent0_kfp.components.base_model.component import base_model
from agent0_kfp.components.benchmark_evaluation.component import benchmark_evaluation
from agent0_kfp.components.curriculum_training.component import curriculum_training
from agent0_kfp.components.execution_collection.component import execution_collection
from agent0_kfp.components.executor_training.component import executor_training
from agent0_kfp.components.iteration_report.component import iteration_report
from agent0_kfp.components.opening.component import opening
from agent0_kfp.components.prepare.component import prepare
from agent0_kfp.components.sandboxed_execution.component import sandboxed_execution
from agent0_kfp.components.starting_agent.component import starting_agent
from agent0_kfp.components.task_collection.component import task_collection
from agent0_kfp.components.task_filtering.component import task_filtering
from agent0_kfp.components.task_generation.component import task_generation
from agent0_kfp.components.warm_evaluation.component import warm_evaluation
from agent0_kfp.components.warm_start.component import warm_start
from agent0_kfp.pipelines.placement import Workshop
from agent0_kfp.pipelines.signatures import Parameter, make_pipeline, values_of

FUNCTIONS = (
    opening,
    prepare,
    base_model,
    base_evaluation,
    warm_start,
    warm_evaluation,
    starting_agent,
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
SECTION_DESCRIPTIONS = {
    "model": "Base model: source (hub id or folder), dtype.",
    "rollout": "Domain, prompts, and the token budget of a trajectory.",
    "sandbox": "Limits of one model-written program.",
    "warm_start": "Supervised steps before the first round: how many, on what, at which rate.",
    "curriculum": "GRPO of the curriculum agent: steps, groups, rates, reward weights.",
    "generation": "How many proposals are drawn, and how.",
    "execution": "Votes per task (k), sampling, difficulty probe.",
    "filtering": "Self-consistency band and the least number of tasks.",
    "executor": "ADPO of the executor agent: steps, groups, rates, scale and clip constants.",
    "training": "Devices, precision, sharding, launcher, vLLM placement, LoRA, checkpoints, guards.",
    "evaluation": "Which benchmarks, how they are asked, and of how many questions.",
    "tracking": "MLflow experiment and registered model.",
}


class RoundsOutputs(NamedTuple):
    """Both agents after the last round, and the whole history."""

    curriculum_model: dsl.Model
    executor_model: dsl.Model
    history: dsl.Artifact


class RoundOutputs(NamedTuple):
    """Both agents after a round, the history with it, and the number of the next."""

    curriculum_model: dsl.Model
    executor_model: dsl.Model
    history: dsl.Artifact
    next_iteration: int


def section_parameters(config: Config) -> list[Parameter]:
    """Return the sections of the configuration as run parameters, with the values of `config` as defaults."""
    defaults = config.model_dump(mode="json")
    return [Parameter(name, dict, SECTION_DESCRIPTIONS[name], defaults[name]) for name in SECTIONS]


def section_inputs() -> list[Parameter]:
    """Return the sections of the configuration as inputs of a nested pipeline, without defaults."""
    return [Parameter(name, dict, SECTION_DESCRIPTIONS[name]) for name in SECTIONS]


class Rounds:
    """The tasks of an evolution: opening, base model, its warm start, the agents to begin with, and the rounds.

    Args:
        config: says how many rounds and pods there are.
        workshop: makes the tasks.
    """

    def __init__(self, config: Config, workshop: Workshop) -> None:
        self._config = config
        self._workshop = workshop
        self._round = self._make_round()

    def make(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Make the tasks and return the outputs of the last round, named as in `RoundsOutputs`.

        Args:
            inputs: of the pipeline around: recipe, seed, sections, starting points and placement.
        """
        shop, seed = self._workshop, inputs["seed"]
        sections = {name: inputs[name] for name in SECTIONS}
        whole = {
            "iterations": self._config.iterations,
            "pods": self._config.pods,
            **{name: inputs[name] for name in ("recipe", "seed", "start_iteration", "history_uri", *SECTIONS)},
        }
        opened = shop.task(
            "opening",
            inputs,
            **whole,
            curriculum_model_uri=inputs["curriculum_model_uri"],
            executor_model_uri=inputs["executor_model_uri"],
            code_version=inputs["code_version"],
            mlflow_run_id=inputs["mlflow_run_id"],
            job=dsl.PIPELINE_JOB_ID_PLACEHOLDER,
            compiled_with=shop.options.model_dump(mode="json"),
            with_warm_start=bool(self._config.warm_start.steps),
        )
        run_id = opened.outputs["Output"]
        prepared = shop.task("prepare", inputs, **whole, mlflow_run_id=run_id)
        base = shop.task("base_model", inputs, seed=seed, mlflow_run_id=run_id, model=inputs["model"]).outputs["base"]
        scored = {name: inputs[name] for name in ("seed", "rollout", "sandbox", "evaluation")}
        scored |= {"mlflow_run_id": run_id, "known_from": inputs["history_uri"]}
        # Not benchmark_evaluation: Kubeflow's compiler gives executors of one name at two depths the settings of one.
        scores = shop.task("base_evaluation", inputs, **scored, base=base).outputs["scores"]
        if self._config.warm_start.steps:
            warm = {name: inputs[name] for name in ("seed", "rollout", "sandbox", "warm_start", "training")}
            base = shop.task("warm_start", inputs, **warm, mlflow_run_id=run_id, base=base).outputs["warm"]
            scores = shop.task("warm_evaluation", inputs, **scored, base_scores=scores, warm=base).outputs["scores"]
        agents = {
            role: shop.task(
                "starting_agent",
                inputs,
                seed=seed,
                mlflow_run_id=run_id,
                role=role,
                uri=inputs[f"{role}_model_uri"],
                model=inputs["model"],
                base=base,
            ).outputs["agent"]
            for role in ("curriculum", "executor")
        }
        state: dict[str, Any] = {
            "curriculum_model": agents["curriculum"],
            "executor_model": agents["executor"],
            "history": prepared.outputs["history"],
            "next_iteration": inputs["start_iteration"],
        }
        for number in range(1, self._config.iterations + 1):
            done = self._round(
                iteration=state.pop("next_iteration"),
                seed=seed,
                mlflow_run_id=run_id,
                first_executor_model=base,
                base_evaluation=scores,
                **state,
                **sections,
                **values_of(shop.parameters, inputs),
            ).set_display_name(f"round {number} of {self._config.iterations}")
            state = {name: done.outputs[name] for name in RoundOutputs._fields}
        return {name: state[name] for name in RoundsOutputs._fields}

    def _make_round(self) -> Callable[..., Any]:
        """Return one round as a pipeline to nest."""
        parameters = [
            Parameter("iteration", int, "Number of the round."),
            Parameter("seed", int, "Seed of the whole evolution."),
            Parameter("mlflow_run_id", str, "MLflow run of the evolution."),
            *section_inputs(),
            *(parameter.required() for parameter in self._workshop.parameters),
            Parameter("curriculum_model", dsl.Input[dsl.Model], "The curriculum agent before the round."),
            Parameter("executor_model", dsl.Input[dsl.Model], "The executor agent before the round."),
            Parameter("first_executor_model", dsl.Input[dsl.Model], "The executor by which difficulty is measured."),
            Parameter("base_evaluation", dsl.Input[dsl.Dataset], "Scores of the base model."),
            Parameter("history", dsl.Input[dsl.Artifact], "What was before the round."),
        ]
        return make_pipeline("iteration", "One round of co-evolution.", parameters, RoundOutputs, self._round_body)

    def _round_body(self, inputs: dict[str, Any]) -> RoundOutputs:
        shop = self._workshop
        run = {name: inputs[name] for name in ("seed", "iteration", "mlflow_run_id")}
        machine = {name: inputs[name] for name in ("rollout", "sandbox")}
        trained = {**run, **machine, "model": inputs["model"], "training": inputs["training"]}
        trained |= {"tracking": inputs["tracking"], "image": inputs["image"]}
        proposed = {"curriculum": inputs["curriculum"]}
        executor = inputs["executor_model"]
        proposer = shop.task(
            "curriculum_training",
            inputs,
            **trained,
            **proposed,
            curriculum_model=inputs["curriculum_model"],
            executor_model=executor,
        ).outputs["trained"]
        tasks = self._sharded(
            inputs,
            "task_generation",
            "tasks",
            {
                **run,
                **machine,
                **proposed,
                "generation": inputs["generation"],
                "curriculum_model": proposer,
                "executor_model": executor,
            },
            "task_collection",
            {**run, **proposed, "rollout": inputs["rollout"]},
        )
        labelled = self._sharded(
            inputs,
            "sandboxed_execution",
            "labelled",
            {
                **run,
                **machine,
                "execution": inputs["execution"],
                "tracking": inputs["tracking"],
                "executor_model": executor,
                "first_executor_model": inputs["first_executor_model"],
                "tasks": tasks,
            },
            "execution_collection",
            run,
        )
        checked = {name: inputs[name] for name in ("filtering", "evaluation")}
        kept = shop.task("task_filtering", inputs, **run, **checked, labelled=labelled)
        solver = shop.task(
            "executor_training",
            inputs,
            **trained,
            executor=inputs["executor"],
            executor_model=executor,
            tasks=kept.outputs["kept"],
        ).outputs["trained"]
        scores = shop.task(
            "benchmark_evaluation",
            inputs,
            **run,
            **machine,
            evaluation=inputs["evaluation"],
            executor_model=solver,
        )
        reported = shop.task(
            "iteration_report",
            inputs,
            **run,
            **proposed,
            history=inputs["history"],
            base_evaluation=inputs["base_evaluation"],
            evaluation=scores.outputs["scores"],
            curriculum_model=proposer,
            tasks=tasks,
            labelled=labelled,
            kept=kept.outputs["kept"],
            executor_model=solver,
        )
        return RoundOutputs(
            curriculum_model=proposer,
            executor_model=solver,
            history=reported.outputs["grown"],
            next_iteration=reported.outputs["Output"],
        )

    def _sharded(
        self,
        inputs: Mapping[str, Any],
        component: str,
        output: str,
        arguments: Mapping[str, Any],
        collection: str,
        collected: Mapping[str, Any],
    ) -> Any:
        """Make the task of `component`, or one for each pod and one of `collection`; return the artifact `output`."""
        if self._config.pods == 1:
            return self._workshop.task(component, inputs, **arguments).outputs[output]
        with dsl.ParallelFor(list(range(self._config.pods)), name=f"{output}-by-pod") as pod:
            part = self._workshop.task(component, inputs, **arguments, pod=pod, pods=self._config.pods)
        parts = dsl.Collected(part.outputs[output])
        return self._workshop.task(collection, inputs, **collected, parts=parts).outputs[output]
