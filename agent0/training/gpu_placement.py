"""Which GPU does what, and how many processes train."""

from __future__ import annotations

import os
from dataclasses import dataclass

from agent0.config import TrainingSettings
from agent0.errors import UsageError


@dataclass(frozen=True)
class Placement:
    """Indices of the visible GPUs by role; without GPUs all are empty and one process trains on the CPU."""

    training: tuple[int, ...]
    policy: tuple[int, ...]
    executor: tuple[int, ...]
    processes: int


def place(training: TrainingSettings, gpus: int, *, policy_server: bool, executor_server: bool) -> Placement:
    """Give the last GPUs to the frozen executor's servers and the policy's, the first to the training.

    Args:
        training: how many GPUs each role is to have.
        gpus: GPUs that are visible.
        policy_server: whether the model in training draws on a server.
        executor_server: whether a frozen executor is served.

    Raises:
        UsageError: there are too few, or a server gets none.
    """
    policy = training.policy_gpus if policy_server else 0
    executor = training.executor_gpus if executor_server else 0
    rest = gpus - policy - executor
    _require_servers(training, gpus, policy_server, executor_server)
    if gpus and rest < 1:
        raise UsageError(
            f"training.policy_gpus {policy} and training.executor_gpus {executor} leave none of {gpus} GPUs to train "
            "on; lower them or give the stage more GPUs."
        )
    if not gpus and (policy or executor):
        raise UsageError(
            f"training.policy_gpus {policy} and training.executor_gpus {executor} ask for GPUs and there are none; "
            "give the stage GPUs, or set both to 0."
        )
    if gpus and training.processes > rest:
        raise UsageError(f"training.processes is {training.processes} but only {rest} GPUs are left to train on.")
    processes = training.processes or max(1, rest)
    indices = tuple(range(gpus))
    return Placement(
        indices[:processes] if gpus else (), indices[rest : rest + policy], indices[rest + policy :], processes
    )


def _require_servers(training: TrainingSettings, gpus: int, policy_server: bool, executor_server: bool) -> None:
    """Raise where a server is to have none of the GPUs."""
    if gpus and executor_server and not training.executor_gpus:
        raise UsageError(
            "rollout.backend with vLLM serves the frozen executor on GPUs of its own while the curriculum agent "
            f"trains, and training.executor_gpus is 0; set aside some of the {gpus} GPUs, or set "
            "training.policy_backend to 'vllm', so that both agents draw in turn from the engines of the training."
        )
    if gpus and policy_server and not training.policy_gpus:
        raise UsageError(
            "training.policy_backend 'vllm_server' needs GPUs of its own and training.policy_gpus is 0; set aside some."
        )


def visible_devices(indices: tuple[int, ...]) -> str:
    """Return the value of CUDA_VISIBLE_DEVICES that shows these of the GPUs that this process sees."""
    outer = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = outer.split(",") if outer else []
    return ",".join(names[i] if names else str(i) for i in indices)
