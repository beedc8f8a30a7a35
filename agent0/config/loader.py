"""Loading recipes, applying overrides, and errors as sentences."""

from __future__ import annotations

import copy
import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from agent0.ablations import ABLATIONS, active_ablations
from agent0.answers.brackets import split_items
from agent0.config.evolution import Config
from agent0.config.kinds import in_words
from agent0.errors import UsageError, shortened
from agent0.recipes import recipe_names, recipe_text
from agent0.storage.text_files import UnreadableError, parse_toml, read_text

S = TypeVar("S", bound=BaseModel)
SHOWN = 40
"""Names that a sentence lists."""
_SHAPES = ("tuple_type", "dict_type", "model_type")
"""Errors that pydantic tells in words of Python."""
DEFAULTS = "defaults"
"""What `Config.recipe` says where there is none."""


def load_config(
    recipe: str | Mapping[str, Any] | None = "tiny", overrides: Iterable[str] = (), ablations: Sequence[str] = ()
) -> Config:
    """Load a recipe, apply ablations, then `section.field=value` overrides.

    Args:
        recipe: a shipped recipe's name, or a TOML file, local or `s3://`; or settings as JSON has them, such as those
            of an earlier run; None: the defaults of all settings.
        overrides: strings such as `executor.steps=10` or `evaluation.benchmarks=gsm8k,math_500`.
        ablations: names of `agent0.ablations.ABLATIONS`.

    Raises:
        UsageError: unknown recipe, ablation or key (with the nearest valid name), a value out of range, or an ablation
            that another one or an override undoes.
    """
    values = _values_of(recipe)
    for name in ablations:
        if name not in ABLATIONS:
            raise UsageError(f"There is no ablation {name!r}{nearest(name, list(ABLATIONS))}")
        for key, value in ABLATIONS[name].settings.items():
            _assign(values, key, value, f"Ablation {name!r}")
    for override in overrides:
        _apply_override(values, override)
    config = parse_section(Config, values)
    _check_ablations(config, ablations)
    return config


def read_overrides(overrides: Iterable[str]) -> dict[str, Any]:
    """Return `name=value` strings as a mapping; a value is read as TOML, a bare word as a string.

    Raises:
        UsageError: one is not of that form.
    """
    values: dict[str, Any] = {}
    for override in overrides:
        _apply_override(values, override)
    return values


def parse_section(model: type[S], values: Mapping[str, Any]) -> S:
    """Validate `values` as `model`, with errors as sentences.

    Raises:
        UsageError: names each offending key, and the nearest valid name where the key is unknown.
    """
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        raise UsageError(" ".join(_explain(model, item) for item in error.errors())) from error


def _values_of(recipe: str | Mapping[str, Any] | None) -> dict[str, Any]:
    if recipe is None:
        return {"recipe": DEFAULTS}
    return _read_recipe(recipe) if isinstance(recipe, str) else copy.deepcopy(dict(recipe))


def _read_recipe(recipe: str) -> dict[str, Any]:
    if recipe.endswith(".toml"):
        from agent0.storage.uri_files import read_file  # every command imports this module, and few read a file

        known = f"give a .toml file in UTF-8, or one of: {', '.join(recipe_names())}"
        with read_file(recipe) as path:
            text = read_text(path, recipe, noun="recipe file", mended_by=known)
    else:
        if recipe not in recipe_names():
            raise UsageError(f"There is no recipe {recipe!r}{nearest(recipe, recipe_names())}")
        text = recipe_text(recipe)
    values = parse_toml(text, f"Recipe {recipe}", mended_by="correct that line")
    values.setdefault("recipe", recipe)
    return values


def _apply_override(values: dict[str, Any], override: str) -> None:
    key, separator, text = override.partition("=")
    if not separator or not key.strip():
        raise UsageError(
            f"Override {shortened(override)!r} is not of the form section.field=value, e.g. executor.steps=10."
        )
    value = _parse_value(text.strip())
    if isinstance(value, str) and not value.startswith("[") and _holds_texts(key.strip()):
        value = [part.strip() for part in split_items(value) if part.strip()]
    _assign(values, key.strip(), value, f"Override {shortened(override)!r}")


