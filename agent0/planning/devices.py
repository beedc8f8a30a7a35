"""Refusing a configuration that this machine's number of GPUs cannot serve, before anything is compiled or started.

Counts GPUs only; whether the memory suffices is the plan's business.
"""

from __future__ import annotations

from agent0.config import Config
from agent0.errors import UsageError
from agent0.planning.placement import STAGES, place


def check_devices(config: Config, gpus: int) -> None:
    """Check that `config` can be placed on one machine with that many GPUs.

    A machine without any runs what needs none: the embedded model, and vLLM for CPUs with frozen models.

    Raises:
        UsageError: names the settings that need GPUs, or more of them, and what to do.
    """
    if gpus == 0:
        needed = settings_that_need_gpus(config)
        if needed:
            raise UsageError(
                f"This machine has no GPU, and recipe {config.recipe!r} needs them for {', '.join(needed)}. Run it "
                f"where there are GPUs (`agent0 plan --recipe {config.recipe} --gpus 8xH200` says which fit), compile "
                "it for a cluster (`agent0 pipeline compile evolution`), or use `--recipe tiny` here."
            )
        return
    problems = [problem for stage in STAGES for problem in place(config, stage, 1, gpus).problems]
    if problems:
        raise UsageError(
            f"Recipe {config.recipe!r} cannot be placed on this machine's {gpus} GPU(s): "
            f"{'; '.join(dict.fromkeys(problems))}. `agent0 plan --recipe {config.recipe} --gpus {gpus}xGPU` proposes "
            "settings that fit."
        )


def settings_that_need_gpus(config: Config) -> list[str]:
    """Return the settings that nothing but a GPU can serve, as `section.field=value`."""
    training = config.training
    needs = {
        f"training.sharding={training.sharding}": training.sharding != "ddp",
        f"training.policy_backend={training.policy_backend}": training.policy_backend != "transformers",
        f"training.policy_gpus={training.policy_gpus}": training.policy_gpus > 0,
        f"training.executor_gpus={training.executor_gpus}": training.executor_gpus > 0,
    }
    return [setting for setting, needed in needs.items() if needed]
