"""Reading what people and other programs wrote: texts, and JSON, TOML and YAML in them.

Nothing in such a file is trusted: it may be of another encoding, cut short, nested without end, or hold a number of
thousands of digits. Whatever is wrong with it is one sentence. Whether the content means anything is the caller's
business.
"""

from __future__ import annotations

import json
import sys
import tomllib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from agent0.errors import UsageError, reason_of

if TYPE_CHECKING:
    import yaml
    from pydantic import BaseModel

M = TypeVar("M", bound="BaseModel")
MAX_BYTES = 1 << 30
"""Of a file that is read at once."""
MAX_NESTING = 100
"""Levels of lists and objects within each other; no settings have more than ten."""
_TOKEN_ADVICE = "write a long random text there, e.g. from `openssl rand -hex 32`, without spaces"


class UnreadableError(UsageError):
    """A file cannot be read, or is not what its ending says."""


def read_text(path: Path, where: str = "", *, noun: str = "file", mended_by: str = "") -> str:
    """Return the content of a file of UTF-8 text.

    Args:
        path: the file.
        where: what a person calls it, if not its path.
        noun: what kind of file it is.
        mended_by: what to do about one that cannot be read.

    Raises:
        UnreadableError: it is no file, is not UTF-8, or the system does not let it be read.
    """
    where, mended_by = where or str(path), mended_by or "give a file of UTF-8 text"
    try:
        if not path.exists():
            raise UnreadableError(f"There is no {noun} {where}; {mended_by}.")
        if not path.is_file():
            raise UnreadableError(f"{where} is a folder, a pipe or a device, no {noun}; {mended_by}.")
        if path.stat().st_size > MAX_BYTES:
            raise UnreadableError(f"{where} has more than {MAX_BYTES >> 30} GiB; {mended_by}.")
        return path.read_bytes().decode()
    except UnicodeDecodeError as error:
        raise UnreadableError(f"{where} is not UTF-8 text (byte {error.start + 1}); {mended_by}.") from error
    except OSError as error:
        raise UnreadableError(f"{where} cannot be read ({error.strerror or error}); {mended_by}.") from error


def token_in(path: Path) -> str:
    """Return the token that a file holds.

    Raises:
        UnreadableError: as `read_text`, or it holds no token.
    """
    return usable_token(read_text(path, noun="token file", mended_by=_TOKEN_ADVICE), str(path))


def usable_token(text: str, where: str) -> str:
    """Return the token that is the text of `where`, which a request's header can carry.

    Raises:
        UnreadableError: it is none.
    """
    token = text.strip()
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise UnreadableError(f"{where} holds no token; {_TOKEN_ADVICE}.")
    return token


def read_model(path: Path, kind: type[M], where: str = "", *, noun: str, mended_by: str) -> M:
    """Return the record that a file of JSON holds; `kind` is what it must be, and the rest as in `read_text`.

    Raises:
        UnreadableError: as `read_text`, or it is none.
    """
    text = read_text(path, where, noun=noun, mended_by=mended_by)
    return parse_model(text, kind, where or str(path), noun=noun, mended_by=mended_by)


def parse_model(text: str, kind: type[M], where: str, *, noun: str, mended_by: str) -> M:
    """Return the record that a JSON text holds; see `read_model`."""
    from pydantic import ValidationError  # not for whoever reads a token only: commands load this module

    try:
        return kind.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        said = str(first["msg"]).rstrip(".")
        raise UnreadableError(f"{where} is no {noun}: {f'{place}: ' if place else ''}{said}; {mended_by}.") from error


def read_object(path: Path, where: str = "", *, mended_by: str = "") -> dict[str, Any]:
    """Return the object that a file of JSON holds.

    Raises:
        UnreadableError: as `read_text` and `parse_json`, or it holds something else.
    """
    value = parse_json(read_text(path, where, mended_by=mended_by), where or str(path), mended_by=mended_by)
    if not isinstance(value, dict):
        raise UnreadableError(f"{where or path} holds no JSON object; {mended_by or 'correct that'}.")
    return value


def parse_json(text: str | bytes, where: str, *, mended_by: str = "") -> Any:
    """Return what JSON holds.

    Args:
        text: the JSON.
        where: what a person calls it.
        mended_by: what to do about it if it is none.

    Raises:
        UnreadableError: it is no JSON, is nested too deeply, or has a number of too many digits or half a letter.
    """
    with _explained(where, "JSON", mended_by):
        return _plain(json.loads(text))


def parse_toml(text: str, where: str, *, mended_by: str = "") -> dict[str, Any]:
    """Return what TOML holds; see `parse_json`."""
    with _explained(where, "TOML", mended_by):
        values: dict[str, Any] = _plain(tomllib.loads(text))
        return values


def parse_yaml(text: str, where: str, *, mended_by: str = "") -> list[Any]:
    """Return what each document of a YAML text holds; see `parse_json`.

    Raises:
        UnreadableError: also where it has an alias (`*name`), by which a few lines can stand for more than any memory
            holds.
    """
    import yaml

    loader = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader  # ten times as fast
    with _explained(where, "YAML", mended_by, yaml.YAMLError):
        _check_shape(yaml.parse(text, loader))
        documents: list[Any] = _plain(list(yaml.load_all(text, loader)))
        return documents


def _check_shape(events: Iterable[yaml.Event]) -> None:
    """Check a YAML text before anything is made of it: the parser in C would end the process."""
    import yaml

    depth = 0
    for event in events:
        if isinstance(event, yaml.AliasEvent):
            raise ValueError(f"line {event.start_mark.line + 1} has the alias *{event.anchor}: write the value out")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_NESTING:
            raise RecursionError


def _plain(content: Any) -> Any:
    """Return the content as it is, having seen that whatever walks through it, or writes it, can."""
    waiting = [(content, 0)]
    while waiting:
        value, depth = waiting.pop()
        if depth > MAX_NESTING:
            raise RecursionError
        if isinstance(value, str):
            value.encode()
        elif isinstance(value, dict):
            waiting += [(part, depth + 1) for pair in value.items() for part in pair]
        elif isinstance(value, list):
            waiting += [(part, depth + 1) for part in value]
    return content


@contextmanager
def _explained(where: str, language: str, mended_by: str, invalid: type[Exception] = ValueError) -> Iterator[None]:
    try:
        yield
    except RecursionError as error:
        raise UnreadableError(
            f"{where} is nested more than {MAX_NESTING} levels deep; {mended_by or 'correct that'}."
        ) from error
    except (ValueError, invalid) as error:
        said = reason_of(error)
        if "integer string conversion" in said:
            said = f"it has a number of more than {sys.get_int_max_str_digits():,} digits"
        raise UnreadableError(f"{where} is no valid {language}: {said}; {mended_by or 'correct that'}.") from error
