"""Where the model in training could draw instead, each with the division of the GPUs that is quickest.

Only the placement varies; every other setting stays as it is.
"""

from __future__ import annotations

from itertools import product
from typing import Literal, get_args

from agent0.config import Config
from agent0.planning.hardware import Cluster
from agent0.planning.plan import Alternative, make_plan
from agent0.planning.proposal import changed_config
from agent0.planning.rates import MeasuredRates

Backend = Literal["transformers", "vllm", "vllm_server"]


def compare_placements(
    config: Config, cluster: Cluster, mean_response_tokens: int | None = None, measured: MeasuredRates | None = None
) -> tuple[Alternative, ...]:
    """Return the quickest division of the GPUs for each backend of the model in training."""
    found = []
    for backend in get_args(Backend):
        speaking = measured
        if measured and backend != config.training.policy_backend:
            # What the policy's drawing was measured at holds for the backend that it was measured with.
            speaking = measured.model_copy(update={"policy_generated_per_second": None})
        plans = [
            (
                policy,
                executor,
                make_plan(_changed(config, backend, policy, executor), cluster, mean_response_tokens, speaking),
            )
            for policy, executor in _divisions(config, cluster, backend)
        ]
        fitting = [item for item in plans if item[2].hours is not None]
        policy, executor, best = min(fitting, key=lambda item: item[2].hours or 0.0) if fitting else plans[0]
        problems = [problem for stage in best.stages for problem in stage.problems]
        found.append(
            Alternative(
                policy_backend=backend,
                policy_gpus=policy,
                executor_gpus=executor,
                hours=best.hours,
                rates=best.rates,
                problem=problems[0] if problems else None,
            )
        )
    return tuple(found)


def _divisions(config: Config, cluster: Cluster, backend: Backend) -> list[tuple[int, int]]:
    """Return (policy GPUs, executor GPUs) to try, those nearest to the settings first."""
    powers = [2**exponent for exponent in range(cluster.gpus_per_node.bit_length())]
    served = config.rollout.on_vllm
    policies = sorted(powers, key=lambda n: abs(n - config.training.policy_gpus)) if backend == "vllm_server" else [0]
    own = [0, *powers] if backend == "vllm" else powers
    executors = sorted(own, key=lambda n: abs(n - config.training.executor_gpus)) if served else [0]
    return list(product(policies, executors))


def _changed(config: Config, backend: Backend, policy: int, executor: int) -> Config:
    return changed_config(
        config,
        {
            "training.policy_backend": backend,
            "training.policy_gpus": policy,
            "training.executor_gpus": executor,
        },
    )
