"""The curriculum agent's reward, as arithmetic on arrays: one entry per proposed task of the batch.

Repetition needs texts and lives in `agent0.rewards.repetition`; the executor's own reward is
`Verdict.correct`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from agent0.config import RewardSettings
from agent0.errors import UsageError

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class CurriculumReward:
    """Rewards of a batch and the terms they were made of, each of shape (batch,).

    `uncertainty`, `tool_use`, `repetition`, `archive` and those of `terms` are as they enter the sum, weights included;
    `total` is what the agent is trained on.
    """

    total: Floats
    format: Floats
    uncertainty: Floats
    tool_use: Floats
    repetition: Floats
    archive: Floats
    terms: Mapping[str, Floats] = field(default_factory=dict)

    def means(self) -> dict[str, float]:
        """Batch means by term, for logging; an empty batch has none. A further term's place has a dot for its colon."""
        if not len(self.total):
            return {}
        return {
            "total": float(self.total.mean()),
            "format": float(self.format.mean()),
            "uncertainty": float(self.uncertainty.mean()),
            "tool_use": float(self.tool_use.mean()),
            "repetition": float(self.repetition.mean()),
            "archive": float(self.archive.mean()),
            **{f"terms/{name.replace(':', '.')}": float(values.mean()) for name, values in self.terms.items()},
        }


def uncertainty(self_consistency: ArrayLike) -> Floats:
    """R_unc = 1 - 2 |p - 0.5|: 1 where half the samples agree, 0 where all or none do (paper section 3.2)."""
    return 1.0 - 2.0 * np.abs(np.asarray(self_consistency, dtype=np.float64) - 0.5)


def tool_use(tool_calls: ArrayLike, per_call: float, cap: float) -> Floats:
    """R_tool = per_call * min(calls, cap), on mean tool calls per executor trajectory (paper section 3.2)."""
    return per_call * np.minimum(np.asarray(tool_calls, dtype=np.float64), cap)


def curriculum_reward(
    valid: Sequence[bool] | NDArray[np.bool_],
    self_consistency: ArrayLike,
    tool_calls: ArrayLike,
    shares: ArrayLike,
    settings: RewardSettings,
    *,
    likeness: ArrayLike = 0.0,
    terms: Mapping[str, Floats] | None = None,
) -> CurriculumReward:
    """Compose the reward of a batch of proposals.

    `settings.composition` 'paper': R = valid * max(0, w_unc R_unc + w_tool R_tool - w_rep share - w_arch likeness +
    further terms).
    'official-code': (min(p, 1 - p) where valid, else -1) - share + R_tool, so an invalid proposal may still
    collect the tool term and there is no floor; that code knows no weights.
    'absolute-zero': 1 - p where 0 < p < 1, else 0; -1 where not valid, since its paper takes only a valid proposal for
    well formatted (section 3.1). Its published code gives -0.5 to what is well formatted but not valid, and in place
    of that 0.

    Args:
        valid: whether each proposal is in the required format, shape (batch,).
        self_consistency: p, the vote's share of all k samples, in [0, 1]; ignored (NaN allowed) where not
            valid.
        tool_calls: executor's mean tool calls per trajectory; where not valid, NaN counts as 0.
        shares: size of each proposal's cluster over the batch size (`repetition_shares`).
        settings: weights, cap and composition.
        likeness: of each proposal to the nearest earlier question, in [0, 1] (`archive_likeness`).
        terms: further ones, weights included (`Terms.of`); only composition 'paper' has them.

    Raises:
        UsageError: shapes differ, or a valid entry is not finite or out of range.
    """
    mask = np.asarray(valid, dtype=bool)
    consistency, calls, share = (
        np.asarray(values, dtype=np.float64) for values in (self_consistency, tool_calls, shares)
    )
    _check(mask, consistency, calls, share)
    consistency = np.where(mask, consistency, 0.0)
    calls = np.where(mask | np.isfinite(calls), calls, 0.0)
    tools = tool_use(calls, settings.tool_reward_per_call, settings.tool_call_cap)
    if settings.composition == "official-code":
        uncertain = np.where(mask, np.minimum(consistency, 1.0 - consistency), -1.0)
        return CurriculumReward(
            total=uncertain - share + tools,
            format=mask.astype(np.float64),
            uncertainty=uncertain,
            tool_use=tools,
            repetition=share,
            archive=np.zeros_like(share),
        )
    if settings.composition == "absolute-zero":
        teaches = mask & (consistency > 0) & (consistency < 1)
        learnability = np.where(teaches, 1.0 - consistency, np.where(mask, 0.0, -1.0))
        nothing = np.zeros_like(share)
        return CurriculumReward(learnability, mask.astype(np.float64), learnability, nothing, nothing, nothing)
    weighted_uncertainty = settings.uncertainty_weight * np.where(mask, uncertainty(consistency), 0.0)
    weighted_tools = settings.tool_weight * tools
    penalty = settings.repetition_weight * share
    archive = settings.archive_weight * np.broadcast_to(np.asarray(likeness, dtype=np.float64), share.shape)
    more = dict(terms or {})
    summed = weighted_uncertainty + weighted_tools - penalty - archive + sum(more.values())
    total = np.where(mask, np.maximum(0.0, summed), 0.0)
    return CurriculumReward(
        total=total,
        format=mask.astype(np.float64),
        uncertainty=weighted_uncertainty,
        tool_use=weighted_tools,
        repetition=penalty,
        archive=archive,
        terms=more,
    )


def _check(mask: NDArray[np.bool_], consistency: Floats, calls: Floats, share: Floats) -> None:
    if mask.ndim != 1 or not mask.shape == consistency.shape == calls.shape == share.shape:
        raise UsageError(
            f"A reward needs one entry per proposal in each input; got shapes {mask.shape}, "
            f"{consistency.shape}, {calls.shape} and {share.shape}."
        )
    if not bool(np.all((consistency[mask] >= 0) & (consistency[mask] <= 1))):
        raise UsageError("The self-consistency of a valid proposal must lie in [0, 1]; vote on its answers first.")
    if not bool(np.all(calls[mask] >= 0) and np.all(np.isfinite(calls[mask]))):
        raise UsageError("The tool calls of a valid proposal must be a finite number, 0 or more.")
    if not bool(np.all((share >= 0) & (share <= 1))):
        raise UsageError("A repetition share must lie in [0, 1]; take it from repetition_shares.")
