"""What must lie in the namespace: labels, ConfigMaps, Secrets, volume claims. Of Secrets no value is kept or shown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from agent0.findings import Finding
from agent0.kubeflow.cluster.cluster_reader import Cluster

PART_OF, PROFILE = "app.kubernetes.io/part-of", "kubeflow-profile"
STANDARD = "pod-security.kubernetes.io/enforce"
ARTIFACT_SECRET, LAUNCHER = "mlpipeline-minio-artifact", "kfp-launcher"
DEFAULT_ROOT = "minio://mlpipeline/v2/artifacts"
ENABLE = "label the namespace pipelines.kubeflow.org/enabled=true, or see pipelines/manifests/overlays/namespace"
OVERLAY = "apply an overlay of pipelines/manifests"


def namespace(cluster: Cluster, multi_user: bool | None) -> Finding:
    """Say whether the namespace is there, and one that Kubeflow runs pipelines in and lets in."""
    found: Any = cluster.ask(cluster.core.read_namespace, cluster.namespace)
    check = f"namespace {cluster.namespace}"
    if found is None:
        return Finding(check, "fail", "there is none", f"{OVERLAY}, or name another with -n")
    if not multi_user:
        service = cluster.ask(cluster.core.read_namespaced_service, "ml-pipeline", cluster.namespace)
        if service is not None:
            return Finding(check, "ok", "Kubeflow's own, where a server for one user runs every pipeline")
        if multi_user is not None:
            return Finding(
                check,
                "fail",
                "this Kubeflow is for one user and runs everything in its own namespace, where its service ml-pipeline "
                "is; it is not here",
                "name that namespace, mostly kubeflow, with -n, and use the overlay standalone",
            )
    if (found.metadata.labels or {}).get(PART_OF) != PROFILE:
        return Finding(
            check,
            "warn",
            f"it has no label {PART_OF}={PROFILE}, by which Kubeflow's network policies let namespaces in",
            f"kubectl label namespace {cluster.namespace} {PART_OF}={PROFILE}",
        )
    return Finding(check, "ok", f"labelled {PART_OF}={PROFILE}")


def pod_security(cluster: Cluster) -> Finding:
    """Say which Pod Security Standard the namespace enforces."""
    found: Any = cluster.ask(cluster.core.read_namespace, cluster.namespace)
    level = (found.metadata.labels or {}).get(STANDARD) if found else None
    if level == "restricted":
        return Finding("pod security", "ok", "restricted, which steps meet on Kubeflow Pipelines 2.16 and newer")
    return Finding("pod security", "ok", f"{level or 'nothing'} is enforced by the namespace's labels")


def launcher(cluster: Cluster, multi_user: bool | None) -> Finding:
    """Say where outputs of tasks go."""
    check = f"ConfigMap {LAUNCHER}"
    found: Any = cluster.ask(cluster.core.read_namespaced_config_map, LAUNCHER, cluster.namespace)
    root = (found.data or {}).get("defaultPipelineRoot") if found else None
    if root:
        return Finding(check, "ok", f"outputs of tasks go to {root}")
    if multi_user and found is None:
        return Finding(
            check,
            "warn",
            f"there is none; outputs go to {DEFAULT_ROOT}, which a namespace's own keys often cannot write",
            ENABLE,
        )
    return Finding(check, "ok", f"outputs of tasks go to Kubeflow's default, {DEFAULT_ROOT}")


def artifact_secret(cluster: Cluster) -> Finding:
    """Say whether the keys of the artifact store are there."""
    check = f"Secret {ARTIFACT_SECRET}"
    keys = _secret_keys(cluster, ARTIFACT_SECRET)
    config: Any = cluster.ask(cluster.core.read_namespaced_config_map, LAUNCHER, cluster.namespace)
    if config is not None and (config.data or {}).get("providers"):
        return Finding(
            check, "ok", f"not needed: {LAUNCHER} names providers of its own; agent0-runner must read theirs"
        )
    if keys is None:
        return Finding(
            check,
            "fail",
            "there is none, so no step can read or write artifacts",
            ENABLE,
        )
    missing = [key for key in ("accesskey", "secretkey") if key not in keys]
    if missing:
        return Finding(check, "fail", f"it lacks {', '.join(missing)}", "make it anew with accesskey and secretkey")
    return Finding(check, "ok", "accesskey and secretkey are there")


def settings(cluster: Cluster, name: str, known: Sequence[str]) -> Finding:
    """Say whether the pods' environment is there, and would reach them."""
    check = f"ConfigMap {name}"
    found: Any = cluster.ask(cluster.core.read_namespaced_config_map, name, cluster.namespace)
    if found is None:
        return Finding(check, "fail", "there is none, so pods know no tracking server", OVERLAY)
    values = found.data or {}
    if not values.get("MLFLOW_TRACKING_URI"):
        return Finding(check, "fail", "it lacks MLFLOW_TRACKING_URI, without which no pipeline begins", OVERLAY)
    unread = sorted(set(values) - set(known))
    if unread:
        return Finding(
            check,
            "warn",
            f"no pod reads {', '.join(unread)}",
            f"pods read {', '.join(known)}, or what was compiled with -O settings_keys",
        )
    if not values.get("AGENT0_WORKSPACE"):
        return Finding(
            check,
            "warn",
            f"{', '.join(sorted(values))}; without AGENT0_WORKSPACE a training whose pod is lost begins anew",
            "add it (s3://bucket/prefix, or /shared with -O shared_volume), or compile with --workspace",
        )
    return Finding(check, "ok", ", ".join(sorted(values)))


