"""Demonstrations: what a program shows a model of the protocol, as text in which only the model's own part is learned.

An executor's demonstration writes the task's program, if there is one, reads its output and boxes the answer; a
curriculum agent's writes one question. Nothing here runs a program: the answer is the task's.
"""

from __future__ import annotations

from dataclasses import dataclass

from agent0.domains.domain import Message, WorkedTask
from agent0.domains.prompts import Prompts
from agent0.protocol import observation_text
from agent0.types import Condition


@dataclass(frozen=True)
class Segment:
    """A piece of an assistant turn; observations are not learned."""

    text: str
    learned: bool


@dataclass(frozen=True)
class Demonstration:
    """A prompt and the assistant turn that answers it."""

    messages: tuple[Message, ...]
    segments: tuple[Segment, ...]

    @property
    def completion(self) -> str:
        """The assistant turn as one text."""
        return "".join(segment.text for segment in self.segments)


def use_tool(program: str, output: str) -> tuple[Segment, Segment]:
    """Return a turn's program in its block, and the block of its output, which nobody learns."""
    block = f"```python\n{program}\n```\n"
    return Segment(block, True), Segment(observation_text(block, f"{output}\n"), False)


def demonstrate(
    task: WorkedTask, prompts: Prompts, *, solve: bool, topic: str = "", tool: bool = True
) -> Demonstration:
    """Return how an agent would do its part with `task`: solve it, with one program where it has one, or propose it.

    Args:
        task: what is shown.
        prompts: of both agents.
        solve: whether the executor solves, or else the curriculum agent proposes.
        topic: what the curriculum agent is asked for; empty: no topic.
        tool: whether the executor has Python.
    """
    if not solve:
        asked = tuple(prompts.propose(Condition(topic=topic)))
        return Demonstration(asked, (Segment(f"<question>{task.proposal or task.question}</question>", True),))
    answer = Segment(f"The answer is \\boxed{{{task.answer}}}", True)
    used = use_tool(task.program, task.answer) if task.program and tool else ()
    return Demonstration(tuple(prompts.solve(task.question)), (*used, answer))
