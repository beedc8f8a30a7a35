"""The share of a GPU that the plan gives to the engine beside a trainer."""

from __future__ import annotations

import pytest

from agent0.config import load_config
from agent0.planning import parse_cluster
from agent0.planning.architecture import architecture_of
from agent0.planning.hardware import Cluster
from agent0.planning.placement import TRAINING_STAGES, StageName
from agent0.planning.stage_demands import engine_beside, stage_memory

CASES = (("qwen3-8b", "8xH100"), ("qwen3-8b", "8xH200"), ("qwen3-4b", "4xA100-40"), ("one-gpu", "1xRTX4090"))


def share(stage: StageName, recipe: str, cluster: Cluster, *settings: str) -> float:
    config = load_config(recipe, settings)
    return engine_beside(stage, architecture_of(config.model), config, cluster).budget / cluster.gpu.memory_gib


@pytest.mark.parametrize("stage", TRAINING_STAGES)
@pytest.mark.parametrize(("recipe", "gpus"), CASES)
def test_it_is_the_most_that_fits_or_is_of_use(stage: StageName, recipe: str, gpus: str) -> None:
    config, cluster = load_config(recipe), parse_cluster(gpus)
    architecture = architecture_of(config.model)
    assert stage_memory(stage, architecture, config, cluster).fits
    chosen = share(stage, recipe, cluster)
    larger = load_config(recipe, [f"training.colocated_memory={chosen + 0.02:.2f}"])
    beyond = stage_memory(stage, architecture, larger, cluster)
    (trainer,) = (use for use in beyond.devices if use.role == "trainer")
    all_at_once = (trainer.full_trajectories or 0) >= (trainer.wanted_trajectories or 0)
    assert not beyond.fits or all_at_once


def test_a_share_that_is_given_stands() -> None:
    assert share("executor_training", "qwen3-8b", parse_cluster("8xH100"), "training.colocated_memory=0.3") == 0.3


def test_an_engine_that_does_not_sleep_gets_what_an_update_leaves() -> None:
    cluster = parse_cluster("8xH100")
    awake = share("executor_training", "qwen3-8b", cluster, "training.colocated_sleep=false")
    assert 0.2 < awake < share("executor_training", "qwen3-8b", cluster)