def credentials(cluster: Cluster, name: str, known: Sequence[str]) -> Finding:
    """Say which keys and tokens the pods get."""
    check = f"Secret {name}"
    keys = _secret_keys(cluster, name)
    if keys is None:
        return Finding(
            check,
            "warn",
            "there is none; pods get no keys for S3, MLflow and model hubs",
            f"kubectl -n {cluster.namespace} create secret generic {name} --from-env-file=credentials.env, unless IAM "
            "roles and open servers do without",
        )
    unread = sorted(set(keys) - set(known))
    if unread:
        return Finding(check, "warn", f"no pod reads {', '.join(unread)}", f"pods read {', '.join(known)}")
    halves = [pair for pair in _PAIRS if len(set(pair) & set(keys)) == 1]
    if halves:
        missing = ", ".join(key for pair in halves for key in pair if key not in keys)
        return Finding(check, "fail", f"it lacks {missing}, the other half of what is there", "add it to the Secret")
    return Finding(check, "ok", ", ".join(sorted(keys)))


def claim(cluster: Cluster, name: str, many: bool) -> Finding:
    """Say whether a volume claim is bound, and may be mounted on several nodes."""
    check = f"volume claim {name}"
    found: Any = cluster.ask(cluster.core.read_namespaced_persistent_volume_claim, name, cluster.namespace)
    if found is None:
        return Finding(check, "fail" if many else "warn", "there is none", f"{OVERLAY}, or compile without it")
    modes, size = found.spec.access_modes or [], (found.spec.resources.requests or {}).get("storage", "")
    text = f"{found.status.phase}, {size}, {', '.join(modes)}, class {found.spec.storage_class_name or 'none'}"
    if found.status.phase == "Bound":
        if "ReadWriteMany" in modes:
            return Finding(check, "ok", text)
        advice = "use a storage class that can ReadWriteMany"
        return Finding(check, "fail" if many else "warn", f"{text}: all its pods must run on one node", advice)
    if found.status.phase == "Pending" and _waits_for_a_pod(cluster, found.spec.storage_class_name):
        return Finding(check, "ok", f"{text}: its class binds it to the first pod that mounts it")
    advice = f"kubectl -n {cluster.namespace} describe pvc {name} says why; a claim without a class needs a default one"
    return Finding(check, "fail", text, advice)


_PAIRS = (
    ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
    ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"),
)


def _secret_keys(cluster: Cluster, name: str) -> list[str] | None:
    found: Any = cluster.ask(cluster.core.read_namespaced_secret, name, cluster.namespace)
    return None if found is None else list(found.data or {})


def _waits_for_a_pod(cluster: Cluster, name: str | None) -> bool:
    found: Any = cluster.ask(cluster.storage.read_storage_class, name) if name else None
    return found is not None and found.volume_binding_mode == "WaitForFirstConsumer"
