"""What unfinished work was begun with, in a file beside it: whoever goes on with it must have the same."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from agent0.errors import UsageError, shortened
from agent0.nested_values import leaves
from agent0.storage.atomic_file import write_json
from agent0.storage.text_files import read_object

SHOWN = 5


def begin_or_agree(
    path: Path,
    settings: Mapping[str, Any],
    *,
    holds: str,
    otherwise: str,
    unreadable: str,
    may_change: Collection[str] = (),
) -> bool:
    """Write the settings where none are yet, else see that they are those of before; return whether they are new.

    Args:
        path: the file.
        settings: JSON values.
        holds: what the work is of another of, as "RUNS holds samples of another evaluation".
        otherwise: what to do but restore the settings, as "name another output folder".
        unreadable: what to do where the file cannot be read.
        may_change: settings, or sections of them, as `section.field`, that may be others.

    Raises:
        UsageError: they differ, or the file is damaged.
    """
    now = json.loads(json.dumps(settings))
    if not path.exists():
        write_json(path, now)
        return True
    before = dict(leaves(read_object(path, mended_by=unreadable)))
    now = dict(leaves(now))
    names = sorted(name for name in {*before, *now} if not _is_within(name, may_change))
    differing = [name for name in names if before.get(name) != now.get(name)]
    if differing:
        shown = "; ".join(f"{name}: {_said(now, name)}, was {_said(before, name)}" for name in differing[:SHOWN])
        more = f"; and {len(differing) - SHOWN} more" if len(differing) > SHOWN else ""
        raise UsageError(f"{holds} ({shown}{more}); restore those settings to go on with it, or {otherwise}.")
    return False


def _is_within(name: str, sections: Collection[str]) -> bool:
    return any(name == section or name.startswith(f"{section}.") for section in sections)


def _said(settings: Mapping[str, Any], name: str) -> str:
    return shortened(json.dumps(settings[name], ensure_ascii=False)) if name in settings else "not there"
