"""What is advised for what Argo and Kubernetes say; the messages are theirs."""

from __future__ import annotations

import re

import pytest

from agent0.kubeflow.failure_causes import CAUSES, advice_for

SAID = {
    "main: OOMKilled (exit code 137)": "Run it again with more: Raise it.",
    "main: Error (exit code 1) signal: killed": "out of memory",
    'ImagePullBackOff: Back-off pulling image "registry.example/agent0:9"': "cannot be pulled",
    'Pod failed before main container starts due to ErrImagePull: failed to pull image "x"': "image_pull_secret",
    'CreateContainerConfigError: secret "agent0-credentials" not found': "secret or ConfigMap",
    'pods "x" is forbidden: violates PodSecurity "restricted:latest": runAsNonRoot != true': "Pod Security",
    'pods "x" is forbidden: exceeded quota: team, requested: requests.nvidia.com/gpu=8, used: 0, limited: 4': "quota",
    'admission webhook "vpod.kb.io" denied the request: LocalQueue team-a not found': "Kueue does not admit",
    'admission webhook "policies.example" denied the request: image is not signed': "policy of the cluster",
    "Unschedulable: 0/3 nodes are available: 3 Insufficient nvidia.com/gpu.": "No node has room",
    'pods "x" is forbidden: error looking up service account team/agent0: not found': "service account",
    "The node was low on resource: memory. Threshold quantity: 100Mi, available: 20Mi.": "evicted",
    "pod deleted": "evicted",
    "Pod was active on the node longer than the specified deadline": "time limit",
    "wait: Error (exit code 64): failed to put file: the bucket does not exist": "artifact store",
}


@pytest.mark.parametrize("message", SAID)
def test_a_message_gives_what_to_do(message: str) -> None:
    assert SAID[message] in advice_for(message, "Raise it")


def test_every_cause_is_the_first_for_a_message() -> None:
    first = [next(cause for cause in CAUSES if re.search(cause.pattern, message)) for message in SAID]
    assert [cause for cause in CAUSES if cause not in first] == []


@pytest.mark.parametrize("message", ["main: Error (exit code 1)", "", "No more retries left"])
def test_an_error_of_the_program_has_no_cause_here(message: str) -> None:
    assert advice_for(message, "") == ""
