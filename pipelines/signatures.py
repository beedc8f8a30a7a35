"""Pipelines whose parameters are data: `dsl.pipeline` reads a signature and a docstring, and here both are made."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kfp import dsl

REQUIRED = inspect.Parameter.empty


@dataclass(frozen=True)
class Parameter:
    """An input of a pipeline: a parameter, or an artifact by its annotation; without a default it must be given."""

    name: str
    annotation: Any
    description: str
    default: Any = REQUIRED

    def required(self) -> Parameter:
        """Return the parameter as that of a nested pipeline, which is always given it."""
        return Parameter(self.name, self.annotation, self.description)


def make_pipeline(
    name: str,
    description: str,
    parameters: Sequence[Parameter],
    outputs: type | None,
    body: Callable[[dict[str, Any]], Any],
    limits: dsl.PipelineConfig | None = None,
) -> Callable[..., Any]:
    """Return the pipeline whose tasks `body` makes from the inputs by name.

    Args:
        name: name of the pipeline.
        description: one sentence, shown by Kubeflow.
        parameters: inputs, those without a default first.
        outputs: NamedTuple of what `body` returns, or None.
        body: makes the tasks.
        limits: how long a run may take and is kept; of a pipeline that is nested, None.
    """

    def function(*values: Any) -> Any:
        return body(dict(zip((parameter.name for parameter in parameters), values, strict=True)))

    ordered = sorted(parameters, key=lambda parameter: parameter.default is not REQUIRED)
    assert [parameter.name for parameter in ordered] == [parameter.name for parameter in parameters]
    function.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            inspect.Parameter(
                parameter.name,
                inspect.Parameter.POSITIONAL_OR_KEYWORD,
                default=parameter.default,
                annotation=parameter.annotation,
            )
            for parameter in parameters
        ],
        return_annotation=inspect.Signature.empty if outputs is None else outputs,
    )
    arguments = "\n".join(f"    {parameter.name}: {parameter.description}" for parameter in parameters)
    function.__doc__ = f"{description}\n\nArgs:\n{arguments}\n"
    function.__name__ = name.replace("-", "_")
    pipeline: Callable[..., Any] = dsl.pipeline(name=name, description=description, pipeline_config=limits)(function)
    return pipeline


def values_of(parameters: Sequence[Parameter], inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the inputs that have the names of `parameters`."""
    return {parameter.name: inputs[parameter.name] for parameter in parameters}
