from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from agent0.cli.main import app
from agent0.planning.rates import MeasuredRates, write_rates

RUNNER = CliRunner(env={"TERM": "dumb"})


def test_help_teaches_by_example() -> None:
    shown = RUNNER.invoke(app, ["plan", "--help"])
    assert shown.exit_code == 0
    for part in ("Example", "8xH200", "2x8xH100", "--rates", "--json", "Exits with 1"):
        assert part in shown.output


def test_a_plan_that_fits_exits_with_0() -> None:
    shown = RUNNER.invoke(app, ["plan", "--recipe", "qwen3-8b", "--gpus", "8xH200"])
    assert shown.exit_code == 0, shown.output
    assert "Fits." in shown.output
    assert "not measured" in shown.output


def test_a_plan_that_does_not_fit_exits_with_1_and_proposes() -> None:
    shown = RUNNER.invoke(app, ["plan", "--recipe", "qwen3-4b", "--gpus", "2xL40S"])
    assert shown.exit_code == 1
    assert "Does not fit." in shown.output
    assert "--set training.lora.rank=64" in shown.output


def test_json_holds_the_proposal() -> None:
    shown = RUNNER.invoke(app, ["plan", "--recipe", "qwen3-4b", "--gpus", "2xL40S", "--json"])
    assert shown.exit_code == 1
    assert json.loads(shown.output)["proposal"] == {"overrides": ["training.lora.rank=64"], "gpus": "2xL40S"}


def test_measured_rates_are_named(tmp_path: Path) -> None:
    rates = MeasuredRates(
        gpu="H200",
        model="m",
        parameters=8_190_735_360,
        generated_per_second=2000.0,
        policy_generated_per_second=1500.0,
        trained_per_second=3000.0,
        source="run-7",
    )
    write_rates(str(tmp_path / "rates.json"), [rates])
    arguments = ["plan", "-r", "qwen3-8b", "-g", "8xH200", "--rates", str(tmp_path / "rates.json")]
    shown = RUNNER.invoke(app, arguments).output
    assert "Rates measured by run-7" in shown
    assert "Fits. 3 iterations: ~" not in shown
    assert "not measured" not in shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--recipe", "qwen3-8b", "--gpus", "8xH20O"], "did you mean H200"),
        (["--recipe", "qwen3-8b", "--gpus", "8xH200", "--set", "model.source=no/model"], "are not known"),
        (["--recipe", "qwen3-8b", "--gpus", "8xH200", "--measure", "runs/x"], "--measure needs --rates"),
    ],
)
def test_a_wrong_call_is_one_sentence(arguments: list[str], message: str) -> None:
    command = [sys.executable, "-c", "from agent0.cli.main import main; main()", "plan", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_planning_imports_nothing_heavy() -> None:
    code = (
        "import sys, agent0.planning, agent0.cli.plan_view; "
        "print([m for m in ('torch', 'kfp', 'mlflow', 'transformers', 'trl', 'numpy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
