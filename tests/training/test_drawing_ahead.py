"""The next batch is drawn while the last is trained on, by older weights, whose probabilities the loss corrects for."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from noted import Noted

from agent0.config import ExecutorSettings, TrainingSettings, load_config
from agent0.errors import Agent0Error, UsageError
from agent0.rollout import Generation, Request
from agent0.rollout.model_folders import load_model
from agent0.rollout.scripted import ScriptedBackend
from agent0.training.adpo import ADPOTrainer
from agent0.training.batch_division import BatchPlan
from agent0.training.drawing_ahead import AheadTrainer, Asked, DrawingAhead, Drawn
from agent0.training.gpu_placement import Placement
from agent0.training.grpo import prompts_of
from agent0.training.launch import run_job
from agent0.training.policy_rollouts import PolicyRollouts
from agent0.training.training_job import PreemptedError, TrainingJob
from agent0.training.worker import train
from tests.training.test_durability import nothing, numbers, stop_after, weights

MakeJob = Callable[..., TrainingJob]
AHEAD = TrainingSettings(staleness=1)
LATER = Asked(("a", "b"), 2, 5)


class Slow(ScriptedBackend):
    """Takes half a second for a batch, and notes when it began and ended."""

    def __init__(self, tokenizer: Any, spans: list[tuple[float, float]]) -> None:
        super().__init__(tokenizer, lambda _: "\\boxed{5}", concurrency=64)
        self._spans = spans

    async def generate(self, request: Request) -> Generation:
        began = time.monotonic()
        time.sleep(0.5 / 16)
        drawn = await super().generate(request)
        self._spans.append((began, time.monotonic()))
        return Generation(drawn.token_ids, drawn.finish, [-1.0] * len(drawn.token_ids))


def test_what_is_drawn_ahead_is_drawn_while_the_trainer_works(
    make_job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    spans: list[tuple[float, float]] = []
    updates: list[tuple[float, float]] = []

    @contextmanager
    def slow(_: PolicyRollouts, trainer: Any) -> Iterator[ScriptedBackend]:
        yield Slow(trainer.processing_class, spans)

    def timed(trainer: Any, *args: Any, **kwargs: Any) -> torch.Tensor:
        began = time.monotonic()
        time.sleep(0.4)
        loss = computed(trainer, *args, **kwargs)
        updates.append((began, time.monotonic()))
        return loss

    computed = AheadTrainer.compute_loss
    monkeypatch.setattr(PolicyRollouts, "_backend", slow)
    monkeypatch.setattr(AheadTrainer, "compute_loss", timed)

    def overlap(staleness: int) -> tuple[list[dict[str, float]], float]:
        spans.clear()
        updates.clear()
        log = train(make_job(f"job{staleness}", training=TrainingSettings(staleness=staleness)), nothing)
        assert len(spans) == 3 * 16
        later = spans[16:]  # nothing is trained on while the first batch is drawn
        shared = sum(max(0.0, min(a, c) - max(b, d)) for b, a in later for d, c in updates)
        return log, shared / sum(end - began for began, end in later)

    in_turn, none = overlap(0)
    assert none == 0
    assert "rollout/staleness" not in in_turn[0]
    ahead, most = overlap(1)
    assert most > 0.6
    assert [row["rollout/staleness"] for row in ahead] == [0, 1, 2, 3, 2, 3]
    assert [row["rollout/waited_seconds"] < 0.3 for row in ahead[::2]] == [True] * 3
    assert [row["reward"] for row in ahead[::2]] == [row["reward"] for row in in_turn[::2]]


def test_tokens_weigh_what_the_trainer_finds_them_likelier_than_the_policy_that_drew_them(
    make_job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each batch's ratios, against whole models scored anew: that of its updates over that of the batch before."""
    job = make_job("job", training=TrainingSettings(staleness=1, importance_cap=1.02))
    models: list[Any] = []
    batches: list[dict[str, Any]] = []
    generated = ADPOTrainer._generate_and_score_completions

    def kept(trainer: Any, inputs: Any) -> Any:
        model, _ = load_model(job.base, "float32")
        model.load_state_dict(trainer.model.state_dict())
        models.append(model)
        batches.append(generated(trainer, inputs))
        return batches[-1]

    monkeypatch.setattr(ADPOTrainer, "_generate_and_score_completions", kept)
    train(job, nothing)

    def logps(model: Any, batch: dict[str, Any]) -> torch.Tensor:
        ids = torch.cat([batch["prompt_ids"], batch["completion_ids"]], dim=1)
        mask = torch.cat([batch["prompt_mask"], batch["completion_mask"]], dim=1)
        width = batch["completion_ids"].shape[1]
        places = (mask.cumsum(dim=1) - 1).clamp(min=0)
        with torch.no_grad():
            logits = model(input_ids=ids, attention_mask=mask, position_ids=places).logits[:, -width - 1 : -1]
        return logits.log_softmax(dim=-1).gather(2, batch["completion_ids"].unsqueeze(2)).squeeze(2)

    moved = []
    for number, batch in enumerate(batches):
        drawn = (batch["completion_mask"] * batch["tool_mask"]).bool()
        trained, drawing = (logps(models[place], batch) for place in (number, max(0, number - 1)))
        torch.testing.assert_close(batch["sampling_per_token_logps"][drawn], drawing[drawn], atol=1e-4, rtol=1e-4)
        expected = (trained - drawing).exp().clamp(max=1.02)
        torch.testing.assert_close(batch["importance_sampling_ratio"][drawn], expected[drawn], atol=1e-3, rtol=1e-3)
        moved.append(float((expected[drawn] - 1).abs().max()))
    assert moved[0] == 0
    assert min(moved[1:]) > 0.01


