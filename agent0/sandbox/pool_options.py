"""Limits of the sandbox that are not settings of a recipe: constructor keywords of the pool, with defaults."""

from __future__ import annotations

import tempfile
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agent0.config import SandboxSettings
from agent0.errors import UsageError
from agent0.sandbox.jail import paths
from agent0.sandbox.layers import LAYERS


@dataclass(frozen=True)
class PoolOptions:
    """How a pool is run.

    Attributes:
        queue_limit: programs that may wait; more callers wait for a place, or get SandboxBusyError if they will not.
        recycle_after: runs after which a fork server is replaced by a fresh one.
        workers_per_server: programs at once in one fork server; more workers make more servers.
        max_source_bytes: longest program.
        scratch_mb: MiB of files that one program may hold.
        file_mb: MiB of one file.
        open_files: file descriptors of one program.
        threads: threads of one program; a pool of 64, the largest usual one, fits.
        scratch_dir: where scratch folders are made when the kernel grants no mount namespace.
        uid_base: programs run as this user id plus their slot when the pool runs as root; None: as ids that each fork
            server draws, since the kernel counts the threads of one id together, whatever pool they belong to.
        start_timeout_seconds: how long a fork server may take to come up, with its preloads.
        without: names of layers to leave off, to test that the policy notices and to measure what a layer costs.
    """

    queue_limit: int = 1024
    recycle_after: int = 5000
    workers_per_server: int = 8
    max_source_bytes: int = 1 << 20
    scratch_mb: int = 64
    file_mb: int = 32
    open_files: int = 64
    threads: int = 80
    scratch_dir: Path = field(default_factory=lambda: Path(tempfile.gettempdir()))
    uid_base: int | None = None
    start_timeout_seconds: float = 60.0
    without: Collection[str] = ()

    def __post_init__(self) -> None:
        for name in ("queue_limit", "recycle_after", "workers_per_server", "max_source_bytes", "threads"):
            if getattr(self, name) < 1:
                raise UsageError(f"The sandbox's {name} must be at least 1, not {getattr(self, name)}.")
        unknown = set(self.without) - set(LAYERS)
        if unknown:
            raise UsageError(f"There is no layer {', '.join(sorted(unknown))}; the layers are {', '.join(LAYERS)}.")

    def server_config(self, settings: SandboxSettings, slots: int) -> dict[str, Any]:
        """What a fork server is told at its start."""
        return {
            "preload": list(settings.preload),
            "site": paths.site_folders(),
            "slots": slots,
            "memory_mb": settings.memory_mb,
            "scratch_mb": self.scratch_mb,
            "file_mb": self.file_mb,
            "open_files": self.open_files,
            "threads": self.threads,
            "scratch_dir": str(self.scratch_dir),
            "uid_base": self.uid_base,
            "without": sorted(self.without),
        }
