"""Pretraining the embedded base model from scratch: a small Qwen3, Muon and AdamW, about a minute on one core.

A plain loop rather than a trainer, because there is nothing here but a loss and two optimizers, and each second counts
in the first run of a newcomer. It saves no checkpoints: the finished model is cached by the hash of its settings.
"""

from __future__ import annotations

import hashlib
import random
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from agent0.config import TinyPretraining
from agent0.domains import Demonstration
from agent0.errors import warn
from agent0.lean_transformers import transformers
from agent0.storage.atomic_folder import atomic_folder
from agent0.storage.folder_cache import cache_root
from agent0.storage.seal import is_intact, seal
from agent0.storage.uri_files import require_folder
from agent0.tiny.tokenizer import MAX_TOKENS, TURN_END, TURN_START, train_tokenizer
from agent0.tiny.transcripts import draw_transcript

RECIPE_VERSION = 5  # part of the cache key; raised when transcripts, tokenizer or training change
WARMUP_STEPS = 30
FINAL_RATE_SHARE = 0.05
CORPUS_SIZE = 3000
IGNORED = -100
NEWTON_SCHULZ_STEPS = 3  # of Muon; its default of 5 costs more and learned less here

Report = Callable[[int, float], None]
"""Called with (steps done, loss) while training."""


def cache_directory(settings: TinyPretraining) -> Path:
    """Return the folder that the model of these settings is cached in (`AGENT0_CACHE`, else the user's cache)."""
    digest = hashlib.sha256(f"{RECIPE_VERSION}/{settings.model_dump_json()}".encode()).hexdigest()[:16]
    return cache_root() / "tiny" / digest


def ensure_base_model(settings: TinyPretraining, report: Report) -> Path:
    """Return the folder of the pretrained model and tokenizer, training them first if they are not cached whole.

    Raises:
        UsageError: nothing can be written to the cache.
    """
    target = cache_directory(settings)
    if is_intact(target):
        return target
    require_folder(target.parent)
    with atomic_folder(target) as folder:
        shutil.rmtree(folder)
        if is_intact(target):  # another process has just trained it
            return target
        if target.exists():
            warn(f"{target} was damaged, or is of an earlier version; the embedded model is trained anew.")
        model, tokenizer = pretrain(settings, report)
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        seal(folder)
    return target


def pretrain(
    settings: TinyPretraining, report: Report
) -> tuple[transformers.Qwen3ForCausalLM, transformers.PreTrainedTokenizerFast]:
    """Train tokenizer and model from scratch; the same settings give the same weights on the same machine."""
    rng = random.Random(settings.seed)
    torch.manual_seed(settings.seed)
    corpus = [_render(draw_transcript(rng, settings)) for _ in range(CORPUS_SIZE)]
    tokenizer = train_tokenizer(corpus, settings.vocabulary)
    model = _new_model(settings, tokenizer)
    optimizers = _optimizers(model, settings)
    schedulers = [
        torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, settings.steps))
        for optimizer in optimizers
    ]
    model.train()
    for step in range(1, settings.steps + 1):
        batch = encode([draw_transcript(rng, settings) for _ in range(settings.batch_size)], tokenizer)
        loss = model(**_collate(batch, int(tokenizer.pad_token_id))).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer, scheduler in zip(optimizers, schedulers, strict=True):
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            scheduler.step()
        report(step, loss.item())
    return model, tokenizer


def encode(
    transcripts: Sequence[Demonstration], tokenizer: transformers.PreTrainedTokenizerFast
) -> list[tuple[list[int], list[int]]]:
    """Return token ids and labels of each transcript; prompts and observations are not learned."""
    pieces = [
        [(_prompt(transcript), False), *((s.text, s.learned) for s in transcript.segments), (TURN_END, True)]
        for transcript in transcripts
    ]
    # One call for all pieces: the tokenizer's overhead per call is larger than its work on a piece.
    flat = tokenizer([text for group in pieces for text, _ in group], add_special_tokens=False).input_ids
    encoded = iter(flat)
    examples = []
    for group in pieces:
        ids: list[int] = []
        labels: list[int] = []
        for _, learned in group:
            piece = next(encoded)
            ids += piece
            labels += piece if learned else [IGNORED] * len(piece)
        examples.append((ids, labels))
    return examples


def _render(transcript: Demonstration) -> str:
    return f"{_prompt(transcript)}{transcript.completion}{TURN_END}"


def _prompt(transcript: Demonstration) -> str:
    """Return the prompt as the tokenizer's chat template renders it, without the template's cost."""
    turns = "".join(f"{TURN_START}{m['role']}\n{m['content']}{TURN_END}\n" for m in transcript.messages)
    return f"{turns}{TURN_START}assistant\n"


def _new_model(
    settings: TinyPretraining, tokenizer: transformers.PreTrainedTokenizerFast
) -> transformers.Qwen3ForCausalLM:
    config = transformers.Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=settings.hidden_size,
        num_hidden_layers=settings.layers,
        num_attention_heads=settings.heads,
        num_key_value_heads=settings.heads,  # sharing them costs a copy of the cache per token on a CPU
        head_dim=max(16, settings.hidden_size // settings.heads),
        intermediate_size=2 * settings.hidden_size,
        max_position_embeddings=MAX_TOKENS,
        tie_word_embeddings=True,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=None,
        rope_parameters={"rope_type": "default", "rope_theta": 10_000.0},
    )
    return transformers.Qwen3ForCausalLM(config)


def _optimizers(model: transformers.Qwen3ForCausalLM, settings: TinyPretraining) -> list[torch.optim.Optimizer]:
    hidden = [p for name, p in model.named_parameters() if p.ndim == 2 and "embed" not in name]
    other = [p for name, p in model.named_parameters() if p.ndim != 2 or "embed" in name]
    return [
        torch.optim.Muon(
            hidden, lr=settings.muon_learning_rate, weight_decay=0.01, momentum=0.95, ns_steps=NEWTON_SCHULZ_STEPS
        ),
        torch.optim.AdamW(other, lr=settings.adamw_learning_rate, betas=(0.9, 0.95), weight_decay=0.0),
    ]


def _rate(step: int, steps: int) -> float:
    """Return the learning-rate factor: linear warm-up, constant, then linear decay over the second half."""
    warm = min(1.0, (step + 1) / WARMUP_STEPS)
    remaining = (steps - step) / (steps / 2)
    return warm * (1.0 if step < steps / 2 else FINAL_RATE_SHARE + (1 - FINAL_RATE_SHARE) * max(0.0, remaining))


def _collate(batch: list[tuple[list[int], list[int]]], pad: int) -> dict[str, torch.Tensor]:
    width = max(len(ids) for ids, _ in batch)
    ids = torch.full((len(batch), width), pad)
    labels = torch.full((len(batch), width), IGNORED)
    mask = torch.zeros((len(batch), width), dtype=torch.long)
    for row, (sequence, targets) in enumerate(batch):
        ids[row, : len(sequence)] = torch.tensor(sequence)
        labels[row, : len(targets)] = torch.tensor(targets)
        mask[row, : len(sequence)] = 1
    return {"input_ids": ids, "labels": labels, "attention_mask": mask}
