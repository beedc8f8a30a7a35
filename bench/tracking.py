"""What tracking costs a training step, with a healthy MLflow server and with a dead one, and how fast metrics arrive.

One training of the embedded world's size runs in blocks that take turns: without tracking, with a healthy server, with
a port where nobody listens, and with a server that takes connections and never answers. Every block but the first kind
opens the tracking that a stage opens, and logs each step's metrics as a stage does.

The cost of a step is all that its training could have to wait for: the seconds inside the tracker's calls, and the CPU
seconds of the thread that sends, as though each of them held the training up. It is taken as a share of the step's
seconds in the same block, so that a busy machine changes both. The ratio of whole steps, against the untracked block
before it, is printed too; on a busy machine it says more of the machine than of tracking.

1,000 metrics go to the server with basic authentication, from the journal on disk to MLflow's answer. `--check` exits
with 1 when a bar is missed. Leaves out what the server itself needs, which runs elsewhere.
"""

from __future__ import annotations

import argparse
import os
import random
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from datasets import Dataset
from transformers import PrinterCallback, TrainerCallback
from trl import GRPOConfig

from agent0.config import ADPOSettings, TinyPretraining
from agent0.tiny.pretrain import _new_model, _render
from agent0.tiny.tokenizer import train_tokenizer
from agent0.tiny.transcripts import draw_transcript
from agent0.tracking.buffered_tracker import BufferedTracker, TrackingSession, open_session
from agent0.tracking.delivery import Delivery
from agent0.tracking.journal import Journal
from agent0.tracking.mlflow_runs import make_client, start_run
from agent0.training.adpo import ADPOTrainer

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))
from servers.small_tracking import PASSWORD, USERNAME, SmallTrackingServer

STEP_BAR = 0.02
METRICS_BAR_SECONDS = 1.0
METRICS = 1000
SINGLE = 10
UNTRACKED = "untracked"
BATCH = 64


@dataclass
class Block:
    """One stretch of a training under one kind of tracking."""

    kind: str
    steps: list[float] = field(default_factory=list)
    inside: float = 0.0
    sending: float = 0.0

    @property
    def cost(self) -> float:
        """Tracking's share of the seconds of the block's steps."""
        return (self.inside + self.sending) / sum(self.steps)


class Turns(TrainerCallback):
    """Gives each kind of tracking its blocks, and takes the times."""

    def __init__(self, uris: Mapping[str, str], evolution: str, rounds: int, seconds: float) -> None:
        self._uris, self._evolution, self._seconds = uris, evolution, seconds
        self._left = [kind for _ in range(rounds) for kind in uris]
        self._session: TrackingSession | None = None
        self.blocks: list[Block] = []

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Start the clock, and the next block if it is time; the first few steps belong to none."""
        if state.global_step >= 5 and (not self.blocks or sum(self.blocks[-1].steps) > self._seconds):
            self._end_block()
            if not self._left:
                control.should_training_stop = True
                return
            self._begin_block(self._left.pop(0))
        self._began = time.perf_counter()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Keep the seconds since the step began; what it logs comes on top."""
        if self.blocks:
            self.blocks[-1].steps.append(time.perf_counter() - self._began)

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float], **kwargs: Any) -> None:
        """Log a step as a stage does."""
        if self._session is None or not self.blocks or not self.blocks[-1].steps:
            return
        began = time.perf_counter()
        numbers = {f"executor/{name}": value for name, value in logs.items() if isinstance(value, float)}
        self._session.tracker.log_metrics(numbers, state.global_step)
        self.blocks[-1].inside += time.perf_counter() - began

    def _begin_block(self, kind: str) -> None:
        self.blocks.append(Block(kind))
        if kind != UNTRACKED:
            name = f"block-{len(self.blocks)}"
            self._session = open_session(
                self._uris[kind], self._evolution, 1, name, part="", fingerprint="", params={}, tags={}, warn=_silent
            )

    def _end_block(self) -> None:
        if self._session is not None:
            clock = time.pthread_getcpuclockid(self._session.sender._thread.ident or 0)
            self.blocks[-1].sending = time.clock_gettime(clock)
            self._session.close("FINISHED")
            self._session = None


def train(turns: Turns, folder: str) -> None:
    """Train the embedded world's size of model until every block has had its turn."""
    rng = random.Random(0)
    tokenizer = train_tokenizer([_render(draw_transcript(rng, TinyPretraining())) for _ in range(500)], 420)
    rows = [{"prompt": f"What is {n}+{n}?", "self_consistency": 0.3 + n % 6 / 10} for n in range(4096)]

    def reward(completion_ids: list[list[int]], **_: Any) -> list[float]:
        return [sum(ids) % 7 / 7 for ids in completion_ids]

    arguments = GRPOConfig(
        output_dir=folder, use_cpu=True, max_steps=100_000, per_device_train_batch_size=BATCH, num_generations=16,
        max_completion_length=32, learning_rate=1e-9, beta=0.0, save_strategy="no", report_to=[], disable_tqdm=True,
        logging_steps=1,
    )  # fmt: skip
    run = ADPOTrainer(
        model=_new_model(TinyPretraining(), tokenizer), reward_funcs=[reward], args=arguments,
        train_dataset=Dataset.from_list(rows), processing_class=tokenizer, adpo=ADPOSettings(),
    )  # fmt: skip
    run.remove_callback(PrinterCallback)
    run.add_callback(turns)
    run.train()


