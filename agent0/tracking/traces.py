"""Trajectories as MLflow traces: a span for the whole, one for each turn of the model and each call of its tool.

A trajectory remembers no times, so the spans' times show their order and nothing else. The verdict on its answer is
feedback: whether the vote agrees with it, and whether the known answer does.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from agent0.segments import segments
from agent0.types import ToolCall, Trajectory

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

NANOSECONDS = 1_000_000  # in a millisecond
MAX_PREVIEW = 1000


def trajectory_trace(
    key: str, question: str, trajectory: Trajectory, verdicts: Mapping[str, tuple[bool, str]], tags: Mapping[str, str]
) -> dict[str, Any]:
    """Return a trajectory as plain data that `send_trace` makes a trace of.

    Args:
        key: names the trajectory among all of the store; the same key is the same trace.
        question: what the executor was asked.
        trajectory: how it answered.
        verdicts: by name, whether the answer is right by that measure, and why it is said.
        tags: of the trace.
    """
    return {
        "id": hashlib.sha256(key.encode()).hexdigest()[:32],
        "time": int(time.time() * 1000),
        "question": question,
        "answer": trajectory.answer,
        "finish": trajectory.finish,
        "tokens": len(trajectory.completion_ids),
        "steps": list(_steps(trajectory)),
        "verdicts": {name: list(verdict) for name, verdict in verdicts.items()},
        "tags": dict(tags),
    }


def send_trace(client: MlflowClient, experiment: str, run_id: str, trace: Mapping[str, Any]) -> None:
    """Make the trace in MLflow, linked to a run; one that is there stays as it is."""
    from mlflow.entities import TraceInfo, TraceLocation, TraceState
    from mlflow.tracing.client import TracingClient
    from mlflow.tracing.constant import TraceMetadataKey, TraceTagKey

    tracing, trace_id = TracingClient(client.tracking_uri), f"tr-{trace['id']}"
    spans = [_span(trace, trace_id, number, span) for number, span in enumerate(_spans(trace))]
    tracing.log_spans(experiment, spans)
    tracing.start_trace(
        TraceInfo(
            trace_id=trace_id,
            trace_location=TraceLocation.from_experiment_id(experiment),
            request_time=trace["time"],
            state=TraceState.OK,
            request_preview=trace["question"][:MAX_PREVIEW],
            response_preview=str(trace["answer"])[:MAX_PREVIEW],
            execution_duration=len(spans),
            trace_metadata={TraceMetadataKey.SOURCE_RUN: run_id},
            tags={**trace["tags"], TraceTagKey.TRACE_NAME: "trajectory"},
            assessments=[_feedback(trace, name, *verdict) for name, verdict in trace["verdicts"].items()],
        )
    )


def split_turns(text: str, calls: Sequence[ToolCall]) -> list[str]:
    """Return what the model wrote in each turn of a trajectory's text, without the observations between.

    An output right behind a tool's block is the environment's: what a model writes there is never kept.
    """
    pieces = [piece for piece in segments(text) if piece.kind != "prose" or piece.text.strip()]
    labels = {call.tool for call in calls}
    shown = [
        (program.end, output.end)
        for program, output in pairwise(pieces)
        if program.label in labels and output.kind == "output"
    ][: len(calls)]
    starts = [0, *(end for _, end in shown)]
    ends = [*(start for start, _ in shown), len(text)]
    turns = [text[start:end].removeprefix("\n") for start, end in zip(starts, ends, strict=True)]
    return turns if turns[-1] else turns[:-1]


def _steps(trajectory: Trajectory) -> Iterator[dict[str, Any]]:
    """Yield the model's turns and the tool's calls in their order."""
    turns = split_turns(trajectory.text, trajectory.tool_calls)
    for number, turn in enumerate(turns):
        yield {"name": f"turn {number + 1}", "type": "LLM", "outputs": turn}
        if number < len(trajectory.tool_calls):
            call = trajectory.tool_calls[number]
            shown = {"inputs": call.code, "outputs": call.observation, "status": call.status}
            yield {"name": call.tool, "type": "TOOL", **shown}


def _spans(trace: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the span of the whole trajectory and those of its steps."""
    outputs = {"answer": trace["answer"], "finish": trace["finish"], "tokens": trace["tokens"]}
    whole = {"name": "trajectory", "type": "AGENT", "inputs": trace["question"], "outputs": outputs}
    return [whole, *trace["steps"]]


def _span(trace: Mapping[str, Any], trace_id: str, number: int, span: Mapping[str, Any]) -> Any:
    """Return one of the trace's spans; the first, number 0, is the parent of the others."""
    from mlflow.entities import Span
    from mlflow.tracing.constant import SpanAttributeKey

    first = number == 0
    begins, lasts = trace["time"] + max(number - 1, 0), len(trace["steps"]) if first else 1
    failure = "" if span.get("status", "ok") == "ok" else span["status"]
    attributes = {
        SpanAttributeKey.REQUEST_ID: trace_id,
        SpanAttributeKey.SPAN_TYPE: span["type"],
        SpanAttributeKey.INPUTS: span.get("inputs"),
        SpanAttributeKey.OUTPUTS: span["outputs"],
    }
    return Span.from_dict(
        {
            "name": span["name"],
            "trace_id": trace_id,
            "span_id": _span_id(trace, number),
            "parent_span_id": None if first else _span_id(trace, 0),
            "start_time_unix_nano": begins * NANOSECONDS,
            "end_time_unix_nano": (begins + lasts) * NANOSECONDS,
            "status": {"code": "STATUS_CODE_ERROR" if failure else "STATUS_CODE_OK", "message": failure},
            "attributes": {name: json.dumps(value, ensure_ascii=False) for name, value in attributes.items()},
            "events": [],
        }
    )


def _span_id(trace: Mapping[str, Any], number: int) -> str:
    return _digest(trace, number)[:16]


def _digest(trace: Mapping[str, Any], part: object) -> str:
    return hashlib.sha256(f"{trace['id']} {part}".encode()).hexdigest()


def _feedback(trace: Mapping[str, Any], name: str, right: bool, why: str) -> Any:
    """Return a verdict as feedback under an id of its own: sent twice, it is one."""
    from mlflow.entities import AssessmentSource, Feedback

    feedback = Feedback(
        name,
        right,
        source=AssessmentSource("CODE", "agent0.answers"),
        rationale=why,
        create_time_ms=trace["time"],
        last_update_time_ms=trace["time"],
    )
    feedback.assessment_id = f"a-{_digest(trace, name)[:32]}"
    return feedback
