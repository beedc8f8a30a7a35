"""Messages between the owner of a pool and a fork server, over one SOCK_SEQPACKET socket pair.

Neither a program's text nor its output is ever in a message: they travel in file descriptors that the fork server
passes on without reading, so nothing of one run is in the memory that the next run is forked from.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from typing import Any

RUN = 1
KILL = 2
RESULT = 3

# Why the fork server ended a run.
NOT_KILLED = 0
TIMEOUT = 1
REQUESTED = 2
THREADS = 3
SCRATCH = 4
OUT_OF_MEMORY = 5

# What a child writes to its status pipe, which is closed before the program's first instruction.
STARTED = b"R"
SETUP_FAILED = b"F"

MAX_MESSAGE = 128 * 1024
RUN_FDS = 5  # source, stdin, stdout, stderr, status

_REQUEST = struct.Struct("<BQd")
_RESULT = struct.Struct("<BQiBddQ")


@dataclass(frozen=True)
class Request:
    """An order to the fork server; `limit` is the wall-clock limit in seconds and unused for KILL."""

    kind: int
    run: int
    limit: float

    def pack(self) -> bytes:
        """The bytes of the message."""
        return _REQUEST.pack(self.kind, self.run, self.limit)

    @staticmethod
    def unpack(data: bytes) -> Request:
        """Read what `pack` wrote."""
        return Request(*_REQUEST.unpack(data))


@dataclass(frozen=True)
class Result:
    """How a run ended: wait status, why it was killed, wall and CPU seconds, peak resident KiB."""

    run: int
    wait_status: int
    reason: int
    wall: float
    cpu: float
    peak_kib: int

    def pack(self) -> bytes:
        """The bytes of the message."""
        return _RESULT.pack(RESULT, self.run, self.wait_status, self.reason, self.wall, self.cpu, self.peak_kib)

    @staticmethod
    def unpack(data: bytes) -> Result:
        """Read what `pack` wrote."""
        return Result(*_RESULT.unpack(data)[1:])


def pack_json(value: dict[str, Any]) -> bytes:
    """A start-up message: the configuration to the supervisor, or the fork server's report back."""
    return json.dumps(value).encode()


def unpack_json(data: bytes) -> dict[str, Any]:
    """Read what `pack_json` wrote."""
    value: dict[str, Any] = json.loads(data)
    return value
