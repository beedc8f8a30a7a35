"""A namespace in which everything is there that a run needs, on a real API server."""

from __future__ import annotations

import json
from typing import Any

from servers.kubernetes import KubernetesServer

from tests.manifests.building import NAMESPACE, built, placed

KEYS = {"accesskey": "YWNjZXNz", "secretkey": "c2VjcmV0"}
TOKENS = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "never shown", "HF_TOKEN": "never shown"}


def prepare_cluster(server: KubernetesServer) -> None:
    """Make what lies outside of namespaces: roles of Kubeflow and Kubernetes, nodes, storage, a runtime, MLflow."""
    rule = {"apiGroups": ["pipelines.kubeflow.org"], "resources": ["*"], "verbs": ["*"]}
    provisioner = {"provisioner": "tests", "volumeBindingMode": "WaitForFirstConsumer"}
    default = {"storageclass.kubernetes.io/is-default-class": "true"}
    taint = {"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}
    node = labelled(None, "v1", "Node", "gpu-0", {"nvidia.com/gpu.product": "NVIDIA-H100"}, spec={"taints": [taint]})
    server.apply(
        thing(None, "rbac.authorization.k8s.io/v1", "ClusterRole", "kubeflow-pipelines-edit", rules=[rule]),
        {**thing(None, "storage.k8s.io/v1", "StorageClass", "shared", **provisioner)}
        | {"metadata": {"name": "shared", "annotations": default}},
        thing(None, "v1", "Node", "cpu-0"),
        node,
        thing(None, "trainer.kubeflow.org/v1alpha1", "ClusterTrainingRuntime", "torch-distributed", spec=RUNTIME),
        thing(None, "v1", "Namespace", "agent0-mlflow"),
    )
    patch_status(server, None, "node", "gpu-0", {"allocatable": {"nvidia.com/gpu": "8"}, "capacity": {}})
    port = [{"port": 5000}]
    slice_ = labelled(
        "agent0-mlflow",
        "discovery.k8s.io/v1",
        "EndpointSlice",
        "agent0-mlflow-1",
        {"kubernetes.io/service-name": "agent0-mlflow"},
        addressType="IPv4",
        ports=port,
        endpoints=[{"addresses": ["10.1.0.1"], "conditions": {"ready": True}}],
    )
    server.apply(thing("agent0-mlflow", "v1", "Service", "agent0-mlflow", spec={"ports": port}), slice_)


def prepare_namespace(server: KubernetesServer, name: str) -> None:
    """Make a namespace as the overlay `namespace` and its owner leave it."""
    objects = placed(built(NAMESPACE), name)
    settings = next(found for found in objects if found["metadata"]["name"] == "agent0-settings")
    settings["data"]["AGENT0_WORKSPACE"] = "s3://agent0/workspace"
    claim = next(found for found in objects if found["kind"] == "PersistentVolumeClaim")
    claim["spec"]["storageClassName"] = "shared"
    server.apply(
        *objects,
        thing(name, "v1", "Secret", "mlpipeline-minio-artifact", data=KEYS),
        thing(name, "v1", "Secret", "agent0-credentials", stringData=TOKENS),
        thing(name, "kueue.x-k8s.io/v1beta1", "LocalQueue", "training", spec={"clusterQueue": "gpus"}),
    )
    patch_status(server, name, "pvc", "agent0-model-cache", {"phase": "Bound"})


def thing(namespace: str | None, version: str, kind: str, name: str, **fields: Any) -> dict[str, Any]:
    """An object."""
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, **fields}


def labelled(
    namespace: str | None, version: str, kind: str, name: str, labels: dict[str, str], **fields: Any
) -> dict[str, Any]:
    """An object with labels."""
    made = thing(namespace, version, kind, name, **fields)
    made["metadata"]["labels"] = labels
    return made


def grant(server: KubernetesServer, namespace: str, user: str, role: str) -> None:
    """Bind a cluster's role to a user in a namespace."""
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role}
    subject = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}
    name = f"{user}-{role}".replace(":", "-")
    server.apply(
        thing(
            namespace,
            "rbac.authorization.k8s.io/v1",
            "RoleBinding",
            name,
            roleRef=reference,
            subjects=[subject],
        )
    )


def patch_status(server: KubernetesServer, namespace: str | None, kind: str, name: str, status: dict[str, Any]) -> None:
    """Say of an object what a controller would have said."""
    place = ("-n", namespace) if namespace else ()
    patch = json.dumps({"status": status})
    server.kubectl(*place, "patch", kind, name, "--subresource=status", "--type=merge", "-p", patch)


_CONTAINER = {"name": "node", "image": "trainer"}
_TEMPLATE = {"spec": {"template": {"spec": {"containers": [_CONTAINER]}}}}
RUNTIME = {
    "mlPolicy": {"numNodes": 1, "torch": {}},
    "template": {"spec": {"replicatedJobs": [{"name": "node", "template": _TEMPLATE}]}},
}
