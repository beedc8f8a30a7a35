"""The evolution on several pods: the same result as on one, and the same YAML from the same arguments."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2
from short_evolution import SHORTEST, arguments_of

from agent0.config import load_config
from agent0.kubeflow.compile_options import LOCAL
from agent0.stages.stage_files import TASKS_FOLDER
from agent0_kfp.pipelines.evolution import compile_evolution

SHORT = [*SHORTEST, "generation.shard_size=12", "execution.shard_size=7"]


def compiled(folder: Path, pods: int) -> Path:
    path = folder / f"{pods}.yaml"
    compile_evolution(load_config("tiny", ["iterations=2", f"pods={pods}"]), path, LOCAL)
    return path


def iteration_tasks(path: Path) -> dict[str, Any]:
    spec = next(yaml.load_all(path.read_text(), yaml.CSafeLoader))
    json_format.ParseDict(spec, pipeline_spec_pb2.PipelineSpec())
    tasks: dict[str, Any] = spec["components"]["comp-iteration"]["dag"]["tasks"]
    return tasks


def test_one_pod_needs_no_loop(tmp_path: Path) -> None:
    tasks = iteration_tasks(compiled(tmp_path, 1))
    assert {"task-generation", "sandboxed-execution"} <= set(tasks)
    assert not any("iterator" in name.lower() or "Iterator" in str(sorted(task)) for name, task in tasks.items())
    assert not any("collection" in name for name in tasks)


def test_several_pods_are_one_flat_loop_per_stage(tmp_path: Path) -> None:
    path = compiled(tmp_path, 3)
    tasks = iteration_tasks(path)
    loops = [task["parameterIterator"]["items"]["raw"] for task in tasks.values() if "parameterIterator" in task]
    assert loops == ["[0, 1, 2]", "[0, 1, 2]"]
    components = next(yaml.load_all(path.read_text(), yaml.CSafeLoader))["components"]
    inside = [component["dag"]["tasks"] for name, component in components.items() if name.startswith("comp-for-loop")]
    assert all("parameterIterator" not in task for dag in inside for task in dag.values())  # never nested
    assert {"task-collection", "execution-collection"} <= set(tasks)


def test_the_yaml_for_several_pods_is_the_same_in_every_process(tmp_path: Path) -> None:
    code = (
        "from pathlib import Path; from agent0.config import load_config; import sys; "
        "from agent0_kfp.pipelines.evolution import compile_evolution; "
        "from agent0.kubeflow.compile_options import LOCAL; "
        "compile_evolution(load_config('tiny', ['iterations=2', 'pods=3']), Path(sys.argv[1]), LOCAL)"
    )
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        subprocess.run([sys.executable, "-W", "ignore", "-c", code, str(tmp_path / seed)], env=environment, check=True)
    assert (tmp_path / "1").read_bytes() == (tmp_path / "2").read_bytes() == compiled(tmp_path, 3).read_bytes()


def evolve(folder: Path, pods: int, cache: Path) -> Path:
    output = folder / f"pods{pods}"
    overrides = arguments_of([*SHORT, f"pods={pods}"])
    done = subprocess.run(
        [sys.executable, "-m", "agent0", "evolve", "--output", str(output), "--iterations", "1", *overrides],
        capture_output=True,
        text=True,
        env={
            **os.environ,
            "AGENT0_CACHE": str(cache),
            "MLFLOW_TRACKING_URI": f"sqlite:///{folder / 'mlflow.db'}",
        },
        check=False,
    )
    assert done.returncode == 0, done.stderr + (output / "log.txt").read_text()[-3000:]
    return output


def summary(output: Path) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((output / "summary.json").read_text())
    del read["seconds"], read["mlflow_run_id"]
    return read


def shards(output: Path, task: str, port: str) -> dict[str, bytes]:
    (folder,) = output.glob(f"artifacts/**/{task}/{port}/{TASKS_FOLDER}")
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_two_pods_evolve_as_one_does(empty_store: Path, model_cache: Path, tmp_path: Path) -> None:
    shutil.copyfile(empty_store, tmp_path / "mlflow.db")
    one, two = (evolve(tmp_path, pods, model_cache) for pods in (1, 2))
    tasks = shards(one, "task-generation", "tasks")
    assert tasks == shards(two, "task-collection", "tasks")
    labelled = shards(one, "sandboxed-execution", "labelled")
    assert len(labelled) > 2  # both pods had work
    assert labelled == shards(two, "execution-collection", "labelled")
    assert summary(one) == summary(two)
