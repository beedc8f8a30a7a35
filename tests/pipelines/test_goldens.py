"""The compiled pipelines: the kept bytes, valid messages, and references that lead somewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from google.protobuf import json_format
from kfp import components
from kfp.kubernetes import kubernetes_executor_config_pb2
from kfp.pipeline_spec import pipeline_spec_pb2

from tests.pipelines.goldens import FOLDER, GOLDENS, IMAGE

Document = dict[str, Any]
names = pytest.mark.parametrize("name", GOLDENS)
SDK_VERSION = re.compile(rb"^sdkVersion: kfp-2\.\d+\.\d+$", re.MULTILINE)
"""The only line that depends on which release of kfp compiles."""
IMAGE_INPUT = re.compile(r"\{\{\$\.inputs\.parameters\['(pipelinechannel--)?image'\]\}\}")


def documents(name: str) -> tuple[Document, Document]:
    spec, platform = yaml.load_all((FOLDER / name).read_text(), yaml.CSafeLoader)
    return spec, platform


def executors(platform: Document) -> Document:
    configured: Document = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    return configured


def tasks(spec: Document, component: Document) -> Iterator[tuple[Document, str, Document]]:
    """Yield the inputs of the pipeline around, the executor and the specification of each task with a container."""
    for task in component["dag"]["tasks"].values():
        child = spec["components"][task["componentRef"]["name"]]
        if "dag" in child:
            yield from tasks(spec, child)
        else:
            yield component.get("inputDefinitions", {}).get("parameters", {}), child["executorLabel"], task


def references(value: Any) -> Iterator[str]:
    """Yield the names of the inputs that a pod's settings take their values from."""
    for key, item in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        if key == "componentInputParameter":
            yield item
        else:
            yield from references(item)


@names
def test_the_kept_file_is_what_compiling_gives(name: str, tmp_path: Path) -> None:
    GOLDENS[name].write(tmp_path / name)
    compiled, kept = (SDK_VERSION.subn(b"", (folder / name).read_bytes()) for folder in (tmp_path, FOLDER))
    assert compiled == kept, "a pipeline changed: run `make goldens`"
    assert compiled[1] == 1


@names
def test_both_documents_are_valid_messages(name: str) -> None:
    spec, platform = documents(name)
    json_format.ParseDict(spec, pipeline_spec_pb2.PipelineSpec())
    json_format.ParseDict(platform, pipeline_spec_pb2.PlatformSpec())
    for config in executors(platform).values():
        json_format.ParseDict(config, kubernetes_executor_config_pb2.KubernetesExecutorConfig())
    components.load_component_from_file(str(FOLDER / name))


@names
def test_every_parameter_is_described_and_has_a_default(name: str) -> None:
    parameters = documents(name)[0]["root"]["inputDefinitions"]["parameters"]
    assert [key for key, value in parameters.items() if not value.get("description")] == []
    assert [key for key, value in parameters.items() if "defaultValue" not in value] == []
    assert parameters["image"]["defaultValue"] == IMAGE


@names
def test_every_container_runs_the_image_of_the_run(name: str) -> None:
    spec, _ = documents(name)
    images = {executor["container"]["image"] for executor in spec["deploymentSpec"]["executors"].values()}
    assert all(IMAGE_INPUT.fullmatch(image) for image in images)


@names
def test_a_pods_settings_refer_to_inputs_of_the_pipeline_around_it(name: str) -> None:
    spec, platform = documents(name)
    configured = executors(platform)
    assert set(configured) == set(spec["deploymentSpec"]["executors"])
    found = list(tasks(spec, spec["root"]))
    assert {executor for _, executor, _ in found} == set(configured)
    for inputs, executor, _ in found:
        assert set(references(configured[executor])) <= set(inputs), executor


def test_every_option_reaches_the_pods_that_it_is_for() -> None:
    spec, platform = documents("evolution-qwen3-8b.yaml")
    configured = executors(platform)
    training, light = configured["exec-executor-training"], configured["exec-task-filtering"]
    assert int(training["activeDeadlineSeconds"]) == 48 * 3600
    assert training["emptyDirMounts"][0]["sizeLimit"] == "16Gi"
    assert "emptyDirMounts" not in light
    assert all(config["securityContext"] == {"runAsNonRoot": True} for config in configured.values())
    for config in configured.values():
        assert [mount["mountPath"] for mount in config["pvcMount"]] == ["/models", "/shared"]
    assert all("imagePullSecret" in config for config in configured.values())
    containers = {name: item["container"] for name, item in spec["deploymentSpec"]["executors"].items()}
    assert {name for name, item in containers.items() if "accelerator" in item["resources"]} == {
        f"exec-{name}"
        for name in (
            "base-evaluation",
            "benchmark-evaluation",
            "curriculum-training",
            "executor-training",
            "sandboxed-execution",
            "task-generation",
        )
    }
    for container in containers.values():
        assert container["env"] == [{"name": "AGENT0_WORKSPACE", "value": "/shared"}]


def test_caching_and_retries_are_those_of_the_policy_and_the_options() -> None:
    spec, _ = documents("evolution-qwen3-8b.yaml")
    uncached = set()
    for _, executor, task in tasks(spec, spec["root"]):
        assert task["retryPolicy"]["maxRetryCount"] == 2
        assert task["retryPolicy"]["backoffDuration"] == "60s"
        if not task["cachingOptions"].get("enableCache"):
            uncached.add(executor)
    assert uncached == {"exec-opening", "exec-closing", "exec-task-generation"}
