"""Checks of requests: against the generated models, the pipeline's protocol buffers, and the run parameters' types.

Answers are written here as the server's marshaller writes them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import kfp_server_api
import yaml
from google.protobuf import json_format, struct_pb2
from kfp.pipeline_spec import pipeline_spec_pb2

NOT_FOUND, INVALID, EXISTS, INTERNAL = (404, 5), (400, 3), (409, 6), (500, 13)
UNAUTHENTICATED, DENIED = (401, 16), (403, 7)
SIXTY_FOUR_BITS = {"max_concurrency", "interval_second", "execution_id", "long_value"}
STRUCTS = {"pipeline_spec", "parameters", "plugins_input", "entries"}  # of free form: written whole
KINDS = {
    "NUMBER_DOUBLE": ("number_value", "double or integer"),
    "NUMBER_INTEGER": ("number_value", "double or integer"),
    "STRING": ("string_value", "string"),
    "BOOLEAN": ("bool_value", "bool"),
    "LIST": ("list_value", "list"),
    "STRUCT": ("struct_value", "struct"),
}


class ApiError(Exception):
    """A refusal: HTTP status, gRPC code, and the sentence."""

    def __init__(self, kind: tuple[int, int], message: str) -> None:
        super().__init__(message)
        self.status, self.code = kind
        self.message = message

    def within(self, words: str) -> ApiError:
        """The same error, wrapped: the server puts before it what it was doing."""
        return ApiError((self.status, self.code), f"{words}: {self.message}")


def check_model(data: Any, name: str, where: str = "") -> None:
    """Require that `data` is a JSON form of a model of kfp_server_api.

    Unknown fields are refused, as the server's `CustomMarshaler` does.
    """
    where = where or name
    if name in ("str", "int", "bool", "datetime", "object"):
        _check_scalar(data, name, where)
        return
    if found := re.fullmatch(r"list\[(.+)\]", name):
        if not isinstance(data, list):
            raise ApiError(INVALID, f"{where} must be a list")
        for index, item in enumerate(data):
            check_model(item, found[1], f"{where}[{index}]")
        return
    if found := re.fullmatch(r"dict\(str, (.+)\)", name):
        if not isinstance(data, dict):
            raise ApiError(INVALID, f"{where} must be an object")
        for key, item in data.items():
            check_model(item, found[1], f"{where}.{key}")
        return
    model = getattr(kfp_server_api, name)
    if not model.openapi_types:  # an enumeration
        if data not in model.allowable_values:
            raise ApiError(INVALID, f"{where}: {data!r} is none of {model.allowable_values}")
        return
    if not isinstance(data, dict):
        raise ApiError(INVALID, f"{where} must be an object")
    attributes = {json_name: attribute for attribute, json_name in model.attribute_map.items()}
    for key, value in data.items():
        if key not in attributes:
            raise ApiError(INVALID, f'proto: (line 1:2): unknown field "{key}"')
        if key in SIXTY_FOUR_BITS and isinstance(value, int) and not isinstance(value, bool):
            continue
        check_model(value, model.openapi_types[attributes[key]], f"{where}.{key}")
    model(**{attributes[key]: value for key, value in data.items()})  # the model's own checks


def _check_scalar(data: Any, name: str, where: str) -> None:
    fits = {
        "str": isinstance(data, str),
        "int": isinstance(data, int) and not isinstance(data, bool),
        "bool": isinstance(data, bool),
        "datetime": isinstance(data, str),
        "object": True,
    }[name]
    if not fits:
        raise ApiError(INVALID, f"{where}: {data!r} is no {name}")


def filled(message: Any) -> Any:
    """Leave out fields that are empty or zero, as the server's marshaller does."""
    if isinstance(message, list):
        return [filled(item) for item in message]
    if not isinstance(message, dict):
        return message
    kept = {key: item if key in STRUCTS else filled(item) for key, item in message.items()}
    return {key: item for key, item in kept.items() if item or isinstance(item, dict)}


