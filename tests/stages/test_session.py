from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from unittest.mock import Mock

import pytest
from kfp.dsl import Metrics
from mlflow.entities import Run
from mlflow.tracking import MlflowClient

from agent0.cli.main import main
from agent0.config import Config, FilteringSettings, ModelSettings, PromptMessage, PromptSettings, load_config
from agent0.errors import Agent0Error, UsageError
from agent0.progress import read_events, reported
from agent0.seeds import derive_seed
from agent0.stages import StageResult, open_stage
from agent0.stages.base_model import run_base_model
from agent0.stages.opening import Beginning, open_evolution
from agent0.stages.prepare import begin_history
from agent0.stages.session import Stage, read_report
from agent0.storage.digest import STAGE_FILE
from agent0.storage.seal import DamagedError
from agent0.types import StageReport


@pytest.fixture
def store(empty_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    shutil.copyfile(empty_store, tmp_path / "mlflow.db")
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.setenv("AGENT0_PROGRESS", str(tmp_path / "progress.jsonl"))
    return uri


def stage_runs(client: MlflowClient, run_id: str) -> list[Run]:
    return client.search_runs([client.get_run(run_id).info.experiment_id], "tags.`agent0.kind` = 'stage'")


def opened(config: Config) -> str:
    return open_evolution(config, Beginning(), "", "", "job-1")


def test_seeds_differ_by_stage_and_iteration_and_repeat() -> None:
    seeds = {derive_seed(seed, stage, i) for seed in (0, 1) for stage in ("a", "b") for i in (1, 2)}
    assert len(seeds) == 8
    assert derive_seed(0, "a", 1) == derive_seed(0, "a", 1)
    assert all(0 <= seed < 2**31 for seed in seeds)


def test_a_stage_is_a_nested_run_with_settings_seed_version_and_digests(store: str, tmp_path: Path) -> None:
    run_id = opened(load_config("tiny", ["seed=5"]))
    source = tmp_path / "source"
    source.mkdir()
    (source / "data.txt").write_text("x")
    with open_stage(
        "task_filtering",
        iteration=2,
        seed=5,
        mlflow_run_id=run_id,
        settings={"filtering": FilteringSettings()},
        inputs={"labelled": source},
    ) as stage:
        output = tmp_path / "out"
        output.mkdir()
        metrics = Metrics(uri=str(tmp_path / "metrics"))
        stage.finish(StageResult({"tasks/kept": 7.0}), output, metrics)
    assert metrics.metadata == {"tasks_kept": 7.0}
    assert json.loads(Path(metrics.path).read_text()) == {"tasks/kept": 7.0}
    assert read_report(output).metrics == {"tasks/kept": 7.0}
    client = MlflowClient(store)
    (nested,) = stage_runs(client, run_id)
    assert nested.info.status == "FINISHED"
    assert nested.data.params["filtering.min_self_consistency"] == "0.3"
    assert nested.data.tags["agent0.seed"] == str(derive_seed(5, "task_filtering", 2))
    assert {"agent0.code_version", "agent0.input_sha256.labelled", "agent0.output_sha256"} <= set(nested.data.tags)
    assert client.get_metric_history(nested.info.run_id, "tasks/kept")[0].step == 2
    assert client.get_run(run_id).data.params["config.executor.steps"] == "10"


def test_prompts_are_settings_that_mlflow_shows(store: str) -> None:
    turns = (PromptMessage(role="user", content="Löse {question}"),)
    long = (PromptMessage(role="user", content="x" * 7000),)
    config = load_config("tiny")
    prompts = PromptSettings(executor=turns, curriculum=long, template_options={"enable_thinking": False})
    run_id = opened(config.model_copy(update={"rollout": config.rollout.model_copy(update={"prompts": prompts})}))
    client = MlflowClient(store)
    params = client.get_run(run_id).data.params
    assert json.loads(params["config.rollout.prompts.executor"]) == [{"role": "user", "content": "Löse {question}"}]
    assert "Löse" in params["config.rollout.prompts.executor"]
    assert params["config.rollout.prompts.template_options"] == '{"enable_thinking": false}'
    shown = params["config.rollout.prompts.curriculum"]
    assert len(shown) == 6000
    assert shown.endswith("x…")
    kept = json.loads(Path(client.download_artifacts(run_id, "config.json")).read_text())
    assert kept["rollout"]["prompts"]["curriculum"] == [{"role": "user", "content": "x" * 7000}]


def test_a_failing_stage_ends_as_failed_and_says_why(store: str, tmp_path: Path) -> None:
    run_id = opened(load_config())
    with (
        pytest.raises(Agent0Error, match="too few"),
        open_stage("task_filtering", iteration=1, seed=0, mlflow_run_id=run_id),
    ):
        raise Agent0Error("too few")
    events = [json.loads(line) for line in (tmp_path / "progress.jsonl").read_text().splitlines()]
    assert [event["kind"] for event in events] == ["start", "error"]
    assert events[-1]["message"] == "too few"
    client = MlflowClient(store)
    (nested,) = stage_runs(client, run_id)
    assert nested.info.status == "FAILED"


def test_a_run_that_the_platform_opened_is_used_and_left_open(
    store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = opened(load_config())
    client = MlflowClient(store)
    injected = client.create_run(client.get_run(run_id).info.experiment_id).info.run_id
    monkeypatch.setenv("MLFLOW_RUN_ID", injected)
    with open_stage("task_filtering", iteration=1, seed=0, mlflow_run_id=run_id) as stage:
        stage.tracker.log_metrics({"a/b": 1.0}, 1)
    assert client.get_run(injected).data.metrics == {"a/b": 1.0}
    assert client.get_run(injected).info.status == "RUNNING"


def test_an_unreachable_server_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    with pytest.raises(Agent0Error, match=r"MLflow does not answer at http://127\.0\.0\.1:9.*MLFLOW_TRACKING_URI"):
        opened(load_config())


@pytest.mark.parametrize("source", ["/no/such/model", "./no/such/model"])
def test_a_model_path_that_does_not_exist_is_refused(source: str, tmp_path: Path) -> None:
    settings = ModelSettings(source=source)
    with pytest.raises(UsageError, match="There is no folder"):
        run_base_model(Stage.untracked("base_model"), output=tmp_path / "out", model=settings)


def test_a_model_folder_is_copied_whole(random_model: object, tokenizer: object, tmp_path: Path) -> None:
    random_model.save_pretrained(tmp_path / "model")  # type: ignore[attr-defined]
    tokenizer.save_pretrained(tmp_path / "model")  # type: ignore[attr-defined]
    settings = ModelSettings(source=str(tmp_path / "model"))
    result = run_base_model(Stage.untracked("base_model"), output=tmp_path / "out", model=settings)
    counted = sum(p.numel() for p in random_model.parameters())  # type: ignore[attr-defined]
    assert result.metrics["system/parameters"] == counted
    assert (tmp_path / "out" / "config.json").is_file()


def test_an_input_that_was_damaged_is_not_read_and_the_reason_is_told(store: str, tmp_path: Path) -> None:
    output = tmp_path / "task-filtering" / "kept"
    (output / "tasks").mkdir(parents=True)
    (output / "tasks" / "0.parquet").write_bytes(b"tasks")
    finish_stage(output)
    assert read_report(output).metrics == {"tasks/kept": 7.0}
    (output / "tasks" / "0.parquet").write_bytes(b"tusks")
    with (
        pytest.raises(DamagedError, match=r"kept/tasks/0\.parquet was changed or damaged since its task finished"),
        open_stage("executor_training", iteration=1, seed=0, mlflow_run_id="none", inputs={"tasks": output}),
    ):
        pytest.fail("The stage began.")
    told = [event for event in read_events((tmp_path / "progress.jsonl").read_bytes()) if event["kind"] == "error"]
    assert ["0.parquet was changed" in event["message"] for event in told] == [True]


def finish_stage(output: Path) -> StageReport:
    return Stage.untracked("task_filtering").finish(StageResult({"tasks/kept": 7.0}), output)


def test_a_clock_that_is_set_back_makes_no_stage_end_before_it_began(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGENT0_PROGRESS", str(tmp_path / "progress.jsonl"))
    now = iter(range(2_000_000, 0, -3600))
    monkeypatch.setattr(time, "time", lambda: float(next(now)))
    with reported("task_filtering", 1) as progress:
        assert 0 <= finish_stage(tmp_path).seconds < 60
        progress.end("")
    begun = begin_history(load_config(), 1, "", "", tmp_path / "history")
    assert begun.finished_at >= begun.started_at
    told = [event["seconds"] for event in read_events((tmp_path / "progress.jsonl").read_bytes()) if "seconds" in event]
    assert len(told) == 2
    assert all(0 <= seconds < 60 for seconds in told)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OSError(28, "No space left on device"), "The disk is full"),
        (OSError(122, "Disk quota exceeded"), "The disk is full"),
        (RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)"), "The disk is full"),
        (RuntimeError("(sqlite3.OperationalError) database or disk is full"), "The disk is full"),
        (OSError(13, "Permission denied"), "Permission denied; correct that, or name another place"),
        (ValueError("a mistake of ours"), "ValueError: a mistake of ours"),
        (Agent0Error("One sentence."), "One sentence."),
    ],
)
def test_a_full_disk_is_a_sentence_whichever_library_met_it(
    error: Exception, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGENT0_PROGRESS", str(tmp_path / "progress.jsonl"))
    with pytest.raises(type(error)), reported("base_model", 0):
        raise error
    *_, event = read_events((tmp_path / "progress.jsonl").read_bytes() + b'{"kind": "st')  # cut short, too
    assert event["message"].startswith(told)
    monkeypatch.setattr("agent0.cli.main.app", Mock(side_effect=error))
    with pytest.raises(ValueError if told.startswith("ValueError") else SystemExit):
        main()


def test_an_unfinished_stage_is_not_read(tmp_path: Path) -> None:
    with pytest.raises(Agent0Error, match=STAGE_FILE):
        read_report(tmp_path)
