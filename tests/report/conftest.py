"""Made-up histories for the report's tests."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from made_up_history import made_up_history

from agent0.report.history import History


@pytest.fixture(scope="session")
def make_history() -> Callable[[int], History]:
    return made_up_history


@pytest.fixture(scope="session")
def make_runs() -> Callable[..., dict[str, History]]:
    """Runs of different seeds by their places, each with its own number of iterations."""

    def made(*iterations: int) -> dict[str, History]:
        return {f"/runs/seed{seed}": _with_seed(made_up_history(count), seed) for seed, count in enumerate(iterations)}

    return made


def _with_seed(history: History, seed: int) -> History:
    return history.model_copy(
        update={"seed": seed, "mlflow_run_id": f"{seed:032x}", "config": {**history.config, "seed": seed}}
    )
