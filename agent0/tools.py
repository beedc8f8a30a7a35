"""The tools that agents call by a fenced block: Python in the sandbox, and those that packages give.

A package names its own in the group `agent0.tools`; `rollout.tools` says which ones both agents have. What a model
writes is hostile: a tool hands it to the sandbox as a program, or to a process that can do no harm.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from agent0.errors import UsageError
from agent0.plugin_finder import ExtensionPoint
from agent0.protocol import TOOL_RULES
from agent0.sandbox.result import RunResult
from agent0.segments import PYTHON_LABEL, calls_nothing


class ProgramRunner(Protocol):
    """The part of the sandbox that a tool needs."""

    async def arun(self, source: str) -> RunResult:
        """Run one program."""


@dataclass(frozen=True)
class ToolOutput:
    """What a tool gave: the text that the model is shown, and `ok` or a word for what went wrong."""

    text: str
    status: str = "ok"

    @classmethod
    def of(cls, result: RunResult) -> ToolOutput:
        """Return what a model sees of a run: its output, and the last line of the error if it failed."""
        if result.status == "ok":
            return cls(result.stdout)
        reason = {"error": _last_line(result.stderr)}.get(result.status, f"Error: {result.status.replace('_', ' ')}")
        return cls(f"{result.stdout}{reason}", result.status)


@dataclass(frozen=True)
class Tool:
    """A tool.

    Attributes:
        label: the word behind the opening fence of the block that calls it, in small letters.
        rules: what agents are told of it, where a prompt has `{tool}`.
        run: gives what a block asks for; it takes the block's text and the stage's sandbox. What the model did wrong is
            a `ToolOutput` with another status; whatever `run` raises ends the stage.

    Raises:
        UsageError: no block could call it.
    """

    label: str
    rules: str
    run: Callable[[str, ProgramRunner], Awaitable[ToolOutput]]

    def __post_init__(self) -> None:
        if self.label != PYTHON_LABEL and calls_nothing(self.label):
            raise UsageError(
                f"No block labelled {self.label!r} can call a tool: it is no single word in small letters, or it is "
                "Python, an output or a text; choose another label."
            )


async def _run_python(program: str, sandbox: ProgramRunner) -> ToolOutput:
    return ToolOutput.of(await sandbox.arun(program))


PYTHON = Tool(PYTHON_LABEL, TOOL_RULES, _run_python)
TOOLS: ExtensionPoint[Tool] = ExtensionPoint(
    "agent0.tools", "tool", Tool, "agent0.tools.Tool", {"python": f"{__name__}:PYTHON"}
)


def get_tools(names: Sequence[str]) -> tuple[Tool, ...]:
    """Return the tools of `rollout.tools`.

    Raises:
        UsageError: one cannot be found, or two are called by the same block.
    """
    tools = tuple(map(TOOLS.find, names))
    labels = [tool.label for tool in tools]
    twice = next((label for label in labels if labels.count(label) > 1), None)
    if twice:
        both = " and ".join(name for name, label in zip(names, labels, strict=True) if label == twice)
        raise UsageError(f"The tools {both} are called by the same block, {twice!r}; leave one out (rollout.tools).")
    return tools


def tool_rules(names: Sequence[str], python: str = "") -> str:
    """Return what agents are told of the tools of `rollout.tools`; `python` replaces the rules of that one."""
    return " ".join(python if python and tool is PYTHON else tool.rules for tool in get_tools(names))


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1] if lines else "Error: the program failed without a message."
