"""How transfers talk to a store, from the environment; where the server is and who asks, boto3 finds by itself."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from agent0.storage.uri import StorageError


@dataclass(frozen=True)
class TransferSettings:
    """How transfers talk to a store.

    Attributes:
        workers: requests at a time.
        part_bytes: larger files go in parts of this size (or of a larger one, since S3 takes at most 10,000 parts).
        deadline_seconds: how long one request is tried again before the transfer fails.
    """

    workers: int = 10
    part_bytes: int = 8 << 20
    deadline_seconds: float = 300.0

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> TransferSettings:
        """Read `AGENT0_STORAGE_WORKERS` and `AGENT0_STORAGE_DEADLINE` (seconds) over the defaults."""
        found = os.environ if environment is None else environment
        workers = number_from(found, "AGENT0_STORAGE_WORKERS", cls.workers, 1)
        return cls(int(workers), cls.part_bytes, number_from(found, "AGENT0_STORAGE_DEADLINE", cls.deadline_seconds, 0))


def number_from(found: Mapping[str, str], name: str, default: float, least: float) -> float:
    """Return the number that an environment variable holds, or the default where it is unset.

    Raises:
        StorageError: it is no number, or a smaller one than `least`.
    """
    text = found.get(name)
    if not text:
        return default
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not value >= least:
        raise StorageError(f"{name} is {text!r}; give a number of at least {least}, or unset it.")
    return value
