"""How many tasks a run has is read from what was compiled, whatever the pipeline is made of."""

from __future__ import annotations

from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.console import Console

from agent0.cli.bars import Bars
from agent0.cli.local_run import EventView
from agent0.config import load_config
from agent0.kubeflow.compile_options import LOCAL
from agent0.kubeflow.compiled_pipeline import read_package
from agent0_kfp.pipelines.evolution import compile_evolution
from agent0_kfp.pipelines.local_evolution import PIPELINE_FILE, LocalEvolution
from agent0_kfp.pipelines.rounds import RoundOutputs, Rounds

WARM = {"warm_start.steps=0": 0, "warm_start.steps=2": 2}


def stages(folder: Path, *settings: str) -> int:
    config = load_config("tiny", list(settings))
    folder.mkdir()
    compile_evolution(config, folder / PIPELINE_FILE, LOCAL)
    return LocalEvolution(folder, config, "", "").stages


def longer_round(self: Rounds, inputs: dict[str, Any], body: Callable[..., RoundOutputs]) -> RoundOutputs:
    """A round with one component more, which was put there by someone who touched nothing else."""
    done = body(self, inputs)
    known = {name: inputs[name] for name in ("config", "iteration", "mlflow_run_id")}
    self._factory.task("benchmark_evaluation", inputs, **known, executor_model=done.executor_model)
    return done


@pytest.mark.parametrize("warm", WARM)
def test_a_component_more_in_the_round_is_counted_in_each_of_them(
    warm: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, three = (stages(tmp_path / str(n), warm, f"iterations={n}") for n in (1, 3))
    body = Rounds._round_body
    monkeypatch.setattr(Rounds, "_round_body", lambda self, inputs: longer_round(self, inputs, body))
    assert stages(tmp_path / "longer 1", warm, "iterations=1") == one + 1
    assert stages(tmp_path / "longer 3", warm, "iterations=3") == three + 3


def test_a_warm_start_is_counted_where_there_is_one(tmp_path: Path) -> None:
    without, with_it = (stages(tmp_path / warm, warm, "iterations=1") for warm in WARM)
    compiled = read_package(str(tmp_path / "warm_start.steps=2" / PIPELINE_FILE)).expected_tasks
    assert {"warm-start": 1, "warm-evaluation": 1}.items() <= compiled.items()
    assert with_it == without + 2


def test_a_loop_over_pods_is_counted_for_each_pod(tmp_path: Path) -> None:
    compile_evolution(load_config("tiny", ["iterations=2", "pods=3"]), tmp_path / PIPELINE_FILE, LOCAL)
    package = read_package(str(tmp_path / PIPELINE_FILE))
    counted = package.expected_tasks
    assert (counted["task-generation"], counted["task-collection"], counted["executor-training"]) == (6, 2, 2)
    executors = next(yaml.load_all((tmp_path / PIPELINE_FILE).read_text(), yaml.CSafeLoader))["deploymentSpec"]
    assert len({task.executor for task in package.containers}) == len(executors["executors"])


def test_the_screen_counts_to_what_it_is_given() -> None:
    screen = Console(file=StringIO(), force_terminal=True, width=100)
    with Bars(screen) as bars:
        view = EventView(bars, 9)
        for kind in ("start", "end"):
            view.show({"kind": kind, "iteration": 1, "stage": "opening", "seconds": 1.0, "message": ""})
    assert "1/9 stages" in screen.file.getvalue()  # type: ignore[attr-defined]
