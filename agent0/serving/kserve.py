"""A registered model as a service of KServe (`serving.kserve.io`, releases 0.16 to 0.21), as Kubernetes' JSON.

Two kinds: `LLMInferenceService`, which serves with vLLM behind a gateway and may spread over GPUs, and the older
`InferenceService`, whose runtime for the format `huggingface` does so in one pod. Both speak OpenAI's protocol. Which
cluster has the CRDs, gateways and credentials of the store is for its platform team.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from agent0.config.training import PART_OF_LABEL
from agent0.errors import UsageError
from agent0.planning.hardware import Gpu

Manifest = dict[str, Any]
SCHEMES = ("s3", "hf", "pvc", "oci")
"""Places from which both kinds fetch a model."""
GPU = "nvidia.com/gpu"
USABLE = 0.9
"""Share of a GPU's memory that vLLM takes: its default."""
ROOM = 1.3
"""What weights, activations and a cache that is of use take at least, over the weights."""
CPUS_PER_GPU = 4
MEMORY_PER_GPU_GIB = 64
HOST_GIB = 16
"""Host memory beside the weights, which pass through it."""
GIB = 1 << 30
NAME = re.compile(r"[a-z]([a-z0-9-]{0,50}[a-z0-9])?")


@dataclass(frozen=True)
class Service:
    """What is served, and on what.

    Attributes:
        name: of the service in the cluster.
        model: what clients call it.
        version: URI of the registered version.
        sha256: of its files.
        uri: where KServe fetches them.
        gpus: of each replica.
        memory_gib: host memory of each replica.
        replicas: how many answer.
        service_account: whose secrets open the store; empty: the namespace's default.
    """

    name: str
    model: str
    version: str
    sha256: str
    uri: str
    gpus: int
    memory_gib: int
    replicas: int = 1
    service_account: str = ""

    def __post_init__(self) -> None:
        """Check what KServe would refuse."""
        if not NAME.fullmatch(self.name):
            raise UsageError(
                f"A service cannot be called {self.name!r}; give --name with at most 52 small letters, digits and '-', "
                "a letter first."
            )
        scheme = urlsplit(self.uri).scheme
        if scheme not in SCHEMES:
            raise UsageError(
                f"KServe cannot fetch {self.version} from {self.uri}; it reads {', '.join(SCHEMES)}. "
                "Copy the model there (`agent0 models download` also writes to s3://) and name the place with "
                "--storage-uri."
            )


def gpus_for(weights: int, gpu: Gpu) -> int:
    """Return how many GPUs a model needs: a power of two, which divides its attention heads.

    Raises:
        UsageError: more than one machine has.
    """
    needed = weights * ROOM / (USABLE * gpu.memory_gib * GIB)
    count = 1 << max(0, math.ceil(math.log2(max(needed, 1.0))))
    if count > 8:
        raise UsageError(
            f"Weights of {weights / GIB:.0f} GiB need {count} GPUs of the kind {gpu.name}, more than one machine has; "
            "name a larger one with --gpu, or the number with --gpus."
        )
    return count


def host_memory(gpus: int, weights: int | None) -> int:
    """Return the host memory of a replica, GiB: for its weights if their size is known, else by its GPUs."""
    return MEMORY_PER_GPU_GIB * gpus if weights is None else HOST_GIB + math.ceil(weights / GIB)


def llm_inference_service(service: Service) -> Manifest:
    """Return a service of KServe's kind for language models."""
    pod: Manifest = {"containers": [{"name": "main", "resources": _resources(service)}]}
    spec: Manifest = {
        "model": {"uri": service.uri, "name": service.model},
        "replicas": service.replicas,
        "router": {"gateway": {}, "route": {}, **({"scheduler": {}} if service.replicas > 1 else {})},
        "template": _with_account(pod, service),
    }
    if service.gpus > 1:
        spec["parallelism"] = {"tensor": service.gpus}
    return _resource("serving.kserve.io/v1alpha1", "LLMInferenceService", service, spec)


def inference_service(service: Service) -> Manifest:
    """Return a service of KServe's general kind, on its runtime for Hugging Face's models."""
    model = {
        "modelFormat": {"name": "huggingface"},
        "args": [f"--model_name={service.model}", f"--tensor-parallel-size={service.gpus}"],
        "storageUri": service.uri,
        "resources": _resources(service),
    }
    predictor: Manifest = {"minReplicas": service.replicas, "maxReplicas": service.replicas, "model": model}
    return _resource(
        "serving.kserve.io/v1beta1", "InferenceService", service, {"predictor": _with_account(predictor, service)}
    )


KINDS: dict[str, tuple[str, Callable[[Service], Manifest]]] = {
    "LLMInferenceService": ("llminferenceservices", llm_inference_service),
    "InferenceService": ("inferenceservices", inference_service),
}
"""Each kind's name in the API's addresses, and what makes one."""


def _resource(version: str, kind: str, service: Service, spec: Manifest) -> Manifest:
    metadata = {
        "name": service.name,
        "labels": {PART_OF_LABEL: "agent0"},
        "annotations": {"agent0.dev/model": service.version, "agent0.dev/sha256": service.sha256},
    }
    return {"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec}


def _resources(service: Service) -> Manifest:
    each = {"cpu": str(CPUS_PER_GPU * service.gpus), "memory": f"{service.memory_gib}Gi", GPU: str(service.gpus)}
    return {"limits": each, "requests": dict(each)}


def _with_account(pod: Manifest, service: Service) -> Manifest:
    return {**pod, "serviceAccountName": service.service_account} if service.service_account else pod
