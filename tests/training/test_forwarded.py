"""What the nodes of a TrainJob take over from the pod that starts it."""

from __future__ import annotations

from typing import Any

import pytest

from agent0.errors import UsageError
from agent0.training.forwarded import environment, volumes_and_mounts


def plain(name: str, value: str) -> dict[str, Any]:
    return {"name": name, "value": value}


def reference(name: str, source: str) -> dict[str, Any]:
    return {"name": name, "valueFrom": {"configMapKeyRef": {"name": source, "key": name}}}


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ([plain("A", "1"), plain("B", "2")], [plain("A", "1"), plain("B", "2")]),
        ([plain("A", "compiled"), plain("A", "plugin")], [plain("A", "plugin")]),
        ([reference("A", "first"), reference("A", "second")], [reference("A", "second")]),
        ([plain("A", "plugin"), reference("A", "settings")], [plain("A", "plugin")]),
        ([reference("A", "settings"), plain("A", "plugin")], [plain("A", "plugin")]),
        ([plain("A", "1"), reference("A", "x"), plain("A", "2"), reference("A", "y")], [plain("A", "2")]),
    ],
)
def test_a_variable_is_named_once_and_a_plain_value_goes_before_a_reference(given: Any, kept: Any) -> None:
    assert environment(given) == kept


def claim(name: str) -> dict[str, Any]:
    return {"name": name, "persistentVolumeClaim": {"claimName": name}}


def test_what_stands_twice_is_mounted_once() -> None:
    mount = {"name": "shared", "mountPath": "/shared"}
    pod = {"volumes": [claim("shared"), claim("shared")], "volume_mounts": [mount, mount]}
    assert volumes_and_mounts(pod) == ([claim("shared")], [mount])


def test_a_volume_at_two_places_is_named_once_for_each() -> None:
    mounts = [{"name": "shared", "mountPath": "/a"}, {"name": "shared", "mountPath": "/b", "subPath": "b"}]
    taken = claim("shared-2")
    volumes, mounted = volumes_and_mounts({"volumes": [claim("shared"), taken], "volume_mounts": mounts})
    assert volumes == [claim("shared"), taken, {**claim("shared"), "name": "shared-3"}]
    assert mounted == [mounts[0], {**mounts[1], "name": "shared-3"}]


def test_a_pod_without_volumes_gives_none() -> None:
    assert volumes_and_mounts({"volumes": None}) == ([], [])


@pytest.mark.parametrize(
    ("volumes", "mounts", "words"),
    [
        ([claim("x"), {"name": "x", "secret": {"secretName": "x"}}], [], "both called x"),
        ([], [{"name": "x", "mountPath": "/m"}, {"name": "y", "mountPath": "/m"}], "mounts x and y at /m"),
    ],
)
def test_what_no_pod_could_mount_is_refused(volumes: list[Any], mounts: list[Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        volumes_and_mounts({"volumes": volumes, "volume_mounts": mounts})
