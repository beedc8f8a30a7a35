"""What an evaluation is run with where no recipe is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from agent0.config import load_config
from agent0.errors import UsageError
from agent0.evaluation.fitting import settings_for
from agent0.rollout.tokens import check_model_tokens, model_positions
from agent0.tiny.tokenizer import is_embedded


@pytest.fixture
def embedded(random_model: Any, tokenizer: Any, tmp_path: Path) -> Path:
    """A model of the embedded kind."""
    random_model.save_pretrained(tmp_path / "embedded")
    tokenizer.save_pretrained(tmp_path / "embedded")
    return tmp_path / "embedded"


@pytest.fixture
def other(embedded: Path) -> Path:
    """A model with a chat template of its own."""
    (embedded / "chat_template.jinja").write_text("{% for m in messages %}{{ m['content'] }}<|im_end|>{% endfor %}")
    return embedded


def with_positions(folder: Path, positions: int) -> Path:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"max_position_embeddings": positions}))
    return folder


def test_a_model_that_grew_from_the_embedded_one_gets_its_recipe(embedded: Path) -> None:
    fitted = settings_for(embedded, "", ["evaluation.samples=3"])
    assert fitted.config == load_config("tiny", ["evaluation.samples=3"])
    assert "recipe tiny" in fitted.chosen


@pytest.mark.parametrize("positions", [64, 512, 2048, 8192, 40_960])
def test_any_other_model_gets_a_budget_within_the_positions_that_it_knows(
    positions: int, other: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from agent0.rollout.model_folders import load_tokenizer

    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    fitted = settings_for(with_positions(other, positions), "", [])
    rollout = fitted.config.rollout
    check_model_tokens(other, load_tokenizer(other), rollout)
    assert rollout.max_prompt_tokens + rollout.max_response_tokens <= (model_positions(other) or 0)
    assert rollout.max_response_tokens == min(4096, positions - rollout.max_prompt_tokens)
    assert 0 < rollout.max_observation_tokens < rollout.max_response_tokens
    assert (rollout.domain, rollout.backend, rollout.dtype) == ("mathematics", "transformers", "auto")
    assert f"{rollout.max_response_tokens:,} tokens" in fitted.chosen
    assert (fitted.config.recipe, fitted.config.evaluation.max_response_tokens) == ("defaults", 0)


@pytest.mark.parametrize(("gpu", "vllm", "backend"), [(True, True, "vllm"), (True, False, "transformers")])
def test_vllm_draws_where_there_are_a_gpu_and_vllm(
    gpu: bool, vllm: bool, backend: str, other: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: gpu)
    monkeypatch.setattr("agent0.evaluation.fitting.importlib.util.find_spec", lambda _: object() if vllm else None)
    fitted = settings_for(other, "", [])
    assert fitted.config.rollout.backend == backend
    assert fitted.chosen.startswith(f"no recipe was named: {backend} in bfloat16")


def test_a_setting_that_is_given_stands_above_what_is_chosen(other: Path) -> None:
    given = ["rollout.max_response_tokens=100", "rollout.domain=word_problems", "rollout.dtype=float32"]
    rollout = settings_for(with_positions(other, 8192), "", given).config.rollout
    assert (rollout.max_response_tokens, rollout.domain, rollout.dtype) == (100, "word_problems", "float32")
    assert rollout.max_observation_tokens == 25  # chosen to leave room in what is given


@pytest.mark.parametrize(
    ("benchmarks", "domain"),
    [
        ("domain:word_problems", "word_problems"),
        ("domain:word_problems,gym:small", "word_problems"),
        ("domain:word_problems,domain:arithmetic", "mathematics"),
        ("domain:word_problems,gsm8k", "mathematics"),
        ("gym:small", "mathematics"),
    ],
)
def test_a_domain_that_is_asked_alone_is_asked_with_its_own_prompts(benchmarks: str, domain: str, other: Path) -> None:
    fitted = settings_for(other, "", [f"evaluation.benchmarks={benchmarks}"])
    assert fitted.config.rollout.domain == domain
    assert f"prompts of {domain}," in fitted.chosen


def test_a_recipe_that_is_named_is_taken_as_it_is(other: Path) -> None:
    fitted = settings_for(other, "qwen3-4b", [])
    assert (fitted.config, fitted.chosen) == (load_config("qwen3-4b"), "")


def test_a_setting_that_cannot_be_is_refused(other: Path) -> None:
    with pytest.raises(UsageError, match=r"rollout\.max_turnz"):
        settings_for(other, "", ["rollout.max_turnz=3"])
    with pytest.raises(UsageError, match=r"rollout\.max_response_tokens"):
        settings_for(other, "", ["rollout.max_response_tokens=many"])


def test_another_chat_template_or_length_is_not_the_embedded_model(tokenizer: Any, other: Path) -> None:
    from agent0.rollout.model_folders import load_tokenizer

    assert is_embedded(tokenizer)
    assert not is_embedded(load_tokenizer(other))
