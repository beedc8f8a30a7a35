"""The method's parts as switches: named settings that leave one of them out, so that each can be measured.

An ablation is nothing but settings; which ones a run is under is read off its settings, never stored beside them, so
the record cannot contradict what ran. It holds no results: those are in `docs/ablations.md`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Ablation:
    """A part left out: the settings that do it, by dotted name, and the paper's row for it where it has one."""

    name: str
    description: str
    settings: Mapping[str, bool | int | float]
    paper: str = ""

    def as_overrides(self) -> str:
        """The settings as one would give them to `--set`."""
        return ", ".join(f"{key}={str(value).lower()}" for key, value in self.settings.items())

    def holds(self, config: Mapping[str, Any]) -> bool:
        """Whether dumped settings have all the values of this ablation; a setting that is missing has none."""
        return all(_lookup(config, key) == value for key, value in self.settings.items())


FULL = "full"
"""The variant of an ablation that leaves nothing out."""
ABLATIONS: Mapping[str, Ablation] = {
    ablation.name: ablation
    for ablation in (
        Ablation(
            "no-curriculum-training",
            "The base model proposes in every iteration; only the executor is trained.",
            {"curriculum.steps": 0},
            "Table 3, w/o curriculum training",
        ),
        Ablation(
            "no-tool-reward",
            "The curriculum agent earns nothing for the executor's tool calls.",
            {"curriculum.reward.tool_reward_per_call": 0},
            "Table 3, w/o tool reward",
        ),
        Ablation(
            "no-repetition-penalty",
            "Similar proposals in a batch cost the curriculum agent nothing.",
            {"curriculum.reward.repetition_weight": 0},
            "Table 3, w/o repetition penalty",
        ),
        Ablation(
            "grpo",
            "The executor is trained by plain GRPO: every label counts the same, the clip is symmetric.",
            {"executor.adpo.enabled": False},
            "Table 3, w/o ADPO",
        ),
        Ablation(
            "single-turn",
            "One program at most in a trajectory, then the answer.",
            {"rollout.max_turns": 1},
            "Table 3, w/o multi-turn; Table 9, one turn",
        ),
        Ablation(
            "proposer-without-tool",
            "The curriculum agent proposes without the tool, as in the official code; the executor keeps it.",
            {"rollout.proposer_tool": False},
        ),
        Ablation(
            "no-tool",
            "No agent has the tool: not in training, voting or evaluation.",
            {"rollout.max_turns": 0},
        ),
    )
}


def active_ablations(config: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of the ablations that hold in dumped settings, in the order of `ABLATIONS`."""
    return tuple(name for name, ablation in ABLATIONS.items() if ablation.holds(config))


def _lookup(config: Mapping[str, Any], key: str) -> Any:
    value: Any = config
    for part in key.split("."):
        if not isinstance(value, Mapping) or part not in value:
            return None
        value = value[part]
    return value
