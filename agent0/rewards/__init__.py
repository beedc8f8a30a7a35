"""Rewards as pure functions of numbers and texts."""

from __future__ import annotations

from agent0.rewards.composition import CurriculumReward, curriculum_reward, tool_use, uncertainty
from agent0.rewards.repetition import repetition_shares

__all__ = ["CurriculumReward", "curriculum_reward", "repetition_shares", "tool_use", "uncertainty"]
