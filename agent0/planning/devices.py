"""What a number of GPUs means before anything is compiled or started: a refusal, or the host memory beside them.

Counts GPUs only; whether their memory suffices is the plan's business.
"""

from __future__ import annotations

from collections.abc import Sequence

from agent0.config import Config
from agent0.errors import UsageError
from agent0.planning.architecture import architecture_of
from agent0.planning.gpu_memory import host_gib
from agent0.planning.placement import STAGES, TRAINING_STAGES, StageName, algorithm, place


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
    _refuse_problems(config, STAGES, gpus, f"this machine's {gpus} GPU(s)")


def check_pods(config: Config, stages: Sequence[StageName], gpus: int) -> None:
    """Check that stages of `config` can be placed in pods with that many GPUs each, at least one.

    What a TrainJob's nodes have is not known, so its trainings are left out.

    Raises:
        UsageError: names the settings that need more of them.
    """
    elsewhere = TRAINING_STAGES if config.training.launcher == "trainjob" else ()
    here = [stage for stage in stages if stage not in elsewhere]
    _refuse_problems(config, here, gpus, f"pods with {gpus} GPU(s) each")


def training_host_gib(config: Config, gpus: int) -> float:
    """Return the host memory in GiB that the trainings need in a pod with that many GPUs; 0 where nothing is trained.

    Raises:
        UsageError: the model's sizes are not known.
    """
    architecture = architecture_of(config.model)
    trainers = {stage: place(config, stage, 1, gpus).trainers for stage in _at_work(config, TRAINING_STAGES)}
    return max(
        (host_gib(architecture, config, algorithm(config, stage), count) for stage, count in trainers.items() if count),
        default=0.0,
    )


def _at_work(config: Config, stages: Sequence[StageName]) -> list[StageName]:
    """Return the stages without the trainings of no steps."""
    return [stage for stage in stages if stage not in TRAINING_STAGES or algorithm(config, stage).steps]


def _refuse_problems(config: Config, stages: Sequence[StageName], gpus: int, where: str) -> None:
    problems = [problem for stage in _at_work(config, stages) for problem in place(config, stage, 1, gpus).problems]
    if problems:
        raise UsageError(
            f"Recipe {config.recipe!r} cannot be placed on {where}: {'; '.join(dict.fromkeys(problems))}. "
            f"`agent0 plan --recipe {config.recipe} --gpus {gpus}xGPU` proposes settings that fit."
        )


def settings_that_need_gpus(config: Config) -> list[str]:
    """Return the settings that nothing but a GPU can serve, as `section.field=value`."""
    training = config.training
    needs = {
        f"training.sharding={training.sharding}": training.sharding != "ddp",
        f"training.policy_backend={training.policy_backend}": training.policy_backend != "transformers"
        and not training.lora.rank,
        f"training.policy_gpus={training.policy_gpus}": training.policy_gpus > 0,
        f"training.executor_gpus={training.executor_gpus}": training.executor_gpus > 0,
    }
    return [setting for setting, needed in needs.items() if needed]
