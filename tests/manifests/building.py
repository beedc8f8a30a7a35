"""The overlays as objects: what `kubectl apply -k` would send, and the same in another namespace."""

from __future__ import annotations

import copy
import functools
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
MANIFESTS = ROOT / "pipelines" / "manifests"
SANDBOX = ROOT / "images" / "sandbox"
TRACKING = ROOT / "mlflow" / "kubernetes" / "base"
NAMES = ("standalone", "kind", "profile", "namespace", "gpu")
STANDALONE, KIND, PROFILE, NAMESPACE, GPU = (MANIFESTS / "overlays" / name for name in NAMES)
OURS = [STANDALONE, KIND, PROFILE, NAMESPACE, GPU]


def named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def documents(path: Path) -> list[dict[str, Any]]:
    """The objects in a file."""
    return [found for found in yaml.safe_load_all(path.read_text(encoding="utf-8")) if found]


def built(folder: Path) -> list[dict[str, Any]]:
    """What `kubectl apply -k` would send."""
    return copy.deepcopy(_built(folder))


@functools.cache
def _built(folder: Path) -> list[dict[str, Any]]:
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed, so overlays cannot be built")
    done = subprocess.run(["kubectl", "kustomize", str(folder)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [found for found in yaml.safe_load_all(done.stdout) if found]


def one(objects: list[dict[str, Any]], kind: str, name: str) -> dict[str, Any]:
    """The object of this kind and name."""
    (found,) = (o for o in objects if (o["kind"], o["metadata"]["name"]) == (kind, name))
    return found


def placed(objects: list[dict[str, Any]], namespace: str) -> list[dict[str, Any]]:
    """The objects in another namespace, which enforces the Pod Security Standard `restricted`."""
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    made = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": labels}}]
    for found in copy.deepcopy(objects):
        if found["kind"] == "Namespace":
            made[0]["metadata"] = {**found["metadata"], "name": namespace}
            made[0]["metadata"]["labels"].update(labels)
            continue
        if "namespace" in found["metadata"]:
            found["metadata"]["namespace"] = namespace
        for subject in found.get("subjects", []):
            if "namespace" in subject:
                subject["namespace"] = namespace
        made.append(found)
    return made
