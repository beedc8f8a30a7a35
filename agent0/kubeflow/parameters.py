"""Run parameters: what a person writes becomes what the server accepts, checked before anything is sent.

The server compares types to the letter: a number for a STRING is refused, and so is a name that the pipeline does not
declare. `executor.steps=20` sets one key of the STRUCT `executor` and leaves the pipeline's other values as they are;
so does a whole object, `executor={"steps": 20}`.
"""

from __future__ import annotations

import copy
import difflib
import json
import math
import os
from collections.abc import Iterable, Mapping
from typing import Any, get_origin

from pydantic import BaseModel

from agent0.config import SECTIONS, Config
from agent0.config.base import LARGEST_NUMBER
from agent0.consistency import check_parameter, check_sections
from agent0.errors import UsageError, shortened, warn
from agent0.kubeflow.compiled_pipeline import Input, Package
from agent0.storage import transfer
from agent0.storage.text_files import UnreadableError, parse_json, parse_toml, parse_yaml, read_text
from agent0.storage.uri import NotThereError, NotWholeError, StorageError, is_in_s3, parse
from agent0.storage.uri_files import read_file

LOOK_UP_SECONDS = 10.0
MAX_TEXT_BYTES = 10_000
"""Of a parameter that is a text: a name or an address. Servers of the API's first version take no more of all."""

_EXPECTED = {
    "STRING": "text",
    "NUMBER_INTEGER": "a whole number",
    "NUMBER_DOUBLE": "a number",
    "BOOLEAN": "true or false",
    "LIST": 'a list, as JSON or with commas between: ["a", "b"] or a,b',
    "STRUCT": 'a JSON object, such as {"steps": 20}, or single keys: NAME.key=value',
}

_KINDS: tuple[tuple[Any, str], ...] = (
    (bool, "BOOLEAN"),  # before the numbers, of which Python counts it
    (int | float, "NUMBER_DOUBLE"),
    (str, "STRING"),
    (list, "LIST"),
    (dict, "STRUCT"),
)


def resolve_parameters(
    package: Package, assignments: Iterable[str], file: str = "", *, complete: bool = True
) -> dict[str, Any]:
    """Return the values to send: those of `file`, and over them `name=value` assignments.

    Args:
        package: the pipeline that declares the parameters.
        assignments: such as `seed=3`, `executor.steps=20`, `evaluation.benchmarks=gsm8k,math_500`.
        file: JSON, YAML or TOML, local or `s3://`, an object of values by name; its values keep their types.
        complete: whether a parameter that is required and not given is an error.

    Raises:
        UsageError: an unknown name (with the nearest one), a value of another type, a missing one, one that the server
            does not take, or one that the settings' own checks refuse.
    """
    values: dict[str, Any] = {}
    for name, value in (_read_file(file) if file else {}).items():
        _assign(values, package, str(name), value, typed=True)
    for assignment in assignments:
        name, separator, text = assignment.partition("=")
        if not separator:
            raise UsageError(
                f"--param {shortened(assignment)} needs the form name=value, such as seed=3 or executor.steps=20."
            )
        _assign(values, package, name.strip(), text, typed=False)
    if complete:
        missing = [item for item in package.inputs.values() if item.required and item.name not in values]
        if missing:
            shown = "; ".join(f"{item.name} ({item.description or _EXPECTED[item.type]})" for item in missing)
            raise UsageError(f"The pipeline {package.name} needs a value for {shown}: add --param NAME=VALUE.")
    for name, value in values.items():
        _require_sendable(value, name)
        if package.is_ours:
            _check(package.inputs[name], value)
    sections = [name for name in SECTIONS if name in package.inputs]
    if package.is_ours and "executor" in sections and all(_is_current(package.inputs[name]) for name in sections):
        # They make up the configuration of an evolution, which the first task builds.
        check_sections({name: values.get(name, package.inputs[name].default) for name in sections})
    return values


