"""A trial of a model under a recipe: the figures, what they mean, and the command."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from agent0.cli.main import app, main
from agent0.config import Config, load_config
from agent0.rollout.scripted import ScriptedBackend
from agent0.stages import open_agents
from agent0.trial import Answers, Proposals, Trial, run_trial, tokens_of_recipe
from agent0.trial_verdict import conclude, findings

PROPOSALS = Proposals(32, {}, 30, 0.0, ("What is 1+1?",), "")
ANSWERS = Answers(16, True, 8, 1.0, 1.0, 0.0, 0.57, 0.44, 0.3, 0, None, 40.0)
TRIAL = Trial(PROPOSALS, ANSWERS, 400.0, 1e6, {"float32": 60.0, "bfloat16": 50.0})
OWN = '[rollout]\ndomain = "word_problems"\n[execution]\nsamples = 4\n[filtering]\nmin_tasks = 128\n'


class Silent:
    """Counts what it is told."""

    def __init__(self) -> None:
        self.units: dict[str, int] = {}

    def step(self, done: int, total: int, unit: str, *, detail: str) -> None:
        self.units[unit] = total

    def warn(self, message: str) -> None:
        raise AssertionError(message)


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "own.toml"
    path.write_text(OWN)
    return path


@pytest.fixture
def model(random_model: Any, tokenizer: Any, tmp_path: Path) -> Path:
    random_model.save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture
def says(tokenizer: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[str], str]], None]:
    """Let the model of a trial write what a function returns for the text so far."""

    def put(write: Callable[[str], str]) -> None:
        @contextmanager
        def opened(*_: Any, **__: Any) -> Iterator[ScriptedBackend]:
            yield ScriptedBackend(tokenizer, write)

        monkeypatch.setattr(open_agents, "open_backend", opened)

    return put


def proposing(*questions: str) -> Callable[[str], str]:
    """Propose the questions in turn; solve each with a program, and box 3 or 4 in turn."""
    asked, boxed = cycle(questions), cycle((3, 3, 3, 4))

    def write(text: str) -> str:
        if "Solve" not in text:
            return next(asked)
        return f"\\boxed{{{next(boxed)}}}" if "```output" in text else "```python\nprint(1+2)\n```\n"

    return write


def test_proposals_and_answers_are_counted_as_the_recipe_would_count_them(
    recipe: Path, model: Path, says: Any, tmp_path: Path
) -> None:
    says(
        proposing(
            "<question>What is 1 * 2 + 1?</question>",
            "<question>What is 1 * 2 + 1?</question>",
            "<question>Say nothing of numbers at all.</question>",
            "Nothing.",
        )
    )
    shown, config = Silent(), load_config(str(recipe))
    trial = run_trial(model, config, 8, tmp_path, shown)
    assert (trial.proposals.drawn, trial.proposals.valid, trial.proposals.distinct) == (8, 4, 1)
    assert dict(trial.proposals.rejections) == {"no_number": 2, "no_question": 2}
    assert trial.proposals.examples == ("What is 1 * 2 + 1?",)
    answers = trial.answers
    assert answers is not None
    assert (answers.tasks, answers.samples, answers.own) == (1, 4, True)
    assert (answers.calls, answers.boxed, answers.truncated) == (1.0, 1.0, 0.0)
    assert (answers.self_consistency, answers.in_band) == (0.75, 1.0)
    assert (answers.known, answers.label_accuracy) == (1, 1.0)
    assert shown.units == {"proposals": 8, "answers": 4}
    assert trial.recipe_tokens == tokens_of_recipe(config, round(answers.tokens))


def test_a_model_that_proposes_nothing_valid_still_answers_what_a_program_writes(
    recipe: Path, model: Path, says: Any, tmp_path: Path
) -> None:
    says(proposing("Sure! Here is a problem."))
    trial = run_trial(model, load_config(str(recipe)), 8, tmp_path, Silent())
    assert trial.proposals.valid == 0
    assert trial.proposals.specimen == "Sure! Here is a problem."
    assert trial.answers is not None
    assert (trial.answers.own, trial.answers.tasks, trial.answers.known) == (False, 4, 4)


def test_without_a_valid_proposal_or_a_program_there_is_nothing_to_answer(
    model: Path, says: Any, tmp_path: Path
) -> None:
    says(proposing("No."))
    config = load_config(None, ["rollout.domain=mathematics", "rollout.max_response_tokens=1024"])
    trial = run_trial(model, config, 4, tmp_path, Silent())
    assert trial.answers is None
    assert any(row.state == "fail" and "no program" in row.finding for row in findings(trial, config))
    verdict = conclude(trial, config, "--recipe own.toml")
    assert "warm_start.source=own" in verdict.command


def changed(trial: Trial = TRIAL, *, proposals: dict[str, Any] | None = None, **answers: Any) -> Trial:
    return dataclasses.replace(
        trial,
        proposals=dataclasses.replace(PROPOSALS, **(proposals or {})),
        answers=dataclasses.replace(ANSWERS, **answers),
    )


NOTHING_VALID = {"rejections": {"no_question": 32}, "distinct": 0, "examples": (), "specimen": "Sure!"}


@pytest.mark.parametrize(
    ("trial", "warm", "ready", "sentence", "command"),
    [
        (TRIAL, 0, True, "begin", "agent0 evolve R"),
        (TRIAL, 30, True, "knows the protocol already", "agent0 evolve R --set warm_start.steps=0"),
        (changed(proposals=NOTHING_VALID), 0, False, "proposes nothing valid", "--set warm_start.steps=30"),
        (changed(proposals=NOTHING_VALID), 30, True, "no surprise", "agent0 evolve R"),
        (changed(proposals={"rejections": {"no_question": 20}}), 0, False, "Only 12 of 32", "warm_start.steps=30"),
        (changed(boxed=0.2), 0, False, "Only 20 % of the answers", "warm_start.steps=30"),
        (changed(in_band=0.0, above_band=0.6), 0, False, "on 60 % of its tasks", "curriculum.steps="),
        (changed(in_band=0.0, above_band=0.1), 0, False, "hardly ever", "warm_start.steps=30"),
        (changed(in_band=0.0, above_band=0.1), 45, True, "begins with a warm start of 45", "agent0 evolve R"),
    ],
)
def test_the_verdict_says_what_to_run_next(
    trial: Trial, warm: int, ready: bool, sentence: str, command: str, recipe: Path
) -> None:
    verdict = conclude(trial, load_config(str(recipe), [f"warm_start.steps={warm}"]), "R")
    assert verdict.ready == ready
    assert sentence in verdict.sentence
    assert command in verdict.command


SHARE = st.floats(0, 1)


@given(
    rejected=st.integers(0, 32),
    boxed=SHARE,
    truncated=SHARE,
    agreement=SHARE,
    in_band=SHARE,
    above=SHARE,
    warm=st.sampled_from([0, 30]),
    accuracy=st.none() | SHARE,
)
def test_any_figures_end_in_one_command_and_a_table(
    rejected: int,
    boxed: float,
    truncated: float,
    agreement: float,
    in_band: float,
    above: float,
    warm: int,
    accuracy: float | None,
) -> None:
    trial = changed(
        proposals={"rejections": {"no_question": rejected} if rejected else {}, "distinct": 32 - rejected},
        boxed=boxed,
        truncated=truncated,
        self_consistency=agreement,
        in_band=in_band,
        above_band=above,
        label_accuracy=accuracy,
    )
    config: Config = load_config(None, ["rollout.domain=word_problems", f"warm_start.steps={warm}"])
    verdict = conclude(trial, config, "--recipe r")
    assert verdict.command.startswith("agent0 evolve --recipe r")
    unsure = rejected <= 16 and boxed >= 0.5 and in_band >= 0.1
    assert verdict.ready == (unsure or (bool(warm) and (rejected > 16 or boxed < 0.5 or above < 0.5)))
    load_config(None, verdict.command.replace("agent0 evolve --recipe r", "").replace("--set", "").split())
    assert len(findings(trial, config)) >= 9


def test_the_command_prints_a_table_a_verdict_and_a_command(recipe: Path, model: Path, says: Any) -> None:
    says(proposing("Sure!"))
    command = ["doctor", "--model", str(model), "--recipe", str(recipe), "--samples", "4"]
    done = CliRunner(env={"COLUMNS": "160"}).invoke(app, command)
    assert done.exit_code == 1
    assert "0 of 4 (4 no_question)" in done.stdout
    assert "proposes nothing valid" in done.stdout
    last = done.stdout.strip().splitlines()[-1].strip()
    assert last == (f"agent0 evolve --recipe {recipe} --set model.source={model} --set warm_start.steps=30")


def test_the_figures_are_printed_as_json(recipe: Path, model: Path, says: Any) -> None:
    says(proposing("<question>What is 1 * 2 + 1?</question>"))
    command = ["doctor", "-m", str(model), "-r", str(recipe), "--samples", "4", "--json", "--quiet"]
    done = CliRunner().invoke(app, command)
    record = json.loads(done.stdout)
    assert done.exit_code == 0, record
    assert (record["ready"], record["proposals"]["distinct"], record["answers"]["boxed"]) == (True, 1, 1.0)
    assert record["drawing_hours"] > 0


def test_a_model_without_a_recipe_is_asked_for_one(
    model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["agent0", "doctor", "--model", str(model)])
    with pytest.raises(SystemExit, match="2"):
        main()
    assert "name the one with --recipe" in capsys.readouterr().err
