"""A frozen executor whose tokenizer is another than that of the model in training is asked with its own."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from permuted_model import TOKENIZER_FILE, permuted_model

from agent0.config import CurriculumSettings, PromptMessage, PromptSettings, RolloutSettings, SamplingSettings
from agent0.rollout.agents import askable
from agent0.rollout.model_folders import load_tokenizer
from agent0.rollout.tokens import read_tokens_alike
from agent0.training import worker
from agent0.training.training_job import TrainingJob
from agent0.training.worker import train

MakeJob = Callable[..., TrainingJob]
EXECUTOR_METRICS = ("executor/self_consistency", "executor/tool_calls", "executor/truncated", "reward")


@pytest.fixture
def other(half_trained: Path, tmp_path: Path) -> Path:
    """The half-trained model with other token ids."""
    return permuted_model(half_trained, tmp_path / "other")


@pytest.fixture
def greedy(curriculum: CurriculumSettings) -> CurriculumSettings:
    """The executor draws the likeliest token, which is the same text by any ids."""
    return curriculum.model_copy(update={"executor_sampling": SamplingSettings(temperature=0.0), "steps": 1})


def rewards(make_job: MakeJob, name: str, settings: CurriculumSettings, executor: Path) -> list[dict[str, float]]:
    job = make_job(name, agent="curriculum", algorithm=settings, frozen_executor=executor, tasks=None)
    return [{key: row[key] for key in EXECUTOR_METRICS if key in row} for row in train(job, lambda *_: None)]


def test_a_trainer_rewards_by_what_the_executor_says_in_its_own_tokens(
    make_job: MakeJob, greedy: CurriculumSettings, half_trained: Path, other: Path
) -> None:
    expected = rewards(make_job, "same", greedy, half_trained)
    assert expected[0]["executor/self_consistency"] > 0
    assert rewards(make_job, "other", greedy, other) == expected


@pytest.mark.parametrize("way", ["served", "shared engine", "in process"])
def test_each_backend_of_the_executor_gets_the_executors_tokens(
    make_job: MakeJob, greedy: CurriculumSettings, other: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    job = make_job("job", agent="curriculum", algorithm=greedy, frozen_executor=other, tasks=None)
    if way == "served":
        job = job.model_copy(update={"executor_endpoints": ("http://127.0.0.1:1",)})
    if way == "shared engine":
        monkeypatch.setattr(TrainingJob, "shares_engine", property(lambda _: True))
    with worker._frozen_executor(job, greedy, other, sandbox_unused(), worker.EngineTurns()) as executor:
        (prompt,) = executor._prompts_of(["What is 2+3?"], 1)
    text = load_tokenizer(other).decode(prompt)
    assert "What is 2+3?" in text
    assert "What is 2+3?" not in load_tokenizer(job.base).decode(prompt)


def sandbox_unused() -> Any:
    return None


def test_a_question_is_counted_in_the_executors_tokens(half_trained: Path, other: Path) -> None:
    content = json.loads((other / TOKENIZER_FILE).read_text())
    content["model"]["merges"] = []  # reads every byte for itself
    (other / TOKENIZER_FILE).write_text(json.dumps(content))
    short = PromptSettings(executor=(PromptMessage(role="user", content="{question}"),))
    rollout = RolloutSettings(domain="arithmetic", prompts=short, max_prompt_tokens=32, max_response_tokens=56)
    question = "Calculate the value of (12+34)*5."
    assert askable(half_trained, rollout).has_room(question)
    assert not askable(other, rollout).has_room(question)


def test_tokens_are_read_alike_by_the_same_vocabulary_only(half_trained: Path, other: Path, tmp_path: Path) -> None:
    own = load_tokenizer(half_trained)
    assert read_tokens_alike(own, load_tokenizer(half_trained))
    templated = load_tokenizer(half_trained)
    templated.chat_template = "{{ messages }}"
    assert read_tokens_alike(own, templated)
    assert not read_tokens_alike(own, load_tokenizer(other))
    assert not read_tokens_alike(own, with_one_more_token(half_trained))


def with_one_more_token(folder: Path) -> Any:
    tokenizer = load_tokenizer(folder)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|more|>"]})
    return tokenizer
