"""What this machine can run, tried rather than assumed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from agent0 import __version__
from agent0.config import SandboxSettings
from agent0.errors import Agent0Error
from agent0.extras import EVOLUTION, extra_of, installing, not_installed
from agent0.findings import Finding
from agent0.storage.digest import code_version
from agent0.storage.uri_files import require_folder
from agent0.tracking.tracking_location import store_file, tracking_uri

MIN_FREE_BYTES = 2 << 30

Check = Callable[[], str]


def examine() -> list[Finding]:
    """Return what an evolution on this machine needs, each tried."""
    checks: list[tuple[str, Check]] = [
        *((f"package {name}", lambda name=name: _package(name)) for name in EVOLUTION),
        ("sandbox", _sandbox),
        ("tracking", _tracking),
        ("free disk", _disk),
        ("accelerator", _accelerator),
    ]
    return [_try(name, check) for name, check in checks]


def own_title() -> str:
    """Return which build looks."""
    return f"agent0 {__version__} ({code_version()})"


def _try(name: str, check: Check) -> Finding:
    try:
        return Finding(name, "ok", check())
    except ModuleNotFoundError as error:
        if not error.name or not extra_of(error.name):
            raise
        return Finding(name, "fail", str(not_installed(error.name)))
    except Agent0Error as error:
        return Finding(name, "fail", str(error))


def _package(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError as error:
        raise Agent0Error(f"not installed; {installing(extra_of(name))}") from error


def _sandbox() -> str:
    from agent0.sandbox import SandboxPool

    with SandboxPool(SandboxSettings(preload=(), memory_mb=256)) as pool:
        result = pool.run("print(6 * 7)")
    if result.stdout.strip() != "42":
        raise Agent0Error(f"a program that prints 42 gave {result.status}: {result.stdout!r} {result.stderr!r}")
    return f"policy strict is met; a program took {1000 * result.wall_seconds:.1f} ms"


def _tracking() -> str:
    from agent0.tracking.mlflow_runs import open_client

    uri = tracking_uri()
    file = store_file(uri)
    if file is not None and not file.exists():
        require_folder(file.parent)
        return f"{uri}, which the first run makes"
    open_client(uri)
    return uri


def _disk() -> str:
    free = shutil.disk_usage(Path.cwd()).free
    if free < MIN_FREE_BYTES:
        raise Agent0Error(f"only {free >> 20} MiB free here; an evolution needs {MIN_FREE_BYTES >> 20} MiB")
    return f"{free >> 30} GiB"


def _accelerator() -> str:
    import torch

    if torch.cuda.is_available():
        return f"{torch.cuda.device_count()} x {torch.cuda.get_device_name(0)}"
    return f"none; {os.cpu_count()} CPU cores, enough for the recipe 'tiny'"
