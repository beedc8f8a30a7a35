r"""The one prompt set and the one stop-and-go text protocol of reward, vote, training and evaluation.

An agent writes a ```` ```python ```` block; generation halts when it closes (paper A.3), the program runs in the
sandbox, and the environment appends its output, as a block of its own, to the same assistant turn; the agent goes on.
The first `\boxed{}` that it closes outside programs, outputs and thoughts is the answer. An output block that a model
writes itself is never taken for one. How blocks are found is `segments`; where a turn ends, `rollout.turn`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from agent0.config import RolloutSettings
from agent0.segments import OUTPUT, segments

STOP = "```\n"
"""The text that a turn may end with, for engines that only look for texts; it closes a block, or opens a bare one."""
PROTOCOL_TEXTS = (
    "```python\n",
    STOP,
    "```",
    "\n",
    "<question>",
    "</question>",
    "\\boxed{",
    "}",
    "print(",
    ")",
)
"""What every well-formed turn is made of; vocabulary dropout never masks it."""

_BEGUN_OUTPUT = re.compile(rf"```{OUTPUT}[ \t]*\n?\Z")

Message = dict[str, str]


@dataclass(frozen=True)
class PromptSet:
    """The messages that open a trajectory of each agent; `{question}` stands for the task."""

    curriculum: tuple[Message, ...]
    executor: tuple[Message, ...]

    def propose(self) -> list[Message]:
        """Messages that ask the curriculum agent for one task."""
        return [dict(message) for message in self.curriculum]

    def solve(self, question: str) -> list[Message]:
        """Messages that ask the executor agent to solve `question`."""
        return [{**message, "content": message["content"].replace("{question}", question)} for message in self.executor]


TOOL_RULES = (
    "You may run Python. To do so, write one block that starts with ```python and ends with ```, and print what you "
    "need; the output is inserted behind the block, and you continue. "
    "Only printed text comes back, and each program starts afresh."
)

_TINY = PromptSet(
    curriculum=({"role": "user", "content": "propose"},),
    executor=({"role": "user", "content": "solve {question}"},),
)


def _mathematics(*, proposer_tool: bool, executor_tool: bool) -> PromptSet:
    proposer_rules, executor_rules = (f"{TOOL_RULES} " if tool else "" for tool in (proposer_tool, executor_tool))
    student = "a strong student who may use a computer" if executor_tool else "a strong student"
    programs = ", with programs where they help" if executor_tool else ""
    return PromptSet(
        curriculum=(
            {
                "role": "system",
                "content": "You set problems for a mathematics competition. Invent one new problem that is well "
                f"defined, has a single answer that can be checked, and is hard enough that {student} solves it only "
                f"about half the time. {proposer_rules}Think first. Then give the problem, and nothing else, between "
                "<question> and </question>, followed by its final answer in \\boxed{}.",
            },
            {"role": "user", "content": "Write one new, challenging problem."},
        ),
        executor=(
            {
                "role": "system",
                "content": f"Solve the problem by reasoning step by step{programs}. {executor_rules}"
                "Give the final answer in \\boxed{}.",
            },
            {"role": "user", "content": "{question}"},
        ),
    )


def get_prompts(rollout: RolloutSettings) -> PromptSet:
    """Return the prompts of both agents; one that has no tool under these settings is not told of it.

    The embedded model's prompts are bare words for the role, which mention no tool in any case.
    """
    if rollout.prompts == "tiny":
        return _TINY
    return _mathematics(proposer_tool=rollout.for_proposer().has_tool, executor_tool=rollout.has_tool)


def observation_text(turn: str, output: str) -> str:
    """Return what is appended behind a turn that ended with a program: the output in a block of its own.

    The fence is longer than any in the output, so that no program can write text that counts as the model's. The token
    that closed the program may hold a line break, or the beginning of an output block, which is then gone on with.
    """
    longest = max((len(run) for run in re.findall("`{3,}+", output)), default=2)
    fence = "`" * (longest + 1)
    begun = _BEGUN_OUTPUT.search(turn)
    lead = "" if turn.endswith("\n") else "\n"
    opening = lead if begun and longest < 3 else f"{lead}{fence}{OUTPUT}\n"
    tail = "" if not output or output.endswith("\n") else "\n"
    return f"{opening}{output}{tail}{fence}\n"


def parse_question(text: str) -> str | None:
    """Return the first question of a proposal outside its programs, outputs and thoughts, or None if there is none."""
    closed = (
        piece.text.strip() for piece in segments(text, questions=True) if piece.kind == "question" and piece.closed
    )
    return next(filter(None, closed), None)
