"""Every setting a user may touch, as pydantic models; a named set of them is a recipe (`agent0/recipes/*.toml`).

Each section is also one parameter of the compiled pipeline, so a run on a cluster can change any field. A field that
comes from the paper or from the official code says so in its description: 'paper' is arXiv 2511.16043, 'official
code' is its repository at commit 3cf8bfe. This module imports neither torch nor kfp nor mlflow.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable, Mapping
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from agent0.errors import UsageError

Probability = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[int, Field(ge=1)]
S = TypeVar("S", bound=BaseModel)


class Section(BaseModel):
    """Base of all settings: frozen, and an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class SamplingSettings(Section):
    """How tokens are drawn."""

    temperature: float = Field(1.0, ge=0.0, description="Softmax temperature; 0 is greedy. Paper: 1.0.")
    top_p: float = Field(
        1.0, gt=0.0, le=1.0, description="Nucleus mass. Paper App. A: 0.99; official executor script: 1.0."
    )
    top_k: int = Field(0, ge=0, description="Keep the k likeliest tokens; 0 keeps all.")
    vocabulary_retention: float = Field(
        1.0,
        gt=0.0,
        le=1.0,
        description=(
            "Share of the vocabulary that each generation batch may use, drawn at random; 1 is off. "
            "arXiv 2604.03472, against a curriculum agent that collapses onto few tasks."
        ),
    )


class TinyPretraining(Section):
    """The embedded base model, trained from scratch on synthetic transcripts (about a minute on one core)."""

    hidden_size: Positive = Field(96, description="Width of the embedded Qwen3 model.")
    layers: Positive = Field(2, description="Transformer layers.")
    heads: Positive = Field(4, description="Attention heads, each with its own keys and values.")
    vocabulary: int = Field(460, ge=300, description="Size of the byte-level BPE vocabulary trained locally.")
    steps: Positive = Field(600, description="Optimizer steps of supervised pretraining.")
    batch_size: Positive = Field(32, description="Transcripts per step.")
    muon_learning_rate: float = Field(0.036, gt=0, description="Peak rate of Muon on the hidden matrices.")
    adamw_learning_rate: float = Field(0.006, gt=0, description="Peak rate of AdamW on embeddings and norms.")
    direct_share: Probability = Field(
        0.4,
        description=(
            "Share of solutions that answer without the tool, mostly wrongly: tool use is left to be learned."
        ),
    )
    propose_share: Probability = Field(0.2, description="Share of transcripts in the curriculum agent's role.")
    propose_tool_share: Probability = Field(
        0.25, description="Share of those that compute with the tool before they ask."
    )
    seed: int = Field(0, description="Seed of data and weights; independent of the evolution's seed.")


class ModelSettings(Section):
    """The base model that both agents grow from."""

    source: str = Field(
        "tiny",
        min_length=1,
        description="'tiny' for the embedded model, else a local folder or a hub id of a causal LM.",
    )
    dtype: Literal["float32", "bfloat16"] = Field("float32", description="Type of the weights while training.")
    tiny: TinyPretraining = TinyPretraining()


class RolloutSettings(Section):
    """The one protocol and the one token budget of every trajectory."""

    prompts: Literal["tiny", "mathematics"] = Field(
        "tiny", description="Prompt set of `agent0.protocol`, shared by all stages."
    )
    world: Literal["arithmetic", "open"] = Field(
        "arithmetic",
        description=(
            "Which questions are valid: 'arithmetic' has a strict grammar and known answers, 'open' any text."
        ),
    )
    max_turns: int = Field(4, ge=0, description="Tool calls allowed in one trajectory. Paper: 4 turns. 0: no tool.")
    max_prompt_tokens: Positive = Field(
        1024, description="A longer prompt is an error. Official executor script: 1024."
    )
    max_response_tokens: Positive = Field(
        4096, description="Model and tool tokens of one trajectory. Paper App. A: 4096."
    )
    max_observation_tokens: Positive = Field(512, description="Tool output kept per call. Paper App. A: 512.")
    batch_size: Positive = Field(512, description="Trajectories generated at once by the transformers backend.")
    compaction_interval: Positive = Field(
        128, description="Tokens after which the transformers backend drops finished trajectories from its batch."
    )


