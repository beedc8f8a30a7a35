"""The pipelines by name."""

from collections.abc import Callable, Mapping
from pathlib import Path

from agent0.config import Config
from agent0.kubeflow.compile_options import CompileOptions
from agent0_kfp.pipelines.ablation import compile_ablation
from agent0_kfp.pipelines.evaluation import compile_evaluation
from agent0_kfp.pipelines.evolution import compile_evolution

PIPELINES: Mapping[str, Callable[[Config, Path, CompileOptions], None]] = {
    "evolution": compile_evolution,
    "evaluation": compile_evaluation,
    "ablation": compile_ablation,
}
"""What writes each pipeline as YAML, from the settings and the options."""
