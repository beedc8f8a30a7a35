"""The contract between ADPO and TRL's GRPOTrainer; a new TRL version must pass it before its pin is moved."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset

from agent0.config import (
    ADPOSettings,
    CheckpointSettings,
    ExecutorSettings,
    ModelSettings,
    RolloutSettings,
    SandboxSettings,
    TrainingSettings,
)
from agent0.training.adpo import ADPOTrainer, advantage_scale, confidence, upper_clip_bound
from agent0.training.batch_division import BatchPlan
from agent0.training.grpo import grpo_arguments
from agent0.training.training_job import TrainingJob
from agent0.training.useful_tokens import UsefulTokensTrainer

NEUTRAL = ADPOSettings(min_advantage_scale=1.0, max_clip_bonus=0.0)
PAPER = ADPOSettings()
SETTINGS = ExecutorSettings(
    steps=2, tasks_per_step=4, group_size=4, updates_per_step=4, learning_rate=3e-2, kl_coefficient=0.0
)
ROLLOUT = RolloutSettings(max_response_tokens=12)


def reward(completion_ids: list[list[int]], **_: Any) -> list[float]:
    """A reward with variance that depends on nothing but the tokens."""
    return [sum(ids) % 7 / 7 for ids in completion_ids]


def trainer(
    kind: Callable[..., Any],
    model: Any,
    tokenizer: Any,
    output: Path,
    loss: str = "grpo",
    settings: ExecutorSettings = SETTINGS,
    **kwargs: Any,
) -> Any:
    job = TrainingJob(
        folder=output,
        base=output,
        output=output,
        workspace=output,
        model=ModelSettings(),
        rollout=ROLLOUT,
        sandbox=SandboxSettings(),
        algorithm=settings,
        agent="executor",
        training=TrainingSettings(checkpoints=CheckpointSettings(every=0)),
        seed=0,
    )
    arguments = grpo_arguments(job, BatchPlan.of(job, 1))
    arguments.loss_type = loss
    rows = [
        {"prompt": f"solve {a}+{b}", "self_consistency": share}
        for (a, b), share in zip(itertools.product(range(4), range(2)), itertools.cycle([0.3, 0.55, 0.8]), strict=False)
    ]
    return kind(
        model=copy.deepcopy(model),
        reward_funcs=[reward],
        args=arguments,
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
        **kwargs,
    )


def weights(run: Any) -> torch.Tensor:
    run.train()
    return torch.cat([parameter.detach().flatten() for parameter in run.model.parameters()])


def test_the_rate_rises_over_the_warm_up(random_model: Any, tokenizer: Any, tmp_path: Path) -> None:
    settings = SETTINGS.model_copy(update={"warmup_updates": 4})
    run = trainer(UsefulTokensTrainer, random_model, tokenizer, tmp_path, settings=settings)
    run.train()
    rates = [entry["learning_rate"] for entry in run.state.log_history if "loss" in entry]
    peak = settings.learning_rate
    assert rates == pytest.approx([0.0, peak / 4, peak / 2, peak * 3 / 4, peak, peak, peak, peak])


@pytest.mark.parametrize(
    ("share", "scale", "bound"),
    [(0.3, 0.6, 0.3), (0.55, 0.8, 0.25), (0.8, 1.0, 0.2), (0.1, 0.6, 0.3), (1.0, 1.0, 0.2)],
)
def test_scale_and_clip_bound_at_the_papers_points(share: float, scale: float, bound: float) -> None:
    w = confidence(torch.tensor([share]), PAPER)
    assert advantage_scale(w, PAPER).item() == pytest.approx(scale)
    assert upper_clip_bound(w, 0.2, PAPER).item() == pytest.approx(bound)


@pytest.mark.parametrize("loss", ["grpo", "dapo", "dr_grpo", "bnpo"])
def test_neutral_settings_give_grpos_weights_bit_for_bit(
    loss: str, random_model: Any, tokenizer: Any, tmp_path: Path
) -> None:
    plain = weights(trainer(UsefulTokensTrainer, random_model, tokenizer, tmp_path / "a", loss))
    neutral = weights(trainer(ADPOTrainer, random_model, tokenizer, tmp_path / "b", loss, adpo=NEUTRAL))
    assert torch.equal(plain, neutral)


def test_switched_off_it_is_grpo_and_switched_on_it_is_not(random_model: Any, tokenizer: Any, tmp_path: Path) -> None:
    plain = weights(trainer(UsefulTokensTrainer, random_model, tokenizer, tmp_path / "a"))
    off = ADPOSettings(enabled=False)
    assert torch.equal(plain, weights(trainer(ADPOTrainer, random_model, tokenizer, tmp_path / "b", adpo=off)))
    assert not torch.equal(plain, weights(trainer(ADPOTrainer, random_model, tokenizer, tmp_path / "c", adpo=PAPER)))


def test_the_loss_is_the_formula_and_the_dynamic_clip_acts(random_model: Any, tokenizer: Any, tmp_path: Path) -> None:
    errors: list[float] = []
    clipped: list[bool] = []

    class Checked(ADPOTrainer):
        def _compute_loss(self, model: Any, inputs: dict[str, Any]) -> Any:
            loss = super()._compute_loss(model, inputs)
            by_hand, acted = loss_by_hand(self, model, inputs)
            errors.append(abs(by_hand - loss.item()))
            clipped.append(acted)
            return loss

    run = trainer(Checked, random_model, tokenizer, tmp_path, adpo=PAPER)
    run.train()
    assert len(errors) == SETTINGS.steps * SETTINGS.updates_per_step
    assert max(errors) < 1e-6
    assert not clipped[0]  # the first update of a batch is on-policy
    assert any(clipped)
    history = [row for row in run.state.log_history if "adpo/epsilon_high" in row]
    assert all(0.2 <= row["adpo/epsilon_high"] <= 0.3 and 0.6 <= row["adpo/advantage_scale"] <= 1.0 for row in history)
    assert max(row.get("clip_ratio/high_mean", 0.0) for row in run.state.log_history) > 0
    assert (run.epsilon_low, run.epsilon_high) == (0.2, 0.2)


def loss_by_hand(run: Any, model: Any, inputs: dict[str, Any]) -> tuple[float, bool]:
    """The clipped objective, token mean then sequence mean, written out from the paper."""
    prompt, completion = inputs["prompt_ids"], inputs["completion_ids"]
    mask = torch.cat([inputs["prompt_mask"], inputs["completion_mask"]], dim=1)
    with torch.no_grad():
        logits = model(input_ids=torch.cat([prompt, completion], dim=1), attention_mask=mask).logits
    logits = logits[:, prompt.shape[1] - 1 : -1] / run.temperature
    new = logits.log_softmax(-1).gather(-1, completion.unsqueeze(-1)).squeeze(-1)
    old = inputs.get("old_per_token_logps")
    ratio = (new - (new if old is None else old)).exp()
    advantage = inputs["advantages"].unsqueeze(1)
    upper = 1 + inputs["epsilon_high"].unsqueeze(1)
    bounded = torch.minimum(torch.maximum(ratio, torch.tensor(0.8)), upper)
    objective = torch.minimum(ratio * advantage, bounded * advantage)
    weight = inputs["completion_mask"].float()
    loss = -((objective * weight).sum(1) / weight.sum(1)).mean()
    acted = bool((((ratio > upper) & (advantage > 0) | (ratio < 0.8) & (advantage < 0)) & weight.bool()).any())
    return loss.item(), acted


def test_a_task_without_a_trusted_answer_has_no_advantage_but_against_refused_ones(
    random_model: Any, tokenizer: Any, tmp_path: Path
) -> None:
    seen: list[tuple[list[float], torch.Tensor]] = []

    def refusing(completion_ids: list[list[int]], negative: list[bool], **_: Any) -> list[float]:
        rewards = [float(number % 3 == 0) for number in range(len(completion_ids))]
        return [-reward if own else reward for own, reward in zip(negative, rewards, strict=True)]

    class Watched(ADPOTrainer):
        def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
            output = super()._generate_and_score_completions(inputs)
            marks = [bool(row["negative"]) for row in inputs]
            for group in range(0, len(marks), SETTINGS.group_size):
                rows = slice(group, group + SETTINGS.group_size)
                if marks[group]:
                    seen.append((self._own_rewards[rows].tolist(), output["advantages"][rows]))
                else:
                    assert output["advantages"][rows].max() > 0
            return output

    run = trainer(Watched, random_model, tokenizer, tmp_path, adpo=PAPER, negative_weight=0.5)
    run.reward_funcs = [refusing]
    run.train_dataset = Dataset.from_list(
        [{"prompt": f"solve {n}", "self_consistency": 0.5, "negative": n % 2 == 1} for n in range(8)]
    )
    run.train()
    assert len(seen) == 4
    for rewards, advantages in seen:
        assert advantages.tolist() == pytest.approx([0.5 * reward for reward in rewards])
