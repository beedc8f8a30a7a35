"""Generation in shards: killed and resumed it ends the same, whatever the pods, and nothing is drawn twice."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytest

from agent0.benchmarks.catalogue import known_tasks
from agent0.config import (
    ConditioningSettings,
    ExecutionSettings,
    GenerationSettings,
    QuestionJudgeSettings,
    RolloutSettings,
    SandboxSettings,
    TrackingSettings,
    load_config,
)
from agent0.errors import Agent0Error, UsageError
from agent0.rollout.engine import Generation, Request
from agent0.rollout.scripted import ScriptedBackend
from agent0.sandbox.gauges import Gauges, Meter
from agent0.stages import Stage, StageResult, open_agents, sandboxed_execution, task_generation
from agent0.stages.execution_collection import run_execution_collection
from agent0.stages.sandboxed_execution import run_sandboxed_execution
from agent0.stages.sharding import ALONE, Share
from agent0.stages.stage_files import PROPOSALS_FOLDER, SAMPLE_FOLDER, TASKS_FOLDER
from agent0.stages.task_collection import run_task_collection
from agent0.stages.task_generation import run_task_generation
from agent0.storage.atomic_file import write_json
from agent0.storage.digest import STAGE_FILE
from agent0.storage.manifest import MANIFEST
from agent0.storage.shards import iterate_records, iterate_shard, shard_name, write_shard, write_shards
from agent0.types import LabelledTask, ProposalOutcome, SolvedTask, StageReport, Task

TINY = load_config("tiny")
SANDBOX = SandboxSettings(preload=(), memory_mb=256, timeout_seconds=5.0, workers=1)
GENERATION = GenerationSettings(proposals=26, shard_size=4)
FREE = ConditioningSettings()
EXECUTION = ExecutionSettings(samples=4, shard_size=3, probe_tasks=6, probe_samples=2)
QUESTIONS = [f"What is {number}+3?" for number in range(20, 34)]


class Killed(BaseException):
    """The process is gone."""


class SeededBackend(ScriptedBackend):
    """A model that writes by the request's seed, counts what it draws, and may be killed."""

    def __init__(self, tokenizer: Any, concurrency: int | None) -> None:
        super().__init__(tokenizer, str, concurrency)
        self.drawn: list[tuple[str, int]] = []
        self.killed_after: int | None = None

    async def generate(self, request: Request) -> Generation:
        if self.killed_after is not None and len(self.drawn) >= self.killed_after:
            raise Killed
        seed, prompt = request.seed, self._tokenizer.decode(request.prompt)
        self.drawn.append((prompt, seed))
        kinds = (f"<question>What is {seed % 15 + 10}+7?</question>\\boxed{{{seed % 3}}}", "nothing", "<question>?")
        written = f"\\boxed{{{seed % 3}}}" if "solve" in prompt else kinds[max(0, seed % 7 - 4)]
        if "WELL_POSED" in prompt:
            written = ("ILL_POSED", "?", "WELL_POSED")[seed % 3]
        return await ScriptedBackend(self._tokenizer, lambda _: written).generate(request)


class IdleSandbox:
    """Stands where the sandbox would; the agents here run no program."""

    def gauges(self) -> Gauges:
        return Meter().read(queued=0, running=0)


@pytest.fixture(params=[None, 5], ids=["batch by batch", "any mixture"])
def backend(tokenizer: Any, monkeypatch: pytest.MonkeyPatch, request: Any) -> SeededBackend:
    backend = SeededBackend(tokenizer, request.param)

    @contextmanager
    def opened(*_: Any, **__: Any) -> Iterator[SeededBackend]:
        yield backend

    monkeypatch.setattr(open_agents, "open_backend", opened)
    for module in (task_generation, sandboxed_execution):  # the script writes no programs
        monkeypatch.setattr(module, "open_sandbox", lambda _: nullcontext(IdleSandbox()))
    return backend


@pytest.fixture
def generate(model_without_weights: Path, tmp_path: Path) -> Callable[..., StageResult]:
    """A function that runs the stage into a folder."""

    def run(name: str, share: Share = ALONE, conditioning: ConditioningSettings = FREE, **changes: Any) -> StageResult:
        stage = Stage.untracked("task_generation", seed=5)
        result = run_task_generation(
            stage,
            curriculum_model=model_without_weights,
            executor_model=model_without_weights,
            history=tmp_path / "history",
            output=tmp_path / name,
            rollout=TINY.rollout,
            sandbox=SANDBOX,
            curriculum=TINY.curriculum.model_copy(update={"conditioning": conditioning}),
            generation=GENERATION.model_copy(update=changes),
            share=share,
        )
        stage.finish(result, tmp_path / name)
        return result

    return run


