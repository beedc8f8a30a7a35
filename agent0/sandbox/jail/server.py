"""The fork server: one single-threaded loop that forks a confined child per request and enforces its limits.

It never sees a program's text or output; both pass through it as file descriptors. It knows run numbers, deadlines and
process ids, and nothing else that a forked program could find in its memory.
"""

from __future__ import annotations

import gc
import importlib
import mmap
import os
import select
import signal
import socket
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import child, lasting_runs, limits, namespaces, paths, program, scratch, wire


@dataclass
class _Run:
    number: int
    pid: int
    pidfd: int
    slot: int
    path: str
    started: float
    deadline: float
    note: mmap.mmap
    reason: int = wire.NOT_KILLED


class Server:
    """State of the loop: the runs in progress by pidfd, and the free slots."""

    def __init__(
        self,
        control: socket.socket,
        config: dict[str, Any],
        confinement: child.Confinement,
        folders: scratch.Scratch,
        oom_counter: int | None,
    ) -> None:
        self._control = control
        self._config = config
        self._confinement = confinement
        self._interpreter = program.Interpreter()
        self._folders = folders
        self._watch = lasting_runs.Watch(confinement.proc, config["threads"], oom_counter)
        self._runs: dict[int, _Run] = {}
        self._free = list(range(config["slots"]))
        self._poll = select.poll()
        self._poll.register(control.fileno(), select.POLLIN)
        self._next_look = 0.0

    def serve(self) -> program.Guard | None:
        """Serve until the owner closes the control socket; returns in each program's process what runs it."""
        try:
            self._loop()
        except child.Begun as begun:
            return begun.guard
        return None

    def _loop(self) -> None:
        while True:
            for fd, _ in self._poll.poll(self._patience()):
                if fd != self._control.fileno():
                    self._reap(self._runs[fd])
                elif not self._receive():
                    return
            self._enforce()

    def _patience(self) -> float | None:
        """Milliseconds until something has to be looked at."""
        if not self._runs:
            return None
        now = time.monotonic()
        soonest = min(run.deadline for run in self._runs.values())
        return max(0.0, min(soonest, max(self._next_look, now)) - now) * 1000 + 0.5

    def _receive(self) -> bool:
        data, fds, _, _ = socket.recv_fds(self._control, 64, wire.RUN_FDS)
        if not data:
            return False
        request = wire.Request.unpack(data)
        if request.kind == wire.RUN:
            self._start(request, fds)
        else:
            for run in self._runs.values():
                if run.number == request.run:
                    self._kill(run, wire.REQUESTED)
        return True

    def _start(self, request: wire.Request, fds: list[int]) -> None:
        slot = self._free.pop()
        place = self._confinement.place(self._folders, slot, request.limit)
        server = os.getpid()
        note = mmap.mmap(-1, 1)  # shared with the child alone, which may say in it why it ended
        started = time.monotonic()
        pid = os.fork()
        if pid == 0:
            self._runs.clear()  # their notes are not mapped here; what comes to lie in their place must stay
            self._control.detach()
            raise child.Begun(child.confine(self._confinement, self._interpreter, place, fds, server, note))
        note.madvise(mmap.MADV_DONTFORK)
        for fd in fds:
            os.close(fd)
        pidfd = os.pidfd_open(pid)
        path, deadline = place.scratch.path, started + request.limit
        self._runs[pidfd] = _Run(request.run, pid, pidfd, slot, path, started, deadline, note)
        self._poll.register(pidfd, select.POLLIN)
        if len(self._runs) == 1:
            self._next_look = started + lasting_runs.INTERVAL

    def _kill(self, run: _Run, reason: int) -> None:
        if run.reason == wire.NOT_KILLED:
            run.reason = reason
            signal.pidfd_send_signal(run.pidfd, signal.SIGKILL)

    def _reap(self, run: _Run) -> None:
        _, status, usage = os.wait4(run.pid, 0)
        wall = time.monotonic() - run.started
        self._poll.unregister(run.pidfd)
        os.close(run.pidfd)
        del self._runs[run.pidfd]
        if "seccomp" not in self._confinement.steps:
            self._watch.kill_orphans({other.pid for other in self._runs.values()})
        self._folders.remove(run.slot)
        self._free.append(run.slot)
        cpu = usage.ru_utime + usage.ru_stime
        reason = self._reason(run, status, cpu)
        run.note.close()
        self._control.send(wire.Result(run.number, status, reason, wall, cpu, usage.ru_maxrss).pack())

    def _reason(self, run: _Run, status: int, cpu: float) -> int:
        """Why a run ended, where it was not by its own doing."""
        if run.reason != wire.NOT_KILLED:
            return run.reason
        if os.WIFSIGNALED(status):
            if self._watch.out_of_memory():
                return wire.OUT_OF_MEMORY
            if os.WTERMSIG(status) == signal.SIGKILL and cpu >= run.deadline - run.started:
                return wire.TIMEOUT  # by the kernel, at the limit of processor time
        elif status != 0 and run.note[0] == wire.OUT_OF_MEMORY:
            return wire.OUT_OF_MEMORY
        return wire.NOT_KILLED

    def _enforce(self) -> None:
        now = time.monotonic()
        for run in self._runs.values():
            if now >= run.deadline:
                self._kill(run, wire.TIMEOUT)
        if now < self._next_look:
            return
        self._next_look = now + lasting_runs.INTERVAL
        for run in self._runs.values():
            if now - run.started < lasting_runs.INTERVAL:
                continue
            if self._watch.too_many_threads(run.pidfd):
                self._kill(run, wire.THREADS)
            if not self._folders.bounded and self._too_much_scratch(run):
                self._kill(run, wire.SCRATCH)

    def _too_much_scratch(self, run: _Run) -> bool:
        removed = self._watch.removed_bytes(run.pidfd, Path(run.path).stat().st_dev, self._config["file_mb"] << 20)
        return scratch.over(run.path, (self._config["scratch_mb"] << 20) - removed)


