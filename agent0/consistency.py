"""What no single section of a configuration can see.

The command line checks it before anything starts (`agent0.options.read_settings`). The first task of a pipeline checks
again: run parameters may say something else, and its image may lack what the machine has that compiled it.
"""

from __future__ import annotations

from agent0.config import Config
from agent0.domains import get_prompts, task_writer
from agent0.errors import UsageError
from agent0.evaluation.catalogue import benchmark, is_benchmark, known_tasks


def check_evaluation(config: Config) -> None:
    """Check that the domain, its prompts and the benchmarks are there.

    Raises:
        UsageError: names what cannot be found or used.
    """
    get_prompts(config.rollout)
    for name in config.evaluation.benchmarks:
        benchmark(name)


def check_consistency(config: Config) -> None:
    """Check that an evolution can run: what an evaluation needs, and that the sections agree.

    Raises:
        UsageError: names the settings that contradict each other, or what cannot be found or used.
    """
    check_evaluation(config)
    if config.warm_start.steps and config.warm_start.source == "demonstrations":
        task_writer(config.rollout.domain)
    if is_benchmark(config.execution.known_tasks):
        known_tasks(config.execution.known_tasks, config.execution.known_count)
    if config.filtering.min_tasks < config.executor.tasks_per_step:
        raise UsageError(
            f"filtering.min_tasks is {config.filtering.min_tasks} but one training batch needs "
            f"executor.tasks_per_step = {config.executor.tasks_per_step} tasks; raise the first or lower the second."
        )
    if config.generation.proposals < config.filtering.min_tasks:
        raise UsageError(
            f"generation.proposals is {config.generation.proposals}, fewer than filtering.min_tasks = "
            f"{config.filtering.min_tasks}; generate more."
        )
    if config.rollout.max_observation_tokens >= config.rollout.max_response_tokens:
        raise UsageError(
            f"rollout.max_observation_tokens {config.rollout.max_observation_tokens} leaves no room in "
            f"rollout.max_response_tokens {config.rollout.max_response_tokens}; lower the first."
        )