@pytest.fixture
def execute(model_without_weights: Path, tmp_path: Path) -> Callable[..., StageResult]:
    """A function that runs the stage into a folder; the trajectories go beside it, `first` is the first executor."""
    tasks = [Task(id=f"t{number:02d}", iteration=1, question=question) for number, question in enumerate(QUESTIONS)]
    write_shards(tmp_path / "tasks" / TASKS_FOLDER, tasks, Task)

    def run(
        name: str,
        share: Share = ALONE,
        first: Path = model_without_weights,
        rollout: RolloutSettings = TINY.rollout,
        **changes: Any,
    ) -> StageResult:
        stage = Stage.untracked("sandboxed_execution", seed=5)
        result = run_sandboxed_execution(
            stage,
            executor_model=model_without_weights,
            first_executor_model=first,
            tasks=tmp_path / "tasks",
            output=tmp_path / name,
            trajectories=tmp_path / f"{name}-trajectories",
            rollout=rollout,
            sandbox=SANDBOX,
            execution=EXECUTION.model_copy(update=changes),
            tracking=TrackingSettings(trajectories=9),
            share=share,
        )
        stage.finish(result, tmp_path / name)
        return result

    return run


def tasks_of(folder: Path) -> list[str]:
    return [task.question for task in iterate_records(Task, folder / TASKS_FOLDER)]


def test_too_few_tasks_make_the_generation_draw_on_up_to_its_bound(
    generate: Callable[..., StageResult], backend: SeededBackend, tmp_path: Path
) -> None:
    """The script knows fifteen questions."""
    generate("plain", proposals=6)
    enough = generate("enough", proposals=6, least_tasks=1, max_proposals=300)
    assert enough.metrics["tasks/generated"] == 6
    on = generate("on", proposals=6, least_tasks=12, max_proposals=300)
    assert 6 < on.metrics["tasks/generated"] < 300
    assert len(tasks_of(tmp_path / "on")) >= 12
    assert tasks_of(tmp_path / "on")[: len(tasks_of(tmp_path / "plain"))] == tasks_of(tmp_path / "plain")
    bound = generate("bound", proposals=6, least_tasks=16, max_proposals=31)
    assert bound.metrics["tasks/generated"] == 31


def test_a_generation_that_is_killed_while_it_draws_on_ends_the_same(
    generate: Callable[..., StageResult], backend: SeededBackend, tmp_path: Path
) -> None:
    wanted = {"proposals": 6, "least_tasks": 12, "max_proposals": 300}
    generate("whole", **wanted)
    backend.drawn.clear()
    backend.killed_after = 11
    with pytest.raises(Killed):
        generate("killed", **wanted)
    backend.killed_after = None
    generate("killed", **wanted)
    assert tasks_of(tmp_path / "killed") == tasks_of(tmp_path / "whole")


def test_a_task_that_the_first_executor_has_no_room_for_is_not_put_to_it(
    execute: Callable[..., StageResult], backend: SeededBackend, model_without_weights: Path, tmp_path: Path
) -> None:
    wordy = shutil.copytree(model_without_weights, tmp_path / "wordy")
    template = wordy / "chat_template.jinja"
    template.write_text("{% if '22+3' in (messages | string) %}{{ 'word ' * 300 }}{% endif %}" + template.read_text())
    execute("whole", probe_tasks=len(QUESTIONS))
    execute("wordy", first=wordy, probe_tasks=len(QUESTIONS))
    whole, rated = (
        {
            task.task.question: task.first_executor_pass_rate
            for task in iterate_records(LabelledTask, tmp_path / name / TASKS_FOLDER)
        }
        for name in ("whole", "wordy")
    )
    assert None not in whole.values()
    assert rated == {**whole, "What is 22+3?": None}


def test_known_tasks_that_a_benchmark_makes_audit_the_vote(
    backend: SeededBackend, execute: Callable[..., StageResult], tmp_path: Path
) -> None:
    pytest.importorskip("reasoning_gym")
    result = execute("known", known_tasks="gym:small", known_count=3, probe_tasks=99)
    tasks = list(iterate_records(LabelledTask, tmp_path / "known" / TASKS_FOLDER))
    probes = [task for task in tasks if task.task.audit_answer is not None]
    assert [(task.task.id, task.known_answer) for task in probes] == [
        (f"audit-{number:05d}", known.answer) for number, known in enumerate(known_tasks("gym:small", 3))
    ]
    assert len(tasks) == len(QUESTIONS) + 3
    # What is said of the proposals leaves them out.
    assert result.metrics["tasks/probed"] == sum(result.counts["self_consistency"].values()) == len(QUESTIONS)
    assert [task.first_executor_pass_rate for task in probes] == [None] * 3


def comparable(result: StageResult) -> tuple[dict[str, float], dict[str, dict[str, int]]]:
    """The result without what an attempt says of its own speed and of its own sandbox."""
    own = ("system/", "sandbox/")
    return {k: v for k, v in result.metrics.items() if not k.startswith(own)}, result.counts


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file() and path.name not in (STAGE_FILE, MANIFEST))
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


