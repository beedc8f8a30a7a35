"""The semaphore of `multiprocessing`, between threads: a program here has no other process to share one with.

The C library's own wants a file in /dev/shm; with this one in its place, the locks, queues and thread pools of
`multiprocessing` work.
"""

from __future__ import annotations

from typing import Any, ClassVar

_RECURSIVE = 0


class SemLock:
    """Does what `_multiprocessing.SemLock` does; that of kind 0 may be taken again by the thread that holds it."""

    SEM_VALUE_MAX: ClassVar[int] = 2**31 - 1
    handle: ClassVar[int] = 0

    def __init__(self, kind: int, value: int, maxvalue: int, name: str, unlink: bool) -> None:
        import threading  # not before a program wants it: the fork server has no threads

        self.kind, self.maxvalue, self.name = kind, maxvalue, None
        self._free: Any = threading.Semaphore(value)
        self._ident = threading.get_ident
        self._owner: int | None = None
        self._held = 0

    def acquire(self, block: bool = True, timeout: float | None = None) -> bool:
        """Take it; False where that would take longer than `timeout` seconds."""
        if self.kind == _RECURSIVE and self._is_mine():
            self._held += 1
            return True
        patience = None if timeout is None or not block else max(0.0, timeout)
        if not self._free.acquire(block, patience):
            return False
        self._held += 1
        self._owner = self._ident()
        return True

    def release(self) -> None:
        """Give it back."""
        if self.kind == _RECURSIVE:
            if not self._is_mine():
                raise AssertionError("attempt to release recursive lock not owned by thread")
            if self._held > 1:
                self._held -= 1
                return
        elif self._get_value() >= self.maxvalue:
            raise ValueError("semaphore or lock released too many times")
        self._held -= 1
        self._free.release()

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()

    def _count(self) -> int:
        return self._held

    def _is_mine(self) -> bool:
        return self._held > 0 and self._owner == self._ident()

    def _get_value(self) -> int:
        value: int = self._free._value
        return value

    def _is_zero(self) -> bool:
        return self._get_value() == 0

    def _after_fork(self) -> None:
        self._held = 0
