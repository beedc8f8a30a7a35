"""Each rule finds what it is for: in a pipeline that no cluster runs, and in ones with a single fault."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from agent0.cli.main import app
from agent0.config import load_config
from agent0.errors import UsageError
from agent0.kubeflow.acceptance import RELEASES, Finding, check_package, release_named, release_of
from agent0.kubeflow.acceptance.finding_sentences import require_accepted, sentences
from agent0.kubeflow.acceptance.pod_security import violations
from agent0.kubeflow.acceptance.schemas import pod_schema
from agent0.kubeflow.cluster_sheet import RIGHTS, TRAINJOB_RIGHTS
from agent0.kubeflow.compile_options import CompileOptions
from agent0.kubeflow.compiled_pipeline import Package, package_of, read_package
from agent0_kfp.pipelines.evaluation import compile_evaluation

MANIFESTS = Path(__file__).parents[3] / "pipelines" / "manifests"
NOT_RUN = Path(__file__).parent / "not_run_by_a_cluster.yaml"
LOOP, TASK = "comp-for-loop-1", "benchmark-evaluation"
Change = Callable[[dict[str, Any], dict[str, Any]], None]


@pytest.fixture(scope="module")
def evaluation(tmp_path_factory: pytest.TempPathFactory) -> Package:
    path = tmp_path_factory.mktemp("rules") / "evaluation.yaml"
    compile_evaluation(load_config("tiny"), path, CompileOptions(gpus=1))
    return read_package(str(path))


def found(package: Package, change: Change, release: str = "2.17") -> set[str]:
    """The rules that a changed pipeline breaks."""
    spec, platform = copy.deepcopy(package.spec), copy.deepcopy(package.platform)
    change(spec, platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"][f"exec-{TASK}"])
    changed = package_of({"pipeline_spec": spec, "platform_spec": platform}, "the test's pipeline")
    return {finding.rule for finding in check_package(changed, RELEASES[release]).findings}


def task_in(spec: dict[str, Any]) -> dict[str, Any]:
    task: dict[str, Any] = spec["components"][LOOP]["dag"]["tasks"][TASK]
    return task


def container_in(spec: dict[str, Any]) -> dict[str, Any]:
    container: dict[str, Any] = spec["deploymentSpec"]["executors"][f"exec-{TASK}"]["container"]
    return container


@pytest.mark.parametrize("release", RELEASES)
def test_what_no_cluster_ran_is_refused_for_each_of_its_faults(release: str) -> None:
    checked = check_package(read_package(str(NOT_RUN)), RELEASES[release])
    assert not checked.accepted
    places = {
        finding.rule: {f.where.rpartition("/")[2] for f in checked.findings if f.rule == finding.rule}
        for finding in checked.findings
    }
    assert places["inputs-exist"] == {"task-generation"}  # resources that the loop does not hand on
    assert places["placeholders-are-strings"] == {"curriculum-training"}  # a number of GPUs
    both = {"task-generation", "curriculum-training"}
    assert places["environment-names"] == both  # the workspace; of a TrainJob, too
    assert places["retries-in-time"] == both
    said = "\n".join(map(str, checked.findings))
    assert "AGENT0_WORKSPACE is given by the pipeline (/shared) and by configMap agent0-settings" in said
    assert ("MLFLOW_TRACKING_URI is given by the server's MLflow plugin" in said) == (release == "2.17")


def change_input(spec: dict[str, Any], _: object) -> None:
    task_in(spec)["inputs"]["parameters"]["config"] = {"componentInputParameter": "pipelinechannel--confix"}


def change_artifact(spec: dict[str, Any], _: object) -> None:
    task_in(spec)["inputs"]["artifacts"]["executor_model"] = {"componentInputArtifact": "pipelinechannel--model"}


def change_producer(spec: dict[str, Any], _: object) -> None:
    output = {"producerTask": "nobody", "outputParameterKey": "x"}
    task_in(spec)["inputs"]["parameters"]["config"] = {"taskOutputParameter": output}


def change_output(spec: dict[str, Any], _: object) -> None:
    tasks = spec["components"]["comp-exit-handler-1"]["dag"]["tasks"]
    tasks["base-model"]["inputs"]["parameters"]["config"] = {
        "taskOutputParameter": {"producerTask": "evaluation-preparation", "outputParameterKey": "confix"}
    }


def drop_input(spec: dict[str, Any], _: object) -> None:
    del task_in(spec)["inputs"]["parameters"]["config"]


def change_type(spec: dict[str, Any], _: object) -> None:
    task_in(spec)["inputs"]["parameters"]["iteration"] = {"runtimeValue": {"constant": "three"}}


def unknown_setting_name(_: object, settings: dict[str, Any]) -> None:
    settings["configMapAsEnv"][0]["configMapNameParameter"] = {"componentInputParameter": "elsewhere"}


def number_of_gpus(spec: dict[str, Any], _: object) -> None:
    placeholder = "{{$.inputs.parameters['pipelinechannel--config']}}"
    container_in(spec)["resources"]["accelerator"] = {"resourceType": "nvidia.com/gpu", "resourceCount": placeholder}
    task_in(spec)["inputs"]["parameters"]["pipelinechannel--config"] = {
        "componentInputParameter": "pipelinechannel--config"
    }


def more_than_the_limit(spec: dict[str, Any], _: object) -> None:
    container_in(spec)["resources"]["resourceMemoryRequest"] = "1Ti"


def half_a_gpu(spec: dict[str, Any], _: object) -> None:
    container_in(spec)["resources"]["accelerator"]["resourceCount"] = "0.5"


def no_quantity(spec: dict[str, Any], _: object) -> None:
    container_in(spec)["resources"]["resourceCpuLimit"] = "many"


def variable_of_the_plugin(spec: dict[str, Any], _: object) -> None:
    container_in(spec)["env"] = [{"name": "MLFLOW_TRACKING_URI", "value": "http://mlflow:5000"}]


def variable_twice(spec: dict[str, Any], _: object) -> None:
    container_in(spec)["env"] = [{"name": "HF_HOME", "value": "/models"}]


def volume_with_dots(_: object, settings: dict[str, Any]) -> None:
    claim = {"runtimeValue": {"constant": "models.v1"}}
    settings["pvcMount"] = [{"mountPath": "/models", "pvcNameParameter": claim}]


def two_at_one_place(_: object, settings: dict[str, Any]) -> None:
    settings["pvcMount"] = [
        {"mountPath": "/models", "pvcNameParameter": {"runtimeValue": {"constant": name}}} for name in ("one", "two")
    ]


def unknown_policy(_: object, settings: dict[str, Any]) -> None:
    settings["imagePullPolicy"] = "Sometimes"


def as_root(_: object, settings: dict[str, Any]) -> None:
    del settings["securityContext"]


def of_a_later_server(_: object, settings: dict[str, Any]) -> None:
    settings["initContainers"] = [{"name": "first"}]


def long_name(spec: dict[str, Any], _: object) -> None:
    tasks = spec["components"][LOOP]["dag"]["tasks"]
    tasks["x" * 129] = tasks[TASK]


def loud_name(spec: dict[str, Any], _: object) -> None:
    spec["pipelineInfo"]["name"] = "Agent0"


def no_image_name(spec: dict[str, Any], _: object) -> None:
    container_in(spec)["image"] = "Registry/UPPER CASE"


def bad_object_name(_: object, settings: dict[str, Any]) -> None:
    settings["configMapAsEnv"][0]["configMapNameParameter"] = {"runtimeValue": {"constant": "Bad Name"}}


def missing_component(spec: dict[str, Any], _: object) -> None:
    task_in(spec)["componentRef"]["name"] = "comp-nobody"


def within_itself(spec: dict[str, Any], _: object) -> None:
    task_in(spec)["componentRef"]["name"] = LOOP


def missing_executor(spec: dict[str, Any], _: object) -> None:
    spec["components"][f"comp-{TASK}"]["executorLabel"] = "exec-nobody"


@pytest.mark.parametrize(
    ("change", "rules"),
    [
        (change_input, {"inputs-exist"}),
        (change_artifact, {"inputs-exist"}),
        (change_producer, {"inputs-exist"}),
        (change_output, {"inputs-exist"}),
        (drop_input, {"inputs-exist"}),
        (change_type, {"input-types"}),
        (unknown_setting_name, {"inputs-exist"}),
        (number_of_gpus, {"placeholders-are-strings"}),
        (more_than_the_limit, {"pod-values"}),
        (half_a_gpu, {"pod-values"}),
        (no_quantity, {"pod-values"}),
        (variable_of_the_plugin, {"environment-names"}),
        (variable_twice, {"environment-names"}),
        (volume_with_dots, {"pod-values"}),
        (two_at_one_place, {"pod-values"}),
        (unknown_policy, {"pod-values"}),
        (as_root, {"restricted-pods"}),
        (of_a_later_server, {"known-fields", "pods-are-known"}),
        (long_name, {"names"}),
        (loud_name, {"names"}),
        (no_image_name, {"pod-values"}),
        (bad_object_name, {"object-names"}),
        (missing_component, {"inputs-exist"}),
        (within_itself, {"inputs-exist"}),
        (missing_executor, {"inputs-exist"}),
    ],
)
def test_a_single_fault_is_found_by_its_rule_and_by_no_other(
    evaluation: Package, change: Change, rules: set[str]
) -> None:
    assert found(evaluation, lambda spec, settings: None) == set()
    assert found(evaluation, change) == rules


def test_a_variable_of_the_plugin_is_free_where_there_is_none(evaluation: Package) -> None:
    assert found(evaluation, variable_of_the_plugin, "2.16") == set()


def test_a_pod_that_may_be_root_is_advice_only(evaluation: Package) -> None:
    spec, platform = copy.deepcopy(evaluation.spec), copy.deepcopy(evaluation.platform)
    as_root(spec, platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"][f"exec-{TASK}"])
    checked = check_package(Package(spec, platform), RELEASES["2.17"])
    assert checked.accepted
    assert [finding.fatal for finding in checked.findings] == [False]


def test_a_refusal_names_rules_and_places_and_says_what_many_tasks_share_once() -> None:
    with pytest.raises(UsageError) as caught:
        require_accepted(read_package(str(NOT_RUN)), RELEASES["2.17"])
    text = str(caught.value)
    assert "Kubeflow Pipelines 2.17 would not run agent0-evolution" in text
    assert "[placeholders-are-strings]" in text
    assert "agent0 pipeline check lists them" in text
    shared = [Finding("rule", where, "the same") for where in ("one", "two", "one")]
    assert sentences(shared) == ["[rule] one and 1 more: the same"]


def test_releases_are_named_and_newer_servers_are_taken_for_the_newest() -> None:
    assert str(release_named("2.16")) == "2.16"
    with pytest.raises(UsageError, match=r"there are: 2\.16, 2\.17"):
        release_named("2.15")
    assert [str(release_of(version)) for version in ((2, 16, 1), (2, 17, 0), (2, 19), ())] == [
        "2.16",
        "2.17",
        "2.17",
        "2.17",
    ]


def test_a_patch_is_merged_by_the_keys_of_lists() -> None:
    schema = pod_schema("1.34")
    spec = {
        "containers": [{"name": "main", "image": "old", "env": [{"name": "A", "value": "1"}]}, {"name": "wait"}],
        "tolerations": [{"key": "a"}],
    }
    patch = {
        "containers": [
            {
                "name": "main",
                "image": "new",
                "env": [{"name": "B", "value": "2"}, {"name": "B", "valueFrom": {}}, {"name": "A", "value": "3"}],
            }
        ],
        "tolerations": [{"key": "b"}],
    }
    merged = schema.merged(spec, patch)
    assert [container["name"] for container in merged["containers"]] == ["main", "wait"]
    assert merged["containers"][0]["image"] == "new"
    assert merged["containers"][0]["env"] == [{"name": "A", "value": "3"}, {"name": "B", "value": "2", "valueFrom": {}}]
    assert merged["tolerations"] == [{"key": "b"}]  # a list without keys is replaced
    assert spec["containers"][0]["image"] == "old"


def test_the_schema_refuses_unknown_fields_and_twins() -> None:
    schema = pod_schema("1.34")
    container = {"name": "main", "image": "x", "ports": [{"containerPort": 1}, {"containerPort": 1, "protocol": "TCP"}]}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": [container]}}
    assert list(schema.errors(pod)) == ["spec.containers.0.ports: 2 entries with containerPort, protocol 1, TCP"]
    container["imagee"] = container.pop("image")
    assert "imagee" in next(schema.errors(pod))


@pytest.mark.parametrize(
    "breach",
    [
        {"allowPrivilegeEscalation": True},
        {"capabilities": {}},
        {"capabilities": {"drop": ["ALL"], "add": ["SYS_ADMIN"]}},
        {"privileged": True},
        {"runAsUser": 0},
        {"runAsNonRoot": False},
        {"seccompProfile": {"type": "Unconfined"}},
    ],
)
def test_each_breach_of_the_restricted_standard_is_seen(breach: dict[str, Any]) -> None:
    sealed = {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert violations({"containers": [{"name": "main", "securityContext": sealed}]}) == []
    assert violations({"containers": [{"name": "main", "securityContext": {**sealed, **breach}}]})
    assert violations({"hostNetwork": True, "containers": []})
    assert violations({"volumes": [{"name": "x", "hostPath": {"path": "/"}}], "containers": []})


def invoke(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["pipeline", *arguments])


def test_the_command_says_what_is_wrong_by_release_and_exits_with_one() -> None:
    done = invoke("check", str(NOT_RUN), "--server", "2.16")
    assert done.exit_code == 1
    assert "Kubeflow Pipelines 2.16 would not run agent0-evolution" in done.stdout
    assert "2.17" not in done.stdout
    assert done.stdout.count("[placeholders-are-strings]") == 1
    assert "there are: 2.16, 2.17" in str(invoke("check", str(NOT_RUN), "--server", "3.0").exception)


def test_the_command_renders_the_pods_and_accepts_what_is_compiled(tmp_path: Path) -> None:
    path = tmp_path / "evaluation.yaml"
    assert invoke("compile", "evaluation", "--gpus", "1", "-o", str(path)).exit_code == 0
    done = invoke("check", str(path), "--render", str(tmp_path / "pods"))
    assert done.exit_code == 0
    assert done.stdout.count("accepts agent0-evaluation") == 2
    files = sorted((tmp_path / "pods" / "2.17").iterdir())
    pods = [yaml.safe_load(file.read_text()) for file in files]
    assert {pod["kind"] for pod in pods} == {"Pod"}
    assert len(pods) == 5
    assert "&id" not in files[0].read_text()
    assert len(list((tmp_path / "pods" / "2.16").iterdir())) == 5


def test_compiling_refuses_what_no_server_runs_and_warns_of_what_one_does_not(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    refused = invoke("compile", "evaluation", "-O", "keep_hours=2", "--server", "2.16", "-o", str(path))
    assert "[known-fields]" in str(refused.exception)
    assert not path.exists()
    warned = invoke("compile", "evaluation", "-O", "keep_hours=2", "-o", str(path))
    assert warned.exit_code == 0
    assert "Kubeflow Pipelines 2.16 does not know it" in warned.stderr
    assert path.exists()


def test_the_sheet_names_what_a_cluster_must_have(tmp_path: Path) -> None:
    path = tmp_path / "evolution.yaml"
    options = ["-O", "model_cache=agent0-models", "-O", "training_timeout_hours=48", "-O", "queue=research"]
    arguments = ["--recipe", "qwen3-8b", "--gpus", "8", "--iterations", "1", *options]
    assert invoke("compile", "evolution", *arguments, "-o", str(path)).exit_code == 0
    sheet = invoke("show", str(path)).stdout
    row = next(line for line in sheet.splitlines() if "curriculum-training, executor-training" in line)
    for part in ("8 nvidia.com/gpu", "ghcr.io/agent0/agent0-gpu:", "claim agent0-models at /models", "48 h", "2 times"):
        assert part in row
    assert "kueue.x-k8s.io/queue-name=research" in row
    assert "MLFLOW_TRACKING_URI (as AGENT0_MLFLOW_TRACKING_URI)" in sheet
    assert "| argoproj.io | workflowtaskresults | create, patch |" in sheet
    assert "trainjobs" not in sheet
    jobs = invoke("show", str(path), "--param", "training.launcher=trainjob").stdout
    assert "| trainer.kubeflow.org | trainjobs |" in jobs


@pytest.mark.parametrize(("rights", "file"), [(RIGHTS, "base"), (TRAINJOB_RIGHTS, "components/trainjobs")])
def test_the_rights_of_the_sheet_are_those_of_the_manifests(rights: tuple[tuple[str, ...], ...], file: str) -> None:
    role = next(yaml.safe_load_all((MANIFESTS / file / "role.yaml").read_text()))
    granted = {
        (*group, *resource, ", ".join(rule["verbs"]), ", ".join(rule.get("resourceNames", ())))
        for rule in role["rules"]
        for group in zip(rule["apiGroups"], strict=True)
        for resource in zip(rule["resources"], strict=True)
    }
    assert granted == set(rights)


def test_files_are_compared_and_checked_without_a_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent0.cli.pipeline_version.connect", lambda connection: pytest.fail("a server was asked"))
    monkeypatch.chdir(tmp_path)
    for name, limit in (("a.yaml", "10"), ("b.yaml", "20")):
        assert invoke("compile", "evaluation", "--set", f"evaluation.limit={limit}", "-o", name).exit_code == 0
    done = invoke("diff", "a.yaml", "b.yaml")
    assert done.exit_code == 1
    assert "evaluation.limit" in done.stdout
    assert invoke("diff", "a.yaml", "a.yaml").exit_code == 0
    assert invoke("check", "a.yaml").exit_code == 0
    assert "# agent0-evaluation" in invoke("show", "a.yaml").stdout
