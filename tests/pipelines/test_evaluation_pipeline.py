from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from google.protobuf import json_format
from kfp import components, local
from kfp.pipeline_spec import pipeline_spec_pb2
from mlflow.tracking import MlflowClient
from typer.testing import CliRunner

from agent0.cli.main import app
from agent0.config import Config, load_config
from agent0.evaluation.registered_evaluations import recorded_evaluations
from agent0.evaluation.results import read_report
from agent0.kubeflow.compile_options import LOCAL, CompileOptions
from agent0.stages import Stage
from agent0.stages.benchmark_evaluation import run_benchmark_evaluation
from agent0.storage.digest import model_digest
from agent0.tracking.model_origin import Origin
from agent0.tracking.registry import register
from agent0_kfp.pipelines.evaluation import compile_evaluation

IMAGE = "registry.example/agent0-python@sha256:0"
SHORT = [
    "evaluation.questions_per_level=2",
    "evaluation.tool=false",
    "evaluation.sampled_rows=true",
    "evaluation.max_response_tokens=8",
    "rollout.max_response_tokens=8",
    "rollout.max_observation_tokens=4",
    'evaluation.benchmarks=["tiny", "gsm8k"]',
]


def documents(path: Path) -> list[Any]:
    return list(yaml.load_all(path.read_text(), yaml.CSafeLoader))


def short(rows: Path) -> Config:
    return load_config("tiny", [*SHORT, f"evaluation.data={rows}"])


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("compiled") / "evaluation.yaml"
    compile_evaluation(load_config("qwen3-8b"), path, CompileOptions(image=IMAGE))
    return path


