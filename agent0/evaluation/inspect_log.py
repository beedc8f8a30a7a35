"""Logs of all samples in the format of inspect_ai, which `inspect view` opens: turns, programs, outputs, verdicts.

They are written through inspect_ai's public log functions when a benchmark is finished. inspect_ai does not run the
samples: its scheduler costs about nine milliseconds of processor time a sample, more than the embedded model takes to
draw one, and it passes text where the rollout engine passes tokens.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from agent0.errors import UsageError
from agent0.evaluation.preparation import Assignment, Question
from agent0.evaluation.results import BenchmarkScore
from agent0.evaluation.sample_store import SampleRecord
from agent0.evaluation.scorecard import Outcome
from agent0.evaluation.scoring import Scored
from agent0.types import ToolCall

SAMPLES_PER_LOG = 2000  # a log is made in memory
_STOP_REASONS = {"eos": "stop", "length": "max_tokens", "turns": "max_tokens"}


def require_inspect() -> None:
    """Refuse to promise logs that cannot be written.

    Raises:
        UsageError: inspect_ai is not installed.
    """
    if importlib.util.find_spec("inspect_ai") is None:
        raise UsageError(
            "Logs for `inspect view` need inspect_ai, which is not installed; pip install 'agent0[eval]', or set "
            "evaluation.logs=false."
        )


def write_logs(
    folder: Path, model: str, assignment: Assignment, score: BenchmarkScore, outcomes: Sequence[Outcome]
) -> list[Path]:
    """Write the samples of a benchmark as `.eval` files, at most `SAMPLES_PER_LOG` samples each; return their paths."""
    from inspect_ai.log import write_eval_log

    folder.mkdir(parents=True, exist_ok=True)
    size = max(1, SAMPLES_PER_LOG // assignment.samples)
    questions = {question.item.id: question for question in assignment.questions}
    parts = [outcomes[start : start + size] for start in range(0, len(outcomes), size)]
    paths = []
    for number, part in enumerate(parts, start=1):
        name = assignment.benchmark.name if len(parts) == 1 else f"{assignment.benchmark.name}-{number:03}"
        samples = [
            _sample(questions[outcome.item.id], assignment, model, record, scored)
            for outcome in part
            for record, scored in zip(outcome.records, outcome.scored, strict=True)
        ]
        path = folder / f"{name}.eval"
        write_eval_log(_log(name, model, assignment, score, samples), path)
        paths.append(path)
    return paths


def _log(name: str, model: str, assignment: Assignment, score: BenchmarkScore, samples: list[Any]) -> Any:
    from inspect_ai.log import EvalConfig, EvalDataset, EvalLog, EvalMetric, EvalResults, EvalScore, EvalSpec, EvalStats
    from inspect_ai.model import ModelUsage

    headline = {"score": score.score, "mean@k": score.mean_at_k, **score.rates}
    ended = datetime.now(UTC)
    now = ended.isoformat(timespec="seconds")
    decoding = score.decoding.model_dump(mode="json")
    return EvalLog(
        status="success",
        eval=EvalSpec(
            created=now,
            run_id=score.dataset_sha256 or name,
            task_id=name,
            task=name,
            model=f"agent0/{model}",
            dataset=EvalDataset(
                name=assignment.benchmark.dataset.hub_id or assignment.benchmark.name,
                samples=score.published,
                sample_ids=[question.item.id for question in assignment.questions],
            ),
            config=EvalConfig(epochs=assignment.samples),
            task_args={"tool": assignment.tool, "seed": assignment.seed, **decoding},
            metadata={"rule": score.rule, "aggregation": score.aggregation, "content_sha256": score.dataset_sha256},
        ),
        results=EvalResults(
            total_samples=len(samples),
            completed_samples=len(samples),
            scores=[
                EvalScore(
                    name="rule",
                    scorer="rule",
                    metrics={key: EvalMetric(name=key, value=estimate.mean) for key, estimate in headline.items()},
                    metadata={key: [estimate.low, estimate.high] for key, estimate in headline.items()},
                )
            ],
        ),
        stats=EvalStats(
            started_at=(ended - timedelta(seconds=score.cost.seconds)).isoformat(timespec="seconds"),
            completed_at=now,
            model_usage={
                f"agent0/{model}": ModelUsage(
                    input_tokens=score.cost.prompt_tokens,
                    output_tokens=score.cost.completion_tokens,
                    total_tokens=score.cost.prompt_tokens + score.cost.completion_tokens,
                )
            },
        ),
        samples=samples,
    )


def _sample(question: Question, assignment: Assignment, model: str, record: SampleRecord, scored: Scored) -> Any:
    from inspect_ai.log import EvalSample
    from inspect_ai.model import ModelUsage
    from inspect_ai.scorer import Score

    conversation = _Conversation(question, model, assignment, record)
    return EvalSample(
        id=question.item.id,
        epoch=record.sample + 1,
        input=conversation.opening,
        choices=list(question.item.options) or None,
        target=question.item.gold,
        messages=conversation.messages,
        output=conversation.output,
        scores={
            "rule": Score(
                value="C" if scored.correct else "I",
                answer=scored.answer,
                explanation=scored.status,
                metadata={"others": dict(scored.others), "truncated": record.truncated},
            )
        },
        metadata={**question.item.groups, "seed": record.seed, "finish": record.finish},
        events=conversation.events,
        model_usage={
            f"agent0/{model}": ModelUsage(
                input_tokens=record.prompt_tokens,
                output_tokens=record.drawn_tokens,
                total_tokens=record.prompt_tokens + record.drawn_tokens,
            )
        },
    )


class _Conversation:
    """A trajectory as messages and events: each turn is one of the assistant's, each program a call of the tool."""

    def __init__(self, question: Question, model: str, assignment: Assignment, record: SampleRecord) -> None:
        from inspect_ai.model import ChatMessageSystem, ChatMessageUser, GenerateConfig

        kinds = {"system": ChatMessageSystem, "user": ChatMessageUser}
        self.opening: list[Any] = [kinds[message["role"]](content=message["content"]) for message in question.messages]
        self.messages: list[Any] = list(self.opening)
        self.events: list[Any] = []
        self.output: Any = None
        self._model = f"agent0/{model}"
        self._record = record
        self._config = GenerateConfig(
            temperature=assignment.sampling.temperature,
            top_p=assignment.sampling.top_p,
            top_k=assignment.sampling.top_k or None,
            max_tokens=assignment.protocol.decoding.max_tokens,
            seed=record.seed,
        )
        drawn = record.turns[::2] or (record.text,)
        for number, text in enumerate(drawn):
            self._turn(text, record.tool_calls[number] if number < len(record.tool_calls) else None, number)

    def _turn(self, text: str, call: ToolCall | None, number: int) -> None:
        from inspect_ai.event import ModelEvent, ToolEvent
        from inspect_ai.model import ChatCompletionChoice, ChatMessageAssistant, ChatMessageTool, ModelOutput
        from inspect_ai.tool import ToolCall as InspectCall

        name = f"{self._record.item}-{self._record.sample}-{number}"
        asked = [] if call is None else [InspectCall(id=name, function="python", arguments={"code": call.code})]
        message = ChatMessageAssistant(content=text, tool_calls=asked or None, source="generate")
        reason = "tool_calls" if call else _STOP_REASONS[self._record.finish]
        self.output = ModelOutput(
            model=self._model, choices=[ChatCompletionChoice(message=message, stop_reason=reason)]
        )
        self.events.append(
            ModelEvent(
                model=self._model,
                input=list(self.messages),
                tools=[],
                tool_choice="none",
                config=self._config,
                output=self.output,
            )
        )
        self.messages.append(message)
        if call is None:
            return
        self.messages.append(ChatMessageTool(content=call.observation, tool_call_id=name, function="python"))
        self.events.append(
            ToolEvent(
                id=name,
                function="python",
                arguments={"code": call.code},
                result=call.observation,
                metadata={"status": call.status},
            )
        )
