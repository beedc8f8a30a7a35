"""An ablation that would not fit into one workflow becomes one run for each variant."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent0.config import load_config
from agent0.kubeflow.ablation_runs import divided
from agent0.kubeflow.acceptance import RELEASES, check_package
from agent0.kubeflow.compile_options import CompileOptions
from agent0.kubeflow.compiled_pipeline import Package, read_package
from agent0_kfp.pipelines.ablation import compile_ablation
from agent0_kfp.pipelines.evaluation import compile_evaluation
from tests.kubeflow.conftest import Command
from tests.kubeflow.server import KfpServer

NEWEST = RELEASES["2.17"]
VARIANTS = ["full", "grpo", "single-turn"]


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Package:
    path = tmp_path_factory.mktemp("ablation") / "ablation.yaml"
    compile_ablation(load_config("tiny", ["iterations=2"]), path, CompileOptions())
    return read_package(str(path))


def test_what_fits_is_one_run(package: Package) -> None:
    values = {"variants": VARIANTS, "seeds": [0]}
    assert divided(package, NEWEST, values, "night") == [values]


def test_what_does_not_fit_is_divided_by_variant_then_by_seed(package: Package) -> None:
    by_variant = divided(package, NEWEST, {"variants": VARIANTS, "seeds": [*range(6)]}, "night")
    assert [each["variants"] for each in by_variant] == [["full"], ["grpo"], ["single-turn"]]
    assert all(each["seeds"] == [*range(6)] and each["group"] == "night" for each in by_variant)
    assert all(check_package(package, NEWEST, each).accepted for each in by_variant)
    seeds = list(range(20))
    by_seed = divided(package, NEWEST, {"variants": VARIANTS[:2], "seeds": seeds}, "night")
    assert [(each["variants"], each["seeds"]) for each in by_seed] == [
        ([variant], [seed]) for variant in VARIANTS[:2] for seed in seeds
    ]


def test_the_command_starts_them_and_says_so(
    server: KfpServer, pipeline: Command, package: Package, tmp_path: Path
) -> None:
    path = tmp_path / "ablation.yaml"
    compile_ablation(load_config("tiny", ["iterations=2"]), path, CompileOptions())
    arguments = ["--param", "variants=full,grpo", "--name", "night"]
    done = pipeline("run", str(path), *arguments, "--param", "seeds=[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]")
    assert done.code == 0, done.err
    runs = list(server.state.runs.values())
    assert [run["display_name"] for run in runs] == ["night full", "night grpo"]
    assert {run["runtime_config"]["parameters"]["group"] for run in runs} == {"night"}
    assert "2 runs, compared as the group 'night'" in done.out
    done = pipeline("run", str(path), *arguments, "--param", "seeds=[0]")
    assert len(server.state.runs) == 3
    assert "note" not in done.out


def test_another_pipeline_is_left_alone(tmp_path: Path) -> None:
    compile_evaluation(load_config("tiny"), tmp_path / "e.yaml", CompileOptions())
    package = read_package(str(tmp_path / "e.yaml"))
    assert divided(package, NEWEST, {"seed": 3}, "night") == [{"seed": 3}]
