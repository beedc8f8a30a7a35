r"""The one prompt set and the one stop-and-go text protocol of reward, vote, training and evaluation.

An agent writes a ```` ```python ```` block and then ```` ```output ````; generation stops there, the program runs in
the sandbox, its output and a closing fence are appended to the same assistant turn, and the agent goes on. A final
`\boxed{}` is the answer. Because the stop string ends the turn, no agent can write an output block itself.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from agent0.config import RolloutSettings

STOP = "```output"
PROTOCOL_TEXTS = (
    STOP,
    f"{STOP}\n",
    "```python\n",
    "```\n",
    "\n",
    "<question>",
    "</question>",
    "\\boxed{",
    "}",
    "print(",
    ")",
)
"""What every well-formed turn is made of; vocabulary dropout never masks it."""
_CODE_BLOCK = re.compile(r"```python[ \t]*\n(.*?)```", re.DOTALL)
_ANY_BLOCK = re.compile(r"```(?:python|output)\b.*?(?:```|\Z)", re.DOTALL)
_QUESTION = re.compile(r"<question>(.*?)</question>", re.DOTALL)

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
    "You may run Python. To do so, write one block that starts with ```python and ends with ```, print what you need, "
    "then write ```output on the next line and stop; the output is inserted there and you continue. "
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


def last_program(turn: str) -> str | None:
    """Return the last complete Python block of the text that an agent wrote in this turn, or None."""
    blocks = _CODE_BLOCK.findall(turn)
    return blocks[-1] if blocks else None


def observation_text(turn: str, output: str) -> str:
    """Return what is appended after a turn that ended in the stop string: the output and a closing fence.

    The stop string may have been drawn with its line break in one token; then none is added.
    """
    lead = "" if turn.endswith("\n") else "\n"
    tail = "" if not output or output.endswith("\n") else "\n"
    return f"{lead}{output}{tail}```\n"


def parse_question(text: str) -> str | None:
    """Return the one question of a proposal, or None if there is none or more than one outside code and output."""
    questions: list[str] = _QUESTION.findall(_ANY_BLOCK.sub("", text))
    if len(questions) != 1:
        return None
    return questions[0].strip() or None