def check_models(values: Mapping[str, Any]) -> None:
    """Check the URIs of registered models, and that the model to run exists, where that can be seen from here.

    A registered model is looked up where MLflow's server is known. A model in S3 is looked up in any case; where the
    store does not answer or does not let us look, a warning says so. The champion may not exist yet: an evaluation
    without one is the first.

    Raises:
        UsageError: a URI that names no version.
        Agent0Error: no such model, version or alias in the registry of `MLFLOW_TRACKING_URI`, or no whole folder in S3.
    """
    from agent0.tracking.model_uri import is_model_uri, parse_model_uri

    model = values.get("model")
    source = model.get("source", "") if isinstance(model, dict) else ""
    for uri in (source, values.get("champion", "")):
        if is_model_uri(uri):
            parse_model_uri(uri)
    if is_model_uri(source) and os.environ.get("MLFLOW_TRACKING_URI", "").startswith(("http://", "https://")):
        from agent0.tracking.model_source import resolve_source

        resolve_source(source)
    if is_in_s3(source):
        _look_up(source)


def _look_up(source: str) -> None:
    parse(source)
    try:
        transfer.manifest_of(source, LOOK_UP_SECONDS)
    except (NotThereError, NotWholeError):
        raise
    except StorageError as error:
        warn(f"{source} was not looked up from here; the cluster may reach it all the same ({error})")


def _assign(values: dict[str, Any], package: Package, name: str, given: Any, *, typed: bool) -> None:
    head, *keys = name.split(".")
    if head not in package.inputs:
        raise UsageError(
            f"The pipeline {package.name} has no parameter {shortened(head)!r}{_nearest(head, package.inputs)}"
        )
    declared = package.inputs[head]
    if not keys:
        values[head] = _checked(declared, given if typed else _read_text(declared.type, given, name), values)
        return
    if declared.type != "STRUCT":
        raise UsageError(f"{name}: the parameter {head} is {_EXPECTED[declared.type]} and has no keys.")
    section = values.setdefault(head, copy.deepcopy(declared.default or {}))
    for depth, key in enumerate(keys):
        where = ".".join([head, *keys[: depth + 1]])
        known = _default_at(declared.default, keys[:depth])
        if isinstance(known, dict) and known and key not in known and not _is_free(where.rpartition(".")[0]):
            raise UsageError(f"There is no {where} in the pipeline {package.name}{_nearest(key, known)}")
        if depth < len(keys) - 1:
            section = section.setdefault(key, {})
            if not isinstance(section, dict):
                raise UsageError(f"{name}: {where} is a single value and has no keys.")
    section[keys[-1]] = _leaf(_default_at(declared.default, keys), given, name, typed=typed)


def _default_at(default: Any, keys: list[str]) -> Any:
    for key in keys:
        default = default.get(key) if isinstance(default, dict) else None
    return default


def _leaf(default: Any, given: Any, name: str, *, typed: bool) -> Any:
    """Return a value of the kind that the pipeline's default has; without a default, JSON, and text if it is none."""
    kind = next((kind for python, kind in _KINDS if isinstance(default, python)), "")
    if not kind:
        return given if typed else _json_or_text(given)
    value = given if typed else _read_text(kind, given, name)
    _require(kind, value, name)
    if kind == "STRUCT" and default:
        return _laid_over(default, value, name)
    return value


def _read_text(kind: str, text: str, name: str) -> Any:
    """Read what was written on the command line as a value of a type."""
    if kind == "STRING":
        return text
    if kind == "BOOLEAN":
        return {"true": True, "false": False}.get(text.strip().lower(), text)
    if kind == "LIST" and not text.lstrip().startswith("["):
        return [_json_or_text(part.strip()) for part in text.split(",") if part.strip()]
    try:
        return parse_json(text, name)
    except UnreadableError:
        raise UsageError(f"{name}={shortened(text)}: it must be {_EXPECTED[kind]}.") from None


def _json_or_text(text: str) -> Any:
    try:
        return parse_json(text, "the value")
    except UnreadableError:
        return text


def _checked(declared: Input, value: Any, values: Mapping[str, Any]) -> Any:
    _require(declared.type, value, declared.name)
    if declared.literals and value not in declared.literals:
        known = ", ".join(map(str, declared.literals))
        raise UsageError(f"{declared.name}={shortened(str(value))}: it must be one of {known}.")
    if declared.type == "STRUCT" and declared.default:
        return _laid_over(values.get(declared.name, declared.default), value, declared.name)
    return value


