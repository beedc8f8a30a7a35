from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from agent0.config import EvaluationSettings, RolloutSettings, SandboxSettings, VllmSettings
from agent0.errors import UsageError
from agent0.evaluation.assignments import Assignment, prepare
from agent0.evaluation.sample_runner import open_stores

ROLLOUT = RolloutSettings(batch_size=5, max_turns=2, max_observation_tokens=64)
SANDBOX = SandboxSettings()


def prepared(data: Path, tokenizer: Any, seed: int = 0, **fields: Any) -> tuple[Assignment, ...]:
    settings = {"benchmarks": ("gsm8k",), "data": str(data), "sampled_rows": True, "tool": False, "logs": False}
    return prepare(EvaluationSettings.model_validate(settings | fields), ROLLOUT, tokenizer, seed)


@pytest.mark.parametrize(
    ("fields", "seed", "digest"),
    [
        ({}, 1, "digest"),
        ({}, 0, "other"),
        ({"published_samples": 3}, 0, "digest"),
        ({"preset": "official"}, 0, "digest"),
    ],
)
def test_samples_of_another_evaluation_are_left_alone(
    fields: dict[str, Any], seed: int, digest: str, made_up_rows: Path, tokenizer: Any, tmp_path: Path
) -> None:
    open_stores(prepared(made_up_rows, tokenizer), tmp_path, "digest", ROLLOUT, SANDBOX)
    other = prepared(made_up_rows, tokenizer, seed, **fields)
    with pytest.raises(UsageError, match="samples of another evaluation"):
        open_stores(other, tmp_path, digest, ROLLOUT, SANDBOX)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"backend": "vllm"}, 'rollout.backend: "vllm", was "transformers"'),
        ({"batch_size": 3}, "rollout.batch_size: 3, was 5"),
        ({"compaction_interval": 7}, "rollout.compaction_interval: 7, was 128"),
    ],
)
def test_samples_of_another_engine_are_left_alone(
    change: dict[str, Any], told: str, made_up_rows: Path, tokenizer: Any, tmp_path: Path
) -> None:
    assignments = prepared(made_up_rows, tokenizer)
    open_stores(assignments, tmp_path, "digest", ROLLOUT, SANDBOX)
    with pytest.raises(UsageError, match=told):
        open_stores(assignments, tmp_path, "digest", ROLLOUT.model_copy(update=change), SANDBOX)


def test_samples_of_another_type_of_weights_are_left_alone(made_up_rows: Path, tokenizer: Any, tmp_path: Path) -> None:
    assignments = prepared(made_up_rows, tokenizer)
    served = ROLLOUT.model_copy(update={"backend": "vllm"})
    open_stores(assignments, tmp_path, "digest", served, SANDBOX)
    open_stores(assignments, tmp_path, "digest", served.model_copy(update={"batch_size": 3}), SANDBOX)
    halved = served.model_copy(update={"vllm": VllmSettings(dtype="bfloat16")})
    with pytest.raises(UsageError, match='dtype: "bfloat16", was "auto"'):
        open_stores(assignments, tmp_path, "digest", halved, SANDBOX)


def test_limits_of_the_sandbox_belong_to_samples_with_the_tool(
    made_up_rows: Path, tokenizer: Any, tmp_path: Path
) -> None:
    quick = SandboxSettings(timeout_seconds=1.0)
    for tool in (False, True):
        assignments = prepared(made_up_rows, tokenizer, tool=tool)
        folder = tmp_path / str(tool)
        open_stores(assignments, folder, "digest", ROLLOUT, SANDBOX)
        open_stores(assignments, folder, "digest", ROLLOUT, SandboxSettings(workers=3))
        if tool:
            with pytest.raises(UsageError, match=r"sandbox\.timeout_seconds: 1\.0, was 10\.0"):
                open_stores(assignments, folder, "digest", ROLLOUT, quick)
        else:
            open_stores(assignments, folder, "digest", ROLLOUT, quick)
