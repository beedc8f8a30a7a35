r"""The one prompt set and the one stop-and-go text protocol of reward, vote, training and evaluation.

An agent writes a ```` ```python ```` block; generation halts when it closes (paper A.3), the program runs in the
sandbox, and the environment appends its output, as a block of its own, to the same assistant turn; the agent goes on.
The first `\boxed{}` that it closes outside programs, outputs and thoughts is the answer. An output block that a model
writes itself is never taken for one. How blocks are found is `segments`; where a turn ends, `rollout.turn`.
"""

from __future__ import annotations

import re

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

TOOL_RULES = (
    "You may run Python. To do so, write one block that starts with ```python and ends with ```, and print what you "
    "need; the output is inserted behind the block, and you continue. "
    "Only printed text comes back, and each program starts afresh."
)


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