class SandboxSettings(Section):
    """Limits of one model-written program."""

    timeout_seconds: float = Field(10.0, gt=0, description="Wall-clock limit of one program. Official code: 10 s.")
    memory_mb: int = Field(1024, ge=64, description="Address space of one program, MiB.")
    workers: int = Field(0, ge=0, description="Programs run at once; 0 means one per core.")
    preload: tuple[str, ...] = Field(("numpy", "sympy"), description="Modules imported once, before any program runs.")
    policy: Literal["strict", "permissive"] = Field(
        "strict",
        description="'strict' runs nothing unless the self test proves isolation; 'permissive' takes what there is.",
    )
    max_output_bytes: Positive = Field(65_536, description="stdout and stderr kept, bytes each.")


class RewardSettings(Section):
    """The curriculum agent's reward (paper section 3.2; design: R = R_format * max(0, ...))."""

    composition: Literal["paper", "official-code"] = Field(
        "paper",
        description=(
            "'paper': format gate times the positive part; 'official-code': min(p, 1-p) or -1, minus share, plus tools."
        ),
    )
    uncertainty_weight: float = Field(1.0, ge=0, description="lambda_unc. Paper: 1.")
    tool_weight: float = Field(0.6, ge=0, description="lambda_tool. Paper: 0.6.")
    tool_reward_per_call: float = Field(0.05, ge=0, description="gamma, reward per tool call. Official code: 0.05.")
    tool_call_cap: float = Field(4.0, ge=0, description="C, calls that count. Paper: 4.")
    repetition_weight: float = Field(
        1.0, ge=0, description="lambda_rep on the share of the task's cluster in the batch. Paper: 1."
    )
    repetition_distance: float = Field(
        0.5, gt=0, le=1, description="Average-linkage threshold on 1 - BLEU. Official code: 0.5."
    )


class CurriculumSettings(Section):
    """Training of the curriculum agent by GRPO."""

    steps: int = Field(5, ge=0, description="Generation batches. Paper App. A: 5. 0 leaves the agent as it is.")
    prompts_per_step: Positive = Field(512, description="Groups per batch. Official code: 512.")
    group_size: int = Field(4, ge=2, description="Proposals per group. Paper App. A: 4.")
    updates_per_step: Positive = Field(1, description="Optimizer steps per generation batch.")
    micro_batch_size: int = Field(
        0, ge=0, description="Sequences per forward pass and device; 0: the whole update at once."
    )
    learning_rate: float = Field(1e-6, gt=0, description="AdamW rate. Paper App. A: 1e-6.")
    kl_coefficient: float = Field(
        1e-2, ge=0, description="KL penalty to the stage's starting weights. Paper App. A: 1e-2."
    )
    clip_range: float = Field(0.2, gt=0, lt=1, description="epsilon of the clipped ratio. Official code: 0.2.")
    max_grad_norm: float = Field(1.0, gt=0, description="Gradient clipping.")
    executor_samples: int = Field(10, ge=2, description="k, executor trajectories per proposed task. Paper: 10.")
    sampling: SamplingSettings = SamplingSettings()
    executor_sampling: SamplingSettings = SamplingSettings()
    reward: RewardSettings = RewardSettings()


class GenerationSettings(Section):
    """Task generation by the trained curriculum agent."""

    proposals: Positive = Field(8000, description="Proposals drawn. Official code: 1,000 on each of 8 GPUs.")
    sampling: SamplingSettings = SamplingSettings()


class ExecutionSettings(Section):
    """Sandboxed execution: the executor's answers to each task, and the vote."""

    samples: int = Field(
        10,
        ge=2,
        description="k, trajectories per task; self-consistency is the vote's share of k. Paper: 10.",
    )
    sampling: SamplingSettings = SamplingSettings()
    probe_tasks: int = Field(
        200,
        ge=0,
        description="Tasks that the first executor solves too, to measure difficulty. Paper Table 5: 200.",
    )
    probe_samples: Positive = Field(4, description="Trajectories per probed task.")
    known_tasks: str = Field(
        "",
        description=(
            "JSON Lines file of {question, answer} whose answers are known; mixed in to audit the vote where the world "
            "knows no truth, never trained on. Empty: none."
        ),
    )


