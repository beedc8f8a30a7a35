"""What checkpoints take of a training's time and of its workspace's disk."""

from __future__ import annotations

import pytest

from agent0.config import load_config
from agent0.planning import make_plan, parse_cluster
from agent0.planning.architecture import KNOWN
from agent0.planning.checkpoint_costs import CheckpointPlan, checkpoint_plan

QWEN = KNOWN["Qwen3-8B"]
BILLIONS = QWEN.parameters / 1e9


def planned(settings: list[str], seconds: float = 3600.0) -> CheckpointPlan:
    config = load_config("qwen3-8b", settings)
    return checkpoint_plan(QWEN, config, config.executor, 8, seconds)


@pytest.mark.parametrize(
    ("settings", "gigabytes"),
    [
        ([], 12 * BILLIONS),
        (["training.sharding=ddp"], 12 * BILLIONS),
        (["model.dtype=bfloat16"], 6 * BILLIONS),
        (["training.sharding=zero3"], 14 * BILLIONS),
        (["training.lora.rank=64"], 12 * QWEN.adapter_parameters(64) / 1e9),
    ],
)
def test_a_checkpoint_holds_what_is_trained_and_two_moments_of_it(settings: list[str], gigabytes: float) -> None:
    assert planned(settings).gigabytes == pytest.approx(gigabytes)


@pytest.mark.parametrize(
    ("settings", "count"),
    [
        (["training.checkpoints={every=0}"], 1),
        (["training.checkpoints={every=1}"], 40),
        (["training.checkpoints={every=15}"], 3),
        (["training.checkpoints={every=0,every_minutes=15}"], 5),
        (["training.checkpoints={every=15,every_minutes=15}"], 5),
        (["training.checkpoints={every=0,every_minutes=0.1}"], 40),
    ],
)
def test_they_are_counted_by_batches_and_by_time_and_lie_at_the_end_of_a_batch(settings: list[str], count: int) -> None:
    assert planned(settings).count == count


def test_the_trainers_wait_for_copies_for_the_last_one_and_where_they_are_faster_than_the_disk() -> None:
    slow = planned(["training.checkpoints={every=1}"], seconds=40 * 300)
    assert slow.copying_seconds == pytest.approx(40 * 12 * BILLIONS / 8 / 10)
    assert slow.waiting_seconds == pytest.approx(12 * BILLIONS)
    quick = planned(["training.checkpoints={every=1}"], seconds=40 * 60)
    assert quick.waiting_seconds == pytest.approx(39 * (12 * BILLIONS - 60) + 12 * BILLIONS)


def test_a_rounded_model_saves_time_where_it_is_written_and_its_masters_take_room() -> None:
    trained, rounded = planned(["model.handed_on=trained"]), planned([])
    assert trained.handing_on_seconds == pytest.approx((4 + 4 + 4) * BILLIONS)
    assert rounded.handing_on_seconds == pytest.approx((4 + 4 + 2 + 2 * 4) * BILLIONS)
    assert trained.disk_gigabytes == pytest.approx((3 * 12 + 4) * BILLIONS)
    assert rounded.disk_gigabytes == pytest.approx((3 * 12 + 4 + 4 * 4) * BILLIONS)


def test_the_hours_of_a_training_hold_them() -> None:
    cluster = parse_cluster("8xH200")
    often, seldom = (
        make_plan(load_config("qwen3-8b", [f"training.checkpoints={{every={every}}}"]), cluster) for every in (1, 0)
    )
    for one, other in zip(often.stages, seldom.stages, strict=True):
        assert (one.checkpoints is None) == (one.trained_tokens == 0)
        if one.checkpoints and other.checkpoints and one.hours and other.hours:
            more = one.checkpoints.seconds - other.checkpoints.seconds
            assert more > 0
            assert (one.hours - other.hours) * 3600 == pytest.approx(more)
