r"""The one prompt set and the one stop-and-go text protocol of reward, vote, training and evaluation.

An agent writes a ```` ```python ```` block and then ```` ```output ````; generation stops there, the program runs in
the sandbox, its output and a closing fence are appended to the same assistant turn, and the agent goes on. A final
`\boxed{}` is the answer. Because the stop string ends the turn, no agent can write an output block itself.
"""

from __future__ import annotations

import re

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

TOOL_RULES = (
    "You may run Python. To do so, write one block that starts with ```python and ends with ```, print what you need, "
    "then write ```output on the next line and stop; the output is inserted there and you continue. "
    "Only printed text comes back, and each program starts afresh."
)


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
