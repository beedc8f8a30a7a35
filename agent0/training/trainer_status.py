"""A training's progress in the status of its TrainJob, where the cluster's Kubeflow Trainer takes it (2.3 and later).

Trainer gives the nodes an address and a token of the job's own; what is posted there appears in
`status.trainerStatus`. A report is a courtesy: it is sent from a thread, a few seconds apart, and one that fails is
told once and neither delays nor ends the training.
"""

from __future__ import annotations

import json
import math
import os
import ssl
import threading
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from http.client import HTTPException
from pathlib import Path
from queue import SimpleQueue
from typing import Any
from urllib.error import HTTPError

from agent0.errors import warn
from agent0.training.grpo import LogMetrics

URL, CA_CERTIFICATE, TOKEN = (f"KUBEFLOW_TRAINER_SERVER_{part}" for part in ("URL", "CA_CERT", "TOKEN"))
PAUSE_SECONDS = 5.0
REQUEST_SECONDS = 10.0
METRICS, LENGTH = 256, 64
"""How many metrics a status may hold, and how long a name may be."""
SHOWN = 300


@contextmanager
def reported(total: int, log: LogMetrics) -> Iterator[LogMetrics]:
    """Yield `log`; on the first process, where the environment names Trainer's address, it reports there as well.

    Args:
        total: steps from beginning to end.
        log: what else becomes of a step's numbers.
    """
    if URL not in os.environ or os.environ.get("RANK", "0") != "0":
        yield log
        return
    reporter = _Reporter(total)

    def both(numbers: Mapping[str, float], step: int) -> None:
        log(numbers, step)
        reporter.tell(numbers, step)

    try:
        yield both
    finally:
        reporter.close()


def status(numbers: Mapping[str, float], step: int, total: int) -> dict[str, Any]:
    """Return what is posted of a step: its share of all, what the rest takes if each takes as long, its numbers."""
    found: dict[str, Any] = {
        "progressPercentage": min(100, 100 * step // max(1, total)),
        "metrics": [
            {"name": name, "value": f"{value:.6g}"} for name, value in numbers.items() if 0 < len(name) <= LENGTH
        ][:METRICS],
        "lastUpdatedTime": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    seconds = max(0, total - step) * numbers.get("step_time", math.nan)
    if math.isfinite(seconds):
        found["estimatedRemainingSeconds"] = math.ceil(seconds)
    return {"trainerStatus": found}


class _Reporter:
    """Posts the newest status, from a thread of its own."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._told: SimpleQueue[dict[str, Any] | None] = SimpleQueue()
        self._closed = threading.Event()
        self._failed = False
        self._thread = threading.Thread(target=self._report, daemon=True)
        self._thread.start()

    def tell(self, numbers: Mapping[str, float], step: int) -> None:
        """Take a step in; one that a later one overtakes is not sent."""
        self._told.put(status(numbers, step, self._total))

    def close(self) -> None:
        """Send what is left."""
        self._told.put(None)
        self._closed.set()
        self._thread.join(REQUEST_SECONDS)

    def _report(self) -> None:
        ended = False
        while not ended:
            told = [self._told.get()]
            while not self._told.empty():
                told.append(self._told.get())
            ended = None in told
            statuses = [body for body in told if body is not None]
            if statuses:
                self._send(statuses[-1])
            self._closed.wait(PAUSE_SECONDS)

    def _send(self, body: Mapping[str, Any]) -> None:
        try:
            _post(body)
        except (OSError, ValueError, HTTPException) as error:
            said = f": {error.read(SHOWN).decode(errors='replace')}" if isinstance(error, HTTPError) else ""
            if not self._failed:
                warn(f"The progress of this training does not reach the status of its TrainJob ({error}{said}).")
            self._failed = True


def _post(body: Mapping[str, Any]) -> None:
    """Post a status; the token is read each time, since Kubernetes renews it."""
    token, certificate = os.environ.get(TOKEN), os.environ.get(CA_CERTIFICATE)
    headers = {"Content-Type": "application/json"}
    if token:
        headers["Authorization"] = f"Bearer {Path(token).read_text(encoding='utf-8').strip()}"
    request = urllib.request.Request(os.environ[URL], json.dumps(body).encode(), headers, method="POST")
    context = ssl.create_default_context(cafile=certificate) if certificate else None
    with urllib.request.urlopen(request, timeout=REQUEST_SECONDS, context=context):
        return
