"""Rewards as pure functions of numbers and texts."""
