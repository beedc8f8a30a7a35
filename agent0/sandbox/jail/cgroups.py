"""Control groups around a whole fork server, where the kernel's cgroup files are writable.

They bound the sum over all programs of one server: memory (with files in memory) and tasks. One program's own bounds
are its resource limits; moving each run into a group of its own would cost milliseconds.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_SERVER_MB = 512  # what the server itself may take, with everything that it preloads


@dataclass
class Groups:
    """The control groups of one fork server."""

    layers: list[list[Any]] = field(default_factory=list)
    oom_counter: int | None = None
    paths: list[Path] = field(default_factory=list)

    @staticmethod
    def make(config: dict[str, Any]) -> Groups:
        """Make what can be made; `layers` says what could not, and why."""
        groups = Groups()
        memory = (config["memory_mb"] + config["scratch_mb"]) * config["slots"] + _SERVER_MB
        tasks = (2 * config["threads"] + 2) * config["slots"] + 8
        wanted = {
            "memory": [("memory.max", memory << 20), ("memory.limit_in_bytes", memory << 20)],
            "pids": [("pids.max", tasks)],
        }
        for controller, settings in wanted.items():
            layer = f"{controller}_cgroup"
            if layer in config["without"]:
                groups.layers.append([layer, False, "left off by request"])
                continue
            try:
                path = _make(controller, settings)
                if controller == "memory":
                    counter = next(
                        path / name for name in ("memory.events", "memory.oom_control") if (path / name).exists()
                    )
                    groups.oom_counter = os.open(counter, os.O_RDONLY)
            except OSError as error:
                groups.layers.append([layer, False, str(error)])
                continue
            groups.paths.append(path)
            groups.layers.append([layer, True, ""])
        return groups

    def add(self, pid: int) -> None:
        """Move a process, and all that it will fork, into the groups."""
        for path in self.paths:
            (path / "cgroup.procs").write_text(str(pid))


def remove(paths: list[Path], patience_seconds: float) -> None:
    """Remove control groups whose processes have been killed; those may take a moment to end.

    Raises:
        OSError: a process in a group is still not gone.
    """
    deadline = time.monotonic() + patience_seconds
    for path in paths:
        while path.exists():
            try:
                path.rmdir()
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.01)


def _make(controller: str, settings: list[tuple[str, int]]) -> Path:
    refusal = OSError(f"no {controller} control group is mounted")
    for parent in _parents(controller):
        path = parent / f"agent0-sandbox-{os.getpid()}"
        try:
            path.mkdir()
        except OSError as error:
            refusal = error
            continue
        for name, value in settings:
            if (path / name).exists():
                (path / name).write_text(str(value))
                return path
        path.rmdir()
        refusal = OSError(f"the {controller} controller is not delegated to {parent}")
    raise refusal


def _parents(controller: str) -> list[Path]:
    """Groups in which one may be made: the process's own and, for cgroup 2, the one above it."""
    own = {}
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        own[controllers] = path
    parents = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields, _, source = line.partition(" - ")
        root, mounted = fields.split()[3:5]
        kind, _, options = source.split(maxsplit=2)
        names = [name for name in own if controller in name.split(",")]
        if kind == "cgroup" and controller in options.split(",") and names:
            parents.append(Path(mounted) / _below(own[names[0]], root))
        elif kind == "cgroup2" and "" in own:
            group = Path(mounted) / _below(own[""], root)
            parents += [group, group.parent] if group != Path(mounted) else [group]
    return parents


def _below(path: str, root: str) -> str:
    return path.removeprefix(root.rstrip("/")).lstrip("/")
