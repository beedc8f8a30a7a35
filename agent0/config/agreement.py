"""What no single section of a configuration can see: settings that contradict each other.

`Config` refuses them however it is made: from a recipe and a command line, or by the first task of a pipeline from what
somebody typed on Kubeflow's page. What depends on the machine is left to whoever has it (`agent0.training.preflight`),
and what a name stands for to `agent0.consistency`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from agent0.config.rollout import EMBEDDED_MODEL
from agent0.config.training import ENGINE_RANKS

if TYPE_CHECKING:
    from agent0.config.evolution import Config


def contradictions(config: Config) -> Iterator[str]:
    """Yield a sentence about each pair of settings that cannot both hold, without a full stop."""
    yield from _amounts(config)
    yield from _evidence(config)
    yield from _teacher(config)
    yield from _conditions(config)
    yield from _batches(config)
    yield from _backends(config)
    yield from _greedy(config)


def _amounts(config: Config) -> Iterator[str]:
    if config.filtering.min_tasks < config.executor.tasks_per_step:
        yield (
            f"the setting filtering.min_tasks is {config.filtering.min_tasks} but one training batch needs "
            f"executor.tasks_per_step = {config.executor.tasks_per_step} tasks; raise the first or lower the second"
        )
    if config.generation.proposals < config.filtering.min_tasks:
        yield (
            f"the setting generation.proposals is {config.generation.proposals}, fewer than filtering.min_tasks = "
            f"{config.filtering.min_tasks}; generate more"
        )
    if config.generation.least_tasks and config.pods > 1:
        yield (
            f"the setting generation.least_tasks {config.generation.least_tasks} needs all proposals in one place to "
            f"count their tasks, but pods is {config.pods}; set it to 0, or pods to 1"
        )
    if config.rollout.max_observation_tokens >= config.rollout.max_response_tokens:
        yield (
            f"the setting rollout.max_observation_tokens {config.rollout.max_observation_tokens} leaves no room in "
            f"rollout.max_response_tokens {config.rollout.max_response_tokens}; lower the first"
        )


def _evidence(config: Config) -> Iterator[str]:
    """Whether what gates ask for can be there."""
    asked = {
        "filtering.min_derivations": config.filtering.min_derivations > 1,
        "filtering.min_grounded": config.filtering.min_grounded > 0,
        "execution.grounded_vote": config.execution.grounded_vote,
        "curriculum.reward.grounded": config.curriculum.reward.grounded,
    }
    for name in (name for name, needed in asked.items() if needed and not config.rollout.max_turns):
        yield (
            f"the setting {name} asks for programs, but with rollout.max_turns = 0 the executor writes none; switch it "
            "off, or give the executor its tool"
        )
    pools = config.executor.pools
    negative = pools.negative_share if pools.enabled else 0.0
    if negative and not config.filtering.negative_support:
        yield (
            f"the setting executor.pools.negative_share is {negative}, but filtering.negative_support = 0 keeps no "
            "task for its refused answers; raise that, to 0.1 say, or lower the first to 0"
        )
    if negative and config.executor.redraws:
        yield (
            f"the settings executor.pools.negative_share {negative} and executor.redraws {config.executor.redraws} do "
            "not go together, since a group of refused answers alone is not idle; set one to 0"
        )
    if config.filtering.well_posed and config.execution.question_judge.source == "off":
        yield (
            "the setting filtering.well_posed needs a judge; set execution.question_judge.source to 'executor' or "
            "'endpoint', or switch it off"
        )
    if config.filtering.well_posed and not config.execution.known_tasks:
        yield (
            "the setting filtering.well_posed trusts a judge only as far as it is right about known tasks; name a file "
            "or a benchmark in execution.known_tasks, or switch it off"
        )
    asked["warm_start.source"] = config.warm_start.steps > 0 and config.warm_start.source == "demonstrations"
    for name in (name for name, needed in asked.items() if needed and "python" not in config.rollout.tools):
        yield (
            f"the setting {name} needs programs in Python, but rollout.tools is {list(config.rollout.tools)}; add "
            "'python', or switch the first off"
        )
    own = config.warm_start
    if own.steps and own.source == "own" and own.own_minimum > own.own_samples:
        yield (
            f"the setting warm_start.own_minimum {own.own_minimum} asks for more valid transcripts than "
            f"warm_start.own_samples {own.own_samples} draws; lower the first or raise the second"
        )
    if config.executor.guard_samples and not config.execution.known_tasks:
        yield (
            "the setting executor.guard_samples needs tasks whose answers are known; name a file or a benchmark in "
            "execution.known_tasks, or set it to 0"
        )


def _teacher(config: Config) -> Iterator[str]:
    if config.generation.teacher.is_named and config.curriculum.steps:
        yield (
            "the setting generation.teacher names a model elsewhere that proposes, of which nothing can be trained, "
            f"but curriculum.steps is {config.curriculum.steps}; set that to 0"
        )


def _conditions(config: Config) -> Iterator[str]:
    """Whether what proposals are asked for can be understood, and lets groups be compared."""
    conditioning = config.curriculum.conditioning
    embedded = config.model.source == EMBEDDED_MODEL and not config.generation.teacher.is_named
    if conditioning.has_topics and embedded and not config.model.tiny.topic_share:
        yield (
            f"the setting curriculum.conditioning.topics is {conditioning.topics!r}, but the embedded model was "
            "pretrained on no topics (model.tiny.topic_share = 0) and would not know what is asked of it; set that to "
            "0.5, say, or topics to 'off'"
        )
    if conditioning.is_on and config.training.oversample > 1:
        yield (
            f"the setting training.oversample {config.training.oversample} lets those proposals make a group that end "
            "first, and with curriculum.conditioning they are asked with different texts; set it to 1"
        )


def _batches(config: Config) -> Iterator[str]:
    """Whether generation batches can be cut into updates, and a pass holds a trajectory, on however many processes."""
    longest = config.rollout.max_prompt_tokens + config.rollout.max_response_tokens
    if 0 < config.training.micro_batch_tokens < longest:
        yield (
            f"the setting training.micro_batch_tokens {config.training.micro_batch_tokens} is less than one trajectory "
            f"may have: rollout.max_prompt_tokens + rollout.max_response_tokens = {longest}; set it to that or more, "
            "or to 0 for no limit"
        )
    if config.executor.overlong_buffer >= config.rollout.max_response_tokens:
        yield (
            f"the setting executor.overlong_buffer {config.executor.overlong_buffer} punishes every response, since "
            f"rollout.max_response_tokens is {config.rollout.max_response_tokens}; lower the first"
        )
    for name, training in (("curriculum", config.curriculum), ("executor", config.executor)):
        sequences = training.groups_per_step * training.group_size
        update, rest = divmod(sequences, training.updates_per_step)
        if training.steps and (rest or not update):
            yield (
                f"the {sequences} trajectories of a batch ({training.groups_per_step} groups by {name}.group_size = "
                f"{training.group_size}) cannot be cut into {name}.updates_per_step = {training.updates_per_step} "
                "updates; choose numbers that divide"
            )


def _backends(config: Config) -> Iterator[str]:
    training, backend = config.training, config.rollout.backend
    drawn = {
        "generation.sampling": (config.generation.sampling, "rollout.backend", backend),
        "execution.sampling": (config.execution.sampling, "rollout.backend", backend),
        "evaluation.sampling": (config.evaluation.sampling, "rollout.backend", backend),
        "curriculum.executor_sampling": (config.curriculum.executor_sampling, "rollout.backend", backend),
        "curriculum.sampling": (config.curriculum.sampling, "training.policy_backend", training.policy_backend),
        "executor.sampling": (config.executor.sampling, "training.policy_backend", training.policy_backend),
    }
    for name, (sampling, setting, chosen) in drawn.items():
        if sampling.vocabulary_retention < 1 and chosen != "transformers":
            yield (
                f"the setting {name}.vocabulary_retention is {sampling.vocabulary_retention}, but only the "
                f"transformers backend can mask the vocabulary; set it to 1, or {setting} to 'transformers'"
            )
        if sampling.vocabulary_retention < 1 and config.rollout.tools != ("python",):
            yield (
                f"the setting {name}.vocabulary_retention is {sampling.vocabulary_retention}, which may mask the word "
                "that calls a tool other than Python; set it to 1, or rollout.tools to ['python']"
            )
    if training.sharding != "ddp" and training.policy_backend == "transformers":
        yield (
            f"the setting training.policy_backend 'transformers' cannot draw from weights that training.sharding "
            f"{training.sharding!r} shares out; use 'vllm' or 'vllm_server'"
        )
    if training.policy_backend != "transformers" and training.lora.rank > ENGINE_RANKS[-1]:
        yield (
            f"the setting training.lora.rank is {training.lora.rank}, and vLLM takes adapters up to rank "
            f"{ENGINE_RANKS[-1]}; lower it, or set it to 0, which trains all weights"
        )
    if training.staleness and training.policy_backend == "vllm":
        yield (
            "the setting training.staleness is 1, but an engine in the training process (training.policy_backend "
            "'vllm') draws in turn with the trainer, on the same GPU; set it to 0, or training.policy_backend to "
            "'vllm_server'"
        )
    if training.staleness and training.importance_correction == "off":
        yield (
            "the setting training.staleness is 1, but training.importance_correction 'off' leaves the age of the "
            "weights uncorrected; set it to 'token_truncate', or the first to 0"
        )
    if training.oversample > 1 and training.policy_backend == "transformers":
        yield (
            f"the setting training.oversample is {training.oversample}, but the backend 'transformers' draws a batch's "
            "turns together and cannot leave the slowest behind; set it to 1, or training.policy_backend to 'vllm' or "
            "'vllm_server'"
        )
    if training.oversample > 1 and config.executor.redraws:
        yield (
            f"the settings training.oversample {training.oversample} and executor.redraws {config.executor.redraws} "
            "both choose the groups of a batch; set the first to 1 or the second to 0"
        )
    begun = math.ceil(config.executor.tasks_per_step * training.oversample)
    if config.filtering.min_tasks < begun:
        yield (
            f"the setting filtering.min_tasks is {config.filtering.min_tasks}, but training.oversample "
            f"{training.oversample} begins {begun} tasks for each batch; raise the first or lower the second"
        )
    if training.launcher == "trainjob" and training.policy_backend == "vllm_server":
        yield (
            "the setting training.policy_backend 'vllm_server' serves one pod only; with training.launcher 'trainjob' "
            "set it to 'vllm', which draws on each node"
        )


def _greedy(config: Config) -> Iterator[str]:
    """Whether what must vary is drawn at all: at temperature 0 the likeliest tokens are taken, each time the same.

    Masks of a vocabulary (`vocabulary_retention` below 1) make even those vary.
    """
    for name, training in (("curriculum", config.curriculum), ("executor", config.executor)):
        if training.steps and not training.sampling.temperature:
            yield (
                f"the setting {name}.sampling.temperature is 0, but a training compares different draws, and divides "
                f"by it; set it to 1, say, or {name}.steps to 0"
            )
    own = config.warm_start.steps > 0 and config.warm_start.source == "own"
    varied = config.curriculum.conditioning.is_on or config.generation.teacher.is_named
    same = {
        "warm_start": (config.warm_start.sampling, own, "warm_start.own_minimum", config.warm_start.own_minimum),
        "generation": (config.generation.sampling, not varied, "filtering.min_tasks", config.filtering.min_tasks),
    }
    for name, (sampling, asked_alike, setting, least) in same.items():
        if asked_alike and least > 1 and not sampling.temperature and sampling.vocabulary_retention == 1:
            yield (
                f"the setting {name}.sampling.temperature is 0, so that all proposals, which are asked for with one "
                f"text, are the same one, and {setting} is {least}; set the first to 1, say"
            )
