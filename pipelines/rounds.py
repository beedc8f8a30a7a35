"""The rounds of an evolution, unrolled when a pipeline is compiled; each is a nested pipeline, one box in Kubeflow.

Compiled for several pods, task generation and sandboxed execution are each a flat loop over the pods, followed by a
component that collects what they made. For one pod there is no loop: a list of artifacts can only come from one, and
the two stages then need no second task to bring their own output together.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from kfp import dsl

from agent0.config import WIRE, Config
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
from agent0_kfp.pipelines.pod_placement import TaskFactory
from agent0_kfp.pipelines.signatures import Parameter, make_pipeline, values_of

FUNCTIONS = (
    opening, prepare, base_model, base_evaluation, warm_start, warm_evaluation, starting_agent, curriculum_training,
    task_generation, task_collection, sandboxed_execution, execution_collection, task_filtering, executor_training,
    benchmark_evaluation, iteration_report,
)  # fmt: skip
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
"""The sections that an evolution reads, each a run parameter."""


OPENED = ("recipe", "seed", "start_iteration", "curriculum_model_uri", "executor_model_uri", "history_uri")
OPENED += ("code_version", "mlflow_run_id")
"""The other inputs of the pipeline around that `opening` is given."""


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
    return [Parameter(name, dict, about, defaults[name]) for name, about in SECTION_DESCRIPTIONS.items()]


def section_inputs() -> list[Parameter]:
    """Return the sections of the configuration as inputs of a nested pipeline, without defaults."""
    return [Parameter(name, dict, about) for name, about in SECTION_DESCRIPTIONS.items()]


class Rounds:
    """The tasks of an evolution: opening, base model, its warm start, the agents to begin with, and the rounds.

    Args:
        config: says how many rounds and pods there are.
        factory: makes the tasks.
    """

    def __init__(self, config: Config, factory: TaskFactory) -> None:
        self._config = config
        self._factory = factory
        self._round = self._make_round()

    def make(self, inputs: Mapping[str, Any], **variant: Any) -> dict[str, Any]:
        """Make the tasks and return the outputs of the last round, named as in `RoundsOutputs`.

        Args:
            inputs: of the pipeline around: recipe, seed, sections, starting points and placement.
            variant: what `opening` is told of an ablation.
        """
        factory, history = self._factory, inputs["history_uri"]
        opened = factory.task(
            "opening",
            inputs,
            iterations=self._config.iterations,
            pods=self._config.pods,
            one_model=self._config.one_model,
            **{name: inputs[name] for name in (*OPENED, *SECTION_DESCRIPTIONS)},
            job=dsl.PIPELINE_JOB_ID_PLACEHOLDER,
            compiled_with=factory.options.model_dump(mode="json"),
            graph={"with_warm_start": bool(self._config.warm_start.steps), "wire": WIRE},
            **variant,
        )
        run = {"config": opened.outputs["config"], "mlflow_run_id": opened.outputs["Output"]}
        prepared = factory.task(
            "prepare", inputs, **run, start_iteration=inputs["start_iteration"], history_uri=history
        )
        base = factory.task("base_model", inputs, **run).outputs["base"]
        # Not benchmark_evaluation: Kubeflow's compiler gives executors of one name at two depths the settings of one.
        scores = factory.task("base_evaluation", inputs, **run, known_from=history, base=base).outputs["scores"]
        if self._config.warm_start.steps:
            base = factory.task("warm_start", inputs, **run, base=base).outputs["warm"]
            scored = factory.task("warm_evaluation", inputs, **run, known_from=history, base_scores=scores, warm=base)
            scores = scored.outputs["scores"]
        agents = {
            role: factory.task(
                "starting_agent", inputs, **run, role=role, uri=inputs[f"{role}_model_uri"], base=base
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
                **run,
                first_executor_model=base,
                base_evaluation=scores,
                **state,
                **values_of(factory.parameters, inputs),
            ).set_display_name(f"round {number} of {self._config.iterations}")
            state = {name: done.outputs[name] for name in RoundOutputs._fields}
        return {name: state[name] for name in RoundsOutputs._fields}

    def _make_round(self) -> Callable[..., Any]:
        """Return one round as a pipeline to nest."""
        parameters = [
            Parameter("config", dict, "All settings."),
            Parameter("iteration", int, "Number of the round."),
            Parameter("mlflow_run_id", str, "MLflow run of the evolution."),
            *(parameter.required() for parameter in self._factory.parameters),
            Parameter("curriculum_model", dsl.Input[dsl.Model], "The curriculum agent before the round."),
            Parameter("executor_model", dsl.Input[dsl.Model], "The executor agent before the round."),
            Parameter("first_executor_model", dsl.Input[dsl.Model], "The executor by which difficulty is measured."),
            Parameter("base_evaluation", dsl.Input[dsl.Dataset], "Scores of the base model."),
            Parameter("history", dsl.Input[dsl.Artifact], "What was before the round."),
        ]
        return make_pipeline("iteration", "One round of co-evolution.", parameters, RoundOutputs, self._round_body)

    def _round_body(self, inputs: dict[str, Any]) -> RoundOutputs:
        run = {name: inputs[name] for name in ("config", "iteration", "mlflow_run_id")}
        executor, history = inputs["executor_model"], inputs["history"]

        def task(component: str, **artifacts: Any) -> Any:
            return self._factory.task(component, inputs, **run, **artifacts)

        proposer = task(
            "curriculum_training",
            image=inputs["image"],
            curriculum_model=inputs["curriculum_model"],
            executor_model=executor,
            history=history,
        ).outputs["trained"]
        if self._config.one_model:
            executor = proposer
        tasks = self._sharded(
            inputs,
            "task_generation",
            "tasks",
            {**run, "curriculum_model": proposer, "executor_model": executor, "history": history},
            "task_collection",
            run,
        )
        labelled = self._sharded(
            inputs,
            "sandboxed_execution",
            "labelled",
            {
                **run,
                "executor_model": executor,
                "first_executor_model": inputs["first_executor_model"],
                "tasks": tasks,
            },
            "execution_collection",
            run,
        )
        kept = task("task_filtering", labelled=labelled, history=history).outputs["kept"]
        solver = task(
            "executor_training", image=inputs["image"], executor_model=executor, tasks=kept, history=history
        ).outputs["trained"]
        reported = task(
            "iteration_report",
            history=history,
            base_evaluation=inputs["base_evaluation"],
            evaluation=task("benchmark_evaluation", executor_model=solver).outputs["scores"],
            curriculum_model=proposer,
            tasks=tasks,
            labelled=labelled,
            kept=kept,
            executor_model=solver,
        )
        return RoundOutputs(
            curriculum_model=solver if self._config.one_model else proposer,
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
            return self._factory.task(component, inputs, **arguments).outputs[output]
        with dsl.ParallelFor(list(range(self._config.pods)), name=f"{output}-by-pod") as pod:
            part = self._factory.task(component, inputs, **arguments, pod=pod, pods=self._config.pods)
        parts = dsl.Collected(part.outputs[output])
        return self._factory.task(collection, inputs, **collected, parts=parts).outputs[output]
