"""Where runs are tracked and buffered; kept apart so that asking does not import mlflow."""

from __future__ import annotations

import os
import re
from pathlib import Path

from agent0.storage import workspace
from agent0.storage.uri import is_in_s3

BUFFER_VARIABLE = "AGENT0_TRACKING_BUFFER"
URI_VARIABLE = "MLFLOW_TRACKING_URI"
POD_PREFIX = "AGENT0_"
_RELATIVE = re.compile(r"(?P<scheme>sqlite(?:\+\w+)?:///)(?P<path>[^/:?][^?]*)")


def variable_of(key: str) -> str:
    """Return the environment variable by which a pod gets what a ConfigMap or Secret holds under `key`.

    Those of MLflow get a prefix: a server whose MLflow plugin has `injectUserEnvVars` names them in the pod as well,
    and Kubernetes refuses a pod in which one variable has a value and a reference.
    """
    return f"{POD_PREFIX}{key}" if key.startswith("MLFLOW_") else key


def adopt_pod_variables() -> None:
    """Give MLflow's own variables what the pod's settings say, where the server's plugin has said nothing.

    Where the plugin names another tracking server, nothing is taken: the credentials are not for that one.
    """
    place = os.environ.get(variable_of(URI_VARIABLE), "")
    if os.environ.get(URI_VARIABLE, place) != place:
        return
    head = variable_of("MLFLOW_")
    for name in [name for name in os.environ if name.startswith(head)]:
        os.environ.setdefault(name.removeprefix(POD_PREFIX), os.environ[name])


def tracking_uri() -> str:
    """Return `MLFLOW_TRACKING_URI`, or the SQLite file `mlflow.db` in the current folder, as MLflow itself would.

    In a pod it is the one of the server's plugin, else that of the ConfigMap.
    """
    adopt_pod_variables()
    return absolute(os.environ.get(URI_VARIABLE) or "sqlite:///mlflow.db")


def absolute(uri: str, folder: Path | None = None) -> str:
    """Return the address of a store; of an SQLite file that is named from `folder`, the one from the root.

    Tasks work in folders of their own, so a name from the current one (the default) would mean another file in each.
    """
    start = (folder or Path()).absolute()
    return _RELATIVE.sub(lambda found: f"{found['scheme']}{os.path.normpath(start / found['path'])}", uri, count=1)


def relative(uri: str, folder: Path) -> str:
    """Return the address of a store as `absolute` reads it; that of a SQLite file as the way there from `folder`."""
    file = store_file(uri)
    return uri if file is None else absolute(uri).replace(str(file), os.path.relpath(file, folder.absolute()), 1)


def store_file(uri: str) -> Path | None:
    """Return the file of a SQLite store; None of a server, another database, or one in memory."""
    scheme, _, name = absolute(uri).partition("?")[0].partition(":///")
    return Path(name) if scheme.partition("+")[0] == "sqlite" and name.startswith("/") else None


def buffer_folder() -> Path | None:
    """Return the folder in which what MLflow has not taken yet outlives a process; None if there is none.

    It is `AGENT0_TRACKING_BUFFER`, else `tracking` under a local `AGENT0_WORKSPACE`.
    """
    named = os.environ.get(BUFFER_VARIABLE)
    if named:
        return Path(named)
    root = os.environ.get(workspace.ENVIRONMENT_VARIABLE, "")
    return Path(root) / "tracking" if root and not is_in_s3(root) else None
