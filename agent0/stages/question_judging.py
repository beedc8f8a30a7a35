"""The judge of sandboxed execution: whether each question is well posed, by the executor itself or over an endpoint.

What it says stays beside the votes and decides nothing here; a gate of task filtering may act on it. Replies from an
endpoint are on disk one by one, so that a restart pays for none twice. One that cannot be reached is no error: its
verdicts are missing, and are counted as that.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from agent0.chat_client import EndpointAwayError
from agent0.config import QuestionJudgeSettings
from agent0.evaluation.judge_client import (
    JUDGE_FILE,
    Claim,
    JudgeSettings,
    judge_claims,
    kept_judgements,
)
from agent0.evaluation.question_judge import WELL_POSED, question_messages, read_posed, spoiled
from agent0.rollout.agents import ExecutorAgent
from agent0.seeds import derive_seed
from agent0.storage.workspace import Workspace
from agent0.types import LabelledTask

Judge = Callable[[Sequence[str]], list[bool | None]]
"""Says of each question whether it is well posed; None where it gave no verdict."""


def executor_judge(executor: ExecutorAgent, settings: QuestionJudgeSettings, seed: int) -> Judge:
    """Return the frozen executor as a judge; it draws one reply to each question, without its tool."""

    def judge(questions: Sequence[str]) -> list[bool | None]:
        asked = [question_messages(question) for question in questions]
        return [read_posed(text) for text in executor.reply(asked, settings.max_tokens, derive_seed(seed, *questions))]

    return judge


def endpoint_judge(settings: QuestionJudgeSettings, workspace: Workspace, warn: Callable[[str], None]) -> Judge:
    """Return the model at an endpoint as a judge, whose replies lie in `workspace`; after it failed it is not asked.

    Raises:
        EndpointError: when it judges and the endpoint refuses, or sends what is no reply.
    """
    wanted = JudgeSettings.model_validate(settings.model_dump(exclude={"source"}))
    away = False

    def judge(questions: Sequence[str]) -> list[bool | None]:
        nonlocal away
        claims = [Claim(question, 0, question, "", "", correct=True) for question in questions]
        if not away:
            try:
                judge_claims(claims, wanted, workspace.folder, WELL_POSED, section="execution.question_judge")
            except EndpointAwayError as error:
                away = True
                warn(f"Questions are left unjudged: {error}")
            workspace.save(JUDGE_FILE)
        return [kept.judged for kept in kept_judgements(claims, wanted, workspace.folder, WELL_POSED)]

    return judge


def judged(tasks: Sequence[LabelledTask], judge: Judge) -> list[LabelledTask]:
    """Return labelled tasks with the judge's verdicts, on those that audit the vote in two forms, whole and spoiled."""
    broken = {task.task.id: spoiled(task.task.question) for task in tasks if task.task.audit_answer is not None}
    probes = {name: question for name, question in broken.items() if question is not None}
    verdicts = judge([*(task.task.question for task in tasks), *probes.values()])
    of_probes = dict(zip(probes, verdicts[len(tasks) :], strict=True))
    return [
        task.model_copy(update={"well_posed": verdict, "spoiled_well_posed": of_probes.get(task.task.id)})
        for task, verdict in zip(tasks, verdicts, strict=False)
    ]
