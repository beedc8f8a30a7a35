"""The whole loop with every program on the sandbox's service: no stage starts a pool of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient
from sandbox_service import Service, sandbox_services
from short_evolution import SEED, SHORTEST, agent0, arguments_of, events

from agent0.config import load_config
from agent0.sandbox.bearer_token import TOKEN_VARIABLE
from agent0_kfp.pipelines.local_evolution import LocalEvolution

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

TOKEN = "a-token-of-this-test"
NO_POOL = """
import sys

class NoPool:
    def find_spec(self, name, path=None, target=None):
        if name == "agent0.sandbox.pool":
            raise ImportError("this process starts no pool of its own")

sys.meta_path.insert(0, NoPool())
"""
OWN = ["warm_start.steps=2", "warm_start.source=own", "warm_start.own_samples=24", "warm_start.own_minimum=1"]


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with sandbox_services(load_config("tiny").sandbox, TOKEN) as (running,):
        yield running


@pytest.fixture
def environment(tmp_path: Path, model_cache: Path, empty_store: Path) -> dict[str, str]:
    """In which nothing that is started can import the pool."""
    (tmp_path / "without" / "sitecustomize.py").parent.mkdir()
    (tmp_path / "without" / "sitecustomize.py").write_text(NO_POOL)
    return {
        **os.environ,
        "PYTHONPATH": str(tmp_path / "without"),
        "AGENT0_CACHE": str(model_cache),
        "MLFLOW_TRACKING_URI": f"sqlite:///{shutil.copy(empty_store, tmp_path)}",
        TOKEN_VARIABLE: TOKEN,
    }


def evolve(output: Path, environment: dict[str, str], service: Service) -> subprocess.CompletedProcess[str]:
    settings = [*SHORTEST, *OWN, f"sandbox.endpoints={json.dumps([service.url])}"]
    arguments = ["evolve", "--output", str(output), "--iterations", "1", "--seed", str(SEED), *arguments_of(settings)]
    return subprocess.run(agent0(*arguments), capture_output=True, text=True, env=environment, check=False)


def test_every_program_of_an_evolution_runs_on_the_service(
    service: Service, environment: dict[str, str], tmp_path: Path
) -> None:
    local = subprocess.run(agent0("sandbox", "check"), capture_output=True, text=True, env=environment, check=False)
    assert "this process starts no pool of its own" in local.stderr

    before, output = service.programs, tmp_path / "run"
    done = evolve(output, environment, service)
    assert done.returncode == 0, done.stderr + (output / "log.txt").read_text()[-3000:]

    client = MlflowClient(environment["MLFLOW_TRACKING_URI"])
    (experiment,) = (e.experiment_id for e in client.search_experiments() if e.name == "agent0")
    counted = {
        run.info.run_name: round(run.data.metrics["sandbox/programs"])
        for run in client.search_runs([experiment])
        if "sandbox/programs" in run.data.metrics
    }
    stages = {"curriculum_training", "task_generation", "sandboxed_execution", "executor_training"}
    assert {*stages, "warm_evaluation", "benchmark_evaluation"} <= {name.split()[-1] for name in counted}
    assert service.programs - before >= sum(counted.values()) > 0
    for path in (path for path in output.rglob("*") if path.is_file()):
        assert TOKEN.encode() not in path.read_bytes(), path

    ended = [event for event in events(output) if event["kind"] == "end"]
    assert LocalEvolution.resume(output).stages == len(ended)


def test_an_evolution_whose_service_refuses_the_token_ends_in_its_first_stage(
    service: Service, environment: dict[str, str], tmp_path: Path
) -> None:
    done = evolve(tmp_path / "run", {**environment, TOKEN_VARIABLE: "another"}, service)
    assert done.returncode == 1
    assert "does not accept the bearer token" in done.stderr
    assert {event["stage"] for event in events(tmp_path / "run")} == {"opening", "closing"}
