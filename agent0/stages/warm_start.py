"""Stage: teach the base model the protocol before any round, by a few supervised steps.

It learns from what the domain's program writes, or from the base model's own transcripts: drawn with the worked
examples before the task, kept where they turned out valid, and learned without those examples.
"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import agent0.training.lean_trl  # noqa: F401  # before anything that imports transformers or trl
from agent0.config import CurriculumSettings, RolloutSettings, SandboxSettings, TrainingSettings, WarmStartSettings
from agent0.domains import Prompts, demonstrate, get_domain, get_prompts, task_writer
from agent0.errors import Agent0Error, UsageError
from agent0.progress import Drawing
from agent0.rollout.model_folders import load_model, load_tokenizer, save_model
from agent0.sandbox import open_sandbox
from agent0.seeds import derive_seed
from agent0.stages.open_agents import open_executor, open_proposer, seed_everything
from agent0.stages.session import Stage, StageResult
from agent0.stages.training_log import last_steps, step_logger
from agent0.training.supervised import Transcript, demonstrated, fine_tune, in_turns, transcribed
from agent0.types import Trajectory

HEADLINE = ("loss", "mean_token_accuracy")
_TRIES = 1_000  # draws for one task that is not held out


def run_warm_start(
    stage: Stage,
    *,
    base_model: Path,
    output: Path,
    rollout: RolloutSettings,
    sandbox: SandboxSettings,
    warm_start: WarmStartSettings,
    curriculum: CurriculumSettings,
    training: TrainingSettings,
) -> StageResult:
    """Write the base model after `warm_start.steps` supervised steps to `output`.

    Where `curriculum` asks for topics, demonstrations of proposals are asked for by the kind that their program names.

    Raises:
        UsageError: the domain has no program that writes tasks, or a transcript is longer than the budget.
        Agent0Error: too few of the model's own transcripts are valid.
    """
    seed_everything(stage.seed)
    tokenizer = load_tokenizer(base_model)
    count = warm_start.steps * warm_start.batch_size
    measured: dict[str, float] = {}
    if warm_start.source == "demonstrations":
        topics = curriculum.conditioning.has_topics
        transcripts = _demonstrations(rollout, tokenizer, warm_start, stage.seed, count, with_topics=topics)
    else:
        transcripts, measured = _own(stage, base_model, output, rollout, sandbox, warm_start, tokenizer, count)
    model, _ = load_model(base_model, "float32")
    with tempfile.TemporaryDirectory(prefix="agent0-warm-start-") as folder:
        log = step_logger(stage, "warm_start", warm_start.steps, HEADLINE)
        history = fine_tune(
            model, tokenizer, transcripts, warm_start, training, seed=stage.seed, log=log, folder=Path(folder)
        )
    save_model(model, tokenizer, output)
    learned = sum(label >= 0 for transcript in transcripts for label in transcript.labels)
    return StageResult(
        {**last_steps(history, "warm_start", HEADLINE), **measured, "warm_start/learned_tokens": float(learned)},
        log=history,
    )


def _demonstrations(
    rollout: RolloutSettings, tokenizer: Any, settings: WarmStartSettings, seed: int, count: int, *, with_topics: bool
) -> list[Transcript]:
    """Write `count` demonstrations, none of a question that is held out.

    Raises:
        UsageError: as far as was looked, all that the domain's program draws is held out.
    """
    domain, prompts, draw = get_domain(rollout.domain), get_prompts(rollout), task_writer(rollout.domain)
    rng = random.Random(seed)
    transcripts: list[Transcript] = []
    while len(transcripts) < count:
        task = next((task for task in (draw(rng) for _ in range(_TRIES)) if not domain.held_out(task.question)), None)
        if task is None:
            raise UsageError(
                f"The domain {rollout.domain} holds out all of {_TRIES} tasks that it drew, so none is left to "
                "demonstrate; give it a held_out such as agent0.domains.in_reserved_fifth."
            )
        topic = task.group if with_topics and task.group in domain.topics else ""
        solve = rng.random() >= settings.propose_share
        shown = demonstrate(task, prompts, solve=solve, topic=topic, tool=rollout.has_python)
        transcripts.append(demonstrated(shown, prompts, tokenizer, rollout))
    return transcripts


def _own(
    stage: Stage,
    base_model: Path,
    log: Path,
    rollout: RolloutSettings,
    sandbox: SandboxSettings,
    settings: WarmStartSettings,
    tokenizer: Any,
    count: int,
) -> tuple[list[Transcript], dict[str, float]]:
    """Draw transcripts with worked examples; keep those that parse, run and box an answer."""
    prompts = get_prompts(rollout)
    shown = _with_worked_examples(rollout, prompts, tokenizer)
    with open_sandbox(sandbox) as pool:
        seed = derive_seed(stage.seed, "engine")
        with open_proposer(
            base_model, pool, shown, settings.sampling, executor=base_model, log=log, seed=seed
        ) as proposer:
            drawn = proposer.propose(
                settings.own_samples,
                derive_seed(stage.seed, "propose"),
                Drawing(stage.progress, settings.own_samples, "proposals of its own"),
            )
        held_out = get_domain(rollout.domain).held_out
        proposals = {
            p.question: p.trajectory
            for p in drawn
            if p.question is not None and not held_out(p.question) and _can_end(p.trajectory, rollout)
        }
        _require(len(proposals), len(drawn), "proposals", settings)
        samples = max(1, settings.own_samples // len(proposals))
        with open_executor(base_model, pool, shown, settings.sampling, log=log, seed=seed) as executor:
            solved = executor.solve(
                list(proposals),
                samples,
                derive_seed(stage.seed, "solve"),
                Drawing(stage.progress, samples * len(proposals), "solutions of its own"),
            )
    valid = [
        (question, trajectory)
        for question, group in zip(proposals, solved, strict=True)
        for trajectory in group
        if is_valid(trajectory, rollout)
    ]
    _require(len(valid), samples * len(proposals), "solutions", settings)
    asked = prompts.encode(tokenizer, prompts.propose())
    transcripts = in_turns(
        [transcribed(trajectory, asked, tokenizer, rollout) for trajectory in proposals.values()],
        [
            transcribed(trajectory, prompts.encode(tokenizer, prompts.solve(question)), tokenizer, rollout)
            for question, trajectory in valid
        ],
        count,
        settings.propose_share,
        stage.seed,
    )
    return transcripts, {
        "warm_start/valid_proposals": len(proposals) / len(drawn),
        "warm_start/valid_solutions": len(valid) / (samples * len(proposals)),
    }


def _with_worked_examples(rollout: RolloutSettings, prompts: Prompts, tokenizer: Any) -> RolloutSettings:
    """Return the settings under which worked examples are shown, with room for them in the prompt."""
    shown = rollout.model_copy(update={"prompts": rollout.prompts.model_copy(update={"worked": True})})
    longer = get_prompts(shown)
    extra = max(
        len(longer.encode(tokenizer, more)) - len(prompts.encode(tokenizer, less))
        for more, less in ((longer.propose(), prompts.propose()), (longer.solve("?"), prompts.solve("?")))
    )
    return shown.model_copy(update={"max_prompt_tokens": rollout.max_prompt_tokens + extra})


def is_valid(trajectory: Trajectory, rollout: RolloutSettings) -> bool:
    """Whether it boxes an answer, after a program where there is a tool, and all that it ran did run."""
    uses_tool = bool(trajectory.tool_calls) or not rollout.has_tool
    ran: Iterable[bool] = (call.status == "ok" for call in trajectory.tool_calls)
    return trajectory.answer is not None and uses_tool and all(ran) and _can_end(trajectory, rollout)


def _can_end(trajectory: Trajectory, rollout: RolloutSettings) -> bool:
    """Whether it ended by itself and leaves the end of its turn, which is learned with it, a token of the budget."""
    return not trajectory.truncated and len(trajectory.completion_ids) < rollout.max_response_tokens


def _require(valid: int, drawn: int, what: str, settings: WarmStartSettings) -> None:
    if valid < settings.own_minimum:
        raise Agent0Error(
            f"Only {valid} of the base model's own {drawn} {what} are valid, and warm_start.own_minimum is "
            f"{settings.own_minimum}; draw more (warm_start.own_samples), give the domain better worked examples, or "
            "let it learn from demonstrations (warm_start.source)."
        )
