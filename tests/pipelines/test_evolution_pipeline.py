from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest
import yaml
from google.protobuf import json_format
from kfp import components
from kfp.pipeline_spec import pipeline_spec_pb2

from agent0.config import SECTIONS, load_config
from agent0_kfp.pipelines.evolution import FUNCTIONS, compile_evolution

IMAGE = "registry.example/agent0-python@sha256:0"


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("compiled") / "evolution.yaml"
    compile_evolution(load_config("qwen3-8b", ["iterations=2"]), path, IMAGE)
    return path


@pytest.fixture(scope="module")
def spec(compiled: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(compiled.read_text())
    return loaded


def test_the_yaml_is_a_pipeline_spec_that_loads_again(compiled: Path, spec: dict[str, Any]) -> None:
    json_format.ParseDict(spec, pipeline_spec_pb2.PipelineSpec())
    loaded = components.load_component_from_file(str(compiled))
    assert {"seed", "recipe", *SECTIONS} == set(loaded.component_spec.inputs)


def test_every_section_is_a_run_parameter_with_the_recipes_values_and_a_description(spec: dict[str, Any]) -> None:
    parameters = spec["root"]["inputDefinitions"]["parameters"]
    assert parameters["executor"]["defaultValue"]["learning_rate"] == 1e-6
    assert parameters["curriculum"]["defaultValue"]["reward"]["tool_weight"] == 0.6
    assert [name for name, value in parameters.items() if not value.get("description")] == []


def test_each_iteration_is_a_nested_pipeline(spec: dict[str, Any]) -> None:
    tasks = spec["root"]["dag"]["tasks"]
    assert [tasks[name]["taskInfo"]["name"] for name in ("iteration", "iteration-2")] == ["iteration 1", "iteration 2"]
    assert "iteration-3" not in tasks
    second = tasks["iteration-2"]["inputs"]["artifacts"]
    assert second["executor_model"]["taskOutputArtifact"]["producerTask"] == "iteration"
    assert second["first_executor_model"]["taskOutputArtifact"]["producerTask"] == "base-model"


def test_every_container_runs_the_chosen_image_and_installs_nothing(spec: dict[str, Any]) -> None:
    containers = [executor["container"] for executor in spec["deploymentSpec"]["executors"].values()]
    assert {container["image"] for container in containers} == {IMAGE}
    assert not any("pip install" in part for container in containers for part in container["command"])


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.__name__)
def test_a_component_documents_itself_and_types_its_ports(function: Any) -> None:
    assert function.__doc__
    assert all(p.annotation is not inspect.Parameter.empty for p in inspect.signature(function).parameters.values())
    readme = Path(inspect.getfile(function)).parent / "README.md"
    text = readme.read_text(encoding="utf-8")
    assert all(f"`{port}`" in text for port in inspect.signature(function).parameters)
