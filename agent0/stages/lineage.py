"""What a training stage says of the model that it registers."""

from __future__ import annotations

import os
from pathlib import Path

from agent0.stages.session import Stage
from agent0.storage.digest import code_version, folder_digest, model_digest, of_a_stage
from agent0.tracking.model_origin import Origin

IMAGE_VARIABLE = "AGENT0_IMAGE_DIGEST"
"""Environment variable in which an image, or whoever starts it, says its digest."""


def origin_of(stage: Stage, output: Path, parent: Path, tasks: Path | None = None) -> Origin:
    """Return the lineage of the model in `output`, which `stage` trained from the model in `parent`."""
    return Origin(
        model_sha256=model_digest(output),
        parent_sha256=model_digest(parent),
        tasks_sha256=folder_digest(tasks, of_a_stage) if tasks else "",
        iteration=stage.iteration,
        evolution_run_id=stage.evolution_id,
        code_version=code_version(),
        image_digest=os.environ.get(IMAGE_VARIABLE, ""),
    )
