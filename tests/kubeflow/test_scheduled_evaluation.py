"""A scheduled evaluation, from `schedule` to the moved alias, on the test server.

Each release and each kind of schedule fires with the same values; one of them is executed.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from kfp import components, local
from mlflow.tracking import MlflowClient

from agent0.config import load_config
from agent0.evaluation.registered_evaluations import recorded_evaluations
from agent0.kubeflow.compile_options import LOCAL
from agent0.storage.digest import model_digest
from agent0.tracking.model_origin import Origin
from agent0.tracking.registry import register
from agent0_kfp.pipelines.evaluation import compile_evaluation
from tests.kubeflow.conftest import Command
from tests.kubeflow.server import KfpServer

MODEL, CHAMPION = "models:/agent0-executor@candidate", "models:/agent0-executor@champion"
SHORT = (
    "evaluation.questions_per_level=2",
    "evaluation.tool=false",
    "evaluation.sampled_rows=true",
    "evaluation.max_response_tokens=8",
    "rollout.max_response_tokens=8",
    "rollout.max_observation_tokens=4",
)
SCHEDULE = ("--cron", "0 0 3 * * *", "--model", MODEL, "--benchmarks", "tiny,gsm8k", "--param", f"champion={CHAMPION}")


@pytest.fixture(scope="module")
def versions(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two compiled evaluations by name, on a benchmark file of six made-up rows; by default of the recipe's model."""
    folder = tmp_path_factory.mktemp("versions")
    lines = [json.dumps({"question": f"Which is {n}?", "answer": f"so\n#### {n}"}) + "\n" for n in range(6)]
    (folder / "gsm8k.jsonl").write_text("".join(lines))
    for limit in (1, 2):
        config = load_config("tiny", [*SHORT, f"evaluation.data={folder}", f"evaluation.limit={limit}"])
        compile_evaluation(config, folder / f"of-{limit}.yaml", LOCAL)
    return {file.stem: file for file in sorted(folder.glob("*.yaml"))}


@pytest.fixture
def uploaded(pipeline: Command, versions: dict[str, Path]) -> Command:
    """The commands, with both versions on the server."""
    for name, file in versions.items():
        done = pipeline("upload", str(file), "--version", name)
        assert done.code == 0, done.err
    return pipeline


def fired(server: KfpServer) -> dict[str, Any]:
    """Fire the one schedule, and return its run."""
    (identifier,) = server.state.recurring_runs
    return server.state.fire(identifier)


@pytest.mark.parametrize("version", ["2.16.1", "2.17.0"])
@pytest.mark.parametrize(("follow", "runs"), [((), "of-2"), (("--version", "of-1"), "of-1"), (("--latest",), "of-2")])
def test_each_firing_evaluates_what_was_asked_for(
    server: KfpServer, uploaded: Command, version: str, follow: tuple[str, ...], runs: str
) -> None:
    server.state.version = version
    done = uploaded("schedule", "evaluation", *SCHEDULE, *follow)
    assert done.code == 0, done.err
    run = fired(server)
    values = run["runtime_config"]["parameters"]
    assert (values["model"]["source"], values["champion"]) == (MODEL, CHAMPION)
    assert values["evaluation"]["benchmarks"] == ["tiny", "gsm8k"]
    reference = run["pipeline_version_reference"]["pipeline_version_id"]
    assert server.state.versions[reference]["name"] == runs
    server.state.steps_per_look = 100
    assert server.state.look_at(run["run_id"])["state"] == "SUCCEEDED"


@pytest.mark.slow
@pytest.mark.usefixtures("local_runner")
def test_a_firing_moves_the_alias_to_the_candidate(
    server: KfpServer,
    uploaded: Command,
    empty_store: Path,
    random_model: Any,
    tokenizer: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    random_model.save_pretrained(tmp_path / "small")
    tokenizer.save_pretrained(tmp_path / "small")
    store = f"sqlite:///{shutil.copy(empty_store, tmp_path)}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "false")
    monkeypatch.chdir(tmp_path)
    client = MlflowClient(store)
    producer = client.create_run("0").info.run_id
    digest = model_digest(tmp_path / "small")
    origin = Origin(digest, "0" * 64, "1" * 64, 1, producer, "0.1.0+abc", "")
    register(client, producer, "agent0-executor", tmp_path / "small", str(tmp_path / "small"), origin)

    assert uploaded("schedule", "evaluation", *SCHEDULE).code == 0
    run = fired(server)
    version = server.state.versions[run["pipeline_version_reference"]["pipeline_version_id"]]
    documents = version["pipeline_spec"]
    parts = [documents["pipeline_spec"], documents["platform_spec"]] if "platform_spec" in documents else [documents]
    (tmp_path / "fired.yaml").write_text(yaml.safe_dump_all(parts))
    runner = local.SubprocessRunner(use_venv=False)
    local.init(runner=runner, pipeline_root=str(tmp_path / "artifacts"), raise_on_error=True)
    components.load_component_from_file(str(tmp_path / "fired.yaml"))(**run["runtime_config"]["parameters"])

    moved = client.get_model_version_by_alias("agent0-executor", "champion")
    assert str(moved.version) == "1"
    (recorded,) = recorded_evaluations(moved).values()
    assert set(recorded.scores) == {"tiny", "gsm8k"}
    (decision,) = tmp_path.glob("artifacts/**/decision.json")
    assert json.loads(decision.read_text())["alias"]["after"] == "1"
