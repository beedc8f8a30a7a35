"""The releases of Kubeflow Pipelines that pipelines are made for, and what differs between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agent0.errors import UsageError


@dataclass(frozen=True)
class Release:
    """A minor release of the server.

    Attributes:
        version: its first two numbers.
        argo: the version of Argo Workflows in its manifests.
        kubernetes: the version whose schemas its pods are checked by.
        knows_plugins: whether an MLflow plugin may put variables of its own into pods.
        unknown_run_limits: fields of the platform specification's `pipelineConfig` that came with a later release.
        unknown_pod_settings: fields of an executor's Kubernetes settings that did.
    """

    version: tuple[int, int]
    argo: str
    kubernetes: str
    knows_plugins: bool
    unknown_run_limits: frozenset[str] = frozenset()
    unknown_pod_settings: frozenset[str] = frozenset()

    def __str__(self) -> str:
        return ".".join(map(str, self.version))


_RUN_LIMITS = frozenset(
    ("resourceTtlOnCompletion", "resourceTtlOnSuccess", "resourceTtlOnFailure", "activeDeadlineSeconds")
)

RELEASES: Mapping[str, Release] = {
    "2.16": Release((2, 16), "3.7.3", "1.30", False, _RUN_LIMITS, frozenset(("initContainers",))),
    "2.17": Release((2, 17), "4.0.5", "1.34", True, frozenset(), frozenset(("initContainers",))),
}
"""The supported releases, the oldest first; differences by `git diff 2.16.1 2.17.0 -- api kubernetes_platform`."""


def release_named(name: str) -> Release:
    """Return a release by its name, such as `2.17`.

    Raises:
        UsageError: it is none that pipelines are made for.
    """
    if name not in RELEASES:
        raise UsageError(f"There is no release {name!r} that pipelines are made for; there are: {', '.join(RELEASES)}.")
    return RELEASES[name]


def release_of(version: Sequence[int]) -> Release:
    """Return the release of a server's version; the newest known one for a newer server, or one that tells none."""
    fitting = [release for release in RELEASES.values() if not version or release.version <= tuple(version[:2])]
    return fitting[-1] if fitting else next(iter(RELEASES.values()))
