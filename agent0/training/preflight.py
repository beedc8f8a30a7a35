"""What is refused before a training loads a weight or starts a server.

Counts GPUs and reads configurations, tokenizers and tasks; whether the memory suffices is `agent0 plan`'s business.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Sequence
from pathlib import Path

from agent0.config import CurriculumSettings, ExecutorSettings
from agent0.domains import UNCONDITIONED, get_domain, get_prompts
from agent0.errors import NotInstalledError, UsageError
from agent0.extras import installing
from agent0.lean_transformers import transformers
from agent0.rollout.model_folders import load_tokenizer
from agent0.rollout.tokens import check_model_tokens, check_prompts, read_tokens_alike
from agent0.rollout.vllm_adapters import check_adapters
from agent0.rollout.vllm_backend import refuse_vocabulary_dropout
from agent0.rollout.vllm_version import require_vllm
from agent0.storage.shards import iterate_records
from agent0.training.batch_division import BatchPlan
from agent0.training.checkpoints import check_room
from agent0.training.engine_memory import planned_architecture
from agent0.training.training_job import TrainingJob
from agent0.types import Condition, LabelledTask

SHAPE = (
    "model_type",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "head_dim",
    "vocab_size",
    "tie_word_embeddings",
    "rms_norm_eps",
    "rope_parameters",
)
"""What two models that take turns at one engine must have in common, as transformers names it."""
_ANY_QUESTION = "What is 1+1?"


def check_job(job: TrainingJob, gpus: int, processes: int) -> None:
    """Check that a job can be trained here.

    Args:
        job: the training.
        gpus: GPUs that are visible.
        processes: training processes on all nodes together.

    Raises:
        UsageError: its batches cannot be cut; it needs GPUs, or a package, that are not here; its parts cannot work
            together; its workspace has no room for its checkpoints; model, tokenizer, chat template and budget do not
            fit; or a prompt is longer than the budget.
    """
    _check_batches(job, processes)
    _check_sharding(job, gpus)
    _check_vllm(job, gpus)
    if job.shares_engine:
        assert job.frozen_executor is not None
        _check_shared_engine(job.base, job.frozen_executor)
    for model in (job.base, job.frozen_executor):
        if model is not None:
            check_model_tokens(model, load_tokenizer(model), job.rollout)
    check_room(job)
    check_prompts(_prompts(job), job.rollout.max_prompt_tokens)
    if job.frozen_executor is not None:
        prompts = get_prompts(job.rollout)
        prompts.render(load_tokenizer(job.frozen_executor), prompts.solve(_ANY_QUESTION))


def doubts(job: TrainingJob) -> Iterator[str]:
    """Yield a sentence about each setting with which a job can be trained, but is not what it seems."""
    sampling = job.algorithm.sampling
    if sampling.top_p < 1 or sampling.top_k:
        cut = f"top_p {sampling.top_p:g}" if sampling.top_p < 1 else f"top_k {sampling.top_k}"
        yield (
            f"{job.agent}.sampling draws with {cut}, so each token is drawn more often than the trainer, which knows "
            "of no cut, believes: every importance ratio is biased. Set top_p to 1 and top_k to 0 to train on what "
            "the policy itself would draw."
        )


def _check_batches(job: TrainingJob, processes: int) -> None:
    plan = BatchPlan.of(job, processes)
    if job.training.oversample > 1 and job.agent == "executor" and plan.groups % processes:
        raise UsageError(
            f"training.oversample {job.training.oversample} takes whole groups, and {plan.groups} groups "
            f"(executor.tasks_per_step) do not divide among {processes} processes; choose numbers that divide, or set "
            "it to 1."
        )
    rows = plan.rows * plan.updates
    if isinstance(job.algorithm, ExecutorSettings) and job.algorithm.redraws and rows % plan.group_size:
        raise UsageError(
            f"executor.redraws replaces whole groups, but each of {processes} processes has {rows} trajectories of a "
            f"batch, which are no whole groups of {plan.group_size}; set it to 0, or executor.tasks_per_step to a "
            f"multiple of {processes}."
        )


def _check_sharding(job: TrainingJob, gpus: int) -> None:
    training = job.training
    if training.sharding == "ddp":
        return
    if not gpus:
        raise UsageError(f"training.sharding {training.sharding!r} needs GPUs and there are none; use 'ddp'.")
    if training.policy_backend == "transformers":
        raise UsageError(
            f"training.policy_backend 'transformers' cannot draw from weights that training.sharding "
            f"{training.sharding!r} shares out; use 'vllm' or 'vllm_server'."
        )
    if training.sharding == "zero3" and importlib.util.find_spec("deepspeed") is None:
        raise NotInstalledError(
            f"training.sharding 'zero3' needs DeepSpeed, which is not installed: {installing('zero3')}, or use "
            "'fsdp2', which needs nothing more."
        )


def _check_vllm(job: TrainingJob, gpus: int) -> None:
    backend, algorithm = job.training.policy_backend, job.algorithm
    if backend != "transformers":
        refuse_vocabulary_dropout(algorithm.sampling)
        if job.training.sends_adapters:
            require_vllm()
            check_adapters(job.base)
        elif not gpus or require_vllm().cpu:
            raise UsageError(
                f"training.policy_backend {backend!r} needs GPUs and a vLLM built for them, since all weights cannot "
                "be sent to one on a CPU, but adapters can (training.lora.rank); use 'transformers' here."
            )
    if backend == "vllm" and gpus and not job.training.colocated_memory:
        planned_architecture(job)
    if isinstance(algorithm, CurriculumSettings) and job.rollout.on_vllm:
        refuse_vocabulary_dropout(algorithm.executor_sampling)
        require_vllm()


def _check_shared_engine(base: Path, executor: Path) -> None:
    """Check that weights and tokens of both models fit the engine, which is built for the base."""
    configurations = [transformers.AutoConfig.from_pretrained(folder) for folder in (base, executor)]
    shapes = [{name: getattr(config, name, None) for name in SHAPE} for config in configurations]
    differing = [name for name in SHAPE if shapes[0][name] != shapes[1][name]]
    if differing:
        raise UsageError(
            f"The frozen executor in {executor} differs from the model in training in {', '.join(differing)}, so that "
            "the two cannot take turns at one vLLM engine; set training.executor_gpus, for servers of its own."
        )
    if not read_tokens_alike(load_tokenizer(base), load_tokenizer(executor)):
        raise UsageError(
            f"The frozen executor in {executor} has another tokenizer than the model in training, and a vLLM engine "
            "reads every token with the one that it was built with; set training.executor_gpus, for servers of its own."
        )


def _prompts(job: TrainingJob) -> Iterator[Sequence[int]]:
    tokenizer, prompts = load_tokenizer(job.base), get_prompts(job.rollout)
    if isinstance(job.algorithm, CurriculumSettings):
        asked = job.algorithm.conditioning.has_topics
        topics = get_domain(job.rollout.domain).topics if asked else (UNCONDITIONED.topic,)
        yield from (prompts.encode(tokenizer, prompts.propose(Condition(topic=topic))) for topic in topics)
        return
    assert job.tasks is not None
    for folder in filter(None, (job.tasks, job.anchor_tasks)):
        for task in iterate_records(LabelledTask, folder):
            yield prompts.encode(tokenizer, prompts.solve(task.task.question))
