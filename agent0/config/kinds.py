"""What a setting may be, in words."""

from __future__ import annotations

import re
from collections.abc import Iterator
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Interval, Le, Lt, MaxLen, MinLen
from pydantic import BaseModel
from pydantic.fields import FieldInfo

_KINDS = {bool: "true or false", int: "whole number", float: "number", str: "text"}
_SIGNS = {Ge: "≥", Gt: ">", Le: "≤", Lt: "<"}


def in_words(annotation: Any) -> str:
    """Return the type of a setting in words, such as 'list of texts'."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if hasattr(annotation, "__metadata__"):
        return ", ".join([in_words(arguments[0]), *bounds(annotation.__metadata__)])
    if origin is Literal:
        return " or ".join(f"'{choice}'" for choice in arguments)
    if origin in (Union, UnionType):
        return " or ".join(in_words(argument) for argument in arguments if argument is not NoneType)
    if origin is tuple:
        return f"list of {_plural(arguments[0])}"
    if origin is dict:
        return f"table by name of {_plural(arguments[1])}"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return f"table of {' and '.join(annotation.model_fields)}"
    return _KINDS[annotation]


def _plural(annotation: Any) -> str:
    return re.sub(r"^(text|number|whole number|table)", r"\1s", in_words(annotation))


def bounds(metadata: Any) -> Iterator[str]:
    """Yield the limits of a setting in words."""
    for item in metadata:
        if isinstance(item, FieldInfo):
            yield from bounds(item.metadata)
        elif isinstance(item, Interval):
            yield from bounds(iter(item))
        elif type(item) in _SIGNS:
            bound = getattr(item, type(item).__name__.lower())
            yield f"{_SIGNS[type(item)]} {bound:,}" if isinstance(bound, int) else f"{_SIGNS[type(item)]} {bound:g}"
        elif isinstance(item, MinLen):
            yield "not empty" if item.min_length == 1 else f"at least {item.min_length} long"
        elif isinstance(item, MaxLen):
            yield f"at most {item.max_length} long"
        elif pattern := getattr(item, "pattern", None):
            yield f"of the form `{pattern}`"
