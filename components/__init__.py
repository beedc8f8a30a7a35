"""Kubeflow components, one folder each; installed as `agent0_kfp.components`.

A component's function is plain Python with typed ports; `containerized` makes it a component of a given image, which
is therefore chosen when a pipeline is compiled. Its body imports what it needs, since only the body travels.
"""

import inspect
from collections.abc import Callable
from typing import Any

from kfp import dsl

from agent0.kubeflow.default_images import DEFAULT_IMAGE as DEFAULT_IMAGE

FORWARDED = [
    dsl.TaskConfigPassthrough(field=field, apply_to_task=True)
    for field in (
        dsl.TaskConfigField.RESOURCES,
        dsl.TaskConfigField.ENV,
        dsl.TaskConfigField.KUBERNETES_TOLERATIONS,
        dsl.TaskConfigField.KUBERNETES_NODE_SELECTOR,
        dsl.TaskConfigField.KUBERNETES_AFFINITY,
        dsl.TaskConfigField.KUBERNETES_VOLUMES,
    )
]
"""What a component that takes a `TaskConfig` learns of its own pod, to give it to the pods of a TrainJob."""


def containerized(function: Callable[..., Any], image: str) -> Callable[..., Any]:
    """Return `function` as a component that runs in `image`, where agent0 and kfp are installed."""
    forwards = any(port.annotation is dsl.TaskConfig for port in inspect.signature(function).parameters.values())
    component: Callable[..., Any] = dsl.component(
        base_image=image, install_kfp_package=False, task_config_passthroughs=FORWARDED if forwards else None
    )(function)
    return component
