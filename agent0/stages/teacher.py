"""The teacher: a model behind an endpoint that proposes in the curriculum agent's place (`generation.teacher`).

As in Socratic-Zero (arXiv 2509.24726) it sees tasks that the executor failed, with the answers, and writes new ones
from them. Nothing of it is trained, and it has no tool. Its own answer is logged and never a label: that is the vote,
as everywhere. Each reply is on disk before the next is waited for, under a digest of its request, so no attempt asks
for one twice; what was under way when the process was killed is lost, at most `concurrency` replies.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from agent0.answers.extraction import extract_answer
from agent0.chat_client import Body, ChatClient, Completion
from agent0.config import GenerationSettings, RolloutSettings, TeacherSettings
from agent0.domains import Prompts, get_prompts
from agent0.errors import Agent0Error
from agent0.rewards.diversity import far_apart
from agent0.rollout.agents import Proposal, QuestionRules, askable, read_proposals
from agent0.rollout.drawing_watch import NOBODY, Watch
from agent0.seeds import derive_seed
from agent0.spending import Spending
from agent0.stages.open_history import earlier_tasks
from agent0.stages.session import Stage
from agent0.stages.sharding import Share
from agent0.stages.task_collection import TEACHER_METRICS
from agent0.storage.line_log import add_record, open_log, read_log
from agent0.storage.workspace import Workspace
from agent0.tools import ProgramRunner
from agent0.types import Condition, Finish, LabelledTask, Record, Trajectory

LOG = "teacher"
UNPAID = "budget_spent"
"""Why there is no question where the teacher was not asked."""
NOT_ASKED = Trajectory(prompt_ids=(), completion_ids=(), mask=(), text="", finish="length")
"""Stands where the teacher was not asked."""
CANDIDATES = 8
"""Failed tasks, for each that is shown, among which those far from each other are looked for."""
SHOWN_ANSWERS = 4
FAILED = (
    "\n\nA student tried these tasks several times and answered differently from one time to the next:\n{tasks}\n"
    "Find out what the student gets wrong, and write a new task that practises it: one that can be solved, of the same "
    "kind, no harder than these, and unlike all of them."
)


class Reply(Record):
    """What the teacher said to a request."""

    key: str
    text: str
    cut: bool
    prompt_tokens: int | None
    completion_tokens: int | None


class Teacher:
    """Proposes as a `CurriculumAgent` does, over an endpoint.

    Args:
        settings: the teacher.
        prompts: what it is asked with.
        rules: what a question must be.
        earlier: tasks that earlier iterations kept, of which it is shown those that the executor failed.
        workspace: where its replies are, unless `settings.replies` names a folder.
        name: of the file of those that it is asked for here; only they are counted.
        share: of the budget that is to be had here.
        sandbox: examines what it proposes, where labels are verified.
    """

    def __init__(
        self,
        settings: TeacherSettings,
        prompts: Prompts,
        rules: QuestionRules,
        earlier: Iterable[LabelledTask],
        workspace: Workspace,
        name: str,
        share: float,
        sandbox: ProgramRunner,
    ) -> None:
        self._sandbox = sandbox
        self.spending = Spending(settings, share)
        self._settings = settings
        self._prompts = prompts
        self._rules = rules
        self._failed = {
            task.task.question: task
            for task in earlier
            if settings.failures and task.vote.self_consistency <= settings.max_failed_consistency
        }
        self._workspace = workspace
        self._folder = Path(settings.replies) if settings.replies else workspace.folder
        self._own = self._folder / f"{LOG}-{name}.jsonl"
        self._known: dict[str, Reply] = {}
        for path in sorted(self._folder.glob(f"{LOG}-*.jsonl")):
            kept = read_log(path, Reply, mended_by="remove it, and its replies are asked for, and paid for, again")
            self._known |= {reply.key: reply for reply in kept}
            for reply in kept if path == self._own else ():
                self.spending.count(reply.prompt_tokens, reply.completion_tokens)

    def propose_batches(
        self,
        batches: Iterable[tuple[int, Sequence[Condition]]],
        seed: int,
        deliver: Callable[[int, list[Trajectory]], None],
        watch: Watch = NOBODY,
    ) -> None:
        """See `CurriculumAgent.propose_batches`; where the budget is spent, the rest are not asked for.

        Raises:
            EndpointError: the teacher does not answer, or refuses; what it said until then is kept.
            Agent0Error: the budget is spent, and the settings say that this is a failure.
        """
        asked = {key: self._requests(key, conditions, seed) for key, conditions in batches}
        everything = {name: body for requests in asked.values() for name, body in requests.items()}
        missing = {name: body for name, body in everything.items() if name not in self._known}
        if missing:
            self._ask(missing, watch)
        for key, requests in asked.items():
            deliver(key, [_said(self._known.get(name)) for name in requests])

    def read(self, trajectories: Sequence[Trajectory], conditions: Sequence[Condition]) -> list[Proposal]:
        """See `CurriculumAgent.read`."""
        read = read_proposals(trajectories, [own.topic for own in conditions], self._rules, self._sandbox)
        return [Proposal(NOT_ASKED, None, UNPAID) if own.trajectory is NOT_ASKED else own for own in read]

    def metrics(self) -> dict[str, float]:
        """Return what this stage asked in all its attempts, and what it cost."""
        counted = {
            "replies": float(self.spending.replies),
            "prompt_tokens": float(self.spending.prompt_tokens),
            "completion_tokens": float(self.spending.completion_tokens),
            "cost": self.spending.cost,
        }
        return {f"{TEACHER_METRICS}{name}": value for name, value in counted.items()}

    def _requests(self, key: int, conditions: Sequence[Condition], seed: int) -> dict[str, Body]:
        """Return the requests of a batch under their names, which hold all that a reply depends on."""
        requests = {}
        for place, condition in enumerate(conditions):
            own = derive_seed(seed, "teacher", key, place)
            body = {
                "model": self._settings.model,
                "messages": self._prompts.teach(condition, self._shown(own)),
                "temperature": self._settings.temperature,
                "max_tokens": self._settings.max_tokens,
                "seed": own,
                **self._settings.options,
            }
            requests[hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()[:32]] = body
        return requests

    def _shown(self, seed: int) -> str:
        """Return what a prompt says of tasks that the executor failed."""
        count = min(self._settings.failures, len(self._failed))
        if not count:
            return ""
        among = random.Random(seed).sample(list(self._failed), min(len(self._failed), CANDIDATES * count))
        return FAILED.format(tasks="\n".join(_tried(self._failed[question]) for question in far_apart(among, count)))

    def _ask(self, missing: Mapping[str, Body], watch: Watch) -> None:
        where = self._workspace.remote if self._workspace.remote and not self._settings.replies else self._own
        client = ChatClient(
            self._settings,
            "teacher",
            "generation.teacher",
            f"Its replies until now are in {where}; go on with the same run, and they are not asked for again.",
        )
        with open_log(self._own) as file:

            def keep(name: str, completion: Completion) -> None:
                reply = Reply(
                    key=name,
                    text=completion.text,
                    cut=completion.cut,
                    prompt_tokens=completion.prompt_tokens,
                    completion_tokens=completion.completion_tokens,
                )
                add_record(file, reply)
                self._known[name] = reply
                watch.drew(completion.completion_tokens or 0)
                watch.finished()

            try:
                client.ask(missing, keep, self.spending)
            finally:
                if not self._settings.replies:
                    self._workspace.save(self._own.name)
        if not self.spending.is_spent:
            return
        tokens = self.spending.prompt_tokens + self.spending.completion_tokens
        spent = (
            f"The teacher's budget (generation.teacher.token_budget, cost_budget) is spent: {self.spending.replies} "
            f"replies have {tokens} tokens and cost {self.spending.cost:g}"
        )
        if self._settings.when_spent == "fail":
            raise Agent0Error(
                f"{spent}. They are in {where}: to go on with more, start another run with generation.teacher.replies "
                "set to a folder that holds that file, and it asks only for the others; to end with what there is, "
                "set generation.teacher.when_spent to 'end'."
            )
        watch.warn(f"{spent}; {len(missing.keys() - self._known.keys())} proposals are not asked for.")


def open_teacher(
    stage: Stage,
    executor_model: Path,
    history: Path,
    workspace: Workspace,
    rollout: RolloutSettings,
    generation: GenerationSettings,
    share: Share,
    sandbox: ProgramRunner,
) -> Teacher:
    """Return the teacher of a pod's proposals; its questions must fit the prompt of the executor in a model folder."""
    shards = share.shards(generation.proposals, generation.shard_size)
    return Teacher(
        generation.teacher,
        get_prompts(rollout),
        askable(executor_model, rollout),
        earlier_tasks(history),
        workspace,
        "-".join(filter(None, (*stage.workspace_key.split("/"), share.part))),
        sum(map(len, shards.values())) / generation.proposals,
        sandbox,
    )


def _said(reply: Reply | None) -> Trajectory:
    """Return a reply as a trajectory, of which no tokens are known."""
    if reply is None:
        return NOT_ASKED
    finish: Finish = "length" if reply.cut else "eos"
    answer = extract_answer(reply.text)
    return Trajectory(prompt_ids=(), completion_ids=(), mask=(), text=reply.text, finish=finish, answer=answer)


def _tried(task: LabelledTask) -> str:
    """Return a task with the executor's answers, one line."""
    answers = Counter("none" if answer is None else " ".join(answer.split()) for answer in task.answers)
    said = ", ".join(
        f"{answer} ({count} of {len(task.answers)})" for answer, count in answers.most_common(SHOWN_ANSWERS)
    )
    return f"- {' '.join(task.task.question.split())} Answers: {said}"
