"""The ports of a component, read from its source; nothing of it is run."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass

from tests.components.catalogue import COMPONENTS

SET_BY_KUBEFLOW = ("PipelineTaskFinalStatus", "TaskConfig")
RETURNED = "Output"
"""What Kubeflow calls the value that a component returns."""


@dataclass(frozen=True)
class Port:
    """An input or output, its type and default as the signature has them."""

    name: str
    type: str
    default: str | None = None

    @property
    def is_output(self) -> bool:
        """Whether the component writes it."""
        return self.type.startswith("Output") or self.name == RETURNED

    @property
    def is_given(self) -> bool:
        """Whether whoever uses the component must give it: no default, and not Kubeflow's own."""
        return not self.is_output and self.default is None and self.type not in SET_BY_KUBEFLOW

    @property
    def artifact(self) -> str | None:
        """Class of the artifact that comes in, or None for a parameter."""
        found = re.fullmatch(r"Input\[(?:list\[)?(\w+)\]?\]", self.type)
        return found[1] if found else None

    @property
    def is_list(self) -> bool:
        """Whether several artifacts come in, as from a loop."""
        return self.type.startswith("Input[list[")


@dataclass(frozen=True)
class Signature:
    """A component as its README shows it."""

    name: str
    stage: str
    ports: tuple[Port, ...]


def read_signature(component: str) -> Signature:
    """Return the signature of the component in the folder of that name.

    Raises:
        ValueError: `component.py` holds no function of that name, or calls no stage.
    """
    path = COMPONENTS / component / "component.py"
    tree = ast.parse(path.read_text(encoding="utf-8"))
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == component]
    if not functions:
        raise ValueError(f"{path} holds no function {component!r}; name it after its folder.")
    function = functions[0]
    arguments, defaults = function.args.args, function.args.defaults
    padded = [None] * (len(arguments) - len(defaults)) + [ast.unparse(default) for default in defaults]
    ports = [
        Port(argument.arg, ast.unparse(argument.annotation), default)
        for argument, default in zip(arguments, padded, strict=True)
        if argument.annotation
    ]
    if function.returns:
        ports.append(Port(RETURNED, ast.unparse(function.returns)))
    modules = [node.module for node in ast.walk(function) if isinstance(node, ast.ImportFrom) and node.module]
    stages = [module for module in modules if module.startswith("agent0.stages.")]
    if not stages:
        raise ValueError(f"{path} calls nothing of agent0.stages; a component holds only the ports of a stage.")
    own = f"agent0.stages.{component}"
    return Signature(component, own if own in stages else stages[0], tuple(ports))
