from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from agent0.cli.main import app
from agent0.config import Config, RolloutSettings, load_config, parse_section
from agent0.consistency import check_consistency, check_evaluation
from agent0.errors import UsageError
from agent0.recipes import recipe_names

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
        ("rollout.domain=arithmetics", "did you mean 'arithmetic'"),
        ("rollout.domain=no_such_module:DOMAIN", "cannot be imported from no_such_module:DOMAIN"),
        ("rollout.prompts.variant=papre", "has no prompts 'papre'"),
        ('evaluation.benchmarks=["gsm8q"]', "There is no benchmark 'gsm8q'"),
    ],
)
def test_what_is_named_and_not_there_is_refused(override: str, message: str) -> None:
    check_consistency(load_config())
    with pytest.raises(UsageError, match=message):
        check_consistency(load_config("tiny", [override]))


def test_a_domain_without_a_program_has_nothing_to_demonstrate() -> None:
    mathematics = ["model.embedded_only=false", "rollout.domain=mathematics", "warm_start.steps=1"]
    with pytest.raises(UsageError, match="No program writes tasks of the domain mathematics"):
        check_consistency(load_config("tiny", mathematics))
    check_consistency(load_config("tiny", [*mathematics, "warm_start.source=own"]))


def test_a_domain_without_truth_has_none_to_train_on() -> None:
    mathematics = ["model.embedded_only=false", "rollout.domain=mathematics", "filtering.truth=refuse"]
    with pytest.raises(UsageError, match="the domain mathematics computes no truth; set it to 'audit'"):
        check_consistency(load_config("tiny", mathematics))
    check_consistency(load_config("tiny", ["filtering.truth=refuse"]))


CONTRADICTIONS = {
    "filtering.min_grounded=0.5": "filtering.min_grounded asks for programs",
    "executor.guard_samples=4": "executor.guard_samples needs tasks whose answers are known",
    "filtering.min_derivations=2": "filtering.min_derivations asks for programs",
    "curriculum.reward.grounded=true": "curriculum.reward.grounded asks for programs",
    "execution.grounded_vote=true": "execution.grounded_vote asks for programs",
    "filtering.min_tasks=4": "min_tasks is 4 but one training batch needs",
    "generation.proposals=4": "fewer than filtering.min_tasks",
    "rollout.max_observation_tokens=96": "leaves no room",
    "generation.least_tasks=9": "set it to 0, or pods to 1",
    "executor.overlong_buffer=72": "punishes every response",
    "executor.updates_per_step=7": "cannot be cut into executor.updates_per_step = 7 updates;",
    "training.micro_batch_tokens=167": "max_response_tokens = 168; set it to that or more",
    "generation.sampling.vocabulary_retention=0.5": "set it to 1, or rollout.backend to 'transformers'",
    "curriculum.executor_sampling.vocabulary_retention=0.5": "set it to 1, or rollout.backend to 'transformers'",
    "executor.sampling.vocabulary_retention=0.5": "set it to 1, or training.policy_backend to 'transformers'",
    "training.sharding=fsdp2": "cannot draw from weights",
    "executor.redraws=1": "both choose the groups of a batch",
    "training.launcher=trainjob": "serves one pod only",
    "training.staleness=1": "draws in turn with the trainer, on the same GPU",
    "filtering.well_posed=true": "filtering.well_posed needs a judge",
    "filtering.well_posed= true": "only as far as it is right about known tasks",
    "executor.pools.negative_share=0.25": "filtering.negative_support = 0 keeps no task",
    "executor.redraws=2": "a group of refused answers alone is not idle",
    "curriculum.conditioning.topics=even": "pretrained on no topics",
    "curriculum.sampling.temperature=0": "curriculum.sampling.temperature is 0, .* or curriculum.steps to 0",
    "executor.sampling.temperature=0": "executor.sampling.temperature is 0, but a training .* executor.steps to 0",
    "warm_start.sampling.temperature=0": "are the same one, and warm_start.own_minimum is 16; set the first to 1",
    "generation.sampling.temperature=0": "are the same one, and filtering.min_tasks is 8; set the first to 1",
    "curriculum.conditioning.examples=2": "asked with different texts; set it to 1",
}
NEEDED = {
    "filtering.min_grounded": ["rollout.max_turns=0"],
    "filtering.min_derivations": ["rollout.max_turns=0"],
    "curriculum.reward": ["rollout.max_turns=0"],
    "execution.grounded_vote": ["rollout.max_turns=0"],
    "generation.least_tasks": ["pods=2", "generation.max_proposals=999"],
    "generation.sampling.voc": ["rollout.backend=vllm"],
    "curriculum.executor_sampling": ["rollout.backend=vllm_server"],
    "executor.sampling.voc": ["training.policy_backend=vllm"],
    "warm_start.sampling": ["warm_start.steps=1", "warm_start.source=own"],
    "executor.pools.negative_share": ["executor.pools.enabled=true"],
    "executor.redraws=2": [
        "executor.pools.enabled=true",
        "executor.pools.negative_share=0.25",
        "filtering.negative_support=0.1",
    ],
    "executor.redraws": ["training.policy_backend=vllm", "training.oversample=1.25", "filtering.min_tasks=10"],
    "filtering.well_posed= ": ["execution.question_judge.source=executor"],
    "training.launcher": ["training.policy_backend=vllm_server"],
    "training.staleness": ["training.policy_backend=vllm"],
    "curriculum.conditioning.examples": [
        "training.policy_backend=vllm",
        "training.oversample=1.25",
        "filtering.min_tasks=10",
    ],
}
"""What makes the setting of that beginning a contradiction."""


