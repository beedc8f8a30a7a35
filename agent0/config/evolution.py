"""All settings of an evolution and of an evaluation."""

from __future__ import annotations

from pydantic import Field, model_validator

from agent0.config.agreement import contradictions
from agent0.config.algorithms import CurriculumSettings, ExecutorSettings
from agent0.config.base import Section, Seed
from agent0.config.data import (
    EvaluationSettings,
    ExecutionSettings,
    FilteringSettings,
    GateSettings,
    GenerationSettings,
    TrackingSettings,
)
from agent0.config.rollout import EMBEDDED_MODEL, ModelSettings, RolloutSettings, SandboxSettings
from agent0.config.training import TrainingSettings, WarmStartSettings
from agent0.recipes import purposes


class Config(Section):
    """All settings; a pipeline has a parameter for each section that its tasks read."""

    recipe: str = Field("tiny", description="Name of the recipe that these settings came from.")
    seed: Seed = Field(0, description="Seed of the whole evolution; each stage derives its own.")
    iterations: int = Field(3, ge=1, le=50, description="Rounds of co-evolution, unrolled at compile time. Paper: 3.")
    pods: int = Field(
        1,
        ge=1,
        le=1000,
        description=(
            "Pods that share the shards of task generation and of sandboxed execution, fixed at compile time; the "
            "result does not depend on it."
        ),
    )
    one_model: bool = Field(
        False,
        description=(
            "Whether both agents are one model, fixed at compile time: the executor's training goes on from the "
            "weights of the curriculum agent's, and the next curriculum training from the executor's (prime-rl, "
            "Absolute Zero). Paper: no."
        ),
    )
    model: ModelSettings = ModelSettings()
    rollout: RolloutSettings = RolloutSettings()
    sandbox: SandboxSettings = SandboxSettings()
    warm_start: WarmStartSettings = WarmStartSettings()
    curriculum: CurriculumSettings = CurriculumSettings()
    generation: GenerationSettings = GenerationSettings()
    execution: ExecutionSettings = ExecutionSettings()
    filtering: FilteringSettings = FilteringSettings()
    executor: ExecutorSettings = ExecutorSettings()
    training: TrainingSettings = TrainingSettings()
    evaluation: EvaluationSettings = EvaluationSettings()
    gate: GateSettings = GateSettings()
    tracking: TrackingSettings = TrackingSettings()

    @model_validator(mode="after")
    def _recipe_is_for_the_model(self) -> Config:
        if self.model.embedded_only and self.model.source != EMBEDDED_MODEL:
            others = "; ".join(f"{name} ({purpose})" for name, purpose in purposes().items() if name != self.recipe)
            raise ValueError(
                f"the recipe {self.recipe} is for the embedded model, whose prompts, limits and rates would waste "
                f"{self.model.source}; take --recipe with another: {others}; or give a recipe file of your own. Only "
                "for a model that grew from the embedded one: --set model.embedded_only=false"
            )
        return self

    @model_validator(mode="after")
    def _sections_agree(self) -> Config:
        """Refuse what no single section can see, wherever a configuration comes from."""
        if found := [f"{said[0].upper()}{said[1:]}" for said in contradictions(self)]:
            raise ValueError(". ".join(found))
        return self


WIRE = 4
"""Number of what the tasks of a compiled pipeline hand each other.

Since 2 it is the whole `Config`, where in 1 it was single sections; since 3 task filtering is given the history,
since 4 both trainings and task generation are.
"""
SECTIONS: tuple[str, ...] = tuple(
    name
    for name, field in Config.model_fields.items()
    if isinstance(field.annotation, type) and issubclass(field.annotation, Section)
)
