"""`agent0 pipeline compile`: write a pipeline as YAML."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from agent0.config import load_config
from agent0.errors import UsageError
from agent0.options import Ablations, Overrides, Recipe


def compile_pipeline(
    name: Annotated[str, typer.Argument(help="Pipeline: evolution or evaluation.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="YAML file to write.")],
    iterations: Annotated[int | None, typer.Option(help="Rounds of an evolution; the recipe's if not given.")] = None,
    recipe: Recipe = "tiny",
    overrides: Overrides = None,
    ablations: Ablations = None,
    image: Annotated[str | None, typer.Option(help="Image of all components; pin it by digest.")] = None,
) -> None:
    """Compile a pipeline to YAML that Kubeflow runs. The same arguments give the same bytes.

    Example: [bold]agent0 pipeline compile evolution --iterations 3 --recipe qwen3-8b -o evolution.yaml[/bold]
    """
    from agent0_kfp.components import DEFAULT_IMAGE
    from agent0_kfp.pipelines.evaluation import compile_evaluation
    from agent0_kfp.pipelines.evolution import compile_evolution

    if name not in ("evolution", "evaluation"):
        raise UsageError(f"There is no pipeline {name!r}; there are: evolution, evaluation.")
    if name == "evaluation" and iterations is not None:
        raise UsageError("An evaluation has no iterations; leave out --iterations.")
    fixed = [] if iterations is None else [f"iterations={iterations}"]
    config = load_config(recipe, [*(overrides or []), *fixed], ablations or [])
    if name == "evaluation":
        compile_evaluation(config, output, image or DEFAULT_IMAGE)
        print(f"{output}: evaluation of {', '.join(config.evaluation.benchmarks)}, recipe {config.recipe}")
        return
    compile_evolution(config, output, image or DEFAULT_IMAGE)
    print(f"{output}: evolution, {config.iterations} iterations, recipe {config.recipe}")
