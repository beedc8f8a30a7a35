"""Each component has what kubeflow/pipelines-components asks for, and its README.md is made of it."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from kfp import components

from agent0.kubeflow.pod_policy import POLICIES
from tests.components.catalogue import COMPONENTS, component_names, read_metadata, read_owners
from tests.components.examples import is_section
from tests.components.readmes import meaning, read_descriptions, readme
from tests.components.signatures import Port, read_signature

METADATA = (COMPONENTS / "opening" / "metadata.yaml").read_text(encoding="utf-8")
names = pytest.mark.parametrize("name", component_names())


@pytest.fixture(scope="module")
def descriptions() -> dict[str, Any]:
    return read_descriptions()


def test_every_component_has_a_policy_and_a_description(descriptions: dict[str, Any]) -> None:
    assert set(POLICIES) == set(component_names()) == set(descriptions) - {"shared"}


@names
def test_the_catalogue_would_take_a_component(name: str) -> None:
    metadata = read_metadata(COMPONENTS / name)
    assert metadata.last_verified <= datetime.now(UTC)
    assert read_owners(COMPONENTS / name).approvers
    uses_trainer = any(port.type == "TaskConfig" for port in read_signature(name).ports)
    assert ("Trainer" in {item.name for item in metadata.dependencies.kubeflow}) == uses_trainer


@names
def test_the_readme_is_what_the_generator_writes(name: str, descriptions: dict[str, Any]) -> None:
    kept = (COMPONENTS / name / "README.md").read_text(encoding="utf-8")
    assert kept == readme(name, descriptions), "a component changed: run `make components`"


@names
def test_the_example_compiles(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = re.search(r"```python\n(.*?)```", (COMPONENTS / name / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert found
    exec(compile(found[1], f"{name}/README.md", "exec", dont_inherit=True), {})
    spec = components.load_component_from_file(f"{name}.yaml").pipeline_spec
    label = f"comp-{name.replace('_', '-')}"
    declared = spec.components[label].input_definitions
    assert {*declared.parameters, *declared.artifacts} >= {p.name for p in read_signature(name).ports if p.is_given}


def test_no_description_is_left_over(descriptions: dict[str, Any]) -> None:
    fallen_back = set()
    for name in component_names():
        own = set(descriptions[name].get("ports", {}))
        ports = {port.name: port for port in read_signature(name).ports}
        assert own <= set(ports), name
        fallen_back |= {port.name for port in ports.values() if port.name not in own and not is_section(port)}
    assert set(descriptions["shared"]) == fallen_back


def test_a_port_without_a_description_is_named() -> None:
    with pytest.raises(ValueError, match=r"does not say what 'depth' of 'opening' means"):
        meaning("opening", Port("depth", "int"), {"opening": {}, "shared": {}})


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("stability: alpha", "stability: young", "stability: Input should be 'experimental'"),
        ("stability: alpha\n", "", "stability: Field required"),
        ("tags:", "labels: [a]\ntags:", "labels: Extra inputs"),
        (">=2.16.0", ">=2.16", "version: String should match"),
        ("name: Pipelines", "name: Trainer", "does not need Kubeflow Pipelines"),
        ("T00:00:00Z", "", "lastVerified: Input should be a valid datetime"),
        ("T00:00:00Z", "T00:00:00", "lastVerified: Input should have timezone"),
        ("name: opening", "name: beginning", "names the component 'beginning'; write 'opening'"),
        (
            "---\nname: opening\nstability: alpha",
            "---\nstability: alpha\nname: opening",
            "in the order stability, name",
        ),
    ],
)
def test_metadata_that_the_catalogue_would_refuse_is_refused(old: str, new: str, message: str, tmp_path: Path) -> None:
    assert old in METADATA
    folder = tmp_path / "opening"
    folder.mkdir()
    (folder / "metadata.yaml").write_text(METADATA.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(ValueError, match=re.escape(message)):
        read_metadata(folder)


@pytest.mark.parametrize("content", ["approvers: []\n", "reviewers:\n  - someone\n", ""])
def test_owners_without_an_approver_are_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / "OWNERS").write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=r"OWNERS would be refused"):
        read_owners(tmp_path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"metadata\.yaml is missing"):
        read_metadata(tmp_path)
