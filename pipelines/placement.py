"""Where the tasks' pods run and what they get: run parameters by role, handed down through nested pipelines.

Kubeflow's local runner takes no notice of any of it but the image's name and the retries.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from kfp import kubernetes

from agent0.config import Config
from agent0.errors import UsageError
from agent0.planning import training_host_gib
from agent0_kfp.components import containerized
from agent0_kfp.pipelines.options import CompileOptions, Role
from agent0_kfp.pipelines.policy import POLICIES
from agent0_kfp.pipelines.signatures import Parameter

MODEL_CACHE_FOLDER = "/models"
SHARED_FOLDER = "/shared"
LONGEST_PAUSE_SECONDS = 3600
LEAST_MEMORY_GIB, MEMORY_STEP_GIB = 192, 64
ROLES: Mapping[Role, str] = {
    "training": "pods that train",
    "generation": "pods that draw trajectories: generation, execution, evaluation",
    "light": "all other pods",
}


class Workshop:
    """Makes tasks of components, each placed by its policy, the options and the run parameters.

    Args:
        functions: the components' functions.
        config: the settings, from which the pods' memory follows.
        options: what compiling fixes.
    """

    def __init__(self, functions: Sequence[Callable[..., Any]], config: Config, options: CompileOptions) -> None:
        self.options = options
        self._components = {function.__name__: containerized(function, options.image) for function in functions}
        roles = {POLICIES[name].role for name in self._components}
        self.parameters = placement_parameters(config, options, [role for role in ROLES if role in roles])

    def task(self, component: str, inputs: Mapping[str, Any], **arguments: Any) -> Any:
        """Make a task of a component.

        Args:
            component: its name.
            inputs: the inputs of the pipeline around the task, which hold the run parameters of `parameters`.
            arguments: the component's own arguments.
        """
        policy = POLICIES[component]
        task = self._components[component](**arguments)
        _place(task, policy.role, inputs, self.options)
        task.set_caching_options(policy.cached and component not in self.options.uncached)
        if self.options.retries:
            task.set_retry(
                num_retries=self.options.retries,
                backoff_duration=f"{self.options.retry_pause_seconds}s",
                backoff_factor=2.0,
                backoff_max_duration=f"{LONGEST_PAUSE_SECONDS}s",
            )
        return task


def placement_parameters(config: Config, options: CompileOptions, roles: Sequence[Role]) -> list[Parameter]:
    """Return the run parameters that say where pods run, with the options' values as defaults."""
    parameters = [
        Parameter("image", str, "Image of all components; pin it by digest.", options.image),
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
        who, heavy = ROLES[role], role != "light" and options.gpus > 0
        memory = f"{_heavy_memory_gib(config, options.gpus, role)}Gi" if heavy else "8Gi"
        parameters += [
            Parameter(f"{role}_cpu", str, f"CPU of {who}, requested and as limit.", "16" if heavy else "2"),
            Parameter(f"{role}_memory", str, f"Memory of {who}, requested and as limit.", memory),
        ]
        if heavy:
            parameters += [
                Parameter(f"{role}_gpus", int, f"GPUs of {who}.", options.gpus),
                Parameter(f"{role}_gpu_type", str, f"Resource name of the GPUs of {who}.", "nvidia.com/gpu"),
            ]
        parameters += [
            Parameter(f"{role}_tolerations", list, f"Tolerations of {who}, as in a pod's specification.", []),
            Parameter(f"{role}_node_selector", dict, f"Labels of the nodes of {who}.", {}),
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
    task.set_container_image(inputs["image"])
    for kind in ("cpu", "memory"):
        getattr(task, f"set_{kind}_request")(inputs[f"{role}_{kind}"])
        getattr(task, f"set_{kind}_limit")(inputs[f"{role}_{kind}"])
    if f"{role}_gpus" in inputs:
        task.set_accelerator_type(inputs[f"{role}_gpu_type"]).set_accelerator_limit(inputs[f"{role}_gpus"])
    kubernetes.add_toleration_json(task, inputs[f"{role}_tolerations"])
    kubernetes.add_node_selector_json(task, inputs[f"{role}_node_selector"])
    kubernetes.use_config_map_as_env(
        task, inputs["settings"], {name: name for name in options.settings_keys}, optional=True
    )
    kubernetes.use_secret_as_env(
        task, inputs["credentials"], {name: name for name in options.credential_keys}, optional=True
    )
    if "model_cache" in inputs:
        kubernetes.mount_pvc(task, inputs["model_cache"], MODEL_CACHE_FOLDER)
    if "shared_volume" in inputs:  # every stage opens its journal in the workspace, which may lie there
        kubernetes.mount_pvc(task, inputs["shared_volume"], SHARED_FOLDER)
    if "image_pull_secret" in inputs:
        kubernetes.set_image_pull_secrets(task, [inputs["image_pull_secret"]])
    if role != "light" and options.shared_memory:
        kubernetes.empty_dir_mount(task, "dshm", "/dev/shm", medium="Memory", size_limit=options.shared_memory)
    if seconds := options.timeout_seconds(role):
        kubernetes.set_timeout(task, seconds)
    if options.run_as_non_root:
        kubernetes.set_security_context(task, run_as_non_root=True)
    if options.workspace:
        task.set_env_variable("AGENT0_WORKSPACE", options.workspace)