def _require(kind: str, value: Any, name: str) -> None:
    """Check the type of a value as strictly as the server does."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    fits = {
        "STRING": isinstance(value, str),
        "NUMBER_INTEGER": number and float(value).is_integer(),
        "NUMBER_DOUBLE": number,
        "BOOLEAN": isinstance(value, bool),
        "LIST": isinstance(value, list),
        "STRUCT": isinstance(value, dict),
    }[kind]
    if not fits:
        raise UsageError(f"{shortened(name)}={shortened(json.dumps(value))}: it must be {_EXPECTED[kind]}.")


def _laid_over(default: Mapping[str, Any], value: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Lay an object over a default; a key that the default does not have is an error, unless its keys are free."""
    merged = copy.deepcopy(dict(default))
    free = not default or _is_free(name)
    for key, item in value.items():
        if key not in default and not free:
            raise UsageError(f"There is no {name}.{key}{_nearest(key, default)}")
        merged[key] = _leaf(default.get(key), item, f"{name}.{key}", typed=True)
    return merged


def _is_free(name: str) -> bool:
    """Whether a setting of the configuration is a table whose keys are free, such as the options of a template."""
    model: Any = Config
    *parents, leaf = name.split(".")
    for parent in parents:
        field = model.model_fields.get(parent)
        if field is None or not isinstance(field.annotation, type) or not issubclass(field.annotation, BaseModel):
            return False
        model = field.annotation
    field = model.model_fields.get(leaf)
    return field is not None and get_origin(field.annotation) is dict


def _require_sendable(value: Any, name: str) -> None:
    """Check that a value arrives as it is.

    Source: a JSON text has no infinite number; a google.protobuf.Value knows floats only; for texts see
    `MAX_TEXT_BYTES` (common/util/consts.go, `MaxParameterBytes`).
    """
    if isinstance(value, dict | list):
        pairs = value.items() if isinstance(value, dict) else ((str(number), item) for number, item in enumerate(value))
        for key, item in pairs:
            _require_sendable(item, f"{name}.{key}")
    elif isinstance(value, float) and not math.isfinite(value):
        raise UsageError(f"{shortened(name)}={value}: it must be a finite number.")
    elif isinstance(value, int) and abs(value) > LARGEST_NUMBER:
        raise UsageError(f"{name}={value}: the server would change a whole number beyond 2**53; give a smaller one.")
    elif isinstance(value, str) and "." not in name and len(value.encode()) > MAX_TEXT_BYTES:
        raise UsageError(
            f"{name} is {len(value.encode()):,} bytes long, and a text of a run may have {MAX_TEXT_BYTES:,}; put it "
            "into a file that the pods can read, and give its place."
        )


def _check(declared: Input, value: Any) -> None:
    """Check a value as the settings are checked; a section only where it was compiled with this version's fields."""
    if declared.name in SECTIONS and not _is_current(declared):
        return
    try:
        check_parameter(declared.name, value)
    except UsageError as error:
        raise UsageError(f"Parameter {declared.name}: {error}") from error


def _is_current(declared: Input) -> bool:
    """Whether a parameter is a section of the configuration as this version of Agent0 knows it."""
    if not isinstance(declared.default, dict):
        return False
    model: Any = Config.model_fields[declared.name].annotation
    return set(declared.default) == set(model.model_fields)


def _read_file(place: str) -> dict[str, Any]:
    with read_file(place) as path:
        text = read_text(
            path, place, noun="parameter file", mended_by="give a JSON, YAML or TOML file of values by parameter name"
        )
    documents = [parse_toml(text, place)] if place.endswith(".toml") else parse_yaml(text, place)
    if len(documents) != 1 or not isinstance(documents[0], dict):
        raise UsageError(f"{place} must hold an object of values by parameter name.")
    try:  # a parameter is JSON, which has no dates
        return dict(parse_json(json.dumps(documents[0]), place))
    except TypeError as error:
        raise UsageError(f"{place} holds a value that no parameter can be ({error}); write it as a text.") from error


def _nearest(name: str, names: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(names), 1)
    return f"; did you mean {near[0]!r}?" if near else f"; there are: {', '.join(sorted(names))}."
