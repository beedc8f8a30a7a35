from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset

from agent0.config import (
    CheckpointSettings,
    ConditioningSettings,
    CurriculumSettings,
    ModelSettings,
    RolloutSettings,
    SandboxSettings,
    TrainingSettings,
)
from agent0.training.batch_division import BatchPlan
from agent0.training.grpo import grpo_arguments
from agent0.training.training_job import TrainingJob
from agent0.training.useful_tokens import UsefulTokensTrainer

TOPICS = ConditioningSettings(topics="even")


class Watched(UsefulTokensTrainer):
    """Keeps the advantages of the first batch."""

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        output = super()._generate_and_score_completions(inputs)
        self.seen = output["advantages"]
        return output


def advantages(random_model: Any, tokenizer: Any, folder: Path, settings: CurriculumSettings) -> torch.Tensor:
    """Advantages of a batch of four groups of two, whose rewards are 1 to 8."""
    job = TrainingJob(
        folder=folder,
        base=folder,
        output=folder,
        workspace=folder,
        model=ModelSettings(),
        rollout=RolloutSettings(max_response_tokens=4),
        sandbox=SandboxSettings(),
        algorithm=settings.model_copy(
            update={"steps": 1, "prompts_per_step": 4, "group_size": 2, "updates_per_step": 1, "kl_coefficient": 0.0}
        ),
        agent="curriculum",
        training=TrainingSettings(checkpoints=CheckpointSettings(every=0)),
        seed=0,
    )
    plan = BatchPlan.of(job, 1)
    run = Watched(
        model=copy.deepcopy(random_model),
        reward_funcs=[lambda completion_ids, **_: [float(number + 1) for number in range(len(completion_ids))]],
        args=grpo_arguments(job, plan),
        train_dataset=Dataset.from_list([{"prompt": f"propose {number}"} for number in range(plan.groups)]),
        processing_class=tokenizer,
    )
    run.train()
    return run.seen


REWARDS = torch.arange(1.0, 9.0)
OF_GROUPS = REWARDS - REWARDS.view(4, 2).mean(dim=1).repeat_interleave(2)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (CurriculumSettings(), OF_GROUPS / REWARDS.view(4, 2).std(dim=1).repeat_interleave(2)),
        (CurriculumSettings(baseline="batch"), (REWARDS - REWARDS.mean()) / REWARDS.std()),
        (CurriculumSettings(baseline="batch", conditioning=TOPICS), OF_GROUPS / REWARDS.std()),
    ],
    ids=["group", "batch", "batch of several texts"],
)
def test_a_reward_is_compared_with_its_group_or_with_all_that_were_asked_alike(
    settings: CurriculumSettings, expected: torch.Tensor, random_model: Any, tokenizer: Any, tmp_path: Path
) -> None:
    found = advantages(random_model, tokenizer, tmp_path, settings).sort().values
    assert torch.allclose(found, expected.sort().values, atol=1e-3)
