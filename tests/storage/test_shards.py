"""Shards of records: what is written comes back, and what is not whole or not ours is a sentence."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from agent0.errors import Agent0Error
from agent0.storage.shards import (
    ROW_GROUP,
    count_records,
    iterate_records,
    iterate_shard,
    shard_name,
    write_shard,
    write_shards,
)
from agent0.types import LabelledTask, ProposalOutcome, Record, SolvedTask, Task, ToolCall, Trajectory, Vote

TASK = Task(id="i1-00000", iteration=1, question="What is 2+3?", proposer_answer="5", proposer_tool_calls=1)
LABELLED = LabelledTask(
    task=TASK,
    vote=Vote(answer="5", count=6, k=10, clusters=3),
    answers=("5", None, "6"),
    tool_calls=0.7,
    truncated=0.1,
    known_answer="5",
)
TRAJECTORY = Trajectory(
    prompt_ids=(1, 2),
    completion_ids=(3, 4, 5),
    mask=(1, 0, 1),
    logprobs=(-0.5, 0.0, -0.25),
    text="```python\nprint(2+3)\n```\n\x00 ünï\u2028code",
    tool_calls=(ToolCall(code="print(2+3)", observation="5\n", status="ok"),),
    finish="eos",
    answer="5",
)
BARE = Trajectory(prompt_ids=(), completion_ids=(), mask=(), text="", finish="length")


def tasks(count: int) -> list[Task]:
    return [Task(id=f"t{number}", iteration=1, question=f"What is {number}?") for number in range(count)]


@pytest.mark.parametrize(
    "record",
    [
        TASK,
        LABELLED,
        SolvedTask(task_id="a", trajectory=TRAJECTORY),
        SolvedTask(task_id="a", trajectory=BARE),
        ProposalOutcome(question=None, rejection="truncated", tool_calls=2),
    ],
)
def test_a_record_survives_being_written_and_read(record: Record, tmp_path: Path) -> None:
    assert write_shards(tmp_path / "deep", [record, record], type(record)) == 2
    assert list(iterate_records(type(record), tmp_path / "deep")) == [record, record]


def test_token_columns_are_as_narrow_as_their_numbers(tmp_path: Path) -> None:
    write_shard(tmp_path / "x.parquet", [SolvedTask(task_id="a", trajectory=TRAJECTORY)], SolvedTask)
    trajectory = pq.read_schema(tmp_path / "x.parquet").field("trajectory").type
    types = {name: trajectory.field(name).type.value_type for name in ("completion_ids", "mask", "logprobs")}
    assert types == {"completion_ids": pa.int32(), "mask": pa.int8(), "logprobs": pa.float32()}


@pytest.mark.parametrize("count", [0, 1, 4, 5, 8, 9])
def test_many_records_are_cut_into_numbered_shards(count: int, tmp_path: Path) -> None:
    assert write_shards(tmp_path, iter(tasks(count)), Task, size=4) == count
    assert [path.name for path in sorted(tmp_path.iterdir())] == [shard_name(i) for i in range(max(1, -(-count // 4)))]
    assert list(iterate_records(Task, tmp_path)) == tasks(count)
    assert count_records(Task, tmp_path) == count


def test_shards_of_several_folders_are_read_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    expected = tasks(6)
    for number in range(3):
        write_shard(tmp_path / str(number % 2) / shard_name(number), expected[2 * number : 2 * number + 2], Task)
    assert list(iterate_records(Task, tmp_path / "1", tmp_path / "0")) == expected


def test_single_rows_are_read_out_of_several_row_groups(tmp_path: Path) -> None:
    path, all_tasks = tmp_path / shard_name(0), tasks(2 * ROW_GROUP + 5)
    write_shard(path, all_tasks, Task)
    rows = [2 * ROW_GROUP + 4, 3, ROW_GROUP]
    assert list(iterate_shard(path, Task, rows)) == [all_tasks[row] for row in sorted(rows)]


def test_a_failed_write_leaves_the_old_shard_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / shard_name(0)
    write_shard(path, [TASK], Task)

    def broken() -> Iterator[Task]:
        yield from tasks(ROW_GROUP + 1)
        raise RuntimeError("disk gone")

    with pytest.raises(RuntimeError, match="disk gone"):
        write_shard(path, broken(), Task)
    assert list(iterate_records(Task, tmp_path)) == [TASK]
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_no_shards_a_gap_and_a_double_are_named(tmp_path: Path) -> None:
    with pytest.raises(Agent0Error, match=r"no Task shards in .*; run the stage that writes them first"):
        list(iterate_records(Task, tmp_path / "none"))
    for number in (0, 1, 3):
        write_shard(tmp_path / "gap" / shard_name(number), [TASK], Task)
    with pytest.raises(Agent0Error, match=r"lacks part-00002\.parquet"):
        count_records(Task, tmp_path / "gap")
    with pytest.raises(Agent0Error, match=r"holds part-00000\.parquet twice"):
        list(iterate_records(Task, tmp_path / "gap", tmp_path / "gap"))


@pytest.mark.parametrize("keep", [0, 3, 0.5, 0.999])
def test_a_shard_that_was_cut_short_is_named(keep: float, tmp_path: Path) -> None:
    path = tmp_path / shard_name(0)
    write_shard(path, tasks(500), Task)
    data = path.read_bytes()
    path.write_bytes(data[: int(keep if keep >= 1 else keep * len(data))])
    with pytest.raises(Agent0Error, match=r"part-00000\.parquet is no whole Parquet file of Task records.*remove it"):
        list(iterate_records(Task, tmp_path))


def test_damage_inside_a_shard_is_named(tmp_path: Path) -> None:
    path = tmp_path / shard_name(0)
    write_shard(path, tasks(500), Task)
    data = bytearray(path.read_bytes())
    data[4:600] = b"\xff" * 596
    path.write_bytes(data)
    with pytest.raises(Agent0Error, match="is no whole Parquet file of Task records"):
        list(iterate_records(Task, tmp_path))


def test_a_shard_of_another_version_is_named_with_its_columns(tmp_path: Path) -> None:
    pq.write_table(pa.table({"id": ["a"], "prompt": ["b"]}), tmp_path / shard_name(0))
    with pytest.raises(Agent0Error, match=r"no shard of Task records: it differs in .*prompt.*another version"):
        list(iterate_records(Task, tmp_path))


def test_a_value_of_another_version_is_named(tmp_path: Path) -> None:
    strange = SolvedTask.model_construct(task_id="a", trajectory=TRAJECTORY.model_copy(update={"finish": "bored"}))
    write_shard(tmp_path / shard_name(0), [strange], SolvedTask)
    with pytest.raises(Agent0Error, match=r"holds what is no SolvedTask: Input should be .*another version"):
        list(iterate_records(SolvedTask, tmp_path))


def test_memory_does_not_grow_with_the_number_of_records(tmp_path: Path) -> None:
    code = textwrap.dedent("""
        import resource, sys
        from pathlib import Path
        from agent0.storage.shards import iterate_records, write_shards
        from agent0.types import SolvedTask, Trajectory

        def solved(count):
            for number in range(count):
                ids = tuple(range(number, number + 1000))
                trajectory = Trajectory.model_construct(
                    prompt_ids=(), completion_ids=ids, mask=(1,) * 1000, logprobs=(0.5,) * 1000, text="x" * 2000,
                    tool_calls=(), finish="eos", answer=None)
                yield SolvedTask.model_construct(task_id=str(number), trajectory=trajectory)

        peaks = []
        for count in (600, 6000):
            folder = Path(sys.argv[1]) / str(count)
            write_shards(folder, solved(count), SolvedTask, size=1000)
            assert sum(1 for _ in iterate_records(SolvedTask, folder)) == count
            peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
        print(peaks[1] - peaks[0])
    """)
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert float(done.stdout) < 60  # MiB; the records are 200 MiB of Python objects
