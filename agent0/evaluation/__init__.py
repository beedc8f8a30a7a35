"""Held-out benchmarks with error bars."""
