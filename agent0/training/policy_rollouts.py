"""Trajectories of the model in training, for TRL's `rollout_func`: our engine over one of three backends.

With `transformers` the model itself draws, or a copy of it in the type that `rollout.dtype` asks for; with `vllm` the
engine that TRL holds in this process; with `vllm_server` a server that TRL sends the weights to. TRL sends the weights
before it asks for trajectories. What a copy or an engine draws in bfloat16 is slightly off-policy: the trainer takes
the probabilities of its ratio from the model in training, so the first update starts at a ratio of 1 all the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from trl.models import unwrap_model_for_generation

from agent0.config import SamplingSettings
from agent0.progress import UNSHOWN, Drawing, Shown
from agent0.rollout.backends import transformers_dtype
from agent0.rollout.engine import Backend, RolloutEngine, TokenBudget
from agent0.rollout.tokens import check_model_tokens
from agent0.rollout.transformers_backend import TransformersBackend
from agent0.seeds import derive_seed
from agent0.tools import ProgramRunner
from agent0.training.drawing_copy import DrawingCopy
from agent0.training.engine_turns import EngineTurns
from agent0.training.oversampling import Oversampling
from agent0.training.training_job import TrainingJob
from agent0.types import Trajectory

ROLLOUT_SECONDS = "rollout/seconds"
TRAJECTORY_COLUMN = "trajectory"
RolloutFunction = Callable[[list[str], Any], dict[str, Any]]
Columns = dict[str, list[Any]]
"""Values of each trajectory, by name, which replace those of the dataset's row."""
Draw = Callable[[Sequence[str], int], list[Trajectory]]
"""Draws one trajectory per prompt with a seed."""
Choose = Callable[[Sequence[str], Draw, int], tuple[list[Trajectory], Columns]]
"""Draws what is trained on, given the prompts of a batch and a seed."""


class PolicyRollouts:
    """TRL's `rollout_func`; each reward function finds the trajectories in its `trajectory` argument.

    `turns` are those at the engine of this process, for a frozen model that draws from it too. `ended` is told of each
    trajectory the moment it has ended, with the number of updates before it. `choose` may draw other trajectories than
    one per prompt; with `oversampling` more are begun than are returned.
    """

    def __init__(
        self,
        job: TrainingJob,
        sampling: SamplingSettings,
        sandbox: ProgramRunner,
        budget: TokenBudget,
        turns: EngineTurns | None = None,
        shown: Shown = UNSHOWN,
        ended: Callable[[Trajectory, int], None] = lambda *_: None,
        choose: Choose | None = None,
        oversampling: Oversampling | None = None,
    ) -> None:
        self._job = job
        self._sampling = sampling
        self._sandbox = sandbox
        self._budget = budget
        self._turns = turns or EngineTurns()
        self._shown = shown
        self._ended = ended
        self._choose = choose or (lambda prompts, draw, seed: (draw(prompts, seed), {}))
        self._oversampling = oversampling
        self._copy = DrawingCopy(getattr(torch, transformers_dtype(job.rollout)))

    def __call__(self, prompts: list[str], trainer: Any) -> dict[str, Any]:
        """Roll out one trajectory per prompt of this process."""
        tokenizer = trainer.processing_class
        step, process = trainer.state.global_step, trainer.accelerator.process_index
        seed = derive_seed(self._job.drawing_seed, step, process)

        def encode(prompt: str) -> list[int]:
            ids: list[int] = tokenizer(prompt, add_special_tokens=False).input_ids
            return ids

        def ended(trajectory: Trajectory) -> None:
            self._ended(trajectory, step)

        with self._backend(trainer) as backend:
            if self._job.training.policy_backend != "transformers":
                asyncio.run(self._turns.canary.check(backend, encode(prompts[0]), step, _has_moved(trainer)))
            engine = RolloutEngine(tokenizer, backend, self._sandbox, self._budget)

            def watching(texts: Sequence[str]) -> Drawing:
                return Drawing(self._shown, len(texts), f"{self._job.agent} trajectories")

            def draw(texts: Sequence[str], seed: int) -> list[Trajectory]:
                ids = [encode(text) for text in texts]
                return engine.run(ids, seed, watching(texts), lambda _batch, _number, drawn: ended(drawn[0]))

            if self._oversampling is None:
                trajectories, columns = self._choose(prompts, draw, seed)
            else:
                taken = self._oversampling.draw(engine, prompts, encode, seed, watching(prompts), ended)
                trajectories, columns = taken.trajectories, taken.columns
                for name, value in taken.metrics.items():
                    trainer._metrics["train"][name].append(value)
        trainer._metrics["train"][ROLLOUT_SECONDS].append(engine.throughput.seconds)
        drawn_by_vllm = self._job.training.policy_backend != "transformers"
        return {
            "prompt_ids": [list(t.prompt_ids) for t in trajectories],
            "completion_ids": [list(t.completion_ids) for t in trajectories],
            "env_mask": [list(t.mask) for t in trajectories],
            "logprobs": [list(t.logprobs or ()) for t in trajectories] if drawn_by_vllm else None,
            TRAJECTORY_COLUMN: trajectories,
            **columns,
        }

    @contextmanager
    def _backend(self, trainer: Any) -> Iterator[Backend]:
        rollout = self._job.rollout
        tokenizer = trainer.processing_class
        if self._job.training.policy_backend == "transformers":
            with unwrap_model_for_generation(trainer.model_wrapped, trainer.accelerator) as model:
                yield TransformersBackend(
                    self._copy.of(model), tokenizer, self._sampling, rollout.batch_size, rollout.compaction_interval
                )
            return
        ends = check_model_tokens(self._job.base, tokenizer, rollout)
        if self._job.training.policy_backend == "vllm":
            from agent0.rollout.vllm_backend import VllmBackend

            with self._turns.policy(trainer) as llm:
                yield VllmBackend(llm, self._sampling, ends, rollout.concurrency)
            return
        from agent0.rollout.vllm_server_backend import VllmServerBackend

        trainer.accelerator.wait_for_everyone()  # the first process sends the weights
        share = max(1, rollout.concurrency // trainer.accelerator.num_processes)
        model = str(self._job.base)
        yield VllmServerBackend([self._job.policy_endpoint], model, self._sampling, ends, rollout.vllm, share)


def _has_moved(trainer: Any) -> bool:
    """Whether the last update had a gradient to follow."""
    norms = [row["grad_norm"] for row in trainer.state.log_history if "grad_norm" in row]
    return bool(norms) and norms[-1] > 0
