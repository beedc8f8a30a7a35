"""The benchmarks as tasks of inspect_ai: `inspect eval agent0/gsm8k --model agent0/tiny -T preset=paper -T tool=true`.

The solver takes whole trajectories of the rollout engine, with the seeds and the company in a batch that `agent0
evaluate` gives them, and writes turns and programs into the transcript. inspect_ai does the rest: scheduling, epochs,
logs, retries. What is judged lies in the sample's store, so `inspect score` can judge a log again. Its figures are mean
and standard error over questions; the rest is in `agent0 evaluate`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from inspect_ai import Task, task
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.event import ModelEvent, ToolEvent
from inspect_ai.log import transcript
from inspect_ai.model import ChatMessage, GenerateConfig, Model, ModelOutput, ModelUsage, get_model
from inspect_ai.model._model import record_and_check_model_usage  # as its Model.generate does; pinned, and tested
from inspect_ai.scorer import INCORRECT, Score, Scorer, Target, mean, scorer, stderr
from inspect_ai.solver import Generate, Solver, TaskState, solver
from pydantic import TypeAdapter

from agent0.benchmarks.catalogue import BENCHMARKS, benchmark
from agent0.benchmarks.spec import Benchmark, Item, Preset
from agent0.config import EvaluationSettings
from agent0.config.loader import parse_section
from agent0.errors import UsageError
from agent0.evaluation.assignments import Assignment, Question, check_room, prepare
from agent0.evaluation.inspect_sample import SampleWriter, opening, score_fields
from agent0.evaluation.sample_runner import sample_record, windows
from agent0.evaluation.sample_store import SampleRecord
from agent0.evaluation.scorecard import response_of
from agent0.evaluation.scoring import score_responses
from agent0.inspect.provider import Agent0Model
from agent0.inspect.trajectory_scheduler import Ask

_MESSAGES = TypeAdapter(list[ChatMessage])
_EVENTS = {"model": ModelEvent, "tool": ToolEvent}
_ITEM = TypeAdapter(Item)
_JUDGED = "judged"  # in a sample's store: what the solver hands to the scorer


def _task_of(entry: Benchmark) -> Callable[..., Task]:
    def make(seed: int = 0, **settings: Any) -> Task:
        model = get_model()
        if not isinstance(model.api, Agent0Model):
            raise UsageError(f"The tasks of agent0 need a model of agent0; add --model agent0/MODEL ({model} is none).")
        return benchmark_task(entry, model, seed, settings)

    return task(name=entry.name)(make)  # type: ignore[no-any-return]


def benchmark_task(entry: Benchmark, model: Model, seed: int, settings: dict[str, Any]) -> Task:
    """Return a benchmark as a task; `settings` are fields of `evaluation.*`, such as preset, tool, limit and data.

    Raises:
        Agent0Error: a setting is wrong, or the benchmark's data are not there.
    """
    from agent0.rollout.tokens import model_positions

    api, rollout = model.api, model.api.config.rollout
    values = {**api.config.evaluation.model_dump(), **settings, "benchmarks": (entry.name,)}
    evaluation = parse_section(EvaluationSettings, values)
    [assignment] = prepare(evaluation, rollout, api.tokenizer, seed)
    check_room([assignment], model_positions(api.folder))
    return Task(
        dataset=MemoryDataset([_sample(question) for question in assignment.questions], entry.name),
        solver=stop_and_go(assignment, model),
        scorer=rule(entry.name, evaluation.preset),
        epochs=assignment.samples,
        # So many samples at a time that the backend always has one waiting; --max-samples is another number.
        config=GenerateConfig(max_connections=2 * max(rollout.batch_size, rollout.concurrency)),
        metadata={"rule": assignment.protocol.rule.source, "content_sha256": assignment.content_sha256},
    )


def _sample(question: Question) -> Sample:
    item = question.item
    return Sample(
        id=item.id,
        input=_MESSAGES.validate_python(opening(question)),
        choices=list(item.options) or None,
        target=item.gold,
        metadata=dict(item.groups),
    )


@solver  # type: ignore[untyped-decorator]
def stop_and_go(assignment: Assignment, model: Model) -> Solver:
    """Solve with a trajectory of the rollout engine: the protocol, tool and budget of training."""
    api = model.api
    questions = {question.item.id: question for question in assignment.questions}
    size = api.config.rollout.batch_size if api.config.rollout.backend == "transformers" else None
    asks: dict[tuple[str, int], tuple[Ask, list[Ask]]] = {}
    for window in windows(assignment, size):
        company = [(tuple(question.prompt), assignment.seed_of(question, sample)) for question, sample in window]
        for (question, sample), ask in zip(window, company, strict=True):
            asks[question.item.id, sample] = ask, company

    async def solve(state: TaskState, generate: Generate) -> TaskState:
        began = time.monotonic()
        question, sample = questions[str(state.sample_id)], state.epoch - 1
        drawer = api.drawer(assignment.sampling, assignment.budget)
        trajectory = await drawer.trajectory(*asks[question.item.id, sample])
        seconds = time.monotonic() - began
        record = sample_record(assignment, (question, sample), trajectory, api.tokenizer, seconds=seconds)
        state.store.set(
            _JUDGED,
            {
                "item": _ITEM.dump_python(question.item, mode="json"),
                "response": response_of(assignment.protocol, record),
                "truncated": record.truncated,
            },
        )
        writer = SampleWriter(assignment, api.model_name, datetime.now(UTC).isoformat(timespec="seconds"))
        _write(state, writer, question, record)
        record_and_check_model_usage(model, _usage(record))
        return state

    return solve


def _usage(record: SampleRecord) -> ModelUsage:
    given, drawn = record.prompt_tokens, record.drawn_tokens
    return ModelUsage(input_tokens=given, output_tokens=drawn, total_tokens=given + drawn)


def _write(state: TaskState, writer: SampleWriter, question: Question, record: SampleRecord) -> None:
    """Write a trajectory into the sample's messages, output and transcript."""
    messages, events, output = writer.conversation(question, record)
    state.messages = _MESSAGES.validate_python(messages)
    state.output = ModelOutput.model_validate(output)
    state.metadata |= {"seed": record.seed, "finish": record.finish}
    for event in events:
        refs = event.pop("input_refs", None)
        given = {"input": messages[slice(*refs[0])]} if refs else {}
        transcript()._event(_EVENTS[event["event"]].model_validate({**event, **given}))


@scorer(metrics=[mean(), stderr()])  # type: ignore[untyped-decorator]
def rule(name: str, preset: Preset) -> Scorer:
    """Judge by a benchmark's rule; stderr is over questions, since inspect_ai averages the epochs first."""
    protocol = benchmark(name).protocols[preset]

    async def score(state: TaskState, target: Target) -> Score:
        judged = state.store.get(_JUDGED)
        if judged is None:
            return Score(value=INCORRECT, explanation="The sample was ended before its trajectory was drawn.")
        [scored] = score_responses(protocol, [(_ITEM.validate_python(judged["item"]), judged["response"])])
        return Score(**score_fields(scored, truncated=judged["truncated"]))

    return score


TASKS: Sequence[Callable[..., Task]] = [_task_of(entry) for entry in BENCHMARKS]
