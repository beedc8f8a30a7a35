"""The finished samples of one benchmark, a line each, written as they finish: what an interrupted run goes on from.

The file belongs to one fingerprint (questions, prompts, decoding, seed, model). A line that was cut off by a crash is
dropped and its sample drawn again; whole lines are never rewritten.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

from agent0.benchmarks.spec import file_name
from agent0.errors import UsageError
from agent0.storage.same_settings import begin_or_agree
from agent0.storage.text_files import parse_model
from agent0.types import Finish, Record, ToolCall

SAMPLES_FILE = "samples.jsonl"
FINGERPRINT_FILE = "fingerprint.json"


BEGINNING = b'{"item":'
"""Of every line, by which a torn one is known."""


class SampleRecord(Record):
    """One finished trajectory.

    `question` is the item's own text, without prompt and shots. `turns` alternates what the model wrote and what it was
    shown, and is empty where there was only one turn; `seconds` counts from when attempt number `attempt` began, so
    attempts add up.
    """

    item: str
    question: str = ""
    sample: int
    seed: int
    text: str
    turns: tuple[str, ...] = ()
    tool_calls: tuple[ToolCall, ...] = ()
    finish: Finish
    prompt_tokens: int
    drawn_tokens: int
    observed_tokens: int = 0
    attempt: int = 0
    seconds: float = 0.0

    @property
    def truncated(self) -> bool:
        """Whether the trajectory ran out of its token or turn budget."""
        return self.finish != "eos"


class SampleStore:
    """Opens the file in `folder`, with what earlier attempts finished.

    Args:
        folder: of one benchmark of one evaluation.
        fingerprint: JSON values that an earlier attempt must share.

    Raises:
        UsageError: the folder holds samples of another evaluation, or a damaged line that is not the last.
    """

    def __init__(self, folder: Path, fingerprint: Mapping[str, Any]) -> None:
        self._path = folder / SAMPLES_FILE
        folder.mkdir(parents=True, exist_ok=True)
        begin_or_agree(
            folder / FINGERPRINT_FILE,
            fingerprint,
            holds=f"{folder} holds samples of another evaluation",
            otherwise="name another output folder",
            unreadable="name another output folder; this one no longer says whose samples it holds",
        )
        self.records: dict[tuple[str, int], SampleRecord] = {}
        for record in read_samples(folder):
            self.records[record.item, record.sample] = record
        self.attempt = 1 + max((record.attempt for record in self.records.values()), default=-1)
        self._file: TextIO | None = None

    def __enter__(self) -> SampleStore:
        _drop_torn_line(self._path)
        self._file = self._path.open("a", encoding="utf-8")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            self._file = None

    def add(self, records: Sequence[SampleRecord]) -> None:
        """Keep finished samples: once this returns, the end of this process does not lose them."""
        assert self._file is not None, "the store is written inside its context"
        self._file.writelines(record.model_dump_json() + "\n" for record in records)
        self._file.flush()
        for record in records:
            self.records[record.item, record.sample] = record

    @property
    def seconds(self) -> float:
        """Wall time of all attempts, each up to its last finished sample."""
        last: dict[int, float] = {}
        for record in self.records.values():
            last[record.attempt] = max(last.get(record.attempt, 0.0), record.seconds)
        return sum(last.values())


def sample_files(benchmark: str) -> tuple[str, str]:
    """Return the files of a benchmark's store within an evaluation's folder, those that say whose they are first."""
    folder = file_name(benchmark)
    return f"{folder}/{FINGERPRINT_FILE}", f"{folder}/{SAMPLES_FILE}"


def read_samples(folder: Path) -> list[SampleRecord]:
    """Read the finished samples in `folder`; the beginning of one in the last line, cut off by a kill, is none.

    Raises:
        UsageError: a whole line is no sample, or the last one no beginning of one.
    """
    path = folder / SAMPLES_FILE
    if not path.exists():
        return []
    if not path.is_file():
        raise UsageError(f"{path} is no file; remove it, and its samples are drawn again.")
    content = path.read_bytes()
    end = content.rfind(b"\n") + 1
    if not content[end:].startswith(BEGINNING[: len(content) - end]):
        raise UsageError(f"The last line of {path} is no beginning of a sample; remove it, if the file is no other's.")
    whole = content[:end].decode(errors="replace")
    advice = "remove that line, and its sample is drawn again"
    return [
        parse_model(line, SampleRecord, f"Line {number} of {path}", noun="finished sample", mended_by=advice)
        for number, line in enumerate(whole.split("\n")[:-1], start=1)
    ]


def _drop_torn_line(path: Path) -> None:
    """Cut the file behind its last line break."""
    if not path.is_file():
        return
    with path.open("rb+") as file:
        content = file.read()
        file.truncate(content.rfind(b"\n") + 1)
