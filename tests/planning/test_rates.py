from __future__ import annotations

import json
from pathlib import Path

import pytest

from agent0.config import load_config
from agent0.errors import Agent0Error, UsageError
from agent0.planning import parse_cluster, rates_from_history, read_rates, write_rates
from agent0.planning.architecture import KNOWN
from agent0.planning.rates import (
    GENERATED_TOKENS,
    GENERATION_SECONDS,
    TRAINED_TOKENS,
    TRAINING_SECONDS,
    MeasuredRates,
)
from agent0.report.history import History
from agent0.types import StageReport

RATES = MeasuredRates(gpu="H200", model="Qwen/Qwen3-8B", parameters=8_190_735_360, trained_per_second=5.0, source="x")


def write_run(folder: Path, metrics: dict[str, dict[str, float]]) -> None:
    history = History(
        recipe="qwen3-8b",
        seed=0,
        planned_iterations=1,
        code_version="abc",
        mlflow_run_id="r",
        tracking_uri="t",
        started_at=0.0,
        finished_at=1.0,
        config=load_config("qwen3-8b", ["training.executor_gpus=4"]).model_dump(mode="json"),
        iterations=(),
    )
    (folder / "history.json").write_text(history.model_dump_json())
    for stage, values in metrics.items():
        report = StageReport(stage=stage, iteration=1, seconds=9.0, peak_memory_mb=1.0, metrics=values)
        (folder / "artifacts" / stage).mkdir(parents=True)
        (folder / "artifacts" / stage / "stage.json").write_text(report.model_dump_json())


def test_rates_are_tokens_over_the_seconds_of_the_gpus_at_work(tmp_path: Path) -> None:
    drawn = {GENERATED_TOKENS: 16_000.0, GENERATION_SECONDS: 10.0}
    write_run(
        tmp_path,
        {
            "task_generation": drawn,
            "sandboxed_execution": drawn,
            "curriculum_training": {TRAINED_TOKENS: 4000.0, TRAINING_SECONDS: 10.0},
            "executor_training": {**drawn, TRAINED_TOKENS: 8000.0, TRAINING_SECONDS: 10.0},
            "task_filtering": {"tasks/kept": 3.0},
        },
    )
    rates = rates_from_history(str(tmp_path), parse_cluster("8xH200"))
    assert rates.generated_per_second == pytest.approx(200.0)
    assert rates.policy_generated_per_second == pytest.approx(200.0)
    assert rates.trained_per_second == pytest.approx(100.0)  # 4 trainers beside 4 executor GPUs, then 8
    assert (rates.gpu, rates.parameters) == ("H200", KNOWN["Qwen3-8B"].parameters)


def test_a_rate_that_was_not_measured_is_left_out(tmp_path: Path) -> None:
    write_run(tmp_path, {"task_generation": {GENERATED_TOKENS: 80.0, GENERATION_SECONDS: 1.0}})
    assert rates_from_history(str(tmp_path), parse_cluster("8xH200")).trained_per_second is None


def test_a_run_that_measured_nothing_is_refused(tmp_path: Path) -> None:
    write_run(tmp_path, {"task_generation": {"tasks/valid": 3.0}})
    with pytest.raises(Agent0Error, match=r"system/generated_tokens.*measured no rates"):
        rates_from_history(str(tmp_path), parse_cluster("8xH200"))


def test_tokens_in_no_time_are_refused_with_the_stage_that_reported_them(tmp_path: Path) -> None:
    write_run(tmp_path, {"executor_training": {TRAINED_TOKENS: 6368.0, TRAINING_SECONDS: -0.004}})
    sentence = r"executor_training of iteration 1 reported 6368 system/trained_tokens in -0\.004 .*plan with estimates"
    with pytest.raises(Agent0Error, match=sentence):
        rates_from_history(str(tmp_path), parse_cluster("8xH200"))


def test_a_folder_without_history_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Agent0Error, match="holds no history"):
        rates_from_history(str(tmp_path), parse_cluster("8xH200"))


def test_rates_are_written_and_read_alike(tmp_path: Path) -> None:
    write_rates(str(tmp_path / "rates.json"), [RATES])
    file = read_rates(str(tmp_path / "rates.json"))
    assert file.choose(parse_cluster("8xH200"), KNOWN["Qwen3-8B"]) == RATES


@pytest.mark.parametrize(("gpus", "model"), [("8xH100", "Qwen3-8B"), ("8xH200", "Qwen3-4B")])
def test_rates_of_another_gpu_or_size_are_not_used(tmp_path: Path, gpus: str, model: str) -> None:
    write_rates(str(tmp_path / "rates.json"), [RATES])
    with pytest.raises(UsageError, match="only: Qwen/Qwen3-8B on H200"):
        read_rates(str(tmp_path / "rates.json")).choose(parse_cluster(gpus), KNOWN[model])


@pytest.mark.parametrize(
    "text", ["{", json.dumps({"rates": [{"gpu": "H200"}]}), json.dumps({"version": 2, "rates": []})]
)
def test_a_file_of_another_form_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "rates.json").write_text(text)
    with pytest.raises(UsageError, match="is no rates file"):
        read_rates(str(tmp_path / "rates.json"))


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no rates file"):
        read_rates(str(tmp_path / "none.json"))
