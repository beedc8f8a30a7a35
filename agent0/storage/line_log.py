"""Files to which one record a line is added, while they may be killed at any moment."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TextIO, TypeVar

from pydantic import BaseModel, ValidationError

from agent0.errors import Agent0Error
from agent0.storage.text_files import read_text

R = TypeVar("R", bound=BaseModel)


def read_log(path: Path, kind: type[R], *, mended_by: str) -> list[R]:
    """Return the records in a file, none if it is not there; a last line that is not whole is no record yet.

    Args:
        path: of the file.
        kind: of its records.
        mended_by: what to do about a file that cannot be read.

    Raises:
        Agent0Error: a whole line is no such record.
    """
    if not path.exists():
        return []
    records = []
    lines = read_text(path, mended_by=mended_by).split("\n")[:-1]
    for number, line in enumerate(lines, start=1):
        try:
            records += [kind.model_validate_json(line)] if line else []
        except ValidationError as error:
            raise Agent0Error(
                f"Line {number} of {path} is no {kind.__name__}: {error}. Mend or remove the line."
            ) from error
    return records


def open_log(path: Path) -> TextIO:
    """Open a file to add records to, without a last line that a kill cut short."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists():
        written = path.read_bytes()
        os.truncate(path, written.rfind(b"\n") + 1)
    return path.open("a", encoding="utf-8")


def add_record(file: TextIO, record: BaseModel) -> None:
    """Add a record, and hand it to the operating system: it outlives a killed process."""
    file.write(record.model_dump_json() + "\n")
    file.flush()