def main(
    control: socket.socket, config: dict[str, Any], layers: list[list[Any]], oom_counter: int | None
) -> program.Guard:
    """Preload, take the server-wide layers, try the per-run ones, report, serve.

    `layers` are the supervisor's; the report adds this process's, as [name, on, detail]. Returns in the processes
    forked for programs, which then hold nothing of the server; the server's own ends here.
    """
    limits.die_with_parent()
    limits.become_subreaper()
    limits.drop_bounding_set()
    try:
        server = _prepare(control, config, layers, oom_counter)
    except (OSError, ImportError) as error:
        control.send(wire.pack_json({"error": str(error)}))
        os._exit(0)
    guard = server.serve()
    if guard is None:
        os._exit(0)
    return guard


def _prepare(
    control: socket.socket, config: dict[str, Any], layers: list[list[Any]], oom_counter: int | None
) -> Server:
    for kind in ("net", "ipc", "uts", "mount"):
        _try(layers, f"{kind}_namespace", config["without"], lambda kind=kind: namespaces.enter(kind))
    if ["uts_namespace", True, ""] in layers:
        socket.sethostname("sandbox")
    _preload(config["preload"], config["site"])
    readable, devices = paths.readable(config["site"]), paths.devices()
    on = {name for name, taken, _ in layers if taken}
    root = limits.is_root() and "user_namespace" not in on
    config["uid_base"] = config["uid_base"] or limits.user_ids(config["slots"])
    # Twice what a program may have: the look at its threads, which can tell why it is killed, comes before the kernel.
    most = 2 * config["threads"]
    threads = most if root else most * config["slots"] + 8 if "user_namespace" in on else None
    confinement = child.Confinement(config, readable, devices, threads)
    where = "/tmp" if not any(path.startswith("/tmp/") for path in readable) else "/scratch"
    folders: scratch.Scratch = scratch.FolderScratch(config["scratch_root"])
    if "mount_namespace" in on and _try(
        layers,
        "minimal_root",
        config["without"],
        lambda: namespaces.minimal_root(config["scratch_root"], readable, devices, config["slots"], where),
    ):
        folders = scratch.MountedScratch(config["scratch_mb"], where)
    failed = confinement.prepare(root, config["without"], hidden=root or folders.bounded)
    asked = list(confinement.steps)
    failed.update(confinement.trial(folders))
    layers += [[name, False, reason] for name, reason in failed.items()]
    layers += [[name, True, ""] for name in asked if name not in failed]
    mapped = _mapped_mb(confinement.proc)
    prepared = Server(control, config, confinement, folders, oom_counter)
    gc.collect()
    gc.freeze()  # a child's first collection would otherwise copy every page of the server
    gc.disable()
    report = {"layers": layers, "mapped_mb": mapped, "readable": readable}
    control.send(wire.pack_json({**report, "scratch_root": config["scratch_root"], "groups": config["groups"]}))
    return prepared


def _try(layers: list[list[Any]], name: str, without: list[str], step: Any) -> bool:
    """Take a layer unless it is left off or the kernel refuses; note which, and why."""
    if name in without:
        layers.append([name, False, "left off by request"])
        return False
    try:
        step()
    except OSError as error:
        layers.append([name, False, str(error)])
        return False
    layers.append([name, True, ""])
    return True


def _preload(modules: list[str], site: list[str]) -> None:
    sys.path.extend(site)
    for name in modules:
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise ImportError(
                f"Module {name!r} cannot be preloaded: {error}. Install it, or take it out of sandbox.preload."
            ) from error
    threads = len(list(Path("/proc/self/task").iterdir()))
    if threads > 1:
        raise ImportError(
            f"Preloading {', '.join(modules)} started {threads - 1} threads, which a fork server cannot have; "
            "take the module that does so out of sandbox.preload."
        )


def _mapped_mb(proc: int) -> float:
    """Address space of this process in MiB, the least that a program's limit must exceed."""
    fd = os.open("self/statm", os.O_RDONLY, dir_fd=proc)
    pages = int(os.read(fd, 128).split()[0])
    os.close(fd)
    return pages * os.sysconf("SC_PAGESIZE") / 2**20
