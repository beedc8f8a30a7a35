"""The settings explain themselves: on a terminal, and on a page that is made of them."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from agent0.cli.main import app
from agent0.config import Config
from agent0.config.explanation import Setting, chosen, explained
from agent0.config.loader import field_paths
from tests.docs.settings_page import PAGE, page

SETTINGS = [setting for section in explained() for setting in section.settings]


def test_the_page_is_made_of_the_settings_that_there_are() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "a setting was changed; run `make settings`"


def test_every_setting_is_explained_once_with_what_it_may_be() -> None:
    assert {s.name for s in SETTINGS} | {part.name for part in explained() if part.name} == set(field_paths(Config))
    assert len({s.name for s in SETTINGS}) == len(SETTINGS)
    assert all(s.description and s.allowed and s.source for s in SETTINGS)


@pytest.mark.parametrize(
    ("name", "allowed", "source"),
    [
        ("iterations", "whole number, ≥ 1, ≤ 50", "paper"),
        ("executor.adpo.low", "number, ≥ 0, ≤ 1", "official code"),
        ("executor.sampling.top_p", "number, > 0, ≤ 1", "paper, official code"),
        ("executor.sampling.vocabulary_retention", "number, > 0, ≤ 1", "arXiv 2604.03472"),
        ("training.sharding", "'ddp' or 'fsdp2' or 'zero3'", "ours"),
        ("evaluation.benchmarks", "list of texts, not empty", "ours"),
        ("rollout.prompts.executor", "list of tables of role and content", "ours"),
        ("gate.allowed_losses", "table by name of numbers, ≥ 0, ≤ 1", "ours"),
    ],
)
def test_bounds_and_sources_are_those_of_the_model(name: str, allowed: str, source: str) -> None:
    (found,) = (setting for setting in SETTINGS if setting.name == name)
    assert (found.allowed, found.source) == (allowed, source)


def test_a_recipes_values_are_explained_beside_the_defaults() -> None:
    done = CliRunner().invoke(app, ["config", "executor", "--explain", "--set", "executor.steps=7"])
    assert "executor.steps = 7   (default 40)\n" in done.stdout
    assert "executor.adpo.low = 0.3\n" in done.stdout
    assert "curriculum." not in done.stdout


def test_a_section_is_printed_alone_and_an_unknown_one_names_the_nearest() -> None:
    assert json.loads(CliRunner().invoke(app, ["config", "gate"]).stdout) == Config().gate.model_dump(mode="json")
    assert [s.name for part in chosen("gate.draws") for s in part.settings] == ["gate.draws"]
    assert isinstance(chosen("gate.draws")[0].settings[0], Setting)
    done = CliRunner().invoke(app, ["config", "executer"])
    assert "did you mean 'executor'?" in str(done.exception)
