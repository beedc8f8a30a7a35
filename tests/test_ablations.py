from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from agent0.ablations import ABLATIONS, active_ablations
from agent0.config import Config, RewardSettings, load_config, parse_section
from agent0.errors import UsageError
from agent0.recipes import recipe_names

R_ZERO = ("no-tool-reward", "grpo", "no-tool")


def flat(config: BaseModel, prefix: str = "") -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name in type(config).model_fields:
        value = getattr(config, name)
        values |= flat(value, f"{prefix}{name}.") if isinstance(value, BaseModel) else {prefix + name: value}
    return values


def differences(one: Config, other: Config) -> dict[str, Any]:
    first, second = flat(one), flat(other)
    return {name: second[name] for name in first if first[name] != second[name]}


@pytest.mark.parametrize("recipe", ["tiny", "qwen3-4b", "qwen3-8b"])
def test_the_full_method_has_no_ablation(recipe: str) -> None:
    assert active_ablations(load_config(recipe).model_dump()) == ()


@pytest.mark.parametrize("recipe", ["tiny", "qwen3-8b"])
@pytest.mark.parametrize("name", ABLATIONS)
def test_an_ablation_changes_its_own_settings_and_no_other(recipe: str, name: str) -> None:
    changed = load_config(recipe, ablations=[name])
    assert differences(load_config(recipe), changed) == dict(ABLATIONS[name].settings)
    assert active_ablations(changed.model_dump(mode="json")) == (name,)


def test_ablations_add_up_and_are_read_off_the_settings_however_they_came_there() -> None:
    by_name = load_config("tiny", ablations=list(R_ZERO))
    by_setting = load_config("tiny", [item for name in R_ZERO for item in ABLATIONS[name].as_overrides().split(", ")])
    assert by_name == by_setting
    assert active_ablations(by_name.model_dump()) == R_ZERO


def test_an_ablation_survives_the_trip_through_pipeline_parameters() -> None:
    dumped = load_config("tiny", ablations=list(R_ZERO)).model_dump(mode="json")
    assert active_ablations(parse_section(Config, dumped).model_dump()) == R_ZERO


def test_settings_that_are_not_there_have_no_ablation() -> None:
    assert active_ablations({}) == ()
    assert active_ablations({"executor": {"adpo": False}, "rollout": 3}) == ()


@pytest.mark.parametrize(
    ("overrides", "ablations", "message"),
    [
        ([], ["gppo"], "did you mean 'grpo'"),
        (["executor.adpo.enabled=true"], ["grpo"], "means executor.adpo.enabled=false"),
        ([], ["no-tool", "single-turn"], "'no-tool' means rollout.max_turns=0"),
    ],
)
def test_an_ablation_that_would_not_act_is_refused(overrides: list[str], ablations: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load_config("tiny", overrides, ablations)


def test_a_weight_that_the_official_composition_ignores_is_refused() -> None:
    with pytest.raises(UsageError, match="repetition_weight would do nothing"):
        load_config("official-code", ablations=["no-repetition-penalty"])
    assert load_config("official-code", ablations=["no-tool-reward"]).curriculum.reward.tool_reward_per_call == 0
    assert RewardSettings(composition="official-code").repetition_weight == 1


def test_r_zero_is_the_main_recipe_without_tool_tool_reward_and_adpo_and_with_its_own_constants() -> None:
    assert "r-zero" in recipe_names()
    r_zero = load_config("r-zero")
    assert active_ablations(r_zero.model_dump()) == R_ZERO
    assert differences(load_config("qwen3-8b"), r_zero) == {
        "recipe": "r-zero",
        "rollout.max_turns": 0,
        "curriculum.reward.tool_reward_per_call": 0,
        "generation.sampling.top_p": 0.95,
        "execution.samples": 9,
        "execution.sampling.top_p": 1.0,
        "execution.sampling.top_k": 40,
        "filtering.min_tasks": 512,
        "executor.steps": 15,
        "executor.tasks_per_step": 512,
        "executor.group_size": 5,
        "executor.updates_per_step": 4,
        "executor.adpo.enabled": False,
    }


def test_a_proposer_without_the_tool_has_no_turns_and_the_executor_keeps_its_own() -> None:
    rollout = load_config("tiny", ablations=["proposer-without-tool"]).rollout
    assert (rollout.max_turns, rollout.for_proposer().max_turns) == (2, 0)
    assert (rollout.has_tool, rollout.for_proposer().has_tool) == (True, False)
    full = load_config("tiny").rollout
    assert full.for_proposer() == full


def test_every_variant_of_the_benchmark_can_be_run_and_its_full_method_is_the_papers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "bench"))
    variants = importlib.import_module("ablation_variants")
    for world in variants.WORLDS.values():
        made = {
            name: load_config(variant.recipe or world.recipe, variants.overrides(world, variant), variant.ablations)
            for name, variant in variants.variants_of(world).items()
        }
        assert len(made) > len(ABLATIONS) + 5
        assert all(made[name] != made["full"] for name in made if name != "full")
        paper, full = flat(Config()), flat(made["full"])
        assert [name for name in variants.BEYOND_PAPER if full[name] != paper[name]] == []
        assert active_ablations(made["r-zero"].model_dump()) == R_ZERO