def delivery_seconds(uri: str, evolution: str) -> tuple[float, float]:
    """Return the seconds for 1,000 metrics through the journal, and for as many of one request each (extrapolated)."""
    session = open_session(uri, evolution, 1, "metrics", part="", fingerprint="", params={}, tags={}, warn=_silent)
    session.close("FAILED")
    client, journal = make_client(uri), Journal(session.journal.path)
    numbers = {f"executor/metric_{number}": float(number) for number in range(METRICS)}
    BufferedTracker(journal, "stage").log_metrics(numbers, 1)
    assert journal.opening is not None
    delivery = Delivery(client, journal.opening)
    run_id = delivery.run_id("stage")
    began = time.perf_counter()
    delivery.send(journal)
    together = time.perf_counter() - began
    arrived = len(client.get_run(run_id).data.metrics)
    if arrived != METRICS:
        raise SystemExit(f"{arrived} of {METRICS} metrics arrived.")
    began = time.perf_counter()
    for number in range(SINGLE):
        client.log_metric(run_id, f"executor/single_{number}", 1.0)
    return together, (time.perf_counter() - began) / SINGLE * METRICS


def main() -> None:
    """Measure, print, and judge where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="exit with 1 when a bar is missed")
    parser.add_argument("--rounds", type=int, default=4, help="blocks of each kind")
    parser.add_argument("--seconds", type=float, default=12.0, help="length of a block")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, socket.create_server(("127.0.0.1", 0)) as silent:
        folder = Path(name)
        environment = {"MLFLOW_TRACKING_USERNAME": USERNAME, "MLFLOW_TRACKING_PASSWORD": PASSWORD}
        os.environ.update({**environment, "AGENT0_TRACKING_BUFFER": name, "AGENT0_TRACKING_PATIENCE": "2"})
        server = SmallTrackingServer(folder, authentication=True)
        server.start()
        try:
            evolution = start_run(server.uri, "benchmark", "evolution tracking", {}, {}, range(2))
            with socket.create_server(("127.0.0.1", 0)) as closed:
                nobody = f"http://127.0.0.1:{closed.getsockname()[1]}"
            uris = {
                UNTRACKED: "",
                "healthy server": server.uri,
                "nobody listens": nobody,
                "never answers": f"http://127.0.0.1:{silent.getsockname()[1]}",
            }
            turns = Turns(uris, evolution, options.rounds, options.seconds)
            train(turns, str(folder / "training"))
            together, single = delivery_seconds(server.uri, evolution)
        finally:
            server.kill()
    met = _report(turns.blocks, list(uris))
    verdict = "met" if together <= METRICS_BAR_SECONDS else "MISSED"
    print(f"\n{METRICS} metrics, basic authentication: {together:.2f} s   <= {METRICS_BAR_SECONDS:g} s {verdict}")
    print(f"{METRICS} requests of one metric each: {single:.0f} s, from {SINGLE} of them")
    if options.check and not (met and verdict == "met"):
        sys.exit(1)


def _report(blocks: list[Block], kinds: list[str]) -> bool:
    """Print a row for each kind; return whether all meet the bar."""
    by_kind = {kind: [block for block in blocks if block.kind == kind] for kind in kinds}
    print(f"{'':16}{'steps':>7}{'step':>12}{'in calls':>12}{'sending':>12}{'cost':>9}   whole step against untracked")
    met = True
    for kind, own in by_kind.items():
        steps = [seconds for block in own for seconds in block.steps]
        cost = statistics.median(block.cost for block in own)
        ratios = [
            statistics.median(block.steps) / statistics.median(plain.steps)
            for block, plain in zip(own, by_kind[UNTRACKED], strict=True)
        ]
        calls, sending = (sum(getattr(b, part) for b in own) / len(steps) * 1e3 for part in ("inside", "sending"))
        row = f"{kind:16}{len(steps):7}{statistics.median(steps) * 1e3:9.1f} ms{calls:9.2f} ms{sending:9.2f} ms"
        if kind == UNTRACKED:
            print(row)
            continue
        met = met and cost <= STEP_BAR
        verdict = f"<= {STEP_BAR:.0%} {'met' if cost <= STEP_BAR else 'MISSED'}"
        spread = f"{statistics.median(ratios):.3f} [{min(ratios):.3f}, {max(ratios):.3f}]"
        print(f"{row}{cost:9.2%}   {spread}   {verdict}")
    return met


def _silent(message: str) -> None:
    """Take a warning, which here is what is measured."""


if __name__ == "__main__":
    main()
