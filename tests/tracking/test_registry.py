"""Versions, their lineage and aliases in a real MLflow store on a local disk."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from agent0.errors import UsageError
from agent0.storage.digest import model_digest
from agent0.tracking.model_origin import Origin
from agent0.tracking.model_uri import ModelUri, check_model_name, parse_model_uri
from agent0.tracking.registry import (
    AliasMovedError,
    RegistryError,
    aliases,
    ancestry,
    move_alias,
    register,
    resolve,
    versions,
)

Make = Callable[[str], Path]
Register = Callable[..., str]
EXECUTOR = "agent0-executor"


def test_a_version_points_to_the_files_where_they_are(
    client: MlflowClient, make_model: Make, registered: Register
) -> None:
    folder = make_model("one")
    assert registered(folder, 1) == "1"
    version = client.get_model_version(EXECUTOR, "1")
    assert version.source == folder.as_uri()
    assert version.tags["iteration"] == "1"
    assert "image_digest" not in version.tags


@pytest.mark.parametrize("uri", ["s3://bucket/runs/7/trained", "minio://bucket/runs/7/trained?region=us-east-1"])
def test_a_version_on_a_cluster_points_to_what_the_launcher_stores(
    client: MlflowClient, make_model: Make, registered: Register, uri: str
) -> None:
    registered(make_model("one"), 1, uri=uri)
    assert client.get_model_version(EXECUTOR, "1").source == "s3://bucket/runs/7/trained"


def test_the_same_bytes_of_the_same_round_are_registered_once(
    client: MlflowClient, make_model: Make, registered: Register, tmp_path: Path
) -> None:
    folder = make_model("one")
    shutil.copytree(folder, tmp_path / "attempt 2")
    (tmp_path / "attempt 2" / "stage.json").write_text("another attempt")
    assert [registered(folder, 1), registered(folder, 1), registered(tmp_path / "attempt 2", 1)] == ["1", "1", "1"]
    assert registered(folder, 2) == "2"
    assert registered(folder, 2, evolution_run_id="another") == "3"
    assert len(versions(client, EXECUTOR)) == 3


def test_a_version_whose_files_never_arrived_is_replaced(
    client: MlflowClient, make_model: Make, registered: Register, tmp_path: Path
) -> None:
    folder = make_model("one")
    shutil.copytree(folder, tmp_path / "attempt 2")
    registered(folder, 1)
    (folder / "model.safetensors").write_bytes(b"half")
    assert registered(tmp_path / "attempt 2", 1) == "2"
    with pytest.raises(RegistryError, match=r"version 1 never arrived; use version 2"):
        resolve(client, ModelUri(EXECUTOR, version="1"))
    assert registered(tmp_path / "attempt 2", 1) == "2"


def test_lineage_leads_back_to_the_base_model(client: MlflowClient, make_model: Make, registered: Register) -> None:
    base, one, two = (make_model(name) for name in ("base", "one", "two"))
    registered(one, 1, parent=base)
    registered(one, 1, parent=base, evolution_run_id="another")  # the same bytes from another evolution
    registered(two, 2, parent=one)
    line = ancestry(client, resolve(client, ModelUri(EXECUTOR, version="3")))
    assert [str(version.version) for version in line] == ["3", "1"]
    registered(two, 3, parent=two)  # a round without steps: its parent has the same bytes
    assert client.get_model_version(EXECUTOR, "4").tags["parent_version"] == "3"


def test_the_candidate_is_the_newest_version(client: MlflowClient, make_model: Make, registered: Register) -> None:
    one, two = make_model("one"), make_model("two")
    registered(one, 1)
    registered(two, 2)
    registered(one, 1)  # a stage of the first round runs once more
    assert str(resolve(client, ModelUri(EXECUTOR, alias="candidate")).version) == "2"


@pytest.mark.parametrize(
    ("left_out", "name", "takes"),
    [
        ("none", "agent0-executor", True),
        ("grpo, no-tool", "agent0-executor", False),
        ("grpo", "agent0-curriculum", False),
        ("grpo", "executor-by-grpo", True),
    ],
)
def test_an_ablation_is_a_candidate_by_a_name_of_its_own_only(
    left_out: str, name: str, takes: bool, client: MlflowClient, run_id: str, make_model: Make
) -> None:
    client.set_tag(run_id, "agent0.ablations", left_out)
    folder = make_model("one")
    origin = Origin(model_digest(folder), "0" * 64, "1" * 64, 1, run_id, "0.1.0+abc", "")
    for _ in range(2):  # a stage that is started again finds its version, and does not move the alias either
        version = register(client, run_id, name, folder, "", origin)
    assert (aliases(client, name) == {"candidate": version}) is takes
    tags = client.get_model_version(name, version).tags
    assert tags.get("ablations", "none") == left_out


def test_an_alias_moves_only_from_where_it_was(client: MlflowClient, make_model: Make, registered: Register) -> None:
    for iteration, name in enumerate(("one", "two", "three"), start=1):
        registered(make_model(name), iteration)
    move_alias(client, EXECUTOR, "champion", "1", None)
    move_alias(client, EXECUTOR, "champion", "2", "1")
    move_alias(client, EXECUTOR, "champion", "2", "1")  # once more, by a stage that was retried
    with pytest.raises(AliasMovedError, match=r"pointed to version 1 .* points to version 2 now"):
        move_alias(client, EXECUTOR, "champion", "3", "1")
    with pytest.raises(AliasMovedError, match=r"pointed to no version"):
        move_alias(client, EXECUTOR, "champion", "3", None)
    assert aliases(client, EXECUTOR)["champion"] == "2"


def test_stages_that_register_at_once_do_not_hinder_each_other(
    store: str, make_model: Make, registered: Register
) -> None:
    folders = [make_model(f"model {n}") for n in range(4)]
    found: list[str] = []
    threads = [
        threading.Thread(target=lambda n=n, f=f: found.append(registered(f, n))) for n, f in enumerate(folders, start=1)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == ["1", "2", "3", "4"]


@pytest.mark.parametrize(
    "text",
    ["models:/a/b/1", "models:/agent0-executor", "models:/agent0-executor@", "models:/x/latest", "models://x/1",
     "models:/m-0123456789", "models:/x/0", "models:/x@champion/1", "models:/../1"],
)  # fmt: skip
def test_a_uri_that_names_no_version_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"write models:/NAME@ALIAS or models:/NAME/VERSION"):
        parse_model_uri(text)


def test_a_uri_is_read_as_it_is_written() -> None:
    assert str(parse_model_uri("models:/agent0-executor@champion")) == "models:/agent0-executor@champion"
    assert parse_model_uri("models:/agent0-executor/12") == ModelUri("agent0-executor", version="12")


@pytest.mark.parametrize("name", ["team/executor", "a:b", "", "a@b", "..", "a b"])
def test_a_name_that_no_uri_can_hold_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="cannot be called"):
        check_model_name(name)


def test_what_is_not_registered_is_named(client: MlflowClient, make_model: Make, registered: Register) -> None:
    registered(make_model("one"), 1)
    with pytest.raises(RegistryError, match=r"no registered model 'other' .*agent0-executor"):
        resolve(client, ModelUri("other", version="1"))
    with pytest.raises(RegistryError, match=r"no alias 'champion' \(it has: candidate\)"):
        resolve(client, ModelUri(EXECUTOR, alias="champion"))
    with pytest.raises(RegistryError, match=r"no version 9"):
        resolve(client, ModelUri(EXECUTOR, version="9"))
