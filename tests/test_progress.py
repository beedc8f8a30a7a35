from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from agent0 import progress as module
from agent0.progress import Drawing, Progress, plain_line
from agent0.training.training_job import StepsFile, StepsReader


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    monkeypatch.delenv(module.ENVIRONMENT_VARIABLE, raising=False)
    return clock


def test_tokens_are_told_of_before_any_trajectory_has_ended(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    drawing = Drawing(Progress("sandboxed_execution", 2), 1224, done=310)
    clock.now += 120
    drawing.drew(48_210)
    assert capsys.readouterr().err == (
        "[iteration 2] sandboxed execution: 310/1,224 trajectories  48,210 tokens, 402 tok/s\n"
    )


def test_piped_lines_come_ten_seconds_apart_for_each_unit_and_the_last_always(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    progress = Progress("curriculum_training", 1)
    drawing = Drawing(progress, 3)
    for second in range(25):
        clock.now += 1
        drawing.drew(10)
        progress.step(second, 100, "training steps", {"reward": 0.5})
    for _ in range(4):
        drawing.finished()
    lines = capsys.readouterr().err.splitlines()
    trajectories = [line for line in lines if "trajectories" in line]
    assert len(trajectories) == 3 + 2  # what is drawn again counts once
    assert "3/3" in trajectories[-1]
    assert len([line for line in lines if "training steps  reward 0.5" in line]) == 3


def test_work_that_grows_while_it_is_done_ends_with_all_of_it(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    drawing = Drawing(Progress("curriculum_training", 1), 0)
    for _ in range(2):
        drawing.expect(10)
        for _ in range(10):
            clock.now += 11
            drawing.finished()
    shown = capsys.readouterr().err
    assert "1/10 trajectories" in shown
    assert shown.splitlines()[-1].startswith("[iteration 1] curriculum training: 20/20 trajectories")


def test_the_display_reads_the_detail_from_the_file(
    clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(module.ENVIRONMENT_VARIABLE, str(tmp_path / "events"))
    drawing = Drawing(Progress("task_generation", 1), 2, "proposals")
    clock.now += 2
    drawing.drew(50)
    drawing.warn("too much")
    step, warning = map(json.loads, (tmp_path / "events").read_text().splitlines())
    assert module.details(step) == ["50 tokens, 25 tok/s"]
    assert plain_line(warning) == "[iteration 1] task generation: warning: too much"


def test_what_a_training_process_draws_is_shown_by_the_one_that_waits_for_it(tmp_path: Path) -> None:
    class Kept:
        def __init__(self) -> None:
            self.seen: list[object] = []

        def step(self, done: int, total: int, unit: str, *, detail: str) -> None:
            self.seen.append((done, total, unit, detail))

        def warn(self, message: str) -> None:
            self.seen.append(message)

    kept = Kept()
    reader = StepsReader(tmp_path, kept)
    steps = StepsFile(SimpleNamespace(folder=tmp_path))  # type: ignore[arg-type]
    steps({"loss": 0.5}, 1)
    steps.step(3, 8, "executor trajectories", detail="90 tokens")
    steps.warn("halved")
    steps({"loss": 0.25}, 2)
    assert reader.new() == [({"loss": 0.5}, 1), ({"loss": 0.25}, 2)]
    assert kept.seen == [(3, 8, "executor trajectories", "90 tokens"), "halved"]
