from __future__ import annotations

import copy
import random
from pathlib import Path
from typing import Any

import pytest

from agent0.answers.extraction import extract_answer
from agent0.config import RolloutSettings, TrainingSettings, WarmStartSettings
from agent0.domains import demonstrate, get_domain, get_prompts
from agent0.errors import UsageError
from agent0.rollout.tokens import turn_end
from agent0.training.supervised import IGNORED, Transcript, demonstrated, fine_tune, in_turns, transcribed
from agent0.types import Trajectory

PROMPTS = get_prompts(RolloutSettings())
ROOM = RolloutSettings(max_prompt_tokens=256, max_response_tokens=256, max_observation_tokens=64)


def demonstrations(tokenizer: Any, count: int) -> list[Transcript]:
    draw = get_domain("arithmetic").draw
    assert draw is not None
    rng = random.Random(0)
    return [demonstrated(demonstrate(draw(rng), PROMPTS, solve=True), PROMPTS, tokenizer, ROOM) for _ in range(count)]


def test_only_what_the_model_would_write_is_learned(tokenizer: Any) -> None:
    draw = get_domain("arithmetic").draw
    assert draw is not None
    task = draw(random.Random(3))
    shown = demonstrate(task, PROMPTS, solve=True)
    transcript = demonstrated(shown, PROMPTS, tokenizer, ROOM)
    learned = [token for token, label in zip(transcript.input_ids, transcript.labels, strict=True) if label != IGNORED]
    assert all(label in (token, IGNORED) for token, label in zip(transcript.input_ids, transcript.labels, strict=True))
    own = "".join(segment.text for segment in shown.segments if segment.learned)
    assert tokenizer.decode(learned) == own + tokenizer.decode([turn_end(tokenizer)])
    whole = PROMPTS.render(tokenizer, shown.messages) + shown.completion
    assert tokenizer.decode(transcript.input_ids[:-1]) == whole


def test_a_thought_that_the_template_opens_is_closed_before_anything_is_shown(
    tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    thinking = "{{ messages[-1]['content'] }}{% if add_generation_prompt %}<think>\n{% endif %}"
    monkeypatch.setattr(tokenizer, "chat_template", thinking)
    (transcript,) = demonstrations(tokenizer, 1)
    learned = tokenizer.decode([label for label in transcript.labels[:-1] if label != IGNORED])
    assert learned.startswith("</think>\n\n")
    assert extract_answer(learned, thinking=True) is not None


def test_a_demonstration_beyond_the_budget_is_refused(tokenizer: Any) -> None:
    draw = get_domain("arithmetic").draw
    assert draw is not None
    shown = demonstrate(draw(random.Random(3)), PROMPTS, solve=True)
    labels = demonstrated(shown, PROMPTS, tokenizer, ROOM).labels
    prompt = next(place for place, label in enumerate(labels) if label != IGNORED)
    needed = {"max_prompt_tokens": prompt, "max_response_tokens": len(labels) - prompt}
    tight = ROOM.model_copy(update=needed)
    assert demonstrated(shown, PROMPTS, tokenizer, tight).labels == labels
    for setting, tokens in needed.items():
        with pytest.raises(UsageError, match=rf"of {tokens} tokens, but rollout\.{setting} is {tokens - 1}"):
            demonstrated(shown, PROMPTS, tokenizer, tight.model_copy(update={setting: tokens - 1}))


@pytest.mark.parametrize("ended", [True, False])
def test_a_trajectory_is_learned_without_its_observations_and_ends_once(tokenizer: Any, ended: bool) -> None:
    end = turn_end(tokenizer)
    tail = (end,) if ended else ()
    trajectory = Trajectory(
        prompt_ids=(9, 9), completion_ids=(20, 21, 22, *tail), mask=(1, 0, 1, *(1,) * len(tail)), text="", finish="eos"
    )
    transcript = transcribed(trajectory, [5, 6], tokenizer, ROOM)
    assert transcript == Transcript([5, 6, 20, 21, 22, end], [IGNORED, IGNORED, 20, IGNORED, 22, end])


def test_training_lowers_the_loss_and_the_same_seed_gives_the_same_weights(
    random_model: Any, tokenizer: Any, tmp_path: Path
) -> None:
    settings = WarmStartSettings(steps=12, batch_size=4, learning_rate=3e-3)
    results = []
    for name in ("first", "second"):
        model = copy.deepcopy(random_model)
        told: list[int] = []
        history = fine_tune(
            model,
            tokenizer,
            demonstrations(tokenizer, 48),
            settings,
            TrainingSettings(),
            seed=1,
            log=lambda numbers, step: told.append(step),  # noqa: B023
            folder=tmp_path / name,
        )
        assert told == list(range(1, 13))
        results.append((history[0]["loss"], history[-1]["loss"], next(model.parameters()).sum().item()))
    assert results[0] == results[1]
    assert results[0][1] < 0.8 * results[0][0]


def test_each_kind_is_used_up_before_it_is_seen_again() -> None:
    drawn = in_turns(list("ab"), list(range(30)), 120, 0.25, seed=4)
    proposals, solutions = [x for x in drawn if x in ("a", "b")], [x for x in drawn if isinstance(x, int)]
    assert 15 < len(proposals) < 45
    assert set(solutions[:30]) == set(range(30))
    assert all(set(proposals[i : i + 2]) == {"a", "b"} for i in range(0, len(proposals) - 1, 2))
