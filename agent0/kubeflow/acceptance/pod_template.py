"""The pod that Argo makes of Kubeflow's template for a task, before the driver's patch is merged into it.

From argocompiler/container.go and security_context.go of Kubeflow Pipelines, Argo's workflow/controller/workflowpod.go,
and from the controller's ConfigMap in Kubeflow's manifests; 2.16.1 and 2.17.0 make the same pod.
"""

from __future__ import annotations

from typing import Any

MAIN = "main"
_SCRATCH = {"gcs-scratch": "/gcs", "s3-scratch": "/s3", "minio-scratch": "/minio", "dot-local-scratch": "/.local"}
_SCRATCH |= {"dot-cache-scratch": "/.cache", "dot-config-scratch": "/.config"}
_SEALED = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}


def template_pod() -> dict[str, Any]:
    """Return the specification of the pod."""
    argo = {"name": "var-run-argo", "mountPath": "/var/run/argo"}
    executor = {
        "image": "quay.io/argoproj/argoexec",
        "imagePullPolicy": "IfNotPresent",
        "securityContext": {"runAsNonRoot": True, "runAsUser": 65532, **_SEALED},
    }
    launcher = {"name": "kfp-launcher", "mountPath": "/kfp-launcher"}
    names = [{"name": f"KFP_POD_{name.upper()}", "valueFrom": _field(f"metadata.{name}")} for name in ("name", "uid")]
    retry = {"name": "KFP_RETRY_INDEX", "value": "0"}
    return {
        "restartPolicy": "Never",
        "serviceAccountName": "agent0-runner",
        "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}},
        "volumes": [
            {"name": name, "emptyDir": {}} for name in ("var-run-argo", "tmp-dir-argo", "kfp-launcher", *_SCRATCH)
        ],
        "initContainers": [
            {"name": "init", "command": ["argoexec", "init"], "volumeMounts": [argo], **executor},
            {
                "name": "kfp-launcher",
                "image": "ghcr.io/kubeflow/kfp-launcher",
                "command": ["launcher-v2"],
                "args": ["--copy", "/kfp-launcher/launch"],
                "resources": {"limits": {"cpu": "500m", "memory": "256Mi"}, "requests": {"cpu": "100m"}},
                "volumeMounts": [launcher, argo],
                "securityContext": {"runAsNonRoot": True, **_SEALED},
            },
        ],
        "containers": [
            {
                "name": "wait",
                "command": ["argoexec", "wait"],
                "volumeMounts": [{"name": "tmp-dir-argo", "mountPath": "/tmp", "subPath": "0"}, argo],
                **executor,
            },
            {
                "name": MAIN,
                "envFrom": [{"configMapRef": {"name": "metadata-grpc-configmap", "optional": True}}],
                "env": [*names, retry],
                "volumeMounts": [launcher, *({"name": n, "mountPath": p} for n, p in _SCRATCH.items()), argo],
                "securityContext": dict(_SEALED),
            },
        ],
    }


def _field(path: str) -> dict[str, Any]:
    return {"fieldRef": {"fieldPath": path}}
