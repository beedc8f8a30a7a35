"""The README.md of each component, made of its signature, its policy, `metadata.yaml`, `OWNERS` and the descriptions.

`make components` writes them anew; a test compares the bytes. The descriptions are in a file of their own because
Kubeflow carries what a docstring says of a port twice in every compiled pipeline.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping
from typing import Any

import yaml

from agent0.kubeflow.compile_options import CompileOptions
from agent0.kubeflow.pod_policy import POLICIES, Policy
from agent0_kfp.pipelines.rounds import SECTION_DESCRIPTIONS
from tests.components.catalogue import COMPONENTS, component_names, read_metadata, read_owners
from tests.components.examples import example, is_section
from tests.components.signatures import SET_BY_KUBEFLOW, Port, read_signature

DESCRIPTIONS = "descriptions.yaml"
PAGE = """\
<!-- Written by `make components`; change component.py, metadata.yaml, OWNERS or ../{descriptions} instead. -->

# {name}

{does}

The work is done by `{stage}`; this folder holds only the ports.

## Inputs

| name | type | default | meaning |
| --- | --- | --- | --- |
{inputs}

## Outputs

| name | type | meaning |
| --- | --- | --- |
{outputs}

## Pod and cache

{run}

## Example

```python
{example}
```

## Metadata

- stability: {stability}
- needs: {needs}
- tags: {tags}
- last verified: {verified}
- approvers: {approvers}
"""


def write_readmes() -> None:
    """Write the README.md of every component."""
    descriptions = read_descriptions()
    for name in component_names():
        (COMPONENTS / name / "README.md").write_text(readme(name, descriptions), encoding="utf-8")


def read_descriptions() -> dict[str, Any]:
    """Return what each component does and what its ports mean, and under `shared` what ports of one name mean."""
    descriptions: dict[str, Any] = yaml.safe_load((COMPONENTS / DESCRIPTIONS).read_text(encoding="utf-8"))
    return descriptions


def readme(name: str, descriptions: Mapping[str, Any]) -> str:
    """Return the page of a component.

    Raises:
        ValueError: something that the page shows is missing or would be refused by the catalogue.
    """
    if name not in descriptions or name not in POLICIES:
        raise ValueError(
            f"{name!r} needs an entry in components/{DESCRIPTIONS} and one in agent0/kubeflow/pod_policy.py."
        )
    signature, metadata, policy = read_signature(name), read_metadata(COMPONENTS / name), POLICIES[name]
    needed = [f"Kubeflow {item.name} {item.version}" for item in metadata.dependencies.kubeflow]
    needed += [f"{item.name} {item.version}" for item in metadata.dependencies.external_services]
    inputs = [port for port in signature.ports if not port.is_output]
    outputs = [port for port in signature.ports if port.is_output]
    return PAGE.format(
        descriptions=DESCRIPTIONS,
        name=name,
        does=_wrapped(descriptions[name]["does"]),
        stage=signature.stage,
        inputs=_rows(inputs, lambda port: (f"`{port.type}`", _default(port), meaning(name, port, descriptions))),
        outputs=_rows(outputs, lambda port: (f"`{port.type}`", meaning(name, port, descriptions))),
        run=_wrapped(f"{_pod(policy)} {_cache(policy)}"),
        example=example(signature),
        stability=metadata.stability,
        needs=", ".join(needed),
        tags=", ".join(metadata.tags),
        verified=metadata.last_verified.date().isoformat(),
        approvers=", ".join(read_owners(COMPONENTS / name).approvers),
    )


def meaning(component: str, port: Port, descriptions: Mapping[str, Any]) -> str:
    """Return what a port means: said of the component, of a section of the configuration, or of all ports of the name.

    Raises:
        ValueError: it is described nowhere.
    """
    own: Mapping[str, str] = descriptions[component].get("ports", {})
    if port.name in own:
        return own[port.name]
    if is_section(port):
        return f"Section `{port.name}` of the configuration. {SECTION_DESCRIPTIONS[port.name]}"
    if port.name in descriptions["shared"]:
        return str(descriptions["shared"][port.name])
    raise ValueError(f"components/{DESCRIPTIONS} does not say what {port.name!r} of {component!r} means; add it there.")


def _wrapped(text: str) -> str:
    return textwrap.fill(text, 120, break_long_words=False, break_on_hyphens=False)


def _rows(ports: list[Port], columns: Callable[[Port], tuple[str, ...]]) -> str:
    return "\n".join(f"| `{port.name}` | " + " | ".join(columns(port)) + " |" for port in ports)


def _default(port: Port) -> str:
    if port.type in SET_BY_KUBEFLOW:
        return "set by Kubeflow"
    return "required" if port.default is None else f"`{port.default}`"


def _pod(policy: Policy) -> str:
    kind = policy.role
    options = ", ".join(f"`{name}`" for name in CompileOptions.model_fields if name.startswith(f"{kind}_"))
    return (
        f"Runs in a pod of the kind `{kind}`. The options {options} are fixed by compiling; the run parameters "
        f"`{kind}_tolerations` and `{kind}_node_selector` choose its nodes ([pipelines](../../docs/pipelines.md))."
    )


def _cache(policy: Policy) -> str:
    if policy.cached:
        return "Answered from the cache where all its inputs are those of an earlier run."
    return "Never answered from the cache."


if __name__ == "__main__":
    write_readmes()