def test_resumed_it_goes_on_with_a_batch_of_its_own(make_job: MakeJob) -> None:
    whole, broken = (make_job(name, training=AHEAD) for name in ("whole", "broken"))
    expected = numbers(train(whole, nothing))
    with pytest.raises(PreemptedError, match="after 2 of 6 updates"):
        train(broken, stop_after(broken, 1, lambda: signal.raise_signal(signal.SIGTERM)))
    history = train(broken, nothing)
    assert numbers(history)[:2] == expected[:2]
    assert [row["rollout/staleness"] for row in history] == [0, 1, 0, 1, 2, 3]
    assert weights(broken) != weights(whole)


def test_it_repeats_itself_where_nothing_interrupts(make_job: MakeJob) -> None:
    first, second = (make_job(name, training=AHEAD) for name in ("first", "second"))
    assert numbers(train(first, nothing)) == numbers(train(second, nothing))
    assert weights(first) == weights(second)


@pytest.mark.parametrize("processes", [1, 2])
def test_a_process_is_asked_for_its_part_of_each_batch(processes: int) -> None:
    plan = BatchPlan(groups=2, group_size=2, updates=1, processes=processes)
    rows = [{"prompt": name} for name in "abcd"]
    asked = [[prompts_of(rows, plan, batch, process) for process in range(processes)] for batch in range(3)]
    parts = [[["a", "a", "b", "b"]], [["c", "c", "d", "d"]]] if processes == 1 else [[["a"] * 2, ["b"] * 2]]
    assert asked[: len(parts)] == parts
    assert asked[2] == [[]] * processes


@pytest.mark.slow
def test_two_processes_draw_their_parts_ahead(make_job: MakeJob) -> None:
    history = run_job(make_job("job", training=AHEAD), Placement((), (), (), 2), nothing)
    assert [row["rollout/staleness"] for row in history] == [0, 1, 2, 3, 2, 3]


def test_an_error_of_the_drawing_is_the_trainers() -> None:
    def fail() -> Drawn:
        raise Agent0Error("the server is gone")

    with DrawingAhead() as ahead:
        ahead.begin(LATER, 0, fail)
        with pytest.raises(Agent0Error, match="the server is gone"):
            ahead.wait()


def test_prompts_that_were_not_drawn_are_no_batch() -> None:
    with DrawingAhead() as ahead:
        assert ahead.take(LATER) is None
        ahead.begin(LATER, 0, lambda: Drawn([], {}))
        with pytest.raises(Agent0Error, match="other prompts than were drawn ahead"):
            ahead.take(Asked(("b", "a"), 2, 5))


def test_what_nobody_will_read_is_given_up() -> None:
    begun, told = threading.Event(), []

    def draw() -> Drawn:
        begun.set()
        while True:
            watch.drew(1)
            told.append(time.monotonic())
            time.sleep(0.01)

    with DrawingAhead() as ahead:
        watch = ahead.watching(Noted())
        ahead.begin(LATER, 0, draw)
        begun.wait()
    assert told
    assert threading.active_count() == len([thread for thread in threading.enumerate() if "ahead" not in thread.name])


def test_an_engine_in_the_trainers_own_process_and_no_correction_are_refused() -> None:
    with pytest.raises(UsageError, match=r"staleness is 1, but an engine in the training process .* on the same GPU"):
        load_config("qwen3-4b", ["training.staleness=1"])
    off = ["training.importance_correction=off", "training.guards.max_importance_ratio=0"]
    with pytest.raises(UsageError, match=r"'off' leaves the age of the weights uncorrected"):
        load_config("tiny", ["training.staleness=1", *off])
    served = ["training.policy_backend=vllm_server", "training.policy_gpus=2", "training.staleness=1"]
    assert load_config("qwen3-4b", served).training.staleness == 1


def test_settings_of_one_update_a_batch_are_corrected_as_well(make_job: MakeJob) -> None:
    settings = ExecutorSettings(steps=2, tasks_per_step=4, group_size=4, updates_per_step=1, learning_rate=1e-2)
    log = train(make_job("job", algorithm=settings, training=AHEAD), nothing)
    first, second = (row["sampling/sampling_logp_difference/max"] for row in log)
    assert first < 1e-4 < 1e-2 < second
