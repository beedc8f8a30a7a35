"""Settings of the curriculum agent's reward."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from agent0.config.base import Section


class RewardSettings(Section):
    """The curriculum agent's reward (paper section 3.2; design: R = R_format * max(0, ...))."""

    composition: Literal["paper", "official-code", "absolute-zero"] = Field(
        "paper",
        description=(
            "'paper': format gate times the positive part; 'official-code': min(p, 1-p) or -1, minus share, plus "
            "tools; 'absolute-zero': 1-p, 0 where all or none of the answers are right, or -1 (arXiv 2505.03335, "
            "equations 4 and 6)."
        ),
    )
    uncertainty_weight: float = Field(1.0, ge=0, description="lambda_unc. Paper: 1.")
    tool_weight: float = Field(0.6, ge=0, description="lambda_tool. Paper: 0.6.")
    tool_reward_per_call: float = Field(0.05, ge=0, description="gamma, reward per tool call. Official code: 0.05.")
    tool_call_cap: float = Field(4.0, ge=0, description="C, calls that count. Paper: 4.")
    grounded: bool = Field(
        False,
        description=(
            "Whether only grounded samples (see filtering.min_grounded) can win the vote that is rewarded, so that a "
            "question that the executor copies wrongly earns by how often it does not. Paper: no."
        ),
    )
    repetition_weight: float = Field(
        1.0, ge=0, description="lambda_rep on the share of the task's cluster in the batch. Paper: 1."
    )
    archive_weight: float = Field(
        0.0,
        ge=0,
        description=(
            "Weight of a question's likeness to the nearest one of all earlier iterations: 0 from repetition_distance "
            "on, 1 where it is asked again. Paper: none."
        ),
    )
    repetition_distance: float = Field(
        0.5, gt=0, le=1, description="Average-linkage threshold on 1 - BLEU. Official code: 0.5."
    )

    terms: dict[str, float] = Field(
        {},
        description=(
            "Further terms of the sum, each with its weight: {brevity = 0.2}. A term is an installed package's entry "
            "point, or package.module:NAME; 0 only logs it. Paper: none."
        ),
    )

    @model_validator(mode="after")
    def _weights_act(self) -> RewardSettings:
        weights = ("uncertainty_weight", "tool_weight", "repetition_weight", "archive_weight", "terms")
        changed = [name for name in weights if getattr(self, name) != type(self).model_fields[name].default]
        if self.composition != "paper" and changed:
            raise ValueError(
                f"{', '.join(changed)} would do nothing, since composition {self.composition!r} knows no weights; "
                "leave it at its default, or set composition to 'paper'"
            )
        return self
