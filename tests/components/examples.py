"""A pipeline of one component alone, for its README.md: settings of a recipe, artifacts of earlier runs."""

from __future__ import annotations

from dataclasses import dataclass

from agent0_kfp.pipelines.rounds import SECTION_DESCRIPTIONS
from tests.components.signatures import Port, Signature

PIPELINE = """\
from kfp import compiler, dsl

{imports}from agent0_kfp.components import DEFAULT_IMAGE, containerized
from agent0_kfp.components.{name}.component import {name}

component = containerized({name}, DEFAULT_IMAGE)
{settings}

@dsl.pipeline(name="{title}")
def example({parameters}):
{body}


compiler.Compiler().compile(example, "{name}.yaml")"""
LONGEST_LINE = 100
CONFIG = "config"
"""Port that takes the whole configuration."""


@dataclass(frozen=True)
class Supply:
    """How the example gets the value of a port: an expression, a parameter of the pipeline, tasks before it."""

    value: str
    parameter: str = ""
    tasks: tuple[str, ...] = ()


def example(signature: Signature) -> str:
    """Return the source of a pipeline that uses the component and compiles itself."""
    given = [port for port in signature.ports if port.is_given]
    supplies = [_supply(port) for port in given]
    arguments = [f"    {port.name}={supply.value}," for port, supply in zip(given, supplies, strict=True)]
    handles_exit = any(port.type == "PipelineTaskFinalStatus" for port in signature.ports)
    body = [line for supply in supplies for line in supply.tasks]
    body += ["last = component(" if handles_exit else "component(", *arguments, ")"]
    if handles_exit:
        body += ["with dsl.ExitHandler(last):", "    " + _importer('"s3://models/base"', "Model")]
    sections = any(is_section(port) or port.name == CONFIG for port in given)
    return PIPELINE.format(
        name=signature.name,
        title=signature.name.replace("_", "-"),
        imports="from agent0.config import load_config\n" if sections else "",
        settings='settings = load_config("tiny").model_dump(mode="json")\n' if sections else "",
        parameters=_in_parentheses([supply.parameter for supply in supplies if supply.parameter]),
        body="\n".join(f"    {line}" for line in body),
    )


def is_section(port: Port) -> bool:
    """Whether a port takes a section of the configuration."""
    return port.type == "dict" and port.name in SECTION_DESCRIPTIONS


def _supply(port: Port) -> Supply:
    if is_section(port):
        return Supply(f'settings["{port.name}"]')
    if port.name == CONFIG:
        return Supply("settings")
    if port.name == "job":
        return Supply("dsl.PIPELINE_JOB_ID_PLACEHOLDER")
    if port.artifact and port.is_list:
        places = f"{port.name}_uris"
        loop = (f"with dsl.ParallelFor({places}) as uri:", "    part = " + _importer("uri", port.artifact))
        return Supply("dsl.Collected(part.output)", f"{places}: list", loop)
    if port.artifact:
        place = f"{port.name}_uri"
        return Supply(f"{port.name}.output", f"{place}: str", (f"{port.name} = {_importer(place, port.artifact)}",))
    return Supply(port.name, f"{port.name}: {port.type}")


def _importer(uri: str, artifact: str) -> str:
    return f"dsl.importer(artifact_uri={uri}, artifact_class=dsl.{artifact})"


def _in_parentheses(parameters: list[str]) -> str:
    line = ", ".join(parameters)
    return line if len(line) < LONGEST_LINE else "\n" + "".join(f"    {parameter},\n" for parameter in parameters)