def require_readable(name: str, content: bytes) -> None:
    """Refuse an upload by its file's name or first bytes, as `ReadPipelineFile` does; no archive is unpacked here."""
    archive = content[:2] in (b"PK", b"\x1f\x8b")
    if not name.endswith((".yaml", ".yml", ".json")) and not archive:
        raise ApiError(INVALID, "Failed to create a pipeline version")


def parse_pipeline(text: str) -> dict[str, Any]:
    """Return the pipeline of an uploaded file as the server keeps it; the checks are those of its template parser."""
    try:
        documents = [document for document in yaml.load_all(text, yaml.CSafeLoader) if document]
    except yaml.YAMLError as error:
        raise ApiError(INVALID, f"invalid pipeline spec: unable to decode yaml document: {error}") from error
    specs = [item for item in documents if isinstance(item, dict) and "pipelineInfo" in item]
    platforms = [item for item in documents if isinstance(item, dict) and "platforms" in item]
    if len(specs) != 1 or len(platforms) > 1:
        raise ApiError(INVALID, "invalid pipeline spec: no pipeline spec is provided, or several")
    check_spec(specs[0], platforms[0] if platforms else None)
    return {"pipeline_spec": specs[0], "platform_spec": platforms[0]} if platforms else specs[0]


def check_struct(struct: Mapping[str, Any]) -> Mapping[str, Any]:
    """Check a pipeline that a request carries, and return its pipeline spec."""
    spec = struct.get("pipeline_spec", struct)
    check_spec(spec, struct.get("platform_spec"))
    return spec  # type: ignore[no-any-return]


def check_spec(spec: Mapping[str, Any], platform: Mapping[str, Any] | None) -> None:
    try:
        message = json_format.ParseDict(spec, pipeline_spec_pb2.PipelineSpec())
        json_format.ParseDict(platform or {}, pipeline_spec_pb2.PlatformSpec())
    except json_format.ParseError as error:
        raise ApiError(INVALID, f"invalid v2 pipeline spec: {error}") from error
    if message.schema_version != "2.1.0":
        raise ApiError(INVALID, f"KFP only supports schema version 2.1.0, but it has version {message.schema_version}")
    if not re.search(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", message.pipeline_info.name):
        raise ApiError(INVALID, "invalid v2 pipeline spec: name is empty or has other characters")
    if not message.HasField("root"):
        raise ApiError(INVALID, "invalid v2 pipeline spec: root component is empty")


def check_parameters(spec: Mapping[str, Any], values: Mapping[str, Any]) -> None:
    """Compare run parameters with the pipeline's inputs, as the server's validatePipelineJobInputs does.

    Their size is free: `MAX_PARAMETER_BYTES` is asked for in requests of the older API alone.
    """
    declared = spec["root"].get("inputDefinitions", {}).get("parameters", {})
    given = json_format.ParseDict(dict(values), struct_pb2.Struct()).fields
    for name, item in declared.items():
        if name not in given:
            if not item.get("isOptional") and "defaultValue" not in item:
                raise ApiError(
                    INVALID,
                    f"invalid pipeline job inputs: Invalid input error: parameter {name} is not optional, yet has "
                    "neither default value nor user provided value",
                )
            continue
        kind, words = KINDS[item["parameterType"]]
        if given[name].WhichOneof("kind") != kind:
            raise ApiError(
                INVALID,
                f"invalid pipeline job inputs: Invalid input error: input parameter {name} requires type {words}, but "
                f"the {'parameter value' if 'double' in words else 'input parameter'} is not of "
                f"{words.partition(' ')[0].replace('double', 'number')} value type",
            )
    unknown = sorted(set(given) - set(declared))
    if unknown:
        listed = ", ".join(unknown)
        raise ApiError(
            INVALID,
            "invalid pipeline job inputs: Invalid input error: parameter(s) provided are not required by pipeline: "
            f"{listed}",
        )
