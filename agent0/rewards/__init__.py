"""Rewards as pure functions of numbers and texts."""

from __future__ import annotations

from agent0.rewards.composition import CurriculumReward, curriculum_reward, tool_use, uncertainty
from agent0.rewards.length import overlong_penalty
from agent0.rewards.repetition import repetition_shares
from agent0.rewards.terms import TERMS, ProposedTask, RewardTerm, Terms

__all__ = [
    "TERMS",
    "CurriculumReward",
    "ProposedTask",
    "RewardTerm",
    "Terms",
    "curriculum_reward",
    "overlong_penalty",
    "repetition_shares",
    "tool_use",
    "uncertainty",
]
