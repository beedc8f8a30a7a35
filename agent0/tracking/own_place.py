"""Where a SQLite tracking store lies, kept in it, so that one which was copied writes beside itself.

MLflow keeps whole paths: of each experiment's and each run's artifacts, and of each model version. In a copy they lead
to the original, and what is tracked in the copy would be written there. So an experiment of ours has its store's own
path as a tag, and opening a store at another path points what lies beside it to where it is now.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import unquote

from agent0.tracking.delivery import RefusedError
from agent0.tracking.tracking_location import store_file

PLACE_TAG = "agent0.store"
ARTIFACTS_FOLDER = "mlartifacts"
_PATHS = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("trace_tags", "value"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)
"""Columns of MLflow's tables that hold places of files; those of model versions may lie outside the artifacts."""


def settle(uri: str) -> None:
    """See that a SQLite store which was copied or moved writes beside itself; of other stores nothing is asked.

    Raises:
        RefusedError: its artifacts did not come along, so that it would write into the original's.
    """
    file = store_file(uri)
    if file is None or not file.is_file() or not file.stat().st_size:
        return
    with _written(file) as store:
        for old in _other_places(store, file):
            if not (file.parent / ARTIFACTS_FOLDER).is_dir():
                raise RefusedError(
                    f"The tracking store {file} was copied from {old} without its artifacts, and would write into "
                    f"{old.parent / ARTIFACTS_FOLDER}; copy that folder beside it, or name the original: "
                    f"MLFLOW_TRACKING_URI=sqlite:///{old}"
                )
            for table, column in _PATHS:
                _point(store, table, column, old.parent, file.parent)
            store.execute(
                "UPDATE experiment_tags SET value = ? WHERE key = ? AND value = ?", (str(file), PLACE_TAG, str(old))
            )


def _point(store: sqlite3.Connection, table: str, column: str, old: Path, new: Path) -> None:
    """Point what a column says of files below `old` to `new`; a model that did not come along stays where it is."""
    for start, there in ((f"{old}/", f"{new}/"), (f"{old.as_uri()}/", f"{new.as_uri()}/")):
        below = f"FROM {table} WHERE substr({column}, 1, ?) = ?"
        for (place,) in store.execute(f"SELECT DISTINCT {column} {below}", (len(start), start)).fetchall():
            rest = place.removeprefix(start)
            if table != "model_versions" or (new / unquote(rest)).exists():
                store.execute(f"UPDATE {table} SET {column} = ? WHERE {column} = ?", (there + rest, place))


@contextmanager
def _written(file: Path) -> Iterator[sqlite3.Connection]:
    """Yield a store in which all that the block writes is written, or nothing."""
    with closing(sqlite3.connect(file, timeout=60)) as store, store:
        yield store


def _other_places(store: sqlite3.Connection, file: Path) -> list[Path]:
    """Return where the store says that it lies, if that is not here; a file by another name or a link to it is here."""
    try:
        rows = store.execute("SELECT DISTINCT value FROM experiment_tags WHERE key = ?", (PLACE_TAG,)).fetchall()
    except sqlite3.DatabaseError:  # no store of MLflow, or of another version: its client says so
        return []
    places = [Path(value) for (value,) in rows]
    return [place for place in places if place != file and not (place.exists() and place.samefile(file))]
