"""The waiting line of a pool: bounded, first come first served within a client, turn by turn between clients."""

from __future__ import annotations

import asyncio
import threading
from collections import OrderedDict, deque
from concurrent.futures import Future

from agent0.sandbox.execution import Job


class FairQueue:
    """Jobs that wait for a worker. One client's long batch delays another's single run by one run at most.

    Not thread-safe: it belongs to the engine's thread.
    """

    def __init__(self) -> None:
        self._clients: OrderedDict[str, deque[Job]] = OrderedDict()

    def __len__(self) -> int:
        return sum(len(jobs) for jobs in self._clients.values())

    def put(self, job: Job, first: bool = False) -> None:
        """Add a job at the end of its client's line, or `first` in it and its client first in turn."""
        jobs = self._clients.setdefault(job.client, deque())
        if first:
            jobs.appendleft(job)
            self._clients.move_to_end(job.client, last=False)
        else:
            jobs.append(job)

    def take(self) -> Job | None:
        """The next job by turn, cancelled ones left out; None where nothing waits."""
        while self._clients:
            client, jobs = self._clients.popitem(last=False)
            job = jobs.popleft()
            if jobs:
                self._clients[client] = jobs
            if not job.future.cancelled():
                return job
        return None

    def drain(self) -> list[Job]:
        """All jobs, leaving the queue empty."""
        jobs = [job for line in self._clients.values() for job in line]
        self._clients.clear()
        return jobs


class Admission:
    """Back-pressure: at most `places` jobs are in the pool; others wait for a place in the order they asked."""

    def __init__(self, places: int) -> None:
        self._free = places
        self._waiting: deque[Future[None]] = deque()
        self._lock = threading.Lock()

    def ask(self) -> Future[None]:
        """A future that is done once there is a place; cancel it to stop waiting."""
        ticket: Future[None] = Future()
        with self._lock:
            if self._free > 0:
                self._free -= 1
                ticket.set_result(None)
            else:
                self._waiting.append(ticket)
        return ticket

    def wait(self) -> None:
        """Wait for a place."""
        ticket = self.ask()
        try:
            ticket.result()
        except BaseException:
            self._leave(ticket)
            raise

    async def wait_async(self) -> None:
        """`wait` for asyncio."""
        ticket = self.ask()
        try:
            await asyncio.wrap_future(ticket)
        except BaseException:
            self._leave(ticket)
            raise

    def _leave(self, ticket: Future[None]) -> None:
        """Stop waiting; a place that was given at the same moment goes to the next."""
        if not ticket.cancel():
            self.give_back()

    def give_back(self) -> None:
        """Free a place, for the first in line that still waits."""
        with self._lock:
            while self._waiting:
                ticket = self._waiting.popleft()
                if ticket.set_running_or_notify_cancel():
                    ticket.set_result(None)
                    return
            self._free += 1
