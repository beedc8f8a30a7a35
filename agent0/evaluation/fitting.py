"""Settings by which a model is asked where no recipe is named: what fits the model, the preset and this machine.

A model that grew from the embedded one gets the recipe `tiny`. Any other gets the defaults of the settings, within the
positions that it knows; published benchmarks keep their preset's decoding. The prompts are those of mathematics, unless
one other domain is all that is asked for beside generated tasks.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from agent0.benchmarks.catalogue import benchmark
from agent0.benchmarks.shipped.domain_questions import PREFIX
from agent0.config import EMBEDDED_MODEL, Config, EvaluationSettings, RolloutSettings, parse_section, read_overrides
from agent0.consistency import read_settings

DOMAIN = "mathematics"
CPU_BATCH, GPU_BATCH = 32, 128  # trajectories of thousands of tokens that fit a usual machine's memory
RESPONSE = "rollout.max_response_tokens"
PROMPT_SHARE = 4  # of the positions, one in so many is for the prompt


@dataclass(frozen=True)
class Fitted:
    """Settings, and what was chosen for want of a recipe, in one line; empty where there was one."""

    config: Config
    chosen: str


def settings_for(model: Path, recipe: str, overrides: Sequence[str], ablations: Sequence[str] | None = None) -> Fitted:
    """Return the settings to evaluate a model with.

    Args:
        model: its folder.
        recipe: the one that was asked for; empty: what fits the model.
        overrides: of single settings; they stand above what is chosen here.
        ablations: parts of the method to leave out.

    Raises:
        UsageError: the settings cannot be loaded or do not fit together, or the folder holds no model.
    """
    from agent0.rollout.model_folders import load_tokenizer
    from agent0.tiny.tokenizer import is_embedded

    if recipe:
        return Fitted(read_settings(recipe, overrides, ablations, evolves=False), "")
    if is_embedded(load_tokenizer(model)):
        config = read_settings(EMBEDDED_MODEL, overrides, ablations, evolves=False)
        return Fitted(config, "the recipe tiny, since the model is the embedded one or grew from it")
    config = read_settings(None, [*_fitting(model, overrides), *overrides], ablations, evolves=False)
    return Fitted(config, _said(config.rollout))


def _fitting(model: Path, overrides: Sequence[str]) -> list[str]:
    """Return what fits a model, this machine and the settings that are given, as overrides of the defaults."""
    import torch

    from agent0.rollout.tokens import model_positions

    prompt, response = RolloutSettings().max_prompt_tokens, RolloutSettings().max_response_tokens
    positions = model_positions(model)
    if positions is not None and positions < prompt + response:
        prompt = min(prompt, positions // PROMPT_SHARE)
        response = min(response, positions - prompt)
    gpu = torch.cuda.is_available()
    given = read_overrides(override for override in overrides if override.partition("=")[0].strip() == RESPONSE)
    wanted = given["rollout"]["max_response_tokens"] if given else response
    room = wanted if isinstance(wanted, int) else response  # what is no number is refused with the others
    observation = min(RolloutSettings().max_observation_tokens, max(1, room // PROMPT_SHARE))
    return [
        f"rollout.domain={_domain(overrides)}",
        f"rollout.backend={'vllm' if gpu and importlib.util.find_spec('vllm') else 'transformers'}",
        "rollout.vllm.dtype=bfloat16",
        f"rollout.batch_size={GPU_BATCH if gpu else CPU_BATCH}",
        f"rollout.max_prompt_tokens={prompt}",
        f"rollout.max_response_tokens={response}",
        f"rollout.max_observation_tokens={observation}",
    ]


def _domain(overrides: Sequence[str]) -> str:
    benchmarks = parse_section(EvaluationSettings, read_overrides(overrides).get("evaluation", {})).benchmarks
    asked = {name.removeprefix(PREFIX) for name in benchmarks if name.startswith(PREFIX)}
    return asked.pop() if len(asked) == 1 and all(benchmark(name).generate for name in benchmarks) else DOMAIN


def _said(rollout: RolloutSettings) -> str:
    from agent0.rollout.backends import weights_dtype

    dtype = weights_dtype(rollout)
    batch = f", {rollout.batch_size} at once" if rollout.backend == "transformers" else ""
    return (
        f"no recipe was named: {rollout.backend} in {dtype}{batch}, prompts of {rollout.domain}, answers of up to "
        f"{rollout.max_response_tokens:,} tokens (published benchmarks: the preset's)"
    )
