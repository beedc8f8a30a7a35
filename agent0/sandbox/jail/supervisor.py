"""The first process of a fork server: makes what must exist before it and cleans up what is left after it.

It enters the user and process namespaces, makes the control groups and the scratch folder, forks the server, and then
waits for the end of either the server or the owner, however either dies.
"""

from __future__ import annotations

import ctypes
import functools
import os
import select
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from . import cgroups, namespaces, program, scratch, server, syscalls, wire

_SECONDS_TO_END = 5.0
_OF_THE_C_LIBRARY = (32, 33)  # SIGCANCEL, SIGSETXID


def main(control_fd: int, owner: int) -> Callable[[], program.Guard]:
    """Run a fork server for process `owner`, whose control socket is `control_fd`.

    Returns in the server's own process, what that has to do; see `server.main`.
    """
    owner_fd = os.pidfd_open(owner)
    if os.getppid() != owner:
        os._exit(1)
    control = socket.socket(fileno=control_fd)
    config = wire.unpack_json(control.recv(wire.MAX_MESSAGE))
    os.umask(0o022)  # the folders made here must be passable for the programs' users
    root = f"{config['scratch_dir']}/agent0-sandbox-{os.getpid()}-{os.urandom(8).hex()}"
    try:
        Path(root).mkdir(0o711)
    except OSError as error:
        control.send(wire.pack_json({"error": f"no scratch folder can be made, give a writable scratch_dir: {error}"}))
        os._exit(1)
    config["scratch_root"] = root
    groups = cgroups.Groups.make(config)
    config["groups"] = [str(path) for path in groups.paths]
    pid = -1
    try:
        layers = [*groups.layers, *_process_namespaces(config["without"])]
        ready, go = os.pipe()
        signal.signal(signal.SIGTERM, _end)
        pid = os.fork()
        if pid > 0:
            control.close()
            os.close(ready)
            _supervise(pid, groups, go, owner_fd)
    finally:
        if pid != 0:
            scratch.remove_tree(root)
            cgroups.remove(groups.paths, _SECONDS_TO_END)
    if pid > 0:
        os._exit(0)
    _restore_signals()
    os.close(go)
    os.close(owner_fd)
    os.read(ready, 1)
    os.close(ready)
    return functools.partial(server.main, control, config, layers, groups.oom_counter)


def _supervise(pid: int, groups: cgroups.Groups, go: int, owner_fd: int) -> None:
    groups.add(pid)
    os.write(go, b"1")
    server_fd = os.pidfd_open(pid)
    try:
        select.select([server_fd, owner_fd], [], [])
    finally:
        signal.pidfd_send_signal(server_fd, signal.SIGKILL)
        os.waitpid(pid, 0)


def _restore_signals() -> None:
    """Let signals do to programs what a fresh interpreter knows, whatever our starter ignores or blocks.

    A shell's `nohup` and `&` ignore some. Other runtimes ignore the two that the C library keeps for itself; neither
    it nor Python touches those, so they are asked of the kernel.
    """
    for number in signal.valid_signals() - {signal.SIGPIPE, signal.SIGXFSZ}:  # those Python itself ignores
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    action = (ctypes.c_uint64 * 4)()  # the kernel's struct sigaction, whose first field is the handler
    for reserved in _OF_THE_C_LIBRARY:
        rt_sigaction = functools.partial(syscalls.call, syscalls.numbers_here()["rt_sigaction"], reserved)
        rt_sigaction(0, ctypes.addressof(action), 8)
        if action[0] == signal.SIG_IGN:
            action[0] = signal.SIG_DFL
            rt_sigaction(ctypes.addressof(action), 0, 8)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _end(number: int, frame: object) -> NoReturn:
    raise SystemExit


def _process_namespaces(without: list[str]) -> list[list[Any]]:
    """Enter a user namespace where that is needed, and a process namespace; each only after a trial in a child."""
    layers: list[list[Any]] = []
    privileged = _works(["pid"], without) == ""
    if not privileged:
        refusal = _works(["user", "pid"], without)
        if refusal:
            return [["user_namespace", False, refusal], ["pid_namespace", False, refusal]]
        namespaces.enter("user")
        layers.append(["user_namespace", True, ""])
    namespaces.enter("pid")
    layers.append(["pid_namespace", True, ""])
    return layers


def _works(kinds: list[str], without: list[str]) -> str:
    """Try to enter the namespaces in a throwaway child; empty where all work, else the reason."""
    left_off = [kind for kind in kinds if f"{kind}_namespace" in without]
    if left_off:
        return "left off by request"
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            for kind in kinds:
                namespaces.enter(kind)
        except OSError as error:
            os.write(write, str(error).encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        reason = pipe.read().decode()
    os.waitpid(pid, 0)
    return reason