def _holds_texts(key: str) -> bool:
    """Whether a setting is a list of texts, which may be written with commas between them."""
    model: Any = Config
    *sections, leaf = key.split(".")
    for name in sections:
        field = model.model_fields.get(name)
        model = field.annotation if field else None
        if not (isinstance(model, type) and issubclass(model, BaseModel)):
            return False
    return leaf in model.model_fields and model.model_fields[leaf].annotation == tuple[str, ...]


def _assign(values: dict[str, Any], key: str, value: Any, origin: str) -> None:
    *parents, leaf = key.split(".")
    target = values
    for parent in parents:
        child = target.setdefault(parent, {})
        if not isinstance(child, dict):
            raise UsageError(f"{origin}: {parent!r} is a value, not a section.")
        target = child
    target[leaf] = value


def _check_ablations(config: Config, ablations: Sequence[str]) -> None:
    active = active_ablations(config.model_dump())
    for name in ablations:
        if name not in active:
            raise UsageError(
                f"Ablation {name!r} means {ABLATIONS[name].as_overrides()}, but an ablation or a setting after it says "
                "otherwise; leave out one."
            )


def _parse_value(text: str) -> Any:
    if "\n" in text:  # TOML would read more settings from it
        return text
    try:
        return parse_toml(f"value = {text}", text)["value"]
    except UnreadableError:
        return text  # a bare word is a string


def _explain(model: type[BaseModel], item: Any) -> str:
    location = [str(part) for part in item["loc"]]
    name = ".".join(location) or model.__name__
    if item["type"] == "extra_forbidden":
        inner = item["input"]
        while isinstance(inner, Mapping) and inner:  # of an unknown section, the setting that is meant
            key, inner = next(iter(inner.items()))
            name = f"{name}.{key}"
        return f"Unknown setting {shortened(name)!r}{nearest(name, field_paths(model))}"
    if not location and item["type"] == "value_error":  # of a check over several sections: a sentence by itself
        sentence = str(item["msg"]).removeprefix("Value error, ")
        return f"{sentence[0].upper()}{sentence[1:]}."
    said = str(item["msg"]).removeprefix("Value error, ")
    if item["type"] in _SHAPES:
        said = f"a {_wanted(model, item['loc'])} is wanted"
    value = "" if isinstance(item.get("input"), dict) else f" (got {shortened(repr(item.get('input')))})"
    return f"Setting {shortened(name)!r}: {said}{value}."


def _wanted(model: Any, location: Sequence[str | int]) -> str:
    """Return what belongs at a place within the settings, in words."""
    for part in location:
        if isinstance(part, int):
            model = get_args(model)[0]
        else:
            model = model.model_fields[part].annotation if hasattr(model, "model_fields") else get_args(model)[1]
    return "table of settings" if isinstance(location[-1], str) and hasattr(model, "model_fields") else in_words(model)


def field_paths(model: type[BaseModel], prefix: str = "") -> list[str]:
    """Return the dotted names of all settings and sections of a model."""
    paths: list[str] = []
    for name, field in model.model_fields.items():
        paths.append(prefix + name)
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            paths += field_paths(field.annotation, f"{prefix}{name}.")
    return paths


def nearest(name: str, candidates: list[str]) -> str:
    """Return the end of a sentence about an unknown name: which ones are like it, or end alike in other sections."""
    alike = [candidate for candidate in candidates if candidate.rpartition(".")[2] == name.rpartition(".")[2]]
    close = (
        difflib.get_close_matches(name, candidates, n=1, cutoff=0.8)
        or difflib.get_close_matches(name, alike, n=3, cutoff=0.0)
        or difflib.get_close_matches(name, candidates, n=1, cutoff=0.5)
    )
    if close:
        return f"; did you mean {' or '.join(map(repr, close))}?"
    if len(candidates) > SHOWN:
        return "; `agent0 config` prints them all."
    return f"; valid names: {', '.join(candidates)}."
