"""Whatever is wrong with a file that somebody gave is one sentence."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from agent0.storage.text_files import (
    UnreadableError,
    parse_json,
    parse_toml,
    parse_yaml,
    read_model,
    read_object,
    read_text,
    token_in,
)

DIGITS = "9" * 5000
DEEP = "[" * 100_000 + "]" * 100_000


class Point(BaseModel):
    x: int


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (lambda path: None, "There is no file"),
        (lambda path: path.mkdir(), "a folder, a pipe or a device"),
        (os.mkfifo, "a folder, a pipe or a device"),
        (lambda path: path.symlink_to("/dev/zero"), "a folder, a pipe or a device"),
        (lambda path: path.write_bytes(b"caf\xe9"), r"not UTF-8 text \(byte 4\)"),
    ],
    ids=["missing", "folder", "pipe", "device", "latin-1"],
)
def test_what_is_no_text_is_told(made: Callable[[Path], Any], said: str, tmp_path: Path) -> None:
    path = tmp_path / "given"
    made(path)
    with pytest.raises(UnreadableError, match=f"{said}.*; give another") as raised:
        read_text(path, mended_by="give another")
    assert str(path) in str(raised.value)


def test_a_name_that_is_too_long_is_told(tmp_path: Path) -> None:
    with pytest.raises(UnreadableError, match="File name too long"):
        read_text(tmp_path / ("n" * 300))


@pytest.mark.parametrize(
    ("parse", "text", "said"),
    [
        (parse_json, "", "no valid JSON"),
        (parse_json, '{"a": ', "no valid JSON"),
        (parse_json, f'{{"a": {DIGITS}}}', "more than 4,300 digits"),
        (parse_json, DEEP, "more than 100 levels"),
        (parse_json, '{"a": ' * 101 + "1" + "}" * 101, "more than 100 levels"),
        (parse_json, r'"\ud800"', "surrogates not allowed"),
        (parse_toml, "a = ", "no valid TOML"),
        (parse_toml, f"a = {DIGITS}", "more than 4,300 digits"),
        (parse_toml, f"a = {DEEP}", "more than 100 levels"),
        (parse_toml, "a = " + "{a=" * 5000 + "1" + "}" * 5000, "more than 100 levels"),
        (parse_yaml, "a: [", "no valid YAML"),
        (parse_yaml, f"a: {DIGITS}", "more than 4,300 digits"),
        (parse_yaml, f"a: {DEEP}", "more than 100 levels"),
        (parse_yaml, "a: &a [*a]", r"line 1 has the alias \*a"),
        (parse_yaml, "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]", r"line 2 has the alias \*a"),
        (parse_yaml, "a: 2020-99-99", "no valid YAML"),
        (parse_yaml, "a: !!python/name:os.system", "no valid YAML"),
        (parse_yaml, "a: \x00", "no valid YAML"),
    ],
)
def test_what_is_not_its_language_is_one_short_sentence(parse: Callable[..., Any], text: str, said: str) -> None:
    with pytest.raises(UnreadableError, match=rf"(?s)^The file .*{said}.*; mend it\.$") as raised:
        parse(text, "The file", mended_by="mend it")
    assert len(str(raised.value)) < 400


@pytest.mark.parametrize("text", ["[1, 2]", "3", "null", '"x"'])
def test_an_object_is_wanted_where_settings_are(text: str, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(UnreadableError, match="holds no JSON object"):
        read_object(tmp_path / "x.json")


@pytest.mark.parametrize(
    ("text", "said"),
    [("{}", "x: Field required"), ("[]", "Input should be an object"), ('{"x": "a"}', "x: Input should be"), ("{", "")],
)
def test_a_record_of_another_form_names_what_is_wrong(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(UnreadableError, match=f"is no point.*{said}"):
        read_model(tmp_path / "x.json", Point, noun="point", mended_by="mend it")


@pytest.mark.parametrize("content", ["", "\n", "a\nb", "caf\u00e9", "a\tb"])
def test_a_token_is_one_line_that_a_header_can_carry(content: str, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(content, encoding="utf-8")
    with pytest.raises(UnreadableError, match="holds no token"):
        token_in(tmp_path / "token")


def test_what_is_right_comes_back_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text('{"a": [1, {"b": "\u00e9"}]}', encoding="utf-8")
    assert read_object(tmp_path / "x.json") == {"a": [1, {"b": "\u00e9"}]}
    assert parse_toml("a = 1", "x") == {"a": 1}
    assert parse_yaml("a: 1\n---\nb: 2\n", "x") == [{"a": 1}, {"b": 2}]
    (tmp_path / "token").write_text("secret\n")
    assert token_in(tmp_path / "token") == "secret"