def contradiction(override: str) -> list[str]:
    return [*next((more for begin, more in NEEDED.items() if override.startswith(begin)), []), override]


@pytest.mark.parametrize(("override", "message"), CONTRADICTIONS.items(), ids=list(CONTRADICTIONS))
def test_settings_that_contradict_each_other_make_no_configuration(override: str, message: str) -> None:
    overrides = contradiction(override)
    load_config("tiny", overrides[:-1])
    with pytest.raises(UsageError, match=message):
        load_config("tiny", overrides)


def test_all_contradictions_are_told_at_once() -> None:
    with pytest.raises(UsageError) as refused:
        load_config("tiny", ["executor.tasks_per_step=4096", "generation.proposals=4"])
    assert "The setting filtering.min_tasks is 8 but one training batch needs" in str(refused.value)
    assert "The setting generation.proposals is 4, fewer than filtering.min_tasks" in str(refused.value)


def test_a_training_without_steps_has_no_batches_to_cut() -> None:
    load_config("tiny", ["executor.updates_per_step=7", "executor.steps=0"])


@pytest.mark.parametrize(
    "overrides",
    [
        ["curriculum.sampling.temperature=0", "curriculum.steps=0"],
        ["executor.sampling.temperature=0", "executor.steps=0"],
        ["curriculum.executor_sampling.temperature=0", "execution.sampling.temperature=0"],
        ["evaluation.sampling.temperature=0", "warm_start.sampling.temperature=0"],
        ["generation.sampling.temperature=0", "generation.sampling.vocabulary_retention=0.5"],
        ["generation.sampling.temperature=0", "curriculum.conditioning.examples=2"],
    ],
)
def test_greedy_drawing_is_taken_where_it_can_work(overrides: list[str]) -> None:
    load_config("tiny", overrides)


@pytest.mark.parametrize("recipe", [None, *recipe_names()])
def test_the_defaults_and_every_recipe_agree_with_themselves(recipe: str | None) -> None:
    load_config(recipe)


@pytest.mark.parametrize("command", [*COMMANDS, ("config",)], ids=" ".join)
def test_every_command_refuses_a_contradiction(command: tuple[str, ...], tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, [*command, "--set", "generation.proposals=1"])
    assert isinstance(done.exception, UsageError)
    assert "generation.proposals is 1, fewer than" in str(done.exception)
    assert list(tmp_path.iterdir()) == []


def test_the_first_task_refuses_what_was_typed_on_kubeflows_page() -> None:
    sections = load_config("tiny").model_dump(mode="json")
    sections["generation"]["proposals"] = 4
    with pytest.raises(UsageError, match="fewer than filtering"):
        parse_section(Config, sections)


def test_a_domain_that_is_not_there_stops_an_evaluation() -> None:
    check_evaluation(Config())
    with pytest.raises(UsageError, match="There is no domain"):
        check_evaluation(Config(rollout=RolloutSettings(domain="none")))


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_command_refuses_a_broken_domain_before_it_begins(command: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("import nothing_of_this_name\n")
    code = "import sys; sys.path.insert(0, ''); from agent0.cli.main import main; main()"
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


@pytest.mark.parametrize(
    ("domain", "override", "message"),
    [
        ("arithmetic", "curriculum.conditioning.examples=2", "the domain arithmetic have no place for examples; set"),
        ("without_topics:WITHOUT", "curriculum.conditioning.topics=even", "names no topics; set it to 'off'"),
    ],
)
def test_a_domain_is_asked_for_what_its_prompts_have_words_for(
    domain: str, override: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "without_topics.py").write_text(
        "import dataclasses\nfrom agent0.domains import get_domain\n"
        "WITHOUT = dataclasses.replace(get_domain('word_problems'), topics=())\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    overrides = ["model.embedded_only=false", "model.tiny.topic_share=0.5", f"rollout.domain={domain}"]
    check_consistency(load_config("tiny", overrides))
    with pytest.raises(UsageError, match=message):
        check_consistency(load_config("tiny", [*overrides, override]))
    check_consistency(load_config("tiny", [*overrides[:2], "rollout.domain=word_problems", override]))
