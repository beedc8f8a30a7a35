"""Supervised fine-tuning on transcripts of the protocol, by TRL's trainer; only the model's own tokens are learned.

One process on one device. What is learned comes as token ids, so text that a model drew is never tokenised again.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import PrinterCallback
from trl import SFTConfig, SFTTrainer

from agent0.config import RolloutSettings, TrainingSettings, WarmStartSettings
from agent0.domains import Demonstration, Prompts
from agent0.domains.demonstrations import Segment
from agent0.errors import UsageError
from agent0.rollout.tokens import turn_end
from agent0.rollout.trajectory import opens_thought
from agent0.training.grpo import StepLogger, computes_in_bfloat16
from agent0.training.training_job import LogMetrics
from agent0.types import Trajectory

IGNORED = -100


@dataclass(frozen=True)
class Transcript:
    """A prompt and the turn that answers it, as token ids; `labels` is aligned and -100 where nothing is learned."""

    input_ids: list[int]
    labels: list[int]


def demonstrated(
    demonstration: Demonstration, prompts: Prompts, tokenizer: Any, rollout: RolloutSettings
) -> Transcript:
    """Return a demonstration as tokens; a thought that the template opens is closed first, since nothing in it counts.

    Args:
        demonstration: messages, and the turn in segments.
        prompts: what renders messages.
        tokenizer: the model's.
        rollout: has the budget of prompt and turn.

    Raises:
        UsageError: either is longer.
    """
    ids = prompts.encode(tokenizer, demonstration.messages)
    labels = [IGNORED] * len(ids)
    thought = (Segment("</think>\n\n", learned=True),) if opens_thought(tokenizer, ids) else ()
    for segment in (*thought, *demonstration.segments):
        piece = tokenizer(segment.text, add_special_tokens=False).input_ids
        ids += piece
        labels += piece if segment.learned else [IGNORED] * len(piece)
    return _ended(ids, labels, tokenizer, rollout)


def transcribed(trajectory: Trajectory, prompt: list[int], tokenizer: Any, rollout: RolloutSettings) -> Transcript:
    """Return a model's own trajectory as the answer to `prompt`, which need not be the one it was drawn for."""
    completion = list(trajectory.completion_ids)
    labels = [token if own else IGNORED for token, own in zip(completion, trajectory.mask, strict=True)]
    if completion[-1] == turn_end(tokenizer, rollout.prompts.template_options):
        completion, labels = completion[:-1], labels[:-1]
    return _ended([*prompt, *completion], [IGNORED] * len(prompt) + labels, tokenizer, rollout)


def _ended(ids: list[int], labels: list[int], tokenizer: Any, rollout: RolloutSettings) -> Transcript:
    end = turn_end(tokenizer, rollout.prompts.template_options)
    prompt = next((place for place, label in enumerate(labels) if label != IGNORED), len(labels))
    for part, tokens, setting in (
        ("prompt", prompt, "max_prompt_tokens"),
        ("turn", len(ids) + 1 - prompt, "max_response_tokens"),
    ):
        if tokens > getattr(rollout, setting):
            raise UsageError(
                f"A transcript of the warm start has a {part} of {tokens} tokens, but rollout.{setting} is "
                f"{getattr(rollout, setting)}; raise it, or let the domain write shorter tasks."
            )
    return Transcript([*ids, end], [*labels, end])


def fine_tune(
    model: Any,
    tokenizer: Any,
    transcripts: Sequence[Transcript],
    settings: WarmStartSettings,
    training: TrainingSettings,
    *,
    seed: int,
    log: LogMetrics,
    folder: Path,
) -> list[dict[str, float]]:
    """Train `model` in place on all of `transcripts`, `settings.batch_size` a step, and return each step's numbers.

    Args:
        model: a causal language model with float32 weights.
        tokenizer: its tokenizer.
        transcripts: as many as steps times batch size, in the order of training.
        settings: steps and rate.
        training: precision and gradient checkpointing.
        seed: of whatever the trainer draws.
        log: gets each step's numbers.
        folder: for what the trainer writes.
    """
    rows = [{"input_ids": t.input_ids, "labels": t.labels} for t in transcripts]
    arguments = SFTConfig(
        output_dir=str(folder),
        seed=seed,
        use_cpu=not torch.cuda.is_available(),
        bf16=computes_in_bfloat16(training),
        gradient_checkpointing=training.gradient_checkpointing,
        max_steps=settings.steps,
        per_device_train_batch_size=settings.batch_size,
        learning_rate=settings.learning_rate,
        lr_scheduler_type="constant",
        weight_decay=0.0,
        max_grad_norm=1.0,
        max_length=None,
        train_sampling_strategy="sequential",
        logging_steps=1,
        report_to=[],
        save_strategy="no",
        disable_tqdm=True,
    )
    arguments._n_gpu = min(1, arguments.n_gpu)  # one device, however many there are; TRL refuses more in one process
    trainer = SFTTrainer(
        model=model,
        args=arguments,
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
    )
    trainer.remove_callback(PrinterCallback)  # the step logger reports instead
    trainer.add_callback(StepLogger(log))
    trainer.train()
    return [row for row in trainer.state.log_history if "loss" in row]


def in_turns(proposals: Sequence[Any], solutions: Sequence[Any], count: int, share: float, seed: int) -> list[Any]:
    """Draw `count` of both kinds, `share` of them proposals; each kind is used up before any of it is seen again."""
    rng = random.Random(seed)
    decks: dict[bool, list[Any]] = {True: [], False: []}
    drawn = []
    for _ in range(count):
        proposes = rng.random() < share
        if not decks[proposes]:
            source = proposals if proposes else solutions
            decks[proposes] = rng.sample(source, len(source))
        drawn.append(decks[proposes].pop())
    return drawn
