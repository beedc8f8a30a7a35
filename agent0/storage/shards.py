"""Records as sharded Parquet: a folder of `part-00000.parquet`, `part-00001.parquet`, ..., each whole or absent.

The columns are derived from the record's fields, so schema, writer and reader cannot disagree. Reading and writing go
by row group on one thread and hold one row group at a time. A shard is never appended to or changed.
"""

from __future__ import annotations

import functools
import shutil
import types
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from agent0.errors import Agent0Error
from agent0.storage.atomic_file import atomic_path
from agent0.types import Record, Stored

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

R = TypeVar("R", bound=Record)

ROW_GROUP = 256
"""Records held at once; with 4,096 tokens each, about 100 MB while they are Python objects."""
SHARD_RECORDS = 10_000
_SCALARS = {str: "string", bool: "bool", int: "int64", float: "float64"}


def shard_name(number: int) -> str:
    """Return the file name of a shard."""
    return f"part-{number:05d}.parquet"


def write_shard(path: Path, records: Iterable[R], kind: type[R]) -> int:
    """Write one shard, whole or not at all, and return its number of records."""
    import pyarrow.parquet as pq

    schema, count, pending = _schema(kind), 0, iter(records)
    with atomic_path(path) as temporary, pq.ParquetWriter(temporary, schema, compression="zstd") as writer:
        while group := list(islice(pending, ROW_GROUP)):
            writer.write_batch(_batch(group, schema))
            count += len(group)
    return count


def write_shards(folder: Path, records: Iterable[R], kind: type[R], size: int = SHARD_RECORDS) -> int:
    """Write records as shards of `size`, and return their number; no records make one empty shard."""
    total = number = 0
    pending = iter(records)
    while True:
        count = write_shard(folder / shard_name(number), islice(pending, size), kind)
        total, number = total + count, number + 1
        first = next(pending, None) if count == size else None
        if first is None:
            return total
        pending = _with_first(first, pending)


def iterate_records(kind: type[R], *folders: Path) -> Iterator[R]:
    """Yield the records of all shards of `folders` in the order of the shards' numbers, which must have no gap.

    Raises:
        Agent0Error: a shard is missing, there twice, cut short, or of another version.
    """
    for path in shard_files(kind, *folders):
        yield from iterate_shard(path, kind)


def iterate_shard(path: Path, kind: type[R], rows: Collection[int] | None = None) -> Iterator[R]:
    """Yield the records of one shard, or those at the positions `rows` only, in their order.

    Raises:
        Agent0Error: the shard is cut short, or of another version.
    """
    wanted = None if rows is None else set(rows)
    start = 0
    with _open(path, kind) as file:
        for group in range(file.num_row_groups):
            here = range(start, start + file.metadata.row_group(group).num_rows)
            start = here.stop
            if wanted is None:
                yield from _records(file, group, path, kind)
            elif chosen := sorted(wanted.intersection(here)):
                records = list(_records(file, group, path, kind, [row - here.start for row in chosen]))
                yield from records


def count_records(kind: type[R], *folders: Path) -> int:
    """Return how many records `iterate_records` would yield, from the shards' footers alone.

    Raises:
        Agent0Error: as `iterate_records`.
    """
    total = 0
    for path in shard_files(kind, *folders):
        with _open(path, kind) as file:
            total += file.metadata.num_rows
    return total


def check_shard(path: Path, kind: type[Record]) -> None:
    """Look at a shard's footer.

    Raises:
        Agent0Error: the shard is cut short, or of another version.
    """
    with _open(path, kind):
        pass


def shard_files(kind: type[Record], *folders: Path) -> list[Path]:
    """Return the shards of `folders` in the order of their numbers.

    Raises:
        Agent0Error: there are none, one is there twice, or a number is missing.
    """
    places = ", ".join(map(str, folders))
    paths = sorted((path for folder in folders for path in folder.glob("part-*.parquet")), key=lambda path: path.name)
    if not paths:
        raise Agent0Error(f"There are no {kind.__name__} shards in {places}; run the stage that writes them first.")
    for number, path in enumerate(paths):
        if path.name != shard_name(number):
            problem = f"lacks {shard_name(number)}" if path.name > shard_name(number) else f"holds {path.name} twice"
            raise Agent0Error(f"The {kind.__name__} data in {places} {problem}; run the stage that writes it again.")
    return paths


