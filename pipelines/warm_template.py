"""Warm start of local tasks: each is still a process of its own, forked from one that has done the imports.

Kubeflow's local runner starts `sys.executable` for every task, and importing torch, transformers and mlflow costs each
of them 8 s of a core; the 24 tasks of the embedded evolution would spend half their time on it. While `warm_tasks` is
open, `sys.executable` is a launcher that hands its arguments, environment, folder and descriptors to a template process
that imported everything once and forks a child per task. The template has one thread when it forks, holds no model and
no database connection, and dies with the process that opened it; its children die with it. It serves the embedded
model, and any other where there is no GPU: a driver that was once asked does not survive a fork.
"""

import faulthandler
import json
import os
import runpy
import select
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

from agent0.child_processes import die_with_parent
from agent0.errors import Agent0Error

READY = b"ready\n"
DESCRIPTORS = 3
SINGLE_THREADED = {"OMP_NUM_THREADS": "1", "JE_ARROW_MALLOC_CONF": "background_thread:false"}
"""A process that forks must have one thread: numpy's library and Arrow's allocator would start others."""
_STAGES = """
    base_model benchmark_evaluation curriculum_training executor_training iteration_report sandboxed_execution
    task_filtering task_generation closing opening prepare starting_agent warm_start
"""
PRELOADED = (
    "agent0.lean_transformers",
    *(f"agent0.stages.{name}" for name in _STAGES.split()),
    "agent0.tiny.pretrain",
    "agent0.tracking.buffered_tracker",
    "agent0.tracking.job_runs",
    "kfp.dsl.executor_main",
    "mlflow.store.model_registry.sqlalchemy_store",
    "mlflow.store.tracking.sqlalchemy_store",
)
_LAUNCHER = """#!/bin/sh
exec '{python}' -I -S '{client}' '{address}' "$@"
"""


@contextmanager
def warm_tasks() -> Iterator[None]:
    """Start the template, and let `sys.executable` be the launcher for the length of the block.

    Raises:
        Agent0Error: the template could not import what the tasks need.
    """
    python = sys.executable
    with tempfile.TemporaryDirectory(prefix="agent0-warm-") as folder:
        address, launcher = Path(folder) / "socket", Path(folder) / "python"
        client = Path(__file__).with_name("warm_client.py")
        launcher.write_text(_LAUNCHER.format(python=python, client=client, address=address), encoding="utf-8")
        launcher.chmod(0o700)
        command = [python, "-m", __name__, str(address)]
        environment = {**os.environ, **SINGLE_THREADED}
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, env=environment) as template:
            try:
                if template.stdout is None or template.stdout.readline() != READY:
                    raise Agent0Error("The local tasks' template process could not start; its error is in the log.")
                sys.executable = str(launcher)
                yield
            finally:
                sys.executable = python
                template.kill()


def serve(address: str) -> None:
    """Import what tasks need, then fork a child for each request until killed."""
    die_with_parent()
    os.environ["_KFP_RUNTIME"] = "true"  # as Kubeflow sets it for a task; spares the import of its compiler
    for name in PRELOADED:
        __import__(name)
    threads = len(list(Path("/proc/self/task").iterdir()))
    if threads != 1:
        raise Agent0Error(f"The template of the local tasks has {threads} threads; none may be forked.")
    running: dict[int, tuple[int, socket.socket]] = {}
    poll = select.poll()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen()
        poll.register(listener, select.POLLIN)
        os.write(1, READY)
        while True:
            for descriptor, _ in poll.poll():
                if descriptor in running:
                    poll.unregister(descriptor)
                    _bury(descriptor, *running.pop(descriptor))
                    continue
                connection, _ = listener.accept()
                pid = os.fork()
                if pid == 0:
                    for held in (listener, *(other for _, other in running.values())):
                        held.close()
                    _run(connection)
                process = os.pidfd_open(pid)
                running[process] = pid, connection
                poll.register(process, select.POLLIN)


def _bury(process: int, pid: int, connection: socket.socket) -> None:
    """Tell whoever asked for a child how it ended: its exit status, or 128 and the number of the signal."""
    _, status = os.waitpid(pid, 0)
    os.close(process)
    code = os.waitstatus_to_exitcode(status)
    with connection, suppress(BrokenPipeError):  # the launcher may have been killed
        connection.sendall(bytes([code if code >= 0 else 128 - code]))


def _run(connection: socket.socket) -> NoReturn:
    """In a child: become the requested process, run its module, end with its exit status."""
    status = 1
    try:
        die_with_parent()
        with connection:
            request, descriptors = _receive(connection)
        for target, source in enumerate(descriptors):
            os.dup2(source, target)
            os.close(source)
        faulthandler.enable()  # a crash of a library leaves a traceback in the task's log
        os.environ.clear()
        os.environ.update(request["environment"])
        os.chdir(request["folder"])
        _use_threads()
        option, module, *arguments = request["arguments"]
        if option != "-m":
            raise Agent0Error(f"A local task is started by -m, not {option}.")
        sys.argv = [module, *arguments]
        runpy.run_module(module, run_name="__main__", alter_sys=True)
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status & 0xFF)


def _use_threads() -> None:
    """Give torch as many threads as it would have taken, had this process imported it."""
    import torch

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS") or len(os.sched_getaffinity(0))))


def _receive(connection: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """Read a length, the three standard descriptors and that many bytes of JSON."""
    head, descriptors, _, _ = socket.recv_fds(connection, 8, DESCRIPTORS)
    length, data = int.from_bytes(head, "big"), b""
    while len(data) < length:
        data += connection.recv(length - len(data))
    return json.loads(data), descriptors


if __name__ == "__main__":
    serve(sys.argv[1])
