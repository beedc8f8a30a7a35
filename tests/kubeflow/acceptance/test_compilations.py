"""Everything that is compiled is accepted by every supported server, and renders pods that Kubernetes takes."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from agent0.config import load_config
from agent0.kubeflow.acceptance import RELEASES, Checked, check_package
from agent0.kubeflow.acceptance.pod_security import violations
from agent0.kubeflow.compile_options import CompileOptions
from agent0.kubeflow.compiled_pipeline import Package, read_package
from agent0_kfp.pipelines.pipeline_catalogue import PIPELINES

VOLUMES = {"model_cache": "agent0-models", "shared_volume": "agent0-shared", "image_pull_secret": "registry"}
COMPILATIONS: dict[str, tuple[str, str, list[str], dict[str, Any]]] = {
    "evolution": ("evolution", "tiny", ["iterations=2"], {}),
    "gpus": ("evolution", "qwen3-8b", ["iterations=1"], {"gpus": 8}),
    "pods": ("evolution", "qwen3-8b", ["iterations=1", "pods=3"], {"gpus": 8, "training_timeout_hours": 48}),
    "workspace": ("evolution", "qwen3-8b", ["iterations=1"], {"gpus": 8, "workspace": "s3://bucket/work"}),
    "trainjob": (
        "evolution",
        "qwen3-8b",
        ["iterations=1", "training.launcher=trainjob"],
        {"gpus": 4, "workspace": "/shared", **VOLUMES},
    ),
    "platform": (
        "evolution",
        "tiny",
        ["iterations=1"],
        {"queue": "research", "pod_labels": {"team": "lab"}, "pod_annotations": {"lab.example/note": "x"}, **VOLUMES},
    ),
    "evaluation": ("evaluation", "qwen3-8b", [], {"gpus": 1}),
    "ablation": ("ablation", "tiny", ["iterations=1"], {}),
}
everything = pytest.mark.parametrize("name", COMPILATIONS)
releases = pytest.mark.parametrize("release", RELEASES)


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Package]:
    folder = tmp_path_factory.mktemp("compilations")
    made = {}
    for name, (pipeline, recipe, settings, options) in COMPILATIONS.items():
        PIPELINES[pipeline](load_config(recipe, settings), folder / name, CompileOptions.parse(options))
        made[name] = read_package(str(folder / name))
    return made


def checked(package: Package, release: str, **values: Any) -> Checked:
    return check_package(package, RELEASES[release], values)


def mains(found: Checked, task: str) -> list[dict[str, Any]]:
    """The containers of the pods of a task."""
    pods = [pod for pod in found.pods if pod.task.path[-1] == task]
    return [item for pod in pods for item in pod.manifest["spec"]["containers"] if item["name"] == "main"]


@everything
@releases
def test_it_is_accepted_without_a_word(packages: dict[str, Package], name: str, release: str) -> None:
    found = checked(packages[name], release)
    assert [str(finding) for finding in found.findings] == []
    assert found.accepted
    assert {pod.task.path for pod in found.pods} == {task.path for task in packages[name].containers}


@everything
def test_its_pods_are_restricted_and_name_no_variable_twice(packages: dict[str, Package], name: str) -> None:
    for pod in checked(packages[name], "2.17").pods:
        assert violations(pod.manifest["spec"]) == []
        for container in pod.manifest["spec"]["containers"]:
            names = [item["name"] for item in container.get("env", ())]
            assert len(names) == len(set(names))
            assert all(("value" in item) != ("valueFrom" in item) for item in container.get("env", ()))


def test_gpus_reach_the_pods_that_train_and_draw_and_no_other(packages: dict[str, Package]) -> None:
    found = checked(packages["gpus"], "2.17")
    with_gpus = {
        pod.task.path[-1]
        for pod in found.pods
        for item in mains(found, pod.task.path[-1])
        if item["resources"]["limits"].get("nvidia.com/gpu") == "8"
    }
    assert with_gpus == {
        *("base-evaluation", "benchmark-evaluation", "curriculum-training"),
        *("executor-training", "sandboxed-execution", "task-generation"),
    }


def test_pods_in_a_loop_get_their_resources(packages: dict[str, Package]) -> None:
    (benchmark,) = mains(checked(packages["evaluation"], "2.16"), "benchmark-evaluation")
    expected = {"cpu": "16", "memory": "192Gi", "nvidia.com/gpu": "1"}
    assert benchmark["resources"] == {"limits": expected, "requests": expected}
    assert all(
        item["resources"]["limits"]["cpu"] for item in mains(checked(packages["pods"], "2.16"), "task-generation")
    )


def test_the_workspace_comes_from_the_pipeline_or_from_the_configmap(packages: dict[str, Package]) -> None:
    (fixed,) = mains(checked(packages["workspace"], "2.17"), "executor-training")
    (open_,) = mains(checked(packages["gpus"], "2.17"), "executor-training")
    variables = [{item["name"]: item for item in main["env"]}["AGENT0_WORKSPACE"] for main in (fixed, open_)]
    assert variables[0] == {"name": "AGENT0_WORKSPACE", "value": "s3://bucket/work"}
    assert variables[1]["valueFrom"]["configMapKeyRef"]["name"] == "agent0-settings"


def test_more_memory_keeps_cached_results(tmp_path: Path) -> None:
    """The driver finds a result by inputs, command, image and claims (driver/cache.go, `getFingerPrint`)."""
    keys = []
    for memory, gpus in (("192Gi", 8), ("768Gi", 8)):
        options = CompileOptions.parse({"gpus": gpus, "training_memory": memory, "generation_cpu": "32"})
        path = tmp_path / f"{memory}.yaml"
        PIPELINES["evolution"](load_config("qwen3-8b", ["iterations=1"]), path, options)
        pods = check_package(read_package(str(path)), RELEASES["2.17"]).pods
        keys.append(
            {
                pod.task.path: (pod.task.inputs, [pod.task.container[key] for key in ("command", "args", "image")])
                for pod in pods
                if pod.task.spec["cachingOptions"].get("enableCache")
            }
        )
        assert any("memory" in pod.patch["containers"][0]["resources"]["limits"] for pod in pods)
    assert keys[0] == keys[1]
    assert len(keys[0]) == 12


def test_a_queue_and_labels_are_on_the_pods(packages: dict[str, Package]) -> None:
    labels = {
        pod.task.path[-1]: pod.manifest["metadata"]["labels"] for pod in checked(packages["platform"], "2.17").pods
    }
    assert all(found["team"] == "lab" for found in labels.values())
    queued = {task for task, found in labels.items() if found.get("kueue.x-k8s.io/queue-name") == "research"}
    assert "executor-training" in queued
    assert "task-filtering" not in queued
    annotations = [pod.manifest["metadata"]["annotations"] for pod in checked(packages["platform"], "2.17").pods]
    assert all(found["lab.example/note"] == "x" for found in annotations)


def test_values_of_a_run_are_checked_like_the_defaults(packages: dict[str, Package]) -> None:
    package = packages["evolution"]
    unnamed = checked(package, "2.17", settings="")
    assert {finding.rule for finding in unnamed.findings} == {"object-names"}
    assert "the name of its ConfigMap is ''" in str(unnamed.findings[0])
    long = checked(package, "2.17", recipe="x" * 131_000)
    assert "arguments-fit" in {finding.rule for finding in long.findings}
    assert "The longest is recipe with" in "".join(map(str, long.findings))
    assert checked(package, "2.17", recipe="x" * 12_000).accepted
    wrong = checked(package, "2.17", training_tolerations={"key": "gpu"})
    assert "input-types" in {finding.rule for finding in wrong.findings}


def test_tolerations_and_node_selectors_reach_the_pod(packages: dict[str, Package]) -> None:
    toleration = {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}
    values = {"training_tolerations": [toleration], "training_node_selector": {"pool": "gpu"}}
    found = checked(packages["evolution"], "2.17", **values)
    assert found.accepted
    (pod, *_) = (pod for pod in found.pods if pod.task.path[-1] == "executor-training")
    assert pod.manifest["spec"]["tolerations"] == [toleration]
    assert pod.manifest["spec"]["nodeSelector"] == {"pool": "gpu"}
    wrong = checked(packages["evolution"], "2.17", training_tolerations=[{"kee": "gpu"}])
    assert {finding.rule for finding in wrong.findings} == {"valid-pods"}
    for values in ({"training_tolerations": [{"key": "a", "operator": "Foo"}]}, {"light_node_selector": {"a b": "c"}}):
        assert {finding.rule for finding in checked(packages["evolution"], "2.17", **values).findings} == {"pod-values"}


def test_a_loop_counts_with_its_rounds(packages: dict[str, Package]) -> None:
    package = packages["ablation"]
    seeds = [checked(package, "2.17", seeds=list(range(count))).size for count in (1, 2)]
    assert seeds[1].states > 1.6 * seeds[0].states
    assert seeds[1].specification == seeds[0].specification
    many = checked(package, "2.17", seeds=list(range(8)))
    assert [finding.rule for finding in many.findings] == ["workflow-fits"]
    assert "Argo ends a run at 1.00 MiB" in str(many.findings[0])


def test_limits_of_a_run_are_for_servers_that_know_them(tmp_path: Path) -> None:
    options = CompileOptions.parse({"run_timeout_hours": 48, "keep_hours": 2})
    PIPELINES["evaluation"](load_config("tiny"), tmp_path / "e.yaml", options)
    package = read_package(str(tmp_path / "e.yaml"))
    assert checked(package, "2.17").accepted
    older = checked(package, "2.16")
    assert {finding.rule for finding in older.findings} == {"known-fields"}
    assert {finding.where for finding in older.findings} == {
        "pipelineConfig.activeDeadlineSeconds",
        "pipelineConfig.resourceTtlOnCompletion",
    }


@pytest.mark.slow
def test_ten_rounds_are_checked_within_two_seconds(tmp_path: Path) -> None:
    PIPELINES["evolution"](load_config("tiny", ["iterations=10"]), tmp_path / "ten.yaml", CompileOptions())
    package = read_package(str(tmp_path / "ten.yaml"))
    checked(package, "2.17")  # reads the schemas
    began = time.process_time()
    found = checked(package, "2.17")
    assert time.process_time() - began < 2
    assert found.accepted
    assert found.size.total < 1 << 20
