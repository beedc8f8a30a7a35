"""Stage: the executor solves every task k times with its tool; the answers are put to the vote.

Works shard by shard: the trajectories and votes of a finished one are kept at once, so a restart solves only what is
missing, with the same result, and memory holds the shards in progress only. A sample of the tasks is also given to the
first executor, so that difficulty is measured against a fixed solver. Several pods may work side by side.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from agent0.answers import Verdict, VoteCounter, default_grader, equivalent_many
from agent0.answers.derivations import evidence, grounded_vote
from agent0.config import ExecutionSettings, RolloutSettings, SandboxSettings, TrackingSettings
from agent0.domains import Domain, get_domain
from agent0.progress import Drawing
from agent0.rollout import Throughput
from agent0.rollout.agents import Askable, ExecutorAgent, askable, mean_tool_calls, truncated_share
from agent0.sandbox import open_sandbox
from agent0.seeds import derive_seed, sampled
from agent0.stages.execution_collection import collect_votes
from agent0.stages.keeping import kept_aside
from agent0.stages.known_tasks import read_known_tasks
from agent0.stages.open_agents import open_executor, seed_everything
from agent0.stages.question_judging import Judge, endpoint_judge, executor_judge, judged
from agent0.stages.session import Stage, StageResult
from agent0.stages.sharding import ALONE, Share, deliver, piece, unfinished
from agent0.stages.stage_files import SAMPLE_FOLDER, TASKS_FOLDER
from agent0.storage.digest import folder_digest
from agent0.storage.seal import seal
from agent0.storage.shards import iterate_records, iterate_shard, shard_name, write_shard
from agent0.storage.workspace import Workspace
from agent0.types import LabelledTask, SolvedTask, Task, Trajectory, Vote

TRAJECTORIES, VOTES, JUDGED, PROBED = "trajectories", "votes", "judged", "probed"
"""Names of pieces; a shard's votes are written after its trajectories, and say that it is whole; the last two are the
votes with more beside them."""


def run_sandboxed_execution(
    stage: Stage,
    *,
    executor_model: Path,
    first_executor_model: Path,
    tasks: Path,
    output: Path,
    trajectories: Path,
    rollout: RolloutSettings,
    sandbox: SandboxSettings,
    execution: ExecutionSettings,
    tracking: TrackingSettings,
    share: Share = ALONE,
) -> StageResult:
    """Write the pod's tasks with their votes and a sample of trajectories to `output`, and all to `trajectories`.

    Raises:
        UsageError: an earlier attempt had other settings.
    """
    seed_everything(stage.seed)
    known = _known_tasks(execution, stage.iteration)
    labelling = Labelling(
        tasks=[*iterate_records(Task, tasks / TASKS_FOLDER), *known],
        domain=get_domain(rollout.domain),
        settings=execution,
        seed=stage.seed,
        share=share,
        workspace=stage.workspace(output, share.part),
    )
    throughput = Throughput()
    with open_sandbox(sandbox) as pool:
        by_executor = execution.question_judge.source == "executor"
        if labelling.unsolved or (by_executor and labelling.unjudged):
            questions = (task.question for task in labelling.tasks)
            with open_executor(
                executor_model,
                pool,
                rollout,
                execution.sampling,
                log=output,
                seed=derive_seed(stage.seed, "engine", min(labelling.unsolved, default=0)),
                questions=questions,
            ) as executor:
                labelling.solve(executor, stage)
                if by_executor:
                    labelling.judge(executor_judge(executor, execution.question_judge, stage.seed))
                throughput = executor.throughput
        if labelling.unjudged:
            labelling.judge(endpoint_judge(execution.question_judge, labelling.workspace, stage.progress.warn))
        if labelling.unprobed:
            seed = derive_seed(stage.seed, "probing engine")
            with open_executor(first_executor_model, pool, rollout, execution.sampling, log=output, seed=seed) as first:
                labelling.probe(first, askable(first_executor_model, rollout), stage)
        measured = {**throughput.metrics(), **pool.gauges().metrics()}
    labelling.deliver(output / TASKS_FOLDER, trajectories)
    digest = folder_digest(trajectories)
    seal(trajectories, digest)
    stage.tracker.set_tags({"agent0.trajectories_sha256": digest})
    sample = labelling.sample(tracking.trajectories)
    write_shard(output / SAMPLE_FOLDER / shard_name(share.pod), sample, SolvedTask)
    if share.is_everything:
        return collect_votes(stage, output).with_metrics(measured)
    return StageResult({"tasks/labelled": float(sum(map(len, labelling.shards.values()))), **measured})


@dataclass(frozen=True)
class Labelling:
    """The labelling of one pod's share of the tasks, with what earlier attempts finished of it.

    What a shard holds, and its seeds, depend on `tasks` and `settings` alone, not on the pods.
    """

    tasks: Sequence[Task]
    domain: Domain
    settings: ExecutionSettings
    seed: int
    share: Share
    workspace: Workspace

    @property
    def shards(self) -> dict[int, range]:
        """Positions of the tasks of each of the pod's shards."""
        return self.share.shards(len(self.tasks), self.settings.shard_size)

    @property
    def unsolved(self) -> dict[int, range]:
        """The shards without votes."""
        return unfinished(self.workspace, VOTES, LabelledTask, self.shards)

    @property
    def unjudged(self) -> dict[int, range]:
        """The shards whose questions the judge, if there is one, has not seen."""
        if self.settings.question_judge.source == "off":
            return {}
        return unfinished(self.workspace, JUDGED, LabelledTask, self.shards)

    @property
    def unprobed(self) -> dict[int, range]:
        """The shards with tasks for the first executor that it has not solved."""
        probed = self._probed_tasks()
        wanted = {number: rows for number, rows in self.shards.items() if probed.intersection(rows)}
        return unfinished(self.workspace, PROBED, LabelledTask, wanted)

    def solve(self, executor: ExecutorAgent, stage: Stage) -> None:
        """Solve the missing shards, have each task's vote counted as it is solved, and keep each shard as it finishes.

        Votes and shards are other processes' and threads' work, and hold up nothing that is drawn.
        """
        k, missing = self.settings.samples, self.unsolved
        total = k * sum(map(len, self.shards.values()))
        restored = total - k * sum(map(len, missing.values()))
        votes: dict[tuple[int, int], Future[Vote]] = {}

        def solved(number: int, place: int, trajectories: list[Trajectory]) -> None:
            votes[number, place] = counter.count([trajectory.answer for trajectory in trajectories])

        def finished(number: int, groups: list[list[Trajectory]]) -> None:
            counted = [votes.pop((number, place)) for place in range(len(groups))]
            keep(lambda: self._keep(number, missing[number], groups, counted))

        with VoteCounter() as counter, kept_aside() as keep:
            executor.solve_batches(
                ((number, [self.tasks[row].question for row in rows]) for number, rows in missing.items()),
                k,
                self.seed,
                finished,
                Drawing(stage.progress, total, done=restored),
                solved,
            )

    def judge(self, judge: Judge) -> None:
        """Let the judge see the questions of the solved shards, and keep each shard with its verdicts."""
        for number in self.unjudged:
            labelled = list(iterate_shard(self.workspace.folder / piece(VOTES, number), LabelledTask))
            write_shard(self.workspace.folder / piece(JUDGED, number), judged(labelled, judge), LabelledTask)
            self.workspace.save(piece(JUDGED, number))

    def probe(self, first: ExecutorAgent, askable: Askable, stage: Stage) -> None:
        """Let the first executor solve the tasks of the difficulty probe, and keep each shard with its pass rates.

        A task that its prompt has no room for has none: its tokenizer may be another than that of the executor, which
        the tasks were made for.
        """
        samples = self.settings.probe_samples
        asked = {number: self._to_probe(number, askable) for number in self.unprobed}
        with kept_aside() as keep:
            first.solve_batches(
                ((number, [task.task.question for task in tasks]) for number, tasks in asked.items()),
                samples,
                derive_seed(self.seed, "probe"),
                lambda number, solved: keep(lambda: self._keep_probed(number, asked[number], solved)),
                Drawing(stage.progress, samples * sum(map(len, asked.values())), "trajectories of the first executor"),
            )

    def deliver(self, tasks: Path, trajectories: Path) -> None:
        """Copy the finished shards to the output folders."""
        for number in self.shards:
            probed = piece(PROBED, number)
            whole = probed if (self.workspace.folder / probed).is_file() else self._labelled(number)
            deliver(self.workspace, whole, tasks, number)
            deliver(self.workspace, piece(TRAJECTORIES, number), trajectories, number)
        trajectories.mkdir(parents=True, exist_ok=True)

    def sample(self, count: int) -> list[SolvedTask]:
        """Return the pod's part of `count` trajectories drawn from those of all pods."""
        k, found = self.settings.samples, []
        total = len(self.tasks) * k
        drawn = sampled(range(total), count, self.seed)
        for number, rows in self.shards.items():
            here = [index - rows.start * k for index in drawn if index // k in rows]
            if here:
                path = self.workspace.folder / piece(TRAJECTORIES, number)
                found += list(iterate_shard(path, SolvedTask, here))
        return found

    def _keep(self, number: int, rows: range, solved: list[list[Trajectory]], counted: list[Future[Vote]]) -> None:
        tasks = self.tasks[rows.start : rows.stop]
        trajectories = (
            SolvedTask.model_construct(task_id=task.id, trajectory=trajectory)
            for task, group in zip(tasks, solved, strict=True)
            for trajectory in group
        )
        write_shard(self.workspace.folder / piece(TRAJECTORIES, number), trajectories, SolvedTask)
        labelled = (
            _label(task, group, self._vote(task, group, vote), self.domain)
            for task, group, vote in zip(tasks, solved, counted, strict=True)
        )
        write_shard(self.workspace.folder / piece(VOTES, number), labelled, LabelledTask)
        for name in (TRAJECTORIES, VOTES):
            self.workspace.save(piece(name, number))

    def _vote(self, task: Task, trajectories: list[Trajectory], counted: Future[Vote]) -> Vote:
        if not self.settings.grounded_vote:
            return counted.result()
        return grounded_vote(task.question, trajectories, default_grader())

    def _keep_probed(self, number: int, asked: list[LabelledTask], solved: list[list[Trajectory]]) -> None:
        judged = zip(asked, solved, strict=True)
        rates = {task.task.id: _pass_rate(task, trajectories) for task, trajectories in judged}
        votes = iterate_shard(self.workspace.folder / self._labelled(number), LabelledTask)
        rated = (task.model_copy(update={"first_executor_pass_rate": rates.get(task.task.id)}) for task in votes)
        write_shard(self.workspace.folder / piece(PROBED, number), rated, LabelledTask)
        self.workspace.save(piece(PROBED, number))

    def _labelled(self, number: int) -> str:
        """Return the name of a shard's piece with the votes, and with the judge's verdicts where there is one."""
        return piece(VOTES if self.settings.question_judge.source == "off" else JUDGED, number)

    def _probed_tasks(self) -> set[int]:
        proposed = [row for row, task in enumerate(self.tasks) if task.audit_answer is None]
        return set(sampled(proposed, self.settings.probe_tasks, self.seed))

    def _to_probe(self, number: int, askable: Askable) -> list[LabelledTask]:
        rows = self.shards[number]
        positions = [row - rows.start for row in self._probed_tasks().intersection(rows)]
        votes = iterate_shard(self.workspace.folder / piece(VOTES, number), LabelledTask, positions)
        return [task for task in votes if askable.has_room(task.task.question)]


def _known_tasks(execution: ExecutionSettings, iteration: int) -> list[Task]:
    """Return the tasks that audit the vote, if a file or a benchmark is configured."""
    return [
        Task(id=f"audit-{number:05d}", iteration=iteration, question=task.question, audit_answer=task.answer)
        for number, task in enumerate(read_known_tasks(execution))
    ]


def _label(task: Task, trajectories: list[Trajectory], vote: Vote, domain: Domain) -> LabelledTask:
    behind = evidence(task.question, trajectories, vote, default_grader())
    return LabelledTask(
        task=task,
        vote=vote,
        answers=tuple(trajectory.answer for trajectory in trajectories),
        derivations=behind.derivations,
        grounded=behind.grounded,
        tool_calls=mean_tool_calls(trajectories),
        truncated=truncated_share(trajectories),
        known_answer=task.audit_answer or domain.truth(task.question),
    )


def _pass_rate(task: LabelledTask, trajectories: list[Trajectory]) -> float | None:
    """Return the share of right answers by the known answer where there is one, else the vote's; None for neither."""
    truth = task.known_answer or task.vote.answer
    if truth is None:
        return None
    verdicts = equivalent_many([(truth, trajectory.answer) for trajectory in trajectories])
    return fmean(verdict is Verdict.TRUE for verdict in verdicts)
