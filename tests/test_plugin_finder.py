"""What packages give is found in one way; collisions, broken modules and missing extras are told in a sentence."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from given_plugins import Give

from agent0.errors import Agent0Error, NotInstalledError, UsageError
from agent0.extras import not_installed
from agent0.plugin_finder import ExtensionPoint, is_place

GROUP = "agent0.numbers"
POINT: ExtensionPoint[int] = ExtensionPoint(GROUP, "number", int, "whole number", {"one": "agent0.own:ONE"})


def test_a_name_is_found_by_its_entry_point_and_a_place_by_itself(give: Give) -> None:
    give((GROUP, "seven", "their_package:SEVEN"), SEVEN=7, EIGHT=8)
    assert POINT.find("seven") == 7
    assert POINT.find("their_package:EIGHT") == 8
    assert POINT.names() == ["one", "seven"]
    assert POINT.place("seven") == "their_package:SEVEN"
    assert [POINT.has(name) for name in ("seven", "one", "their_package:NINE", "eight")] == [True, True, True, False]


def test_what_is_there_already_is_not_imported_to_say_so(give: Give) -> None:
    give()
    POINT.check("one")
    assert "agent0.own" not in sys.modules
    with pytest.raises(NotInstalledError):
        POINT.find("one")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "sevn",
            "There is no number 'sevn'; name one as package.module:NAME, or by its entry point: did you mean 'seven'?",
        ),
        (
            "zzz",
            "There is no number 'zzz'; name one as package.module:NAME, or by its entry point: installed are "
            "one, seven.",
        ),
        ("their_package:TEXT", "their_package:TEXT is no whole number but str; name the number itself."),
        (
            "their_package:GONE",
            "The number their_package:GONE cannot be imported from their_package:GONE (AttributeError: module "
            "'their_package' has no attribute 'GONE'); install its package where this runs, or correct the module.",
        ),
    ],
)
def test_what_is_no_plug_in_is_told_in_a_sentence(name: str, message: str, give: Give) -> None:
    give((GROUP, "seven", "their_package:SEVEN"), SEVEN=7, TEXT="7")
    with pytest.raises(UsageError, match=f"^{re.escape(message)}$"):
        POINT.find(name)


def test_a_name_of_two_packages_or_of_our_own_is_refused_and_the_others_stay(give: Give) -> None:
    give(
        (GROUP, "seven", "their_package:SEVEN"),
        (GROUP, "seven", "another_package:SEVEN"),
        (GROUP, "one", "their_package:SEVEN"),
        (GROUP, "eight", "their_package:EIGHT"),
        (GROUP, "eight", "their_package:EIGHT"),
        EIGHT=8,
    )
    both = "Each of their_package:SEVEN and another_package:SEVEN is given as the number 'seven'; uninstall"
    with pytest.raises(UsageError, match=f"^{both}"):
        POINT.find("seven")
    with pytest.raises(
        UsageError, match=r"^Each of agent0\.own:ONE and their_package:SEVEN is given as the number 'one'"
    ):
        POINT.check("one")
    assert POINT.find("eight") == 8


@pytest.mark.parametrize(
    ("body", "error", "message"),
    [
        (
            "import sys\nsys.exit(3)",
            NotInstalledError,
            r"The number raising:N cannot be imported .*\(SystemExit: 3\).*",
        ),
        (
            "raise ValueError('Not so.\\n  Never.')",
            NotInstalledError,
            r"The number raising:N cannot be imported .*\(ValueError: Not so\. Never\); .*",
        ),
        ("1 / 0", NotInstalledError, r"The number raising:N cannot be imported from raising:N \(ZeroDivisionError: .*"),
        (
            "import no_such_package",
            NotInstalledError,
            r".*\(ModuleNotFoundError: No module named 'no_such_package'\).*",
        ),
        (
            "from agent0.errors import UsageError\nraise UsageError('It has no ears.')",
            UsageError,
            r"The number raising:N is not usable: It has no ears\.",
        ),
        (
            "raise ModuleNotFoundError('', name='reasoning_gym.factory')",
            NotInstalledError,
            re.escape(f"The number raising:N is not usable: {not_installed('reasoning_gym.factory')}"),
        ),
    ],
)
def test_a_module_that_raises_is_told_with_the_plug_ins_name(
    body: str, error: type[Exception], message: str, give: Give, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    give()
    (tmp_path / "raising.py").write_text(body)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(error, match=f"^{message}$") as raised:
        POINT.find("raising:N")
    assert isinstance(raised.value, NotInstalledError) is (error is NotInstalledError)


def test_what_a_plug_in_raises_names_it_and_our_own_errors_stay(give: Give) -> None:
    give()
    with (
        pytest.raises(
            Agent0Error, match=r"^The number seven failed \(ValueError: odd\); correct it, or do without it\.$"
        ),
        POINT.blamed("seven"),
    ):
        raise ValueError("odd")
    told = r"^The number seven failed in counting \(SystemExit: no more of it\); correct it, or do without it\.$"
    with pytest.raises(Agent0Error, match=told), POINT.blamed("seven", "counting"):
        sys.exit("no more\nof it.")
    with pytest.raises(ValueError, match="odd"), POINT.blamed("one"):
        raise ValueError("odd")
    with pytest.raises(UsageError, match=r"^Say so\.$"), POINT.blamed("seven"):
        raise UsageError("Say so.")


def test_a_place_is_a_module_and_a_name() -> None:
    assert is_place("package.module:NAME")
    assert not any(map(is_place, ("name", "gym:small-one", "a:b:c", "file.toml", ":N", "s3://b/k")))
