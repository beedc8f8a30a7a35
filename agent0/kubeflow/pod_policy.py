"""How each component runs on a cluster: in which kind of pod, and whether its result may come from the cache.

A cached result is keyed by the component's inputs. The MLflow run is one of them, and belongs to one seed, one set of
settings and one version of the code (see the component `opening`), so a result of other code is never taken.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Role = Literal["training", "generation", "light"]
ROLES: Mapping[Role, str] = {
    "training": "pods that train",
    "generation": "pods that draw trajectories: generation, execution, evaluation",
    "light": "all other pods",
}


@dataclass(frozen=True)
class Policy:
    """Kind of pod, and whether the result may be one of an earlier run."""

    role: Role
    cached: bool = True


POLICIES: Mapping[str, Policy] = {
    "opening": Policy("light", cached=False),  # looks which code the image holds, and which run to go on with
    "closing": Policy("light", cached=False),
    "prepare": Policy("light"),
    "base_model": Policy("light"),
    "base_evaluation": Policy("generation"),
    "warm_start": Policy("training"),
    "warm_evaluation": Policy("generation"),
    "starting_agent": Policy("light"),
    "curriculum_training": Policy("training"),
    "task_generation": Policy("generation"),
    "task_collection": Policy("light"),
    "sandboxed_execution": Policy("generation"),
    "execution_collection": Policy("light"),
    "task_filtering": Policy("light"),
    "executor_training": Policy("training"),
    "benchmark_evaluation": Policy("generation"),
    "iteration_report": Policy("light"),
    "evaluation_preparation": Policy("light", cached=False),  # opens a run; what lies behind a place may have changed
    "evaluation_comparison": Policy("light"),
    "ablation_preparation": Policy("light", cached=False),
    "ablation_comparison": Policy("light", cached=False),  # looks which other runs of its group have ended
}
