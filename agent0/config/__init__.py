"""Every setting a user may touch, as pydantic models; a named set of them is a recipe (`agent0/recipes/*.toml`).

Each section is also one parameter of the compiled pipeline, so a run on a cluster can change any field. A field that
comes from the paper or from the official code says so in its description: 'paper' is arXiv 2511.16043, 'official
code' is its repository at commit 3cf8bfe. This package imports neither torch nor kfp nor mlflow.
"""

from agent0.config.algorithms import (
    ADPOSettings,
    AnchorSettings,
    ConditioningSettings,
    CurriculumSettings,
    ExecutorSettings,
    PoolSettings,
)
from agent0.config.base import Section
from agent0.config.data import (
    EvaluationSettings,
    ExecutionSettings,
    FilteringSettings,
    GateSettings,
    GenerationSettings,
    TrackingSettings,
)
from agent0.config.endpoint import EndpointSettings, QuestionJudgeSettings, TeacherSettings
from agent0.config.evolution import SECTIONS, WIRE, Config
from agent0.config.loader import load_config, parse_section, read_overrides
from agent0.config.reward import RewardSettings
from agent0.config.rollout import (
    EMBEDDED_MODEL,
    ModelSettings,
    PromptMessage,
    PromptSettings,
    RolloutSettings,
    SamplingSettings,
    SandboxSettings,
    TinyPretraining,
    VllmSettings,
)
from agent0.config.training import (
    MAY_CHANGE,
    CheckpointSettings,
    GuardSettings,
    LoraSettings,
    TrainingSettings,
    TrainJobSettings,
    WarmStartSettings,
)

__all__ = [
    "EMBEDDED_MODEL", "MAY_CHANGE", "SECTIONS", "WIRE", "ADPOSettings", "AnchorSettings", "CheckpointSettings",
    "ConditioningSettings", "Config", "CurriculumSettings", "EndpointSettings", "EvaluationSettings",
    "ExecutionSettings", "ExecutorSettings", "FilteringSettings", "GateSettings", "GenerationSettings", "GuardSettings",
    "LoraSettings", "ModelSettings", "PoolSettings", "PromptMessage", "PromptSettings", "QuestionJudgeSettings",
    "RewardSettings", "RolloutSettings", "SamplingSettings", "SandboxSettings", "Section", "TeacherSettings",
    "TinyPretraining", "TrackingSettings", "TrainJobSettings", "TrainingSettings", "VllmSettings", "WarmStartSettings",
    "load_config", "parse_section", "read_overrides",
]  # fmt: skip
