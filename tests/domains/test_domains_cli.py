from __future__ import annotations

from dataclasses import replace

import pytest
from given_plugins import Give
from typer.testing import CliRunner

from agent0.cli.main import app
from agent0.domains import domain_description, domain_names, get_domain
from agent0.domains.word_problems import DOMAIN
from agent0.errors import Agent0Error, UsageError

RUN = CliRunner(env={"COLUMNS": "160"})


def test_every_installed_domain_is_listed_with_what_it_has() -> None:
    listed = RUN.invoke(app, ["domains"]).stdout
    lines = {line.split()[0]: line.split() for line in listed.splitlines() if line.split()}
    assert set(domain_names()) <= set(lines)
    assert lines["mathematics"][1:] == ["agent0.domains.mathematics:DOMAIN", "no", "no", "paper"]
    assert lines["word_problems"][1:4] == ["agent0.domains.word_problems:DOMAIN", "yes", "yes"]


def test_one_broken_domain_does_not_hide_the_others(give: Give) -> None:
    place = "agent0.domains.mathematics:DOMAIN"
    given = {"broken": ["no.such.module:DOMAIN"], "good": [place], "twice": [place, "their_package:DOMAIN"]}
    give(*(("agent0.domains", name, place) for name, places in given.items() for place in places))
    found = {row[0]: row for row in domain_description.rows()}
    assert found["broken"][1:] == ("no.such.module:DOMAIN", "?", "?", "broken")
    assert found["twice"][1:] == ("?", "?", "?", "broken")
    assert found["good"][2:] == ("no", "no", "paper")
    with pytest.raises(UsageError, match="cannot be imported"):
        domain_description.description("broken")


@pytest.mark.parametrize("name", domain_names())
def test_what_a_model_reads_is_printed_whole(name: str) -> None:
    text = RUN.invoke(app, ["domains", "show", name]).stdout
    domain = get_domain(name)
    for prompts in (domain.prompts, *domain.variants.values()):
        for message in (*prompts.curriculum.messages, *prompts.curriculum.worked, *prompts.executor.messages):
            for line in message["content"].replace("{tool}", "\n").splitlines():
                assert line.strip() in text
    assert "{tool}" not in text
    assert ("task 2 of its program" in text) == (domain.draw is not None)
    assert "rules of a question" in text


def test_the_tasks_that_are_shown_follow_the_seed() -> None:
    shown = [RUN.invoke(app, ["domains", "show", "word_problems", "--seed", seed]).stdout for seed in ("1", "1", "2")]
    assert shown[0] == shown[1] != shown[2]


def test_a_domain_whose_program_fails_is_named(give: Give) -> None:
    give(DOMAIN=replace(DOMAIN, draw=lambda rng: None))
    with pytest.raises(Agent0Error, match=r"^The domain their_package:DOMAIN failed in draw"):
        domain_description.description("their_package:DOMAIN")


def test_a_domain_that_is_not_there_is_refused() -> None:
    with pytest.raises(UsageError, match="did you mean 'word_problems'"):
        domain_description.description("word_problem")