@pytest.fixture(scope="module")
def model(random_model: Any, tokenizer: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model") / "small"
    random_model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    """Folder of a benchmark file of six made-up rows."""
    lines = [json.dumps({"question": f"Which is {n}?", "answer": f"so\n#### {n}"}) + "\n" for n in range(6)]
    (tmp_path / "rows").mkdir()
    (tmp_path / "rows" / "gsm8k.jsonl").write_text("".join(lines))
    return tmp_path / "rows"


def test_the_same_arguments_give_the_same_bytes(compiled: Path, tmp_path: Path) -> None:
    compile_evaluation(load_config("qwen3-8b"), tmp_path / "again.yaml", CompileOptions(image=IMAGE))
    assert (tmp_path / "again.yaml").read_bytes() == compiled.read_bytes()


def test_the_yaml_is_a_pipeline_spec_that_loads_again(compiled: Path) -> None:
    spec, _ = documents(compiled)
    json_format.ParseDict(spec, pipeline_spec_pb2.PipelineSpec())
    parameters = spec["root"]["inputDefinitions"]["parameters"]
    assert set(components.load_component_from_file(str(compiled)).component_spec.inputs) == set(parameters)
    assert len(parameters["evaluation"]["defaultValue"]["benchmarks"]) == 10
    assert parameters["gate"]["defaultValue"]["significance"] == 0.05
    assert [name for name, value in parameters.items() if not value.get("description")] == []
    assert parameters["image"]["defaultValue"] == IMAGE


def test_a_scheduled_run_is_not_answered_from_the_cache(compiled: Path) -> None:
    tasks = documents(compiled)[0]["components"]["comp-exit-handler-1"]["dag"]["tasks"]
    assert not tasks["evaluation-preparation"]["cachingOptions"].get("enableCache")
    for name in ("base-model", "benchmarks"):
        run_id = tasks[name]["inputs"]["parameters"]["mlflow_run_id"]["taskOutputParameter"]
        assert run_id["producerTask"] == "evaluation-preparation"


def test_the_command_compiles_the_settings_that_it_is_given(tmp_path: Path) -> None:
    command = ["pipeline", "compile", "evaluation", "-o", str(tmp_path / "e.yaml"), "--set", "evaluation.limit=9"]
    assert "evaluation of tiny" in CliRunner().invoke(app, command).stdout
    spec, _ = documents(tmp_path / "e.yaml")
    assert spec["root"]["inputDefinitions"]["parameters"]["evaluation"]["defaultValue"]["limit"] == 9
    refused = CliRunner().invoke(app, [*command, "--iterations", "2"])
    assert "has no iterations" in str(refused.exception)


@pytest.fixture
def champion(model: Path, rows: Path, tmp_path: Path) -> Path:
    """An earlier evaluation of the same model, with another seed."""
    config = short(rows)
    run_benchmark_evaluation(
        Stage.untracked("benchmark_evaluation"),
        executor_model=model,
        output=tmp_path / "champion",
        rollout=config.rollout,
        sandbox=config.sandbox,
        evaluation=config.evaluation,
        tracking=config.tracking,
        output_uri=str(tmp_path / "champion"),
    )
    return tmp_path / "champion"


@pytest.fixture
def environment(local_runner: None, empty_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copyfile(empty_store, tmp_path / "mlflow.db")
    for name, value in {
        "MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path / 'mlflow.db'}",
        "AGENT0_WORKSPACE": str(tmp_path / "workspace"),
        "OMP_NUM_THREADS": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)


@pytest.mark.slow
@pytest.mark.usefixtures("environment")
def test_every_benchmark_is_evaluated_and_the_model_put_to_the_gate(
    model: Path, rows: Path, champion: Path, tmp_path: Path
) -> None:
    pipeline, runner = tmp_path / "evaluation.yaml", local.SubprocessRunner(use_venv=False)
    compile_evaluation(short(rows), pipeline, LOCAL)
    local.init(runner=runner, pipeline_root=str(tmp_path / "artifacts"), raise_on_error=True)
    components.load_component_from_file(str(pipeline))(
        name="candidate", champion=str(champion), model={"source": str(model)}, seed=1
    )

    (page,) = tmp_path.glob("artifacts/**/comparison.html")
    compared = page.parent
    report = read_report(str(compared))
    assert [score.benchmark for score in report.benchmarks] == ["tiny", "gsm8k"]
    assert (report.name, report.model) == ("candidate", str(model))
    assert page.read_text() == (compared.parent / "page").read_text()
    decision = json.loads((compared / "decision.json").read_text())
    assert decision["decision"] == "keep"
    assert [result["benchmark"] for result in decision["results"]] == ["tiny", "gsm8k"]

    client = MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
    runs = client.search_runs([client.get_experiment_by_name("agent0").experiment_id])
    (parent,) = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    assert (parent.info.run_name, parent.info.status) == ("evaluation candidate seed 1", "FINISHED")
    assert parent.data.tags["agent0.decision"] == "keep"
    assert {"eval/gsm8k", "eval/gate_promoted"} <= set(parent.data.metrics)
    assert len(runs) == 5  # the evaluation, its model, two benchmarks, the comparison
    assert not list((tmp_path / "workspace" / parent.info.run_id).iterdir()), "the workspace of finished stages is left"


@pytest.mark.slow
@pytest.mark.usefixtures("environment")
def test_a_registered_candidate_becomes_the_first_champion(model: Path, rows: Path, tmp_path: Path) -> None:
    client = MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
    run_id = client.create_run("0").info.run_id
    origin = Origin(model_digest(model), "0" * 64, "1" * 64, 1, run_id, "0.1.0+abc", "")
    register(client, run_id, "agent0-executor", model, str(model), origin)
    pipeline = tmp_path / "evaluation.yaml"
    compile_evaluation(short(rows), pipeline, LOCAL)
    local.init(
        runner=local.SubprocessRunner(use_venv=False), pipeline_root=str(tmp_path / "artifacts"), raise_on_error=True
    )
    components.load_component_from_file(str(pipeline))(
        champion="models:/agent0-executor@champion", model={"source": "models:/agent0-executor@candidate"}, seed=1
    )

    (page,) = tmp_path.glob("artifacts/**/comparison.html")
    report = read_report(str(page.parent))
    assert (report.name, report.model) == ("agent0-executor 1", "models:/agent0-executor/1")
    assert report.revision == origin.model_sha256
    version = client.get_model_version("agent0-executor", "1")
    (recorded,) = recorded_evaluations(version).values()
    assert recorded.place == page.parent.as_uri()
    assert set(recorded.scores) == {"tiny", "gsm8k"}
    assert {"candidate", "champion"} == set(version.aliases)
    decision = json.loads((page.parent / "decision.json").read_text())
    assert (decision["decision"], decision["alias"]["after"]) == ("promote", "1")
    runs = client.search_runs([client.get_experiment_by_name("agent0").experiment_id])
    (parent,) = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    assert "the first evaluated version becomes it" in parent.data.tags["agent0.reason"]
    (provided,) = [run for run in runs if run.data.tags.get("agent0.stage") == "base_model"]
    assert provided.data.tags["agent0.model"] == "models:/agent0-executor/1"
