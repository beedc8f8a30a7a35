"""Evaluations beside each other, beside the paper's tables, and over time."""
