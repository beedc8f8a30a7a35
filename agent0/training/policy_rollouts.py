"""Trajectories of the model in training, for TRL's `rollout_func`: our engine over one of three backends.

With `transformers` the model itself draws, or a copy of it in the type that `rollout.dtype` asks for; with `vllm` an
engine in this process; with `vllm_server` a server. TRL sends the weights before it asks for trajectories; of a
training of adapters only these are sent (`adapter_handover.py`). What a copy or an engine draws in bfloat16 is slightly
off-policy: the trainer takes the probabilities of its ratio from the model in training, so the first update starts at a
ratio of 1 all the same.
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
from agent0.rollout.drawing_watch import Watch
from agent0.rollout.engine import Backend, RolloutEngine, TokenBudget
from agent0.rollout.tokens import check_model_tokens
from agent0.rollout.transformers_backend import TransformersBackend
from agent0.rollout.vllm_adapters import load_adapter_on_server
from agent0.seeds import derive_seed
from agent0.tools import ProgramRunner
from agent0.training.adapter_handover import ADAPTERS_FOLDER, AdapterHandover
from agent0.training.drawing_ahead import Asked, DrawingAhead, Drawn
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
Following = Callable[[int, int], Sequence[str]]
"""The prompts that a process will be asked for after so many updates; none where that is the end."""


class PolicyRollouts:
    """TRL's `rollout_func`; each reward function finds the trajectories in its `trajectory` argument.

    `turns` are those at the engine of this process, for a frozen model that draws from it too. `ended` is told of each
    trajectory the moment it has ended, with the number of updates before it. `choose` may draw other trajectories than
    one per prompt; with `oversampling` more are begun than are returned. With `ahead` the batch that `following` names
    is drawn, with the weights that there are now, from the moment that this one is handed over.
    """

    def __init__(
        self,
        job: TrainingJob,
        sampling: SamplingSettings,
        sandbox: ProgramRunner,
        budget: TokenBudget,
        turns: EngineTurns,
        shown: Shown = UNSHOWN,
        ended: Callable[[Trajectory, int], None] = lambda *_: None,
        choose: Choose | None = None,
        oversampling: Oversampling | None = None,
        ahead: DrawingAhead | None = None,
        following: Following = lambda *_: (),
    ) -> None:
        self._job = job
        self._sampling = sampling
        self._sandbox = sandbox
        self._budget = budget
        self._turns = turns
        self._shown = shown
        self._ended = ended
        self._choose = choose or (lambda prompts, draw, seed: (draw(prompts, seed), {}))
        self._oversampling = oversampling
        self._ahead = ahead
        self._following = following
        self._handover = AdapterHandover(job.folder / ADAPTERS_FOLDER)
        self._copy = DrawingCopy(getattr(torch, transformers_dtype(job.rollout)), always=ahead is not None)

    def __call__(self, prompts: list[str], trainer: Any) -> dict[str, Any]:
        """Roll out one trajectory per prompt of this process."""
        tokenizer = trainer.processing_class
        step, process = trainer.state.global_step, trainer.accelerator.process_index
        asked = self._asked(prompts, step, process)
        with self._backend(trainer) as backend:
            if self._job.training.policy_backend != "transformers":
                probe = tokenizer(prompts[0], add_special_tokens=False).input_ids
                asyncio.run(self._turns.canary.check(backend, probe, step, _has_moved(trainer)))
            drawn = self._ahead.take(asked) if self._ahead else None
            drawn = drawn or self._draw(backend, tokenizer, asked)
            if self._ahead is not None:
                self._draw_ahead(self._ahead, backend, tokenizer, step, process)
        for name, value in drawn.metrics.items():
            trainer._metrics["train"][name].append(value)
        has_logprobs = self._ahead is not None or self._job.training.policy_backend != "transformers"
        return {
            "prompt_ids": [list(t.prompt_ids) for t in drawn.trajectories],
            "completion_ids": [list(t.completion_ids) for t in drawn.trajectories],
            "env_mask": [list(t.mask) for t in drawn.trajectories],
            "logprobs": [list(t.logprobs or ()) for t in drawn.trajectories] if has_logprobs else None,
            TRAJECTORY_COLUMN: drawn.trajectories,
            **drawn.columns,
        }

    def _asked(self, prompts: Sequence[str], step: int, process: int) -> Asked:
        return Asked(tuple(prompts), step, derive_seed(self._job.drawing_seed, step, process))

    def _draw_ahead(self, ahead: DrawingAhead, backend: Backend, tokenizer: Any, step: int, process: int) -> None:
        """Begin with the batch that comes after the one of update `step`, if there is one."""
        later = step + self._job.algorithm.updates_per_step
        prompts = self._following(later, process)
        if prompts:
            asked = self._asked(prompts, later, process)
            ahead.begin(asked, step, lambda: self._draw(backend, tokenizer, asked))

    def _draw(self, backend: Backend, tokenizer: Any, asked: Asked) -> Drawn:
        engine = RolloutEngine(tokenizer, backend, self._sandbox, self._budget)

        def encode(prompt: str) -> list[int]:
            ids: list[int] = tokenizer(prompt, add_special_tokens=False).input_ids
            return ids

        def ended(trajectory: Trajectory) -> None:
            self._ended(trajectory, asked.step)

        def watching(texts: Sequence[str]) -> Watch:
            watch = Drawing(self._shown, len(texts), f"{self._job.agent} trajectories")
            return self._ahead.watching(watch) if self._ahead else watch

        def draw(texts: Sequence[str], seed: int) -> list[Trajectory]:
            ids = [encode(text) for text in texts]
            return engine.run(ids, seed, watching(texts), lambda _batch, _number, drawn: ended(drawn[0]))

        metrics: dict[str, float] = {}
        if self._oversampling is None:
            trajectories, columns = self._choose(asked.prompts, draw, asked.seed)
        else:
            watch = watching(asked.prompts)
            taken = self._oversampling.draw(engine, asked.prompts, encode, asked.seed, watch, ended)
            trajectories, columns, metrics = taken.trajectories, taken.columns, taken.metrics
        return Drawn(trajectories, columns, {**metrics, ROLLOUT_SECONDS: engine.throughput.seconds})

    @contextmanager
    def _backend(self, trainer: Any) -> Iterator[Backend]:
        rollout = self._job.rollout
        tokenizer = trainer.processing_class
        ends = check_model_tokens(self._job.base, tokenizer, rollout)
        if self._job.training.policy_backend == "transformers":
            with unwrap_model_for_generation(trainer.model_wrapped, trainer.accelerator) as model:
                yield TransformersBackend(
                    self._copy.of(model),
                    tokenizer,
                    self._sampling,
                    ends,
                    rollout.batch_size,
                    rollout.compaction_interval,
                    logprobs=self._ahead is not None,
                )
            return
        if self._job.training.policy_backend == "vllm":
            from agent0.rollout.vllm_backend import VllmBackend

            with self._turns.policy(trainer) as llm:
                yield VllmBackend(
                    llm,
                    self._sampling,
                    ends,
                    rollout.concurrency,
                    seeded=rollout.vllm.seeded,
                    adapter=self._turns.adapter,
                )
            return
        from agent0.rollout.vllm_server_backend import VllmServerBackend

        model = str(self._job.base)
        if self._job.training.sends_adapters:
            adapter = self._handover.publish(trainer)
            if trainer.accelerator.is_main_process:
                load_adapter_on_server(self._job.policy_endpoint, adapter)
            model = adapter.name
        trainer.accelerator.wait_for_everyone()  # the first process sends the weights
        share = max(1, rollout.concurrency // trainer.accelerator.num_processes)
        yield VllmServerBackend([self._job.policy_endpoint], model, self._sampling, ends, rollout.vllm, share)


def _has_moved(trainer: Any) -> bool:
    """Whether the last update had a gradient to follow, and a rate to follow it at: a warm-up begins with none."""
    updates = [row for row in trainer.state.log_history if "grad_norm" in row]
    return bool(updates) and updates[-1]["grad_norm"] > 0 and updates[-1]["learning_rate"] > 0
