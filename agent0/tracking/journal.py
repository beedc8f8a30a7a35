"""What a run has to say to MLflow, in order, in one file that only grows.

Each line is a JSON object: an entry with its number `n`, or `{"delivered": n}`, which says that MLflow has taken every
entry up to `n`. All that delivery needs is in the file, the contents of artifacts included, so it can be copied and
delivered from elsewhere. One process at a time holds it. A line is handed to the operating system at once: it outlives
the process, not a power failure.
"""

from __future__ import annotations

import fcntl
import json
import os
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from agent0.errors import Agent0Error, UsageError
from agent0.storage.text_files import UnreadableError, parse_json

Entry = dict[str, Any]


_FIELDS: dict[str, dict[str, type]] = {
    "open": {
        **dict.fromkeys(("uri", "evolution_id", "injected", "key", "stage", "name"), str),
        **{"iteration": int, "tags": dict, "time": int},
    },
    "metrics": {"values": dict, "step": int, "time": int},
    "params": {"values": dict},
    "tags": {"values": dict},
    "file": {"path": str, "data": str},
    "table": {"path": str, "content": dict},
    "dataset": {"name": str, "digest": str, "context": str, "source": dict, "profile": dict},
    "trace": {"trace": dict},
    "status": {"status": str, "time": int},
    "model": {"name": str, "folder": str, "uri": str, "origin": dict},
    "closing": dict.fromkeys(("uri", "experiment", "job", "status", "outcome"), str),
}
"""What delivering an entry needs of it, by kind; a kind that is not here is of another version."""


class JournalInUseError(UsageError):
    """Another process holds the journal."""


def _beginning(number: int) -> bytes:
    """Return how the entry of a number begins, by which a torn line is known, and a journal."""
    return b'{"n": %d, "run": ' % number


def looks_like_journal(path: Path) -> bool:
    """Whether a file begins as a journal does; one that is empty does not."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        beginning = _beginning(1)
        return file.read(len(beginning)) == beginning


class Journal:
    """An open journal; all methods may be called from any thread.

    Args:
        path: the file; it is made if there is none, and a torn last line (a killed process) is cut off, if it is
            the beginning of what a journal writes.

    Raises:
        JournalInUseError: another process holds it.
        UsageError: the file is no journal.
        Agent0Error: the disk refuses.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("ab", buffering=0)
            self._reader = path.open("rb")
        except OSError as error:
            raise self._refused(error) from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self.close()
            raise JournalInUseError(f"{path} is in use by a stage that runs; it delivers the file itself.") from error
        self.written = self.delivered = 0
        self.opening: Entry | None = None
        self.closing: Entry | None = None
        self.earlier_points: set[tuple[str, str, int]] = set()
        self._read_at = 0
        try:
            self._load()
        except BaseException:
            self.close()
            raise

    @property
    def pending(self) -> int:
        """How many entries MLflow has not taken."""
        return self.written - self.delivered

    def append(self, entry: Mapping[str, Any]) -> None:
        """Add an entry.

        Raises:
            Agent0Error: the disk is full or refuses; the file holds every earlier entry.
        """
        with self._lock:
            self._write({"n": self.written + 1, **entry})
            self.written += 1
            if entry["kind"] == "open":
                self.opening = dict(entry)

    def undelivered(self) -> Iterator[Entry]:
        """Yield the entries that MLflow has not taken, in order, up to the last one there is now; for one caller."""
        with self._lock:
            position, end = self._read_at, os.fstat(self._file.fileno()).st_size
        self._reader.seek(position)
        while self._reader.tell() < end:
            entry = json.loads(self._reader.readline())
            if entry.get("n", 0) > self.delivered:
                yield entry

    def mark_delivered(self, number: int) -> None:
        """Note that MLflow has taken every entry up to `number`."""
        with self._lock:
            self._write({"delivered": number})
            self.delivered = number
            if number == self.written:
                self._read_at = os.fstat(self._file.fileno()).st_size

    def release(self) -> None:
        """Let others open the file, while a request that hangs may still note what it has brought."""
        fcntl.flock(self._file, fcntl.LOCK_UN)

    def close(self) -> None:
        """Let others open the file."""
        self._file.close()
        self._reader.close()

    def _load(self) -> None:
        """Count entries, find the last opening and the points of earlier attempts."""
        good = 0
        for number, line in enumerate(self._reader, start=1):
            if not line.endswith(b"\n"):
                known = (_beginning(self.written + 1), b'{"delivered": ')
                if not any(line.startswith(beginning[: len(line)]) for beginning in known):
                    raise self._foreign(number)
                break
            try:
                self._take(parse_json(line, f"Line {number}"))
            except (UnreadableError, KeyError, TypeError, AttributeError) as error:
                raise self._foreign(number) from error
            good += len(line)
        if good < os.fstat(self._file.fileno()).st_size:
            self._file.truncate(good)

    def _foreign(self, number: int) -> UsageError:
        return UsageError(
            f"{self.path} is no tracking buffer of Agent0, or a damaged one (line {number}); give the file of one. It "
            "is left as it is."
        )

    def _take(self, line: Entry) -> None:
        """Count a line.

        Raises:
            KeyError, TypeError, AttributeError: no journal writes such a line there.
        """
        if "delivered" in line:
            if not isinstance(line["delivered"], int) or not 0 <= line["delivered"] <= self.written:
                raise TypeError(line)
            self.delivered = line["delivered"]
            return
        fields = {"n": int, "run": str, **_FIELDS.get(line["kind"], {})}
        if not all(isinstance(line[name], kind) for name, kind in fields.items()) or line["n"] != self.written + 1:
            raise TypeError(line)
        self.written = line["n"]
        if line["kind"] == "open":
            self.opening = line
        elif line["kind"] == "closing":
            self.closing = line
        elif line["kind"] == "metrics":
            self.earlier_points |= {(line["run"], name, line["step"]) for name in line["values"]}

    def _write(self, line: Mapping[str, Any]) -> None:
        data = (json.dumps(line, ensure_ascii=False) + "\n").encode()
        before = os.fstat(self._file.fileno()).st_size
        try:
            if self._file.write(data) != len(data):
                raise OSError("the disk took only a part of a line")
        except OSError as error:
            self._file.truncate(before)
            raise self._refused(error) from error

    def _refused(self, error: OSError) -> Agent0Error:
        return Agent0Error(
            f"The tracking buffer {self.path} cannot be written ({error}); free disk space there, or set "
            "AGENT0_TRACKING_BUFFER to a folder with room. What it holds already is kept."
        )
