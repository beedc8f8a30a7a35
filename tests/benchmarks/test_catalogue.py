"""A benchmark is found by its file, or by the entry point of another package."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import EntryPoint
from types import ModuleType

import pytest

from agent0.benchmarks import catalogue
from agent0.benchmarks.catalogue import BENCHMARKS, GROUP, PREFIXES, benchmark, is_benchmark
from agent0.errors import NotInstalledError, UsageError

Installed = Callable[[str, str], None]


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Installed:
    """A function that installs a package's entry point, whose module holds MINE, a benchmark called my_sums."""
    module = ModuleType("their_benchmarks")
    module.MINE = replace(benchmark("tiny"), name="my_sums")  # type: ignore[attr-defined]
    module.NUMBER = 3  # type: ignore[attr-defined]
    monkeypatch.setitem(__import__("sys").modules, "their_benchmarks", module)

    def install(name: str, value: str) -> None:
        entry = EntryPoint(name, value, GROUP)
        monkeypatch.setattr(catalogue, "entry_points", lambda group: [entry] if group == GROUP else [])

    return install


def test_every_file_of_the_folder_is_in_the_catalogue() -> None:
    names = [known.name for known in BENCHMARKS]
    assert {"gsm8k", "math_500", "mmlu_pro", "super_gpqa", "bbeh", "tiny"} <= set(names)
    assert len(names) == len(set(names)) == 13
    assert set(PREFIXES) == {"gym:", "domain:"}


def test_a_benchmark_of_another_package_is_found_by_its_entry_point(installed: Installed) -> None:
    assert not is_benchmark("my_sums")
    installed("my_sums", "their_benchmarks:MINE")
    assert is_benchmark("my_sums")
    assert benchmark("my_sums").name == "my_sums"
    with pytest.raises(UsageError, match=r"There is no benchmark 'my_sum'; there are .*my_sums"):
        benchmark("my_sum")


@pytest.mark.parametrize(
    ("name", "value", "message", "error"),
    [
        ("my_sums", "not_there:MINE", "cannot be imported from not_there:MINE", NotInstalledError),
        ("my_sums", "their_benchmarks:MISSING", "cannot be imported", NotInstalledError),
        ("my_sums", "their_benchmarks:NUMBER", "is a int, not the", UsageError),
        ("others", "their_benchmarks:MINE", "is the benchmark 'my_sums', not the", UsageError),
    ],
)
def test_an_entry_point_that_gives_none_is_told(
    name: str, value: str, message: str, error: type[Exception], installed: Installed
) -> None:
    installed(name, value)
    with pytest.raises(error, match=message):
        benchmark(name)
