"""Kubeflow components, one folder each; installed as `agent0_kfp.components`.

A component's function is plain Python with typed ports; `containerized` makes it a component of a given image, which
is therefore chosen when a pipeline is compiled. Its body imports what it needs, since only the body travels.
"""

from collections.abc import Callable
from typing import Any

from kfp import dsl

DEFAULT_IMAGE = "ghcr.io/agent0/agent0-python:0.1.0"
"""Image of the training and generation pods. The local runner warns unless an image's name contains 'python'."""


def containerized(function: Callable[..., Any], image: str) -> Callable[..., Any]:
    """Return `function` as a component that runs in `image`, where agent0 and kfp are installed."""
    component: Callable[..., Any] = dsl.component(base_image=image, install_kfp_package=False)(function)
    return component
