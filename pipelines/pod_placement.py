"""Where the tasks' pods run and what they get: constants of the compiled pipeline, and run parameters by role.

Parameters of Kubernetes' settings are looked up in the pipeline around a task, and are no inputs of the task; they are
handed down through nested pipelines. Kubeflow's local runner takes no notice of any of it but the image's name and the
retries.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kfp import dsl, kubernetes

from agent0.config import Config
from agent0.errors import UsageError
from agent0.kubeflow.compile_options import RETRYING_SECONDS, CompileOptions
from agent0.kubeflow.default_images import DEFAULT_IMAGE, GPU_IMAGE
from agent0.kubeflow.pod_policy import POLICIES, ROLES, Role
from agent0.planning import training_host_gib
from agent0.storage.workspace import ENVIRONMENT_VARIABLE as WORKSPACE_VARIABLE
from agent0_kfp.components import containerized
from agent0_kfp.pipelines.signatures import Parameter

MODEL_CACHE_FOLDER = "/models"
SHARED_FOLDER = "/shared"
LEAST_MEMORY_GIB, MEMORY_STEP_GIB = 192, 64
QUEUE_LABEL = "kueue.x-k8s.io/queue-name"


class TaskFactory:
    """Makes tasks of components, each placed by its policy, the options and the run parameters.

    Args:
        functions: the components' functions.
        config: the settings, from which the pods' memory follows.
        options: what compiling fixes.
    """

    def __init__(self, functions: Sequence[Callable[..., Any]], config: Config, options: CompileOptions) -> None:
        self.options = options
        image = default_image(config, options)
        self._components = {function.__name__: containerized(function, image) for function in functions}
        roles = [role for role in ROLES if role in {POLICIES[name].role for name in self._components}]
        self._resources = {role: resources_of(role, config, options) for role in roles}
        self.parameters = placement_parameters(image, options, roles)

    @property
    def limits(self) -> dsl.PipelineConfig | None:
        """How long a run may take, and how long its workflow is kept; None where the options say nothing."""
        hours = {
            "active_deadline_seconds": self.options.run_timeout_hours,
            "ttl_seconds_after_finished": self.options.keep_hours,
        }
        seconds = {name: round(value * 3600) for name, value in hours.items() if value}
        return dsl.PipelineConfig(**seconds) if seconds else None

    def task(self, component: str, inputs: Mapping[str, Any], **arguments: Any) -> Any:
        """Make a task of a component.

        Args:
            component: its name.
            inputs: the inputs of the pipeline around the task, which hold the run parameters of `parameters`.
            arguments: the component's own arguments.
        """
        policy = POLICIES[component]
        task = self._components[component](**arguments)
        task.set_container_image(inputs["image"])
        self._resources[policy.role].give(task)
        _place(task, policy.role, inputs, self.options)
        task.set_caching_options(policy.cached and component not in self.options.uncached)
        if self.options.retries:
            task.set_retry(
                num_retries=self.options.retries,
                backoff_duration=f"{self.options.retry_pause_seconds}s",
                backoff_factor=2.0,
                backoff_max_duration=f"{RETRYING_SECONDS}s",
            )
        return task


@dataclass(frozen=True)
class Resources:
    """What each pod of a role asks for, which is also its limit."""

    cpu: str
    memory: str
    gpus: int
    gpu_type: str

    def give(self, task: Any) -> None:
        """Set them on a task, as constants: a parameter here would be one of the task's inputs."""
        task.set_cpu_request(self.cpu).set_cpu_limit(self.cpu)
        task.set_memory_request(self.memory).set_memory_limit(self.memory)
        if self.gpus:
            task.set_accelerator_type(self.gpu_type).set_accelerator_limit(self.gpus)


def resources_of(role: Role, config: Config, options: CompileOptions) -> Resources:
    """Return what pods of a role get: what the options name, else what suits pods with or without GPUs."""
    gpus = options.gpus_of(role)
    cpu, memory = getattr(options, f"{role}_cpu"), getattr(options, f"{role}_memory")
    return Resources(
        cpu=cpu or ("16" if gpus else "2"),
        memory=memory or (f"{_heavy_memory_gib(config, gpus, role)}Gi" if gpus else "8Gi"),
        gpus=gpus,
        gpu_type=options.gpu_type,
    )


