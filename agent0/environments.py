"""An environment of the library `verifiers` as a domain (`agent0[verifiers]`; verifiers 0.4, `verifiers.v1`).

Its tasks are the truth, the held-out questions and what the curriculum agent is shown. That fits environments of one
turn whose tasks state their answer, which their own reward confirms. Leaves out what is scored in any other way: games,
tools of theirs, judges, runtimes.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from agent0.domains import AgentPrompt, Domain, PromptSet, WorkedTask, in_reserved_fifth
from agent0.errors import UsageError
from agent0.extras import require

TASKS = 1000
"""Tasks that are read of an environment, which may have no end of them."""
SHOWN = 3
"""Tasks that the curriculum agent is shown, none of them held out."""
ASKED = 8
"""Tasks whose answer the environment's own reward is asked about."""
WRONG = "I do not know."


def environment_domain(taskset: Any, answer: str = "answer") -> Domain:
    """Return the domain of an environment's tasks; a question of no task of it may be proposed, with no known answer.

    Args:
        taskset: a `verifiers.v1.Taskset`, such as `load_taskset(TasksetConfig(id=…))`.
        answer: field of a task's data that holds its answer.

    Raises:
        NotInstalledError: verifiers is not.
        UsageError: the environment has no tasks, or is scored by more than the answers that they state.
    """
    require("verifiers")
    name, tasks = type(taskset).__name__, list(taskset.take(TASKS))
    known = {task.data.prompt_text.strip(): _stated(task, answer, name) for task in tasks}
    if not known:
        raise UsageError(f"The environment {name} has no tasks; give its taskset what it makes them from.")
    for task in tasks[:ASKED]:
        _check_reward(task, _stated(task, answer, name), name)
    questions, lengths = list(known), [len(question) for question in known]

    def rejection(question: str) -> str | None:
        """Return why a question is not valid: less than half as long as any of the environment's, or twice as long."""
        if 2 * len(question) < min(lengths):
            return "too_short"
        return "too_long" if len(question) > 2 * max(lengths) else None

    def draw(rng: random.Random) -> WorkedTask:
        question = rng.choice(questions)
        return WorkedTask(question, known[question], program="")

    shown = [question for question in questions if not in_reserved_fifth(question)][:SHOWN]
    prompts = _prompts(tasks[0].data.system_prompt or "", shown)
    return Domain(prompts, rejection, known.get, held_out=in_reserved_fifth, draw=draw)


def _prompts(system: str, shown: Sequence[str]) -> PromptSet:
    tasks = "\n".join(f"<question>{question}</question>" for question in shown)
    write = (
        f"You write tasks such as these:\n{tasks}\nInvent a new one of the same kind, with a single answer that can be "
        "checked. {tool} Think first. Then give the task, and nothing else, between <question> and </question>."
    )
    solve = f"{system} Solve the task by reasoning step by step. {{tool}} Give the final answer in \\boxed{{}}.".strip()
    return PromptSet(
        curriculum=AgentPrompt(
            ({"role": "system", "content": write}, {"role": "user", "content": "Write one new task."})
        ),
        executor=AgentPrompt(({"role": "system", "content": solve}, {"role": "user", "content": "{question}"})),
    )


def _stated(task: Any, answer: str, name: str) -> str:
    stated = getattr(task.data, answer, None)
    if stated is None:
        fields = sorted(set(type(task.data).model_fields) - set(_base_fields()))
        raise UsageError(
            f"A task of the environment {name} states no {answer!r}; name the field that holds its answer, one of "
            f"{', '.join(fields) or 'none'}, or use another environment."
        )
    return str(stated)


def _base_fields() -> Sequence[str]:
    from verifiers.v1 import TaskData

    return list(TaskData.model_fields)


def _check_reward(task: Any, stated: str, name: str) -> None:
    """Check that the environment rewards the answer that the task states, in a box or bare, above another reply."""
    if max(_reward(task, reply) for reply in (f"\\boxed{{{stated}}}", stated)) <= _reward(task, WRONG):
        raise UsageError(
            f"The environment {name} does not reward {stated!r:.60}, which its task {task.data.prompt_text!r:.100} "
            "states as its answer; only one that is scored by the answer alone can be a domain."
        )


def _reward(task: Any, reply: str) -> float:
    """Return what the environment gives for a reply; in a thread, since whoever asks for a domain may be in a loop."""
    from verifiers.v1 import AgentConfig, AgentInfo, AssistantMessage, MessageNode, Trace, TraceTask, UserMessage

    trace = Trace(
        task=TraceTask(type=type(task).__name__, data=task.data),
        agent=AgentInfo(config=AgentConfig()),
        nodes=[
            MessageNode(message=UserMessage(content=task.data.prompt_text)),
            MessageNode(parent=0, message=AssistantMessage(content=reply), sampled=True),
        ],
    )
    with ThreadPoolExecutor(1) as thread:
        thread.submit(lambda: asyncio.run(task.score(trace))).result()
    return float(trace.reward)
