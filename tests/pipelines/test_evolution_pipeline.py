from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest
import yaml
from kfp import components

from agent0.config import SECTIONS, load_config
from agent0.kubeflow.compile_options import CompileOptions
from agent0_kfp.pipelines.evolution import FUNCTIONS, compile_evolution

IMAGE = "registry.example/agent0-python@sha256:0"


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("compiled") / "evolution.yaml"
    compile_evolution(load_config("qwen3-8b", ["iterations=2"]), path, CompileOptions(image=IMAGE, gpus=8))
    return path


@pytest.fixture(scope="module")
def spec(compiled: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = next(yaml.load_all(compiled.read_text(), yaml.CSafeLoader))
    return loaded


def test_it_loads_again_with_every_section_as_a_parameter(compiled: Path) -> None:
    inputs = components.load_component_from_file(str(compiled)).component_spec.inputs
    assert {"seed", "recipe", "image", "start_iteration", "training_tolerations", *SECTIONS} - {"gate"} <= set(inputs)
    assert "gate" not in inputs


def test_the_parameters_have_the_recipes_values(spec: dict[str, Any]) -> None:
    parameters = spec["root"]["inputDefinitions"]["parameters"]
    assert parameters["executor"]["defaultValue"]["learning_rate"] == 1e-6
    assert parameters["curriculum"]["defaultValue"]["reward"]["tool_weight"] == 0.6
    executors = spec["deploymentSpec"]["executors"]
    training, generation = (
        executors[f"exec-{name}"]["container"]["resources"] for name in ("executor-training", "task-generation")
    )
    assert (training["accelerator"]["resourceCount"], training["accelerator"]["resourceType"]) == (
        "8",
        "nvidia.com/gpu",
    )
    assert (training["resourceMemoryLimit"], generation["resourceMemoryLimit"]) == ("640Gi", "192Gi")
    assert parameters["image"]["defaultValue"] == IMAGE
    assert (parameters["start_iteration"]["defaultValue"], parameters["history_uri"]["defaultValue"]) == (1, "")


def test_each_round_is_a_nested_pipeline_that_goes_on_with_the_one_before(spec: dict[str, Any]) -> None:
    tasks = spec["components"]["comp-exit-handler-1"]["dag"]["tasks"]
    assert [tasks[name]["taskInfo"]["name"] for name in ("iteration", "iteration-2")] == [
        "round 1 of 2",
        "round 2 of 2",
    ]
    assert "iteration-3" not in tasks
    first, second = (tasks[name]["inputs"] for name in ("iteration", "iteration-2"))
    assert second["artifacts"]["executor_model"]["taskOutputArtifact"]["producerTask"] == "iteration"
    assert second["artifacts"]["first_executor_model"]["taskOutputArtifact"]["producerTask"] == "base-model"
    assert first["parameters"]["iteration"] == {"componentInputParameter": "pipelinechannel--start_iteration"}
    number = second["parameters"]["iteration"]["taskOutputParameter"]
    assert number == {"outputParameterKey": "next_iteration", "producerTask": "iteration"}


def test_one_model_goes_from_training_to_training(tmp_path: Path) -> None:
    path = tmp_path / "one.yaml"
    compile_evolution(load_config("tiny", ["iterations=2", "one_model=true"]), path, CompileOptions(image=IMAGE))
    spec = next(yaml.load_all(path.read_text(), yaml.CSafeLoader))
    dag = spec["components"]["comp-iteration"]["dag"]
    for stage in ("sandboxed-execution", "executor-training"):
        source = dag["tasks"][stage]["inputs"]["artifacts"]["executor_model"]["taskOutputArtifact"]
        assert source["producerTask"] == "curriculum-training"
    for agent in ("curriculum_model", "executor_model"):
        [selected] = dag["outputs"]["artifacts"][agent]["artifactSelectors"]
        assert selected["producerSubtask"] == "executor-training"
    opened = spec["components"]["comp-exit-handler-1"]["dag"]["tasks"]["opening"]["inputs"]["parameters"]
    assert opened["one_model"]["runtimeValue"]["constant"] is True


def test_the_closing_task_runs_however_the_others_end(spec: dict[str, Any]) -> None:
    closing = spec["root"]["dag"]["tasks"]["closing"]
    assert closing["triggerPolicy"] == {"strategy": "ALL_UPSTREAM_TASKS_COMPLETED"}
    assert closing["dependentTasks"] == ["exit-handler-1"]
    assert set(spec["root"]["dag"]["tasks"]) == {"closing", "exit-handler-1"}


def test_nothing_is_installed_when_a_container_starts(spec: dict[str, Any]) -> None:
    containers = [executor["container"] for executor in spec["deploymentSpec"]["executors"].values()]
    assert not any("pip install" in part for container in containers for part in container["command"])


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.__name__)
def test_a_component_documents_itself_and_types_its_ports(function: Any) -> None:
    assert function.__doc__
    assert all(p.annotation is not inspect.Parameter.empty for p in inspect.signature(function).parameters.values())
