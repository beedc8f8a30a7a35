"""A benchmark is found by its file, or by the entry point of another package."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from given_plugins import Give

from agent0.benchmarks.catalogue import BENCHMARKS, PREFIXES, benchmark, is_benchmark, known_tasks
from agent0.benchmarks.spec import Rule
from agent0.errors import Agent0Error, NotInstalledError, UsageError

GROUP = "agent0.benchmarks"


def test_every_file_of_the_folder_is_in_the_catalogue() -> None:
    names = [known.name for known in BENCHMARKS]
    assert {"gsm8k", "math_500", "mmlu_pro", "super_gpqa", "bbeh", "tiny"} <= set(names)
    assert len(names) == len(set(names)) == 13
    assert set(PREFIXES) == {"gym:", "domain:"}


def test_a_benchmark_of_another_package_is_found_by_its_entry_point_or_its_place(give: Give) -> None:
    give()
    assert not is_benchmark("my_sums")
    mine = {name: replace(benchmark("tiny"), name=name) for name in ("my_sums", "their_package:PLACED")}
    give((GROUP, "my_sums", "their_package:MINE"), MINE=mine["my_sums"], PLACED=mine["their_package:PLACED"])
    for name, known in mine.items():
        assert is_benchmark(name)
        assert benchmark(name).dataset is known.dataset
    with pytest.raises(UsageError, match=r"There is no benchmark 'my_sum'; .* did you mean 'my_sums'?"):
        benchmark("my_sum")


def refuse(*_: object) -> Any:
    raise ZeroDivisionError("by nothing")


def test_what_fails_in_a_benchmark_of_another_package_names_it(give: Give) -> None:
    tiny = benchmark("tiny")
    rule = Rule(refuse, refuse, "nobody's")
    protocol = replace(tiny.protocols["paper"], rule=rule, others={"other": rule})
    name = "their_package:MINE"
    mine = replace(
        tiny, name=name, vote=refuse, generate=refuse, probes=refuse, protocols={**tiny.protocols, "paper": protocol}
    )
    give(MINE=mine)
    found = benchmark(name)
    assert found.generate is not None
    rules = [found.protocols["paper"].rule, found.protocols["paper"].others["other"]]
    for part, call in (
        ("vote", lambda: found.vote([])),
        ("generate", lambda: found.generate(1)),  # type: ignore[misc]
        ("probes", lambda: known_tasks(name, 1)),
        *(("extract", lambda rule=rule: rule.extract("", None)) for rule in rules),
        *(("compare", lambda rule=rule: rule.compare([])) for rule in rules),
    ):
        with pytest.raises(
            Agent0Error, match=rf"^The benchmark {name} failed in {part} \(ZeroDivisionError: by nothing\)"
        ):
            call()


@pytest.mark.parametrize(
    ("name", "value", "message", "error"),
    [
        ("my_sums", "not_there:MINE", "cannot be imported from not_there:MINE", NotInstalledError),
        ("my_sums", "their_package:MISSING", "cannot be imported", NotInstalledError),
        ("my_sums", "their_package:NUMBER", "is no agent0.benchmarks.spec.Benchmark but int", UsageError),
        ("others", "their_package:MINE", "calls itself 'my_sums', and records would name it so", UsageError),
        (
            "gsm8k",
            "their_package:MINE",
            "Each of .* and their_package:MINE is given as the benchmark 'gsm8k'",
            UsageError,
        ),
    ],
)
def test_an_entry_point_that_gives_none_is_told(
    name: str, value: str, message: str, error: type[Exception], give: Give
) -> None:
    give((GROUP, name, value), MINE=replace(benchmark("tiny"), name="my_sums"), NUMBER=3)
    with pytest.raises(error, match=message):
        benchmark(name)