class FilteringSettings(Section):
    """Which tasks are kept to train on."""

    min_self_consistency: Probability = Field(
        0.3, description="Lower end of the band. Paper: 0.3 (0.5 minus delta 0.2)."
    )
    max_self_consistency: Probability = Field(0.8, description="Upper end of the band. Paper: 0.8.")
    min_tasks: Positive = Field(16, description="Fewer kept tasks than this fail the stage.")
    yield_floor: Probability = Field(0.1, description="Warn when a smaller share of the tasks is kept; 0 never warns.")
    label_accuracy_floor: Probability = Field(
        0.6, description="Warn when fewer of the kept labels are true, where the truth is known; 0 never warns."
    )

    @model_validator(mode="after")
    def _band(self) -> FilteringSettings:
        if self.min_self_consistency > self.max_self_consistency:
            raise ValueError(
                f"min_self_consistency {self.min_self_consistency} is above max_self_consistency "
                f"{self.max_self_consistency}; swap them"
            )
        return self


class ADPOSettings(Section):
    """Ambiguity-dynamic policy optimisation (paper section 3.3): w = clip((p - low) / (high - low), 0, 1)."""

    enabled: bool = Field(True, description="False trains with plain GRPO.")
    low: Probability = Field(0.3, description="Self-consistency at and below which w = 0. Official script: 0.3.")
    high: Probability = Field(0.8, description="Self-consistency at and above which w = 1. Official script: 0.8.")
    min_advantage_scale: Probability = Field(0.6, description="Advantage factor at w = 0. Official script: 0.6.")
    max_clip_bonus: float = Field(
        0.1, ge=0, description="Added to the upper clip bound at w = 0. Official script: 0.1."
    )

    @model_validator(mode="after")
    def _band(self) -> ADPOSettings:
        if self.low >= self.high:
            raise ValueError(f"low {self.low} must be below high {self.high}")
        return self


class ExecutorSettings(Section):
    """Training of the executor agent by ADPO."""

    steps: int = Field(40, ge=0, description="Generation batches. Paper App. A: 40. 0 leaves the agent as it is.")
    tasks_per_step: Positive = Field(128, description="Tasks per batch. Paper App. A: 128.")
    group_size: int = Field(16, ge=2, description="Trajectories per task. Paper App. A: 16.")
    updates_per_step: Positive = Field(
        2,
        description=(
            "Optimizer steps per batch. With 1 (paper) the ratio is 1 and no clip ever acts; see ADPO in the docs."
        ),
    )
    micro_batch_size: int = Field(
        0, ge=0, description="Sequences per forward pass and device; 0: the whole update at once."
    )
    learning_rate: float = Field(1e-6, gt=0, description="AdamW rate. Paper App. A: 1e-6.")
    kl_coefficient: float = Field(
        1e-2, ge=0, description="KL penalty to the stage's starting weights. Paper App. A: 1e-2."
    )
    clip_range: float = Field(
        0.2, gt=0, lt=1, description="epsilon, lower bound and base of the upper one. Paper: 0.2."
    )
    max_grad_norm: float = Field(1.0, gt=0, description="Gradient clipping.")
    sampling: SamplingSettings = SamplingSettings()
    adpo: ADPOSettings = ADPOSettings()


class EvaluationSettings(Section):
    """Held-out benchmarks, before the first iteration and after each."""

    questions_per_level: Positive = Field(40, description="Held-out arithmetic questions per difficulty level.")
    samples: Positive = Field(4, description="Trajectories per question; accuracy is the mean over them (mean@k).")
    sampling: SamplingSettings = SamplingSettings()


class TrackingSettings(Section):
    """What is written to MLflow."""

    experiment: str = Field("agent0", min_length=1, description="MLflow experiment.")
    registered_executor: str = Field(
        "agent0-executor", min_length=1, description="Registered model; a version per iteration."
    )
    trajectories: int = Field(64, ge=0, description="Trajectories logged as a table per sandboxed execution.")