def copy_shard(path: Path, folder: Path, name: str = "") -> None:
    """Copy a shard into the folder, whole or not at all, under its own name or another."""
    with atomic_path(folder / (name or path.name)) as temporary:
        shutil.copyfile(path, temporary)


def add_shard(kind: type[R], earlier: Path, records: Iterable[R], folder: Path) -> None:
    """Write to `folder` the shards of `earlier`, if it is there, and one more with `records`."""
    before = shard_files(kind, earlier) if earlier.is_dir() else []
    for path in before:
        copy_shard(path, folder)
    write_shard(folder / shard_name(len(before)), records, kind)


def _with_first(first: R, rest: Iterator[R]) -> Iterator[R]:
    yield first
    yield from rest


@contextmanager
def _open(path: Path, kind: type[Record]) -> Iterator[pq.ParquetFile]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise Agent0Error(_broken(path, kind, str(error))) from error
    with file:
        found, expected = file.schema_arrow, _schema(kind)
        if not found.equals(expected):
            differing = sorted({*found.names} ^ {*expected.names}) or [
                name for name in expected.names if found.field(name) != expected.field(name)
            ]
            raise Agent0Error(
                f"{path} is no shard of {kind.__name__} records: it differs in {', '.join(differing) or 'order'}. "
                "The file comes from another version; run the stage that writes it again."
            )
        yield file


def _records(file: pq.ParquetFile, group: int, path: Path, kind: type[R], rows: list[int] | None = None) -> Iterator[R]:
    import pyarrow as pa

    try:
        table = file.read_row_group(group, use_threads=False)
    except (pa.ArrowInvalid, OSError) as error:
        raise Agent0Error(_broken(path, kind, str(error))) from error
    for row in (table if rows is None else table.take(rows)).to_pylist():
        try:
            yield kind.model_validate(row)
        except ValidationError as error:
            raise Agent0Error(
                f"{path} holds what is no {kind.__name__}: {error.errors()[0]['msg']}. "
                "The file comes from another version; run the stage that writes it again."
            ) from error


def _broken(path: Path, kind: type[Record], reason: str) -> str:
    return (
        f"{path} is no whole Parquet file of {kind.__name__} records ({reason.rstrip('.')}); remove it and run the "
        "stage that writes it again."
    )


def _batch(records: list[R], schema: pa.Schema) -> pa.RecordBatch:
    import pyarrow as pa

    rows = pa.array([_plain(record) for record in records], pa.struct(list(schema)))
    return pa.RecordBatch.from_struct_array(rows).cast(schema)


def _plain(value: Any) -> Any:
    """Return a record as nested dictionaries, without copying its lists of numbers."""
    if isinstance(value, Record):
        return {name: _plain(item) for name, item in value}
    if isinstance(value, tuple) and value and isinstance(value[0], Record):
        return [_plain(item) for item in value]
    return value


@functools.cache
def _schema(kind: type[Record]) -> pa.Schema:
    import pyarrow as pa

    return pa.schema(_fields(kind))


def _fields(kind: type[BaseModel]) -> list[pa.Field]:
    import pyarrow as pa

    return [pa.field(name, _arrow_type(field.annotation)) for name, field in kind.model_fields.items()]


def _arrow_type(annotation: Any) -> pa.DataType:
    """Return the column type of a field's annotation; every column may be null, and pydantic judges the values."""
    import pyarrow as pa

    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        stored = next((part for part in arguments[1:] if isinstance(part, Stored)), None)
        return _arrow_type(arguments[0]) if stored is None else pa.type_for_alias(stored)
    if origin in (Union, types.UnionType):
        return _arrow_type(next(part for part in arguments if part is not type(None)))
    if origin is tuple:
        return pa.list_(pa.field("element", _arrow_type(arguments[0])))
    if origin is Literal:
        return pa.string()
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return pa.struct(_fields(annotation))
    return pa.type_for_alias(_SCALARS[annotation])
