from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from agent0.config import Config, RolloutSettings, load_config
from agent0.consistency import check_consistency, check_evaluation
from agent0.errors import UsageError

COMMANDS = (
    ("evolve", "--output", "run"),
    ("pipeline", "compile", "evolution", "-o", "x.yaml"),
    ("pipeline", "compile", "evaluation", "-o", "x.yaml"),
    ("evaluate", "--model", "no/such/model", "--output", "run"),
    ("plan", "--gpus", "8xH200"),
)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("filtering.min_tasks=4", "one training batch needs"),
        ("generation.proposals=4", "generate more"),
        ("rollout.max_observation_tokens=96", "leaves no room"),
        ("rollout.domain=arithmetics", "did you mean 'arithmetic'"),
        ("rollout.domain=no_such_module:DOMAIN", "cannot be imported from no_such_module:DOMAIN"),
        ("rollout.prompts.variant=papre", "has no prompts 'papre'"),
        ('evaluation.benchmarks=["gsm8q"]', "There is no benchmark 'gsm8q'"),
    ],
)
def test_settings_that_cannot_be_run_together_are_refused(override: str, message: str) -> None:
    check_consistency(load_config())
    with pytest.raises(UsageError, match=message):
        check_consistency(load_config("tiny", [override]))


def test_a_domain_without_a_program_has_nothing_to_demonstrate() -> None:
    mathematics = ["model.embedded_only=false", "rollout.domain=mathematics", "warm_start.steps=1"]
    with pytest.raises(UsageError, match="No program writes tasks of the domain mathematics"):
        check_consistency(load_config("tiny", mathematics))
    check_consistency(load_config("tiny", [*mathematics, "warm_start.source=own"]))


def test_an_evaluation_needs_no_settings_of_training_that_agree() -> None:
    check_evaluation(Config())
    with pytest.raises(UsageError, match="one training batch needs"):
        check_consistency(Config())
    with pytest.raises(UsageError, match="There is no domain"):
        check_evaluation(Config(rollout=RolloutSettings(domain="none")))


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_command_refuses_a_broken_domain_before_it_begins(command: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("import nothing_of_this_name\n")
    code = "import sys; sys.path.insert(0, ''); from agent0.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, *command, "--set", "rollout.domain=broken:DOMAIN"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("agent0: The domain broken:DOMAIN cannot be imported from broken:DOMAIN (")
    assert done.stderr.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir() if path.name != "__pycache__"] == ["broken.py"]
