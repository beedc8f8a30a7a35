"""`upload`, `list`, `params`, `diff` against the test server."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import kfp
import kfp_server_api
import pytest

from agent0.kubeflow import pipeline_versions
from tests.kubeflow.conftest import Command, command
from tests.kubeflow.server import KfpServer


@pytest.fixture(autouse=True)
def _commit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline_versions, "_commit", lambda: "1a2b3c4d5")


def names(server: KfpServer) -> list[str]:
    return [version["name"] for version in server.state.versions.values()]


def test_the_first_upload_makes_the_pipeline_and_a_version_that_says_where_it_comes_from(
    server: KfpServer, pipeline: Command
) -> None:
    done = pipeline("upload", "evolution.yaml")
    assert done.code == 0, done.err
    assert "agent0-evolution@0.1.0-1a2b3c4d5-2-iterations: new pipeline, with its first version" in done.out
    assert f"{server.url}/#/pipelines/details/" in done.out
    assert names(server) == ["0.1.0-1a2b3c4d5-2-iterations"]


def test_a_script_reads_what_was_uploaded_started_and_scheduled(server: KfpServer, pipeline: Command) -> None:
    uploaded = json.loads(pipeline("upload", "evolution.yaml", "--json").out)
    assert uploaded["new"]
    assert uploaded["version_id"] in server.state.versions
    assert not json.loads(pipeline("upload", "evolution.yaml", "--json").out)["new"]
    (run,) = json.loads(pipeline("run", "evolution", "--json").out)
    (again,) = json.loads(pipeline("rerun", run["run_id"], "--json").out)
    assert set(server.state.runs) == {run["run_id"], again["run_id"]}
    assert run["page"] == f"{server.url}/#/runs/details/{run['run_id']}"
    made = json.loads(pipeline("schedule", "evolution", "--cron", "0 0 3 * * *", "--json").out)
    assert list(server.state.recurring_runs) == [made["schedule_id"]]
    refused = pipeline("run", "evolution", "--json", "--wait")
    assert (refused.code, refused.out) == (2, "")
    assert "agent0 pipeline status RUN --wait" in refused.err


def test_the_same_content_is_uploaded_once(server: KfpServer, pipeline: Command) -> None:
    pipeline("upload", "evolution.yaml")
    done = pipeline("upload", "evolution.yaml", "--version", "again")
    assert "2-iterations holds the same content already; nothing was uploaded" in done.out
    assert done.code == 0
    assert len(names(server)) == 1


def test_other_content_becomes_a_new_version(server: KfpServer, pipeline: Command) -> None:
    pipeline("upload", "evolution.yaml")
    done = pipeline("upload", "other.yaml")
    assert "agent0-evolution@0.1.0-1a2b3c4d5-3-iterations: new version" in done.out
    assert len(server.state.pipelines) == 1
    # The same name would be derived for other content of the same commit.
    done = pipeline("upload", "evaluation.yaml")
    done = pipeline("upload", "tagged.yaml")
    assert "agent0-evaluation@0.1.0-1a2b3c4d5-" in done.out
    assert len({name for name in names(server) if "iterations" not in name}) == 2


def test_a_name_that_other_content_has_is_refused(server: KfpServer, pipeline: Command) -> None:
    pipeline("upload", "evolution.yaml", "--version", "first")
    done = pipeline("upload", "other.yaml", "--version", "first")
    assert done.code == 2
    assert "has another version 'first'; versions are never changed" in done.err
    assert names(server) == ["first"]


@pytest.mark.parametrize("trouble", ["500", "drop"])
def test_a_failed_upload_leaves_no_empty_pipeline(server: KfpServer, pipeline: Command, trouble: str) -> None:
    server.break_next("POST", "upload_version", trouble)  # type: ignore[arg-type]
    done = pipeline("upload", "evolution.yaml")
    assert done.code == 1
    assert server.state.pipelines == {}
    assert pipeline("upload", "evolution.yaml").code == 0


def test_what_could_not_be_cleaned_up_is_named(server: KfpServer, pipeline: Command) -> None:
    server.break_next("POST", "upload_version", "500")
    server.break_next("DELETE", "pipelines", "503")
    done = pipeline("upload", "evolution.yaml")
    (left,) = server.state.pipelines
    assert f"({left}) was made for it, is empty, and could not be removed" in done.err


def test_a_file_that_is_no_pipeline_reaches_no_server(server: KfpServer, pipeline: Command, tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text("a: 1")
    done = pipeline("upload", str(tmp_path / "x.yaml"))
    assert (done.code, server.exchanges) == (2, [])
    assert "holds no compiled pipeline" in done.err
    assert "There is no file missing.yaml" in pipeline("upload", "missing.yaml").err


@pytest.mark.parametrize("name", ["evaluation.yml", "evaluation", "evaluation.txt"])
def test_a_file_may_have_any_name(
    server: KfpServer, pipeline: Command, compiled: Path, tmp_path: Path, name: str
) -> None:
    shutil.copy(compiled / "evaluation.yaml", tmp_path / name)
    done = pipeline("upload", str(tmp_path / name))
    assert done.code == 0, done.err
    assert pipeline("diff", "evaluation", "evaluation.yaml").code == 0


def test_the_server_goes_by_the_name_of_what_is_uploaded(server: KfpServer, compiled: Path, tmp_path: Path) -> None:
    shutil.copy(compiled / "evaluation.yaml", tmp_path / "evaluation")
    with pytest.raises(kfp_server_api.ApiException) as refused:
        kfp.Client(host=server.url).upload_pipeline(str(tmp_path / "evaluation"), pipeline_name="x")
    assert refused.value.status == 400


def test_lists_go_on_over_every_page(
    server: KfpServer, pipeline: Command, monkeypatch: pytest.MonkeyPatch, compiled: Path
) -> None:
    monkeypatch.setattr(pipeline_versions, "PAGE_SIZE", 2)
    monkeypatch.setattr(pipeline_versions.pages, "__defaults__", (2,))
    content = (compiled / "evaluation.yaml").read_bytes()
    for number in range(5):
        server.state.upload_pipeline(content, "pipeline.yaml", {"name": f"p{number}"})
    shown = pipeline("list").out
    assert all(f"p{number}" in shown for number in range(5))
    assert len(server.requests("GET", "/pipelines")) == 3
    shown = pipeline("list", "--limit", "3").out
    assert "p1" not in shown
    assert "more than these 3" in shown
    assert "p4" in shown


def test_versions_and_their_images_are_listed(pipeline: Command) -> None:
    assert "There are none." in pipeline("list").out
    pipeline("upload", "evolution.yaml")
    pipeline("upload", "other.yaml")
    shown = pipeline("list", "evolution").out.splitlines()
    rows = [line.split()[:4:3] for line in shown if "1a2b3c4d5" in line]
    assert rows == [["0.1.0-1a2b3c4d5-3-iterations", "3"], ["0.1.0-1a2b3c4d5-2-iterations", "2"]]
    done = pipeline("list", "evolutoin")
    assert "There is no pipeline 'evolutoin' on the server (there are: agent0-evolution)" in done.err


def test_the_parameters_of_a_file_need_no_server(compiled: Path) -> None:
    done = command("params", str(compiled / "evaluation.yaml"), "--endpoint", "http://127.0.0.1:9")
    assert done.code == 0
    rows = {line.split()[0]: line for line in done.out.splitlines() if line.split()}
    assert all(word in rows["seed"] for word in ("NUMBER_INTEGER", "0", "Seed of the sampling."))
    assert '["tiny"]' in rows["evaluation.benchmarks"]
    parsed = json.loads(command("params", str(compiled / "evaluation.yaml"), "--json").out)
    assert {"name": "seed", "type": "NUMBER_INTEGER", "default": 0}.items() <= next(
        item for item in parsed if item["name"] == "seed"
    ).items()


def test_the_parameters_of_a_version_come_from_the_server(pipeline: Command) -> None:
    pipeline("upload", "evaluation.yaml")
    assert "evaluation.benchmarks" in pipeline("params", "evaluation").out


def test_a_difference_names_parameters_images_and_tasks(pipeline: Command) -> None:
    pipeline("upload", "evolution.yaml", "--version", "first")
    done = pipeline("diff", "other.yaml", "first")
    assert done.code == 1, done.err
    lines = [" ".join(line.split()) for line in done.out.splitlines()]
    assert "parameter executor.steps 12 10" in lines
    assert any(line.startswith("task exit-handler-1/iteration-3 ") and line.endswith("–") for line in lines)
    pipeline("upload", "other.yaml", "--version", "second")
    done = pipeline("diff", "agent0-evolution@first", "second")
    assert "parameter executor.steps 10 12" in [" ".join(line.split()) for line in done.out.splitlines()]
    done = pipeline("diff", "evaluation.yaml", "tagged.yaml")
    assert "image exec-base-model registry.example/agent0-python@sha256:0" in " ".join(done.out.split())
    assert "no version 'third'; there are: second, first" in pipeline("diff", "evolution@first", "evolution@third").err


def test_equal_pipelines_do_not_differ(pipeline: Command) -> None:
    pipeline("upload", "evolution.yaml")
    done = pipeline("diff", "evolution.yaml", "evolution")
    assert done.code == 0
    assert "are the same" in done.out


def test_the_raw_difference_is_a_diff_of_the_yaml(pipeline: Command) -> None:
    lines = pipeline("diff", "evaluation.yaml", "tagged.yaml", "--raw").out.splitlines()
    assert lines[:2] == ["--- evaluation.yaml", "+++ tagged.yaml"]
    assert any(line.startswith("+") and "agent0-python:1.0" in line for line in lines)


def test_the_commit_is_that_of_the_source(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    assert len(pipeline_versions._commit().removesuffix("-changed")) in (9, 12)


def test_settings_for_kubernetes_are_uploaded_and_compared(
    server: KfpServer, pipeline: Command, compiled: Path, tmp_path: Path
) -> None:
    base = (compiled / "evaluation.yaml").read_text().partition("\n---\n")[0]
    for name, secret in (("old", "one"), ("new", "two")):
        settings = f"{{secretAsEnv: [{{secretName: {secret}, optional: true}}], activeDeadlineSeconds: 60}}"
        executors = f"{{exec-base-model: {settings}}}"
        platform = f"platforms: {{kubernetes: {{deploymentSpec: {{executors: {executors}}}}}}}\n"
        (tmp_path / f"{name}.yaml").write_text(f"{base}\n---\n{platform}")
    assert pipeline("upload", str(tmp_path / "old.yaml"), "--version", "old").code == 0
    assert "holds the same content already" in pipeline("upload", str(tmp_path / "old.yaml")).out
    (version,) = server.state.versions.values()
    assert set(version["pipeline_spec"]) == {"pipeline_spec", "platform_spec"}
    done = pipeline("diff", "evaluation", str(tmp_path / "new.yaml"))
    rows = [" ".join(line.split()) for line in done.out.splitlines()]
    assert [row for row in rows if row.startswith("option")] == [
        'option exec-base-model kubernetes.secretAsEnv [{"optional": true, "secretName": "one"}] '
        '[{"optional": true, "secretName": "two"}]'
    ]
    assert pipeline("run", str(tmp_path / "new.yaml")).code == 0
    (run,) = server.state.runs.values()
    assert set(run["pipeline_spec"]) == {"pipeline_spec", "platform_spec"}
