"""Why a task failed or waits, and what to do: from what Argo and Kubernetes say of its node, in one table.

The messages are those of Argo's controller (`inferFailedReason`, `getPendingReason`), of the kubelet's reasons for a
waiting container, and of the API server's refusals of a pod.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Cause:
    """What a message shows, and what to do; `{memory}` stands for the command that runs with more memory."""

    pattern: str
    advice: str


CAUSES = (
    Cause(
        r"OOMKilled|exit code 137|signal: killed",  # the last is the launcher's word for its program
        "It ran out of memory. Run it again with more: {memory}. What has finished comes from the cache.",
    ),
    Cause(
        r"ImagePullBackOff|ErrImagePull|InvalidImageName|ErrImageNeverPull|RegistryUnavailable",
        "Its image cannot be pulled. Check name and digest of --param image, and that the namespace has the registry's "
        "credentials (compile with -O image_pull_secret=NAME).",
    ),
    Cause(
        r"CreateContainerConfigError|CreateContainerError|configmap .* not found|secret .* not found",
        "A secret or ConfigMap that the pod names is not in the namespace, or lacks a key. Make it, and run again.",
    ),
    Cause(
        r"PodSecurity",
        "The namespace's Pod Security level refuses the pod, for the reason given. Compile without "
        "-O run_as_non_root=false, or have the level changed.",
    ),
    Cause(
        r"exceeded quota",
        "The namespace's quota is used up. Wait for other work to end, ask for less (compile with -O *_cpu, "
        "*_memory, *_gpus), or have the quota raised: kubectl describe resourcequota.",
    ),
    Cause(
        r"(?i)local ?queue|kueue",
        "Kueue does not admit the pod: its queue (-O queue) may not exist, or be stopped. See kubectl get "
        "localqueues and kubectl get workloads.",
    ),
    Cause(
        r"admission webhook .* denied",
        "A policy of the cluster refuses the pod, for the reason given. Ask the cluster's administrators.",
    ),
    Cause(
        r"Unschedulable|nodes are available",
        "No node has room for the pod, or none that it may use. See kubectl describe pod; ask for less "
        "(compile with -O *_cpu, *_memory, *_gpus), or correct --param *_node_selector and *_tolerations.",
    ),
    Cause(
        r"(pods|Pod) .*(is forbidden|is invalid)",
        "The cluster refuses the pod, for the reason given. Check the service account and what the pod asks for.",
    ),
    Cause(
        r"(?i)evicted|low on resource|preempt|node.*shutdown|NodeLost|pod deleted|can't find failed message",
        "The pod was evicted, or lost with its node. Run again (agent0 pipeline rerun): what has finished comes from "
        "the cache, and a training goes on from its last checkpoint in the workspace.",
    ),
    Cause(
        r"(?i)deadline|active on the node longer",
        "A time limit ended it. Compile with a longer one (-O training_timeout_hours=…, generation_…, light_…), or "
        "without.",
    ),
    Cause(
        r"^(init|wait): ",
        "Kubeflow could not bring its inputs or save its outputs: the artifact store may not answer, or its "
        "credentials may be missing in the namespace.",
    ),
)
UNEXPLAINED_WAIT = (
    "Kubernetes gives no reason yet: the pod may wait for its queue (with Kueue: kubectl get workloads) or for its "
    "image. See kubectl describe pod."
)
DRIVER = (
    "Kubeflow's driver could not prepare it, before any program of the pipeline ran. Compare the pipeline with this "
    "server's release, and its parameters with what it declares: agent0 pipeline params."
)


def advice_for(message: str, memory: str) -> str:
    """Return what to do about a node's message; empty where it shows no cause, as for an error of the program."""
    found = next((cause for cause in CAUSES if re.search(cause.pattern, message)), None)
    return found.advice.format(memory=memory) if found else ""
