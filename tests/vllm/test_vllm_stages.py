"""A generation stage over the server that it starts for itself."""

from __future__ import annotations

from pathlib import Path

import psutil

from agent0.config import CurriculumSettings, GenerationSettings, RolloutSettings, SandboxSettings
from agent0.stages import Stage
from agent0.stages.sharding import Share
from agent0.stages.stage_files import PROPOSALS_FOLDER
from agent0.stages.task_generation import run_task_generation
from agent0.storage.shards import iterate_shard, shard_name
from agent0.types import ProposalOutcome


def test_a_stage_starts_its_server_draws_over_it_and_ends_it(
    model_folder: Path, rollout: RolloutSettings, tmp_path: Path
) -> None:
    before = psutil.Process().children(recursive=True)
    result = run_task_generation(
        Stage.untracked("task_generation", seed=2),
        curriculum_model=model_folder,
        executor_model=model_folder,
        history=tmp_path / "history",
        output=tmp_path / "tasks",
        rollout=rollout.model_copy(update={"backend": "vllm_server"}),
        sandbox=SandboxSettings(preload=(), memory_mb=256, timeout_seconds=5.0, workers=1),
        curriculum=CurriculumSettings(),
        generation=GenerationSettings(proposals=24, shard_size=6),
        share=Share(0, 2),
    )
    shards = sorted((tmp_path / "tasks" / PROPOSALS_FOLDER).iterdir())
    assert [shard.name for shard in shards] == [shard_name(0), shard_name(2)]  # the other pod's are 1 and 3
    assert [len(list(iterate_shard(shard, ProposalOutcome))) for shard in shards] == [6, 6]
    assert result.metrics["tasks/generated"] == 12
    assert result.metrics["system/generated_tokens"] > 0
    assert (tmp_path / "tasks" / "vllm-server-0.log").stat().st_size > 0
    left = [child for child in psutil.Process().children(recursive=True) if child not in before]
    assert [child for child in left if any("vllm" in word for word in child.cmdline())] == []
