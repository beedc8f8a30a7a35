"""Asking a model the questions of benchmarks, and recording what it answered, with error bars."""