class Config(Section):
    """All settings of an evolution; one attribute per pipeline parameter."""

    recipe: str = Field("tiny", description="Name of the recipe that these settings came from.")
    seed: int = Field(0, ge=0, lt=2**31, description="Seed of the whole evolution; each stage derives its own.")
    iterations: int = Field(3, ge=1, le=50, description="Rounds of co-evolution, unrolled at compile time. Paper: 3.")
    model: ModelSettings = ModelSettings()
    rollout: RolloutSettings = RolloutSettings()
    sandbox: SandboxSettings = SandboxSettings()
    curriculum: CurriculumSettings = CurriculumSettings()
    generation: GenerationSettings = GenerationSettings()
    execution: ExecutionSettings = ExecutionSettings()
    filtering: FilteringSettings = FilteringSettings()
    executor: ExecutorSettings = ExecutorSettings()
    evaluation: EvaluationSettings = EvaluationSettings()
    tracking: TrackingSettings = TrackingSettings()


SECTIONS: tuple[str, ...] = tuple(
    name
    for name, field in Config.model_fields.items()
    if isinstance(field.annotation, type) and issubclass(field.annotation, Section)
)


def recipe_names() -> list[str]:
    """Names of the recipes that the package ships, sorted."""
    return sorted(
        entry.name.removesuffix(".toml")
        for entry in (resources.files("agent0") / "recipes").iterdir()
        if entry.name.endswith(".toml")
    )


def load_config(recipe: str = "tiny", overrides: Iterable[str] = ()) -> Config:
    """Load a recipe and apply `section.field=value` overrides.

    Args:
        recipe: a shipped recipe's name, or the path of a TOML file.
        overrides: strings such as `executor.steps=10` or `curriculum.reward.tool_weight=0.3`.

    Raises:
        UsageError: unknown recipe or key (with the nearest valid name), or a value out of range.
    """
    values = _read_recipe(recipe)
    for override in overrides:
        _apply_override(values, override)
    return parse_section(Config, values)


def parse_section(model: type[S], values: Mapping[str, Any]) -> S:
    """Validate `values` as `model`, with errors as sentences.

    Raises:
        UsageError: names each offending key, and the nearest valid name where the key is unknown.
    """
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        raise UsageError("; ".join(_explain(model, item) for item in error.errors())) from error


def _read_recipe(recipe: str) -> dict[str, Any]:
    if recipe.endswith(".toml"):
        path = Path(recipe)
        if not path.is_file():
            raise UsageError(
                f"There is no recipe file {recipe}; give an existing .toml file or one of: {', '.join(recipe_names())}."
            )
        text = path.read_text(encoding="utf-8")
    else:
        if recipe not in recipe_names():
            raise UsageError(f"There is no recipe {recipe!r}{_nearest(recipe, recipe_names())}")
        text = (resources.files("agent0") / "recipes" / f"{recipe}.toml").read_text(encoding="utf-8")
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"Recipe {recipe} is not valid TOML: {error}. Correct that line.") from error
    values.setdefault("recipe", recipe)
    return values


def _apply_override(values: dict[str, Any], override: str) -> None:
    key, separator, text = override.partition("=")
    if not separator or not key.strip():
        raise UsageError(f"Override {override!r} is not of the form section.field=value, e.g. executor.steps=10.")
    *parents, leaf = key.strip().split(".")
    target = values
    for parent in parents:
        child = target.setdefault(parent, {})
        if not isinstance(child, dict):
            raise UsageError(f"Override {override!r}: {parent!r} is a value, not a section.")
        target = child
    target[leaf] = _parse_value(text.strip())


def _parse_value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text  # a bare word is a string


def _explain(model: type[BaseModel], item: Any) -> str:
    location = [str(part) for part in item["loc"]]
    name = ".".join(location) or model.__name__
    if item["type"] == "extra_forbidden":
        return f"Unknown setting {name!r}{_nearest(name, _field_paths(model))}"
    value = "" if isinstance(item.get("input"), dict) else f" (got {item.get('input')!r})"
    return f"Setting {name!r}: {item['msg'].removeprefix('Value error, ')}{value}."


def _field_paths(model: type[BaseModel], prefix: str = "") -> list[str]:
    paths: list[str] = []
    for name, field in model.model_fields.items():
        paths.append(prefix + name)
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            paths += _field_paths(field.annotation, f"{prefix}{name}.")
    return paths


def _nearest(name: str, candidates: list[str]) -> str:
    close = difflib.get_close_matches(name, candidates, n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else f"; valid names: {', '.join(candidates)}."