@pytest.mark.parametrize("killed_after", [0, 3, 4, 9, 25])
def test_generation_killed_and_resumed_ends_as_if_nothing_had_happened(
    killed_after: int, backend: SeededBackend, generate: Callable[..., StageResult], tmp_path: Path
) -> None:
    whole = generate("whole")
    expected, backend.drawn = sorted(backend.drawn), []
    backend.killed_after = killed_after
    with pytest.raises(Killed):
        generate("killed")
    backend.killed_after = None
    finished = len(list((tmp_path / "killed.workspace").glob("proposals-*.parquet")))
    assert finished <= killed_after // 4
    assert backend.concurrency or finished == killed_after // 4
    backend.drawn = []
    resumed = generate("killed")
    assert comparable(resumed) == comparable(whole)
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")
    assert len(backend.drawn) == 26 - 4 * finished  # nothing that was finished is drawn again
    assert set(backend.drawn) <= set(expected)
    backend.drawn = []
    generate("killed")
    assert backend.drawn == []


@pytest.mark.parametrize("killed_after", [0, 11, 12, 30, 57, 58, 60, 63, 67])
def test_execution_killed_and_resumed_ends_as_if_nothing_had_happened(
    killed_after: int, backend: SeededBackend, execute: Callable[..., StageResult], tmp_path: Path
) -> None:
    whole = execute("whole")
    assert len(backend.drawn) == 14 * 4 + 6 * 2
    backend.drawn, backend.killed_after = [], killed_after
    with pytest.raises(Killed):
        execute("killed")
    backend.killed_after = None
    workspace = tmp_path / "killed.workspace"
    voted = sum(1 for path in workspace.glob("votes-*") for _ in iterate_shard(path, LabelledTask))
    probed = [task for path in workspace.glob("probed-*") for task in iterate_shard(path, LabelledTask)]
    rated = sum(task.first_executor_pass_rate is not None for task in probed)
    backend.drawn = []
    resumed = execute("killed")
    assert len(backend.drawn) == 4 * (14 - voted) + 2 * (6 - rated)
    assert comparable(resumed) == comparable(whole)
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")
    assert contents(tmp_path / "killed-trajectories") == contents(tmp_path / "whole-trajectories")
    backend.drawn = []
    execute("killed")
    assert backend.drawn == []


@pytest.mark.parametrize("pods", [2, 3, 9])
def test_pods_together_generate_what_one_generates(
    pods: int, backend: SeededBackend, generate: Callable[..., StageResult], tmp_path: Path
) -> None:
    whole = generate("whole")
    for pod in range(pods):
        generate(f"part{pod}", Share(pod, pods))
    parts = [tmp_path / f"part{pod}" for pod in reversed(range(pods))]
    stage = Stage.untracked("task_collection", seed=5)
    sections = {"rollout": TINY.rollout, "curriculum": TINY.curriculum}
    result = run_task_collection(stage, parts=parts, output=tmp_path / "together", **sections)
    assert comparable(result) == comparable(whole)
    assert contents(tmp_path / "together" / TASKS_FOLDER) == contents(tmp_path / "whole" / TASKS_FOLDER)
    assert result.collected_seconds > 0
    questions = [task.question for task in iterate_records(Task, tmp_path / "together" / TASKS_FOLDER)]
    assert len(set(questions)) == len(questions) > 5
    assert result.counts["rejections"]["duplicate"] > 0


def test_topics_are_asked_for_by_what_they_earned_and_kept_with_the_tasks_whatever_the_pods(
    model_without_weights: Path, backend: SeededBackend, generate: Callable[..., StageResult], tmp_path: Path
) -> None:
    log = ({"topic_reward/2x1": 0.9}, {"topic_reward/3x2": 0.3}, {"topic_reward/5x3": 0.0})
    report = StageReport(stage="curriculum_training", iteration=1, seconds=1.0, peak_memory_mb=1.0, metrics={}, log=log)
    write_json(model_without_weights / STAGE_FILE, report.model_dump())
    earned = ConditioningSettings(topics="earned", exploration=0.0)
    generate("whole", conditioning=earned)
    outcomes = list(iterate_records(ProposalOutcome, tmp_path / "whole" / PROPOSALS_FOLDER))
    asked = Counter(outcome.topic for outcome in outcomes)
    assert set(asked) == {"2x1", "3x2"}
    assert asked["2x1"] > asked["3x2"]
    assert Counter(prompt for prompt, _ in backend.drawn if "propose 2x1" in prompt).total() == asked["2x1"]
    topics = {outcome.question: outcome.topic for outcome in reversed(outcomes) if outcome.question}
    tasks = list(iterate_records(Task, tmp_path / "whole" / TASKS_FOLDER))
    assert {task.question: task.topic for task in tasks} == {task.question: topics[task.question] for task in tasks}
    for pod in range(2):
        generate(f"part{pod}", Share(pod, 2), conditioning=earned)
    parts = [tmp_path / f"part{pod}" / PROPOSALS_FOLDER for pod in range(2)]
    assert list(iterate_records(ProposalOutcome, *parts)) == outcomes


