"""Importing this before trl spares a process mlflow, 2 s of 13 on a CPU core, and what `lean_transformers` spares it.

trl imports it where it is installed, to tell it how long its parts take. No process of a training writes to MLflow: the
stage does, which imports it as usual.
"""

from agent0.lean_transformers import hidden

with hidden("mlflow"):
    import trl.extras.profiling  # noqa: F401
