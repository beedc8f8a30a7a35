"""Tasks whose answers are known, of a file or a benchmark: they audit the vote and guard the training."""

from __future__ import annotations

from pathlib import Path

from agent0.benchmarks.catalogue import is_benchmark, known_tasks
from agent0.config import ExecutionSettings
from agent0.types import KnownTask, read_records


def read_known_tasks(execution: ExecutionSettings) -> list[KnownTask]:
    """Return the tasks of `execution.known_tasks`; none where nothing is configured.

    Raises:
        Agent0Error: the file is missing, or a line is no task.
        UsageError: there is no such benchmark, or it makes no such tasks.
    """
    source = execution.known_tasks
    if not source:
        return []
    return known_tasks(source, execution.known_count) if is_benchmark(source) else read_records(Path(source), KnownTask)