def test_the_executor_judges_every_question_once_however_often_the_stage_is_killed(
    backend: SeededBackend, execute: Callable[..., StageResult], tmp_path: Path
) -> None:
    judging = {
        "question_judge": QuestionJudgeSettings(source="executor", max_tokens=16),
        "rollout": TINY.rollout.model_copy(update={"max_prompt_tokens": 800}),
    }
    execute("whole", **judging)
    asked = [drawn for drawn in backend.drawn if "WELL_POSED" in drawn[0]]
    assert len(asked) == len(QUESTIONS)
    whole = list(iterate_records(LabelledTask, tmp_path / "whole" / TASKS_FOLDER))
    assert {task.well_posed for task in whole} == {True, False, None}
    assert sum(task.first_executor_pass_rate is not None for task in whole) == 6
    backend.drawn, backend.killed_after = [], 14 * 4 + 7  # while it judges
    with pytest.raises(Killed):
        execute("killed", **judging)
    backend.killed_after = None
    again = len(backend.drawn)
    execute("killed", **judging)
    assert len(backend.drawn) - again < 14 + 6 * 2
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")


@pytest.mark.parametrize("pods", [2, 6])
def test_pods_together_label_what_one_labels(
    pods: int, backend: SeededBackend, execute: Callable[..., StageResult], tmp_path: Path
) -> None:
    whole = execute("whole")
    for pod in range(pods):
        execute(f"part{pod}", Share(pod, pods))
    parts = [tmp_path / f"part{pod}" for pod in range(pods)]
    stage = Stage.untracked("execution_collection", seed=5)
    result = run_execution_collection(stage, parts=parts, output=tmp_path / "together")
    assert comparable(result) == comparable(whole)
    assert contents(tmp_path / "together" / TASKS_FOLDER) == contents(tmp_path / "whole" / TASKS_FOLDER)

    def sample(folder: Path) -> list[str]:
        return sorted(item.model_dump_json() for item in iterate_records(SolvedTask, folder / SAMPLE_FOLDER))

    assert sample(tmp_path / "together") == sample(tmp_path / "whole")
    assert len(sample(tmp_path / "whole")) == 9


def test_a_pod_that_is_missing_is_named(
    backend: SeededBackend, generate: Callable[..., StageResult], tmp_path: Path
) -> None:
    generate("part0", Share(0, 3))
    generate("part2", Share(2, 3))
    with pytest.raises(Agent0Error, match=r"lacks part-00001\.parquet"):
        run_task_collection(
            Stage.untracked("task_collection"),
            parts=[tmp_path / "part0", tmp_path / "part2"],
            output=tmp_path / "together",
            rollout=TINY.rollout,
            curriculum=TINY.curriculum,
        )


def test_a_shard_of_another_version_in_the_workspace_is_an_error(
    backend: SeededBackend, generate: Callable[..., StageResult], tmp_path: Path
) -> None:
    generate("out")
    path = tmp_path / "out.workspace" / f"proposals-{shard_name(2)}"
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(Agent0Error, match=rf"{path.name} is no whole Parquet file of ProposalOutcome .*remove it"):
        generate("out")
    write_shard(path, [Task(id="a", iteration=1, question="b")], Task)
    with pytest.raises(Agent0Error, match=rf"{path.name} is no shard of ProposalOutcome records.*another version"):
        generate("out")


def test_no_valid_proposal_says_which_reasons(
    backend: SeededBackend, generate: Callable[..., StageResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent0.rollout.agents.parse_question", lambda _: None)
    with pytest.raises(Agent0Error, match=r"None of 26 proposals is a valid question \(26 no_question\)"):
        generate("out")


@pytest.mark.parametrize(("pod", "pods"), [(-1, 1), (2, 2), (0, 0)])
def test_a_pod_that_cannot_be_is_refused(pod: int, pods: int) -> None:
    with pytest.raises(UsageError, match="There is no pod"):
        Share(pod, pods)


@pytest.mark.parametrize("pods", [1, 2, 5, 9])
def test_every_row_belongs_to_one_shard_of_one_pod(pods: int) -> None:
    shards = [shard for pod in range(pods) for shard in Share(pod, pods).shards(26, 4).items()]
    assert sorted(number for number, _ in shards) == list(range(7))
    assert [row for _, rows in sorted(shards) for row in rows] == list(range(26))
