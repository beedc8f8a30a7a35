"""Rewards as pure functions of numbers and texts."""

from __future__ import annotations

from agent0.rewards.composition import CurriculumReward, curriculum_reward, tool_use, uncertainty
from agent0.rewards.length import overlong_penalty
from agent0.rewards.repetition import repetition_shares

__all__ = [
    "CurriculumReward",
    "curriculum_reward",
    "overlong_penalty",
    "repetition_shares",
    "tool_use",
    "uncertainty",
]
