"""One sample as JSON values in inspect_ai's log format: messages, events, verdict, and the summary for its list.

Plain dictionaries, since the data are our own: building inspect_ai's objects costs twenty times as much. Messages that
events share are stored once (`events_data`), and events refer to them by range, as inspect_ai's own writer does.
"""

from __future__ import annotations

import textwrap
from typing import Any

from agent0.evaluation.assignments import Assignment, Question
from agent0.evaluation.sample_store import SampleRecord
from agent0.evaluation.scoring import Scored
from agent0.types import ToolCall

Json = dict[str, Any]

STOP_REASONS = {"eos": "stop", "length": "max_tokens", "turns": "max_tokens"}
_IN_SUMMARY = ("id", "epoch", "input", "choices", "target", "metadata", "scores", "model_usage", "role_usage")
_SHOWN = 1024  # characters of a text in a summary, as inspect_ai's own


def score_fields(scored: Scored, *, truncated: bool) -> Json:
    """Return a verdict as the fields of inspect_ai's `Score`."""
    return {
        "value": "C" if scored.correct else "I",
        **({} if scored.answer is None else {"answer": scored.answer}),
        "explanation": scored.status,
        "metadata": {"others": dict(scored.others), "truncated": truncated},
    }


def opening(question: Question) -> list[Json]:
    """Return the messages that ask a question."""
    return [{"id": f"{question.item.id}-{number}", **message} for number, message in enumerate(question.messages)]


class SampleWriter:
    """Makes the samples of one benchmark; all their events bear the time `written`, an ISO timestamp."""

    def __init__(self, assignment: Assignment, model: str, written: str) -> None:
        self._model = f"agent0/{model}"
        self._written = written
        sampling = assignment.sampling
        self._config: Json = {
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "max_tokens": assignment.protocol.decoding.max_tokens,
        }
        if sampling.top_k:
            self._config["top_k"] = sampling.top_k

    def sample(self, question: Question, record: SampleRecord, scored: Scored) -> Json:
        """Return a sample with its turns, programs and verdict."""
        item = question.item
        messages, events, output = self.conversation(question, record)
        tokens = record.prompt_tokens, record.drawn_tokens
        usage = {"input_tokens": tokens[0], "output_tokens": tokens[1], "total_tokens": sum(tokens)}
        return {
            "id": item.id,
            "epoch": record.sample + 1,
            "input": messages[: len(question.messages)],
            **({"choices": list(item.options)} if item.options else {}),
            "target": item.gold,
            "messages": messages,
            "output": output,
            "scores": {"rule": {**score_fields(scored, truncated=record.truncated), "history": []}},
            "metadata": {**item.groups, "seed": record.seed, "finish": record.finish},
            "store": {},
            "events": events,
            "model_usage": {self._model: usage},
            "role_usage": {},
            "attachments": {},
            "events_data": {"messages": messages[:-1], "calls": []},
        }

    def conversation(self, question: Question, record: SampleRecord) -> tuple[list[Json], list[Json], Json]:
        """Return messages, events and last output of a sample; `input_refs` of events are ranges of the messages."""
        item = question.item
        name = f"{item.id}-{record.sample}"
        messages = opening(question)
        events: list[Json] = []
        output: Json = {}
        for number, text in enumerate(record.turns[::2] or (record.text,)):
            call = record.tool_calls[number] if number < len(record.tool_calls) else None
            output = self._output(f"{name}-{number}", text, call, record)
            events.append(self._model_event(f"{name}-{number}", len(messages), output, record.seed))
            messages.append(output["choices"][0]["message"])
            if call is not None:
                messages.append(_observation(f"{name}-{number}", call))
                events.append(self._tool_event(f"{name}-{number}", call))
        return messages, events, output

    def summary(self, sample: Json) -> Json:
        """Return what the list of samples shows of one, with long texts cut."""
        summary = {key: sample[key] for key in _IN_SUMMARY if key in sample}
        summary["input"] = [{**message, "content": _cut(message["content"])} for message in sample["input"]]
        rule = sample["scores"]["rule"]
        if "answer" in rule:
            summary["scores"] = {"rule": {**rule, "answer": _cut(rule["answer"])}}
        return {**summary, "completed": True, "message_count": len(sample["messages"])}

    def _output(self, name: str, text: str, call: ToolCall | None, record: SampleRecord) -> Json:
        message: Json = {"id": name, "content": text, "source": "generate", "role": "assistant"}
        if call is not None:
            asked = {"id": _call_id(name), "function": call.tool, "arguments": {"code": call.code}, "type": "function"}
            message["tool_calls"] = [asked]
        reason = "tool_calls" if call else STOP_REASONS[record.finish]
        return {
            "model": self._model,
            "choices": [{"message": message, "stop_reason": reason}],
            "completion": text,
        }

    def _model_event(self, name: str, seen: int, output: Json, seed: int) -> Json:
        return {
            **self._event("model", name),
            "model": self._model,
            "input": [],
            "input_refs": [[0, seen]],
            "tools": [],
            "tool_choice": "none",
            "config": {**self._config, "seed": seed},
            "output": output,
        }

    def _tool_event(self, name: str, call: ToolCall) -> Json:
        return {
            **self._event("tool", name),
            "metadata": {"status": call.status},
            "type": "function",
            "id": _call_id(name),
            "function": call.tool,
            "arguments": {"code": call.code},
            "result": call.observation,
            "events": [],
        }

    def _event(self, kind: str, name: str) -> Json:
        return {"event": kind, "uuid": f"{name}-{kind}", "timestamp": self._written, "working_start": 0.0}


def _observation(name: str, call: ToolCall) -> Json:
    return {
        "id": f"{name}-output",
        "content": call.observation,
        "role": "tool",
        "tool_call_id": _call_id(name),
        "function": call.tool,
    }


def _call_id(name: str) -> str:
    return f"{name}-call"


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN else textwrap.shorten(text[: 8 * _SHOWN], _SHOWN, placeholder="...")
