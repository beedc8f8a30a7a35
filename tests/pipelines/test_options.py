from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from agent0.cli.main import app
from agent0.config import load_config
from agent0.errors import UsageError
from agent0.kubeflow.compile_options import LOCAL, CompileOptions
from agent0_kfp.pipelines.ablation import compile_ablation
from agent0_kfp.pipelines.evolution import compile_evolution


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"retrys": 1}, "did you mean 'retries'"),
        ({"retries": -1}, "greater than or equal to 0"),
        ({"shared_memory": "lots"}, "shared_memory"),
        ({"workspace": "ftp://x"}, "an s3:// prefix or the path of a mounted folder"),
        ({"uncached": ["task_generaton"]}, "there is no component task_generaton"),
        ({"credential_keys": ["AWS KEY"]}, "credential_keys"),
    ],
)
def test_a_wrong_option_is_named(values: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        CompileOptions.parse(values)


def test_the_command_takes_options_for_every_pipeline(tmp_path: Path) -> None:
    command = ["pipeline", "compile", "ablation", "-o", str(tmp_path / "a.yaml"), "--iterations", "1", "--gpus", "2"]
    command += ["--workspace", "s3://bucket/work", "-O", "retries=0", "-O", "shared_memory=2Gi"]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.exception
    assert "ablation 1 iterations" in done.stdout
    spec, platform = yaml.load_all((tmp_path / "a.yaml").read_text(), yaml.CSafeLoader)
    parameters = spec["root"]["inputDefinitions"]["parameters"]
    assert parameters["variants"]["defaultValue"][:2] == ["full", "no-curriculum-training"]
    resources = spec["deploymentSpec"]["executors"]["exec-executor-training"]["container"]["resources"]
    assert resources["accelerator"]["resourceCount"] == "2"
    executors = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    assert executors["exec-executor-training"]["emptyDirMounts"][0]["sizeLimit"] == "2Gi"
    assert not any("retryPolicy" in task for part in spec["components"].values() for task in _tasks(part))


@pytest.mark.parametrize(
    ("arguments", "warning"),
    [
        (["evolution", "--recipe", "qwen3-8b"], "its pods ask for no GPU: give --gpus"),
        (["evaluation", "--recipe", "qwen3-8b"], "its pods ask for no GPU: give --gpus"),
        (["evaluation", "--recipe", "qwen3-8b", "--gpus", "1"], ""),
        (["evolution", "--recipe", "qwen3-8b", "--gpus", "8"], "no workspace is given"),
        (["evolution", "--recipe", "qwen3-8b", "--gpus", "8", "--workspace", "/shared"], ""),
        (["evolution"], ""),
        (
            ["evolution", "--recipe", "qwen3-8b", "--gpus", "8", "--workspace", "/shared", "-O", "training_gpus=0"],
            "pods that train ask for no GPU",
        ),
    ],
)
def test_what_looks_forgotten_is_warned_of(arguments: list[str], warning: str, tmp_path: Path) -> None:
    once = ["--iterations", "1"] if arguments[0] == "evolution" else []
    done = CliRunner().invoke(app, ["pipeline", "compile", *arguments, *once, "-o", str(tmp_path / "p.yaml")])
    assert done.exit_code == 0, done.exception
    assert warning in done.stderr
    assert bool(warning) == ("agent0: warning:" in done.stderr)


def test_gpus_that_the_recipe_does_not_fit_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    command = [
        "pipeline",
        "compile",
        "evolution",
        "--recipe",
        "qwen3-8b",
        "--gpus",
        "3",
        "-o",
        str(tmp_path / "p.yaml"),
    ]
    done = CliRunner().invoke(app, command)
    assert isinstance(done.exception, UsageError)
    assert "2048 sequences per step do not divide into 4 update(s) on 3 processes" in str(done.exception)
    assert not (tmp_path / "p.yaml").exists()


def _tasks(component: dict[str, object]) -> list[object]:
    dag = component.get("dag")
    return list(dag["tasks"].values()) if isinstance(dag, dict) else []


def test_the_options_are_listed_with_their_defaults() -> None:
    listed = CliRunner().invoke(app, ["pipeline", "options"]).stdout
    assert all(name in listed for name in CompileOptions.model_fields)
    assert "16Gi" in listed


def test_an_ablation_over_several_pods_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="set pods to 1 for an ablation"):
        compile_ablation(load_config("tiny", ["pods=2"]), tmp_path / "a.yaml", LOCAL)


@pytest.mark.parametrize(
    ("settings", "gpus", "memory"),
    [
        (["model.source=Qwen/Qwen3-0.6B-Base"], 8, "192Gi"),
        (["model.source=Qwen/Qwen3-4B-Base"], 8, "320Gi"),
        (["model.source=s3://bucket/model"], 8, "192Gi"),
        ([], 0, "8Gi"),
    ],
)
def test_training_pods_get_the_memory_that_loading_takes(
    settings: list[str], gpus: int, memory: str, tmp_path: Path
) -> None:
    config = load_config("qwen3-8b", ["iterations=1", *settings])
    compile_evolution(config, tmp_path / "e.yaml", CompileOptions(gpus=gpus))
    spec = next(yaml.load_all((tmp_path / "e.yaml").read_text(), yaml.CSafeLoader))
    training = spec["deploymentSpec"]["executors"]["exec-executor-training"]["container"]["resources"]
    assert training["resourceMemoryLimit"] == training["resourceMemoryRequest"] == memory
