"""ADPO: GRPO whose advantages shrink and whose upper clip bound widens where the vote was ambiguous.

Paper section 3.3, with the official script's constants: w = clip((p - 0.3) / 0.5, 0, 1), advantage times
(0.6 + 0.4 w), upper bound 0.2 + 0.1 (1 - w), lower bound 0.2. The clip only acts once the policy has moved away from
the one that drew the batch, so it needs more than one optimizer step per generation batch.

Relies on three private methods and two attributes of TRL 1.16's `GRPOTrainer`; `tests/training/test_adpo.py` is the
contract that a new TRL must pass.
"""

from __future__ import annotations

from typing import Any

import torch

from agent0.config import ADPOSettings
from agent0.training.useful_tokens import UsefulTokensTrainer

SELF_CONSISTENCY_COLUMN = "self_consistency"
NEGATIVE_COLUMN = "negative"
"""Whether a row's task has refused answers alone: its rewards are -1 for those and 0 for all others."""


def confidence(self_consistency: torch.Tensor, settings: ADPOSettings) -> torch.Tensor:
    """Return w in [0, 1] for each self-consistency, shape kept."""
    return ((self_consistency - settings.low) / (settings.high - settings.low)).clamp(0.0, 1.0)


def advantage_scale(w: torch.Tensor, settings: ADPOSettings) -> torch.Tensor:
    """Return the factor on the advantage: `min_advantage_scale` at w = 0, 1 at w = 1."""
    return settings.min_advantage_scale + (1.0 - settings.min_advantage_scale) * w


def upper_clip_bound(w: torch.Tensor, epsilon: float, settings: ADPOSettings) -> torch.Tensor:
    """Return the upper clip bound: `epsilon + max_clip_bonus` at w = 0, `epsilon` at w = 1."""
    return epsilon + settings.max_clip_bonus * (1.0 - w)


class ADPOTrainer(UsefulTokensTrainer):
    """`GRPOTrainer` for datasets with a `self_consistency` column (the vote's share, 0 to 1).

    Rows that a column `negative` marks are compared with nothing: their advantage is their reward, -1 or 0, times
    `negative_weight`.
    """

    epsilon_low: Any
    epsilon_high: Any

    def __init__(self, *args: Any, adpo: ADPOSettings, negative_weight: float = 0.0, **kwargs: Any) -> None:
        self.adpo = adpo
        self._negative_weight = negative_weight
        super().__init__(*args, **kwargs)

    def _calculate_rewards(self, inputs: list[dict[str, Any]], *args: Any) -> torch.Tensor:
        rewards: torch.Tensor = super()._calculate_rewards(inputs, *args)
        begin = self.accelerator.process_index * len(inputs)
        self._own_rewards = rewards[begin : begin + len(inputs)].sum(dim=1)
        return rewards

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        output: dict[str, Any] = super()._generate_and_score_completions(inputs)
        if self.adpo.enabled:
            self._follow_the_vote(output, inputs)
        negative = torch.tensor([bool(row.get(NEGATIVE_COLUMN)) for row in inputs], device=self._own_rewards.device)
        against = self._negative_weight * self._own_rewards.clamp(max=0.0)
        output["advantages"] = torch.where(negative, against, output["advantages"])
        return output

    def _follow_the_vote(self, output: dict[str, Any], inputs: list[dict[str, Any]]) -> None:
        """Scale the advantages and widen the upper clip bound by each row's self-consistency."""
        advantages = output["advantages"]  # (batch,), aligned with `inputs`
        shares = torch.tensor([float(row[SELF_CONSISTENCY_COLUMN]) for row in inputs], device=advantages.device)
        w = confidence(shares, self.adpo)
        scale = advantage_scale(w, self.adpo)
        output["advantages"] = advantages * scale
        # A tensor with the batch as its first axis is shuffled and split with the batch.
        output["epsilon_high"] = upper_clip_bound(w, self.epsilon_high, self.adpo)
        metrics = self._metrics["train" if self.model.training else "eval"]
        metrics["adpo/advantage_scale"].append(self.accelerator.gather(scale).mean().item())
        metrics["adpo/epsilon_high"].append(self.accelerator.gather(output["epsilon_high"]).mean().item())

    def _compute_loss(self, model: Any, inputs: dict[str, Any]) -> Any:
        bound = inputs.get("epsilon_high")
        if bound is None:
            return super()._compute_loss(model, inputs)
        low, high = self.epsilon_low, self.epsilon_high
        # (batch, 1) broadcasts over tokens; torch.clamp takes two tensors or two numbers, never one of each.
        self.epsilon_high = bound.unsqueeze(1)
        self.epsilon_low = torch.full_like(self.epsilon_high, low)
        try:
            return super()._compute_loss(model, inputs)
        finally:
            self.epsilon_low, self.epsilon_high = low, high
