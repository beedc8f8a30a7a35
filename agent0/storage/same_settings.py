"""What unfinished work was begun with, in a file beside it: whoever goes on with it must have the same."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agent0.errors import UsageError
from agent0.storage.atomic_file import write_json
from agent0.storage.text_files import read_object

SHOWN = 5


def begin_or_agree(path: Path, settings: Mapping[str, Any], *, holds: str, otherwise: str, unreadable: str) -> bool:
    """Write the settings where none are yet, else see that they are those of before; return whether they are new.

    Args:
        path: the file.
        settings: JSON values.
        holds: what the work is of another of, as "RUNS holds samples of another evaluation".
        otherwise: what to do but restore the settings, as "name another output folder".
        unreadable: what to do where the file cannot be read.

    Raises:
        UsageError: they differ, or the file is damaged.
    """
    now = json.loads(json.dumps(settings))
    if not path.exists():
        write_json(path, now)
        return True
    before = read_object(path, mended_by=unreadable)
    differing = sorted(key for key in {*before, *now} if before.get(key) != now.get(key))
    if differing:
        shown = "; ".join(f"{key} was {before.get(key)!r}, now {now.get(key)!r}" for key in differing[:SHOWN])
        raise UsageError(f"{holds} ({shown}); restore those settings to go on with it, or {otherwise}.")
    return False
