"""What controllers, Kubeflow and people would have made on a cluster, made by hand on an API server without."""

from __future__ import annotations

import json
from typing import Any

from servers.kubernetes import KubernetesServer

from tests.manifests.building import NAMESPACE, built, one, placed

KEYS = {"accesskey": "YWNjZXNz", "secretkey": "c2VjcmV0"}
TOKENS = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "never shown", "HF_TOKEN": "never shown"}
RBAC = "rbac.authorization.k8s.io"
DEFAULT_CLASS = {"storageclass.kubernetes.io/is-default-class": "true"}
GPU_TAINT = {"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}
_POD = {"spec": {"containers": [{"name": "node", "image": "trainer"}]}}
_NODES = [{"name": "node", "template": {"spec": {"template": _POD}}}]
RUNTIME = {"mlPolicy": {"numNodes": 1, "torch": {}}, "template": {"spec": {"replicatedJobs": _NODES}}}


def prepare_cluster(server: KubernetesServer) -> None:
    """Make what lies outside of the namespace: roles, nodes, storage, a training runtime, MLflow."""
    rule = {"apiGroups": ["pipelines.kubeflow.org"], "resources": ["*"], "verbs": ["*"]}
    server.apply(
        thing(f"{RBAC}/v1", "ClusterRole", "kubeflow-pipelines-edit", rules=[rule]),
        thing("trainer.kubeflow.org/v1alpha1", "ClusterTrainingRuntime", "torch-distributed", spec=RUNTIME),
        thing("v1", "Namespace", "agent0-mlflow"),
    )
    prepare_storage(server, "shared")
    prepare_node(server, "cpu-0")
    prepare_node(server, "gpu-0", gpus=8)
    prepare_tracking(server)


def prepare_storage(server: KubernetesServer, name: str) -> None:
    """Make a default storage class that waits for the first pod."""
    fields = {"provisioner": "tests", "volumeBindingMode": "WaitForFirstConsumer"}
    server.apply(thing("storage.k8s.io/v1", "StorageClass", name, annotations=DEFAULT_CLASS, **fields))


def prepare_node(server: KubernetesServer, name: str, gpus: int = 0) -> None:
    """Make a node; with GPUs it is tainted, as operators of GPUs do."""
    labels = {"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3"} if gpus else {}
    spec = {"taints": [GPU_TAINT]} if gpus else {}
    server.apply(thing("v1", "Node", name, labels=labels, spec=spec))
    if gpus:
        patch_status(server, "", "node", name, {"allocatable": {"nvidia.com/gpu": str(gpus)}})


def prepare_tracking(server: KubernetesServer) -> None:
    """Make MLflow's service with a pod that is ready, in a namespace that is there."""
    ports, service = [{"port": 5000}], {"kubernetes.io/service-name": "agent0-mlflow"}
    endpoints = [{"addresses": ["10.1.0.1"], "conditions": {"ready": True}}]
    fields = {"addressType": "IPv4", "ports": ports, "endpoints": endpoints}
    place = "agent0-mlflow"
    server.apply(
        thing("v1", "Service", "agent0-mlflow", place, spec={"ports": ports}),
        thing("discovery.k8s.io/v1", "EndpointSlice", "agent0-mlflow-1", place, labels=service, **fields),
    )


def prepare_namespace(server: KubernetesServer, name: str) -> None:
    """Make a namespace as the overlay `namespace`, its owner and the storage leave it."""
    objects = placed(built(NAMESPACE), name)
    one(objects, "ConfigMap", "agent0-settings")["data"]["AGENT0_WORKSPACE"] = "s3://agent0/workspace"
    one(objects, "PersistentVolumeClaim", "agent0-model-cache")["spec"]["storageClassName"] = "shared"
    server.apply(
        *objects,
        thing("v1", "Secret", "mlpipeline-minio-artifact", name, data=KEYS),
        thing("v1", "Secret", "agent0-credentials", name, stringData=TOKENS),
        thing("kueue.x-k8s.io/v1beta1", "LocalQueue", "training", name, spec={"clusterQueue": "gpus"}),
    )
    patch_status(server, name, "pvc", "agent0-model-cache", {"phase": "Bound"})


def prepare_standalone(server: KubernetesServer) -> None:
    """Make Kubeflow's own namespace as Kubeflow Pipelines standalone leaves it, as far as we look at it."""
    env = [{"name": "COMPILED_PIPELINE_SPEC_PATCH", "value": "{}"}]
    container = {"name": "ml-pipeline-api-server", "image": "kfp-api-server:2.17.0", "env": env}
    labels = {"app": "ml-pipeline"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    deployment = {"selector": {"matchLabels": labels}, "template": template}
    enforced = {"pod-security.kubernetes.io/enforce": "baseline"}
    server.apply(
        thing("v1", "Namespace", "kubeflow", labels=enforced),
        thing("v1", "Service", "ml-pipeline", "kubeflow", spec={"ports": [{"port": 8888}]}),
        thing("apps/v1", "Deployment", "ml-pipeline", "kubeflow", spec=deployment),
        thing("v1", "ConfigMap", "kfp-launcher", "kubeflow", data={"defaultPipelineRoot": ""}),
        thing("v1", "Secret", "mlpipeline-minio-artifact", "kubeflow", data=KEYS),
    )


def thing(
    version: str,
    kind: str,
    name: str,
    namespace: str = "",
    labels: dict[str, str] | None = None,
    annotations: dict[str, str] | None = None,
    **fields: Any,
) -> dict[str, Any]:
    """An object."""
    metadata = {"name": name, "namespace": namespace, "labels": labels, "annotations": annotations}
    given = {key: value for key, value in metadata.items() if value}
    return {"apiVersion": version, "kind": kind, "metadata": given, **fields}


def grant(server: KubernetesServer, namespace: str, user: str, role: str) -> None:
    """Bind a cluster's role to a user in a namespace."""
    fields = {
        "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": role},
        "subjects": [{"apiGroup": RBAC, "kind": "User", "name": user}],
    }
    server.apply(thing(f"{RBAC}/v1", "RoleBinding", f"{user}-{role}".replace(":", "-"), namespace, **fields))


def patch_status(server: KubernetesServer, namespace: str, kind: str, name: str, status: dict[str, Any]) -> None:
    """Say of an object what a controller would have said."""
    place = ("-n", namespace) if namespace else ()
    patch = json.dumps({"status": status})
    server.kubectl(*place, "patch", kind, name, "--subresource=status", "--type=merge", "-p", patch)