def default_image(config: Config, options: CompileOptions) -> str:
    """Return the image named, or the one that can use the GPUs that are asked for, here or by a TrainJob."""
    heavy = options.gpus_of("training") or options.gpus_of("generation") or config.training.launcher == "trainjob"
    return options.image or (GPU_IMAGE if heavy else DEFAULT_IMAGE)


def placement_parameters(image: str, options: CompileOptions, roles: Sequence[Role]) -> list[Parameter]:
    """Return the run parameters that say where pods run, with the options' values as defaults."""
    parameters = [
        Parameter("image", str, "Image of all components; pin it by digest.", image),
        Parameter("settings", str, "ConfigMap with environment variables of all pods.", "agent0-settings"),
        Parameter("credentials", str, "Secret with environment variables of all pods.", "agent0-credentials"),
    ]
    optional = {
        "model_cache": f"Volume claim mounted at {MODEL_CACHE_FOLDER}.",
        "shared_volume": f"Volume claim mounted at {SHARED_FOLDER} in every pod and in the nodes of TrainJobs.",
        "image_pull_secret": "Secret with the registry's credentials.",
    }
    for name, description in optional.items():
        if value := getattr(options, name):
            parameters.append(Parameter(name, str, description, value))
    for role in roles:
        parameters += [
            Parameter(f"{role}_tolerations", list, f"Tolerations of {ROLES[role]}, as in a pod's specification.", []),
            Parameter(f"{role}_node_selector", dict, f"Labels of the nodes of {ROLES[role]}.", {}),
        ]
    return parameters


def _heavy_memory_gib(config: Config, gpus: int, role: Role) -> int:
    """Return the memory of pods with GPUs; those that train get what loading takes, where it is known."""
    if role != "training":
        return LEAST_MEMORY_GIB
    try:
        needed = training_host_gib(config, gpus)
    except UsageError:
        return LEAST_MEMORY_GIB
    return max(LEAST_MEMORY_GIB, math.ceil(needed / MEMORY_STEP_GIB) * MEMORY_STEP_GIB)


def _place(task: Any, role: Role, inputs: Mapping[str, Any], options: CompileOptions) -> None:
    kubernetes.add_toleration_json(task, inputs[f"{role}_tolerations"])
    kubernetes.add_node_selector_json(task, inputs[f"{role}_node_selector"])
    kubernetes.use_config_map_as_env(task, inputs["settings"], options.settings_variables, optional=True)
    kubernetes.use_secret_as_env(task, inputs["credentials"], options.credential_variables, optional=True)
    if "model_cache" in inputs:
        kubernetes.mount_pvc(task, inputs["model_cache"], MODEL_CACHE_FOLDER)
    if "shared_volume" in inputs:  # every stage opens its journal in the workspace, which may lie there
        kubernetes.mount_pvc(task, inputs["shared_volume"], SHARED_FOLDER)
    if "image_pull_secret" in inputs:
        kubernetes.set_image_pull_secrets(task, [inputs["image_pull_secret"]])
    if role != "light" and options.shared_memory:
        kubernetes.empty_dir_mount(task, "dshm", "/dev/shm", medium="Memory", size_limit=options.shared_memory)
    queued = {QUEUE_LABEL: options.queue} if options.queue and role != "light" else {}
    for key, value in {**options.pod_labels, **queued}.items():
        kubernetes.add_pod_label(task, key, value)
    for key, value in options.pod_annotations.items():
        kubernetes.add_pod_annotation(task, key, value)
    if seconds := options.timeout_seconds(role):
        kubernetes.set_timeout(task, seconds)
    if options.run_as_non_root:
        kubernetes.set_security_context(task, run_as_non_root=True)
    if options.workspace:
        task.set_env_variable(WORKSPACE_VARIABLE, options.workspace)
