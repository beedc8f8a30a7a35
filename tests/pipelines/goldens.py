"""The compiled pipelines kept in the repository. `make goldens` writes them anew; a test compares them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from agent0.config import load_config
from agent0.kubeflow.compile_options import CompileOptions
from agent0_kfp.pipelines.pipeline_catalogue import PIPELINES

FOLDER = Path(__file__).parent / "golden"
IMAGE = "registry.example/agent0-gpu-python@sha256:" + "0" * 64
EVERYTHING = {
    "image": IMAGE,
    "gpus": 8,
    "model_cache": "agent0-models",
    "shared_volume": "agent0-shared",
    "workspace": "/shared",
    "image_pull_secret": "registry",
    "training_timeout_hours": 48,
    "uncached": ("task_generation",),
}
PLAIN = CompileOptions(image=IMAGE)


@dataclass(frozen=True)
class Golden:
    """What a kept file is compiled of: pipeline, recipe, its overrides, options."""

    pipeline: str
    recipe: str
    overrides: tuple[str, ...] = ()
    options: CompileOptions = PLAIN

    def write(self, path: Path) -> None:
        """Compile it."""
        PIPELINES[self.pipeline](load_config(self.recipe, self.overrides), path, self.options)


GOLDENS: Mapping[str, Golden] = {
    "evolution-tiny.yaml": Golden("evolution", "tiny", ("iterations=3",)),
    "evolution-qwen3-8b.yaml": Golden(
        "evolution", "qwen3-8b", ("iterations=1", "pods=2"), CompileOptions.parse(EVERYTHING)
    ),
    "evaluation-qwen3-8b.yaml": Golden("evaluation", "qwen3-8b", (), CompileOptions(image=IMAGE, gpus=1)),
    "ablation-tiny.yaml": Golden("ablation", "tiny", ("iterations=1",)),
}


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, golden in GOLDENS.items():
        golden.write(FOLDER / name)
        print(FOLDER / name)
