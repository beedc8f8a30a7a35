"""The Pod Security Standard `restricted`, as Kubernetes' admission enforces it on a pod's specification."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}
_PROFILES = ("RuntimeDefault", "Localhost")


def violations(pod: Mapping[str, Any]) -> list[str]:
    """Return what the standard forbids in a pod's specification; empty where it is met."""
    found = [name for name in ("hostNetwork", "hostPID", "hostIPC") if pod.get(name)]
    for volume in pod.get("volumes", []):
        found += [f"volume {kind}" for kind in volume if kind not in _VOLUMES | {"name"}]
    outer = pod.get("securityContext", {})
    for container in [*pod.get("initContainers", []), *pod["containers"]]:
        inner = container.get("securityContext", {})
        name = container["name"]
        if inner.get("privileged") or inner.get("procMount", "Default") != "Default":
            found.append(f"{name}: privileged")
        if inner.get("allowPrivilegeEscalation") is not False:
            found.append(f"{name}: may gain privileges")
        if "ALL" not in inner.get("capabilities", {}).get("drop", []):
            found.append(f"{name}: keeps capabilities")
        if set(inner.get("capabilities", {}).get("add", [])) - {"NET_BIND_SERVICE"}:
            found.append(f"{name}: adds capabilities")
        if inner.get("runAsNonRoot", outer.get("runAsNonRoot")) is not True:
            found.append(f"{name}: may run as root")
        if inner.get("runAsUser", outer.get("runAsUser")) == 0:
            found.append(f"{name}: runs as root")
        if inner.get("seccompProfile", outer.get("seccompProfile", {})).get("type") not in _PROFILES:
            found.append(f"{name}: no seccomp profile")
        if any("hostPort" in port for port in container.get("ports", [])):
            found.append(f"{name}: takes a port of the node")
    return found
