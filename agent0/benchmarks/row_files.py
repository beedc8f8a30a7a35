"""Rows of JSON Lines, Parquet and CSV files, as the mappings that they hold; columns are the benchmark's business."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from agent0.benchmarks.spec import BenchmarkError
from agent0.storage.text_files import parse_json

SUFFIXES = (".jsonl", ".parquet", ".csv")


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Read every row of a file.

    Raises:
        BenchmarkError: no such file, another ending, or content that is not what the ending says.
    """
    if not path.is_file():
        raise BenchmarkError(f"There is no file {path}; give a {', '.join(SUFFIXES)} file.")
    readers = {".jsonl": _read_jsonl, ".parquet": _read_parquet, ".csv": _read_csv}
    reader = readers.get(path.suffix)
    if reader is None:
        raise BenchmarkError(f"{path} ends in {path.suffix or 'nothing'}; rows are read from {', '.join(SUFFIXES)}.")
    return reader(path)


def _read_jsonl(path: Path) -> list[dict[str, Any]]:
    rows = []
    advice = "write one JSON object a line, in UTF-8"
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                row = parse_json(line, f"Line {number} of {path}", mended_by=advice)
                if not isinstance(row, dict):
                    raise BenchmarkError(f"Line {number} of {path} is no JSON object; {advice}.")
                rows.append(row)
    return rows


def _read_parquet(path: Path) -> list[dict[str, Any]]:
    import pyarrow
    import pyarrow.parquet

    try:
        rows: list[dict[str, Any]] = pyarrow.parquet.read_table(path).to_pylist()
    except (pyarrow.ArrowException, OSError) as error:
        raise BenchmarkError(f"{path} is no whole Parquet file: {error}. Fetch it again.") from error
    return rows


def _read_csv(path: Path) -> list[dict[str, Any]]:
    limit = csv.field_size_limit(2**31 - 1)  # a question of BBEH is longer than the default field
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return [dict(row) for row in csv.DictReader(file, strict=True)]
    except (csv.Error, UnicodeDecodeError) as error:
        raise BenchmarkError(f"{path} is no CSV in UTF-8: {error}. Quote fields that hold commas or lines.") from error
    finally:
        csv.field_size_limit(limit)
