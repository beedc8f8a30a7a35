"""One module per pipeline stage: a function from settings and input folders to an output folder and metrics."""

from agent0.stages.session import Stage, StageResult, open_stage
from agent0.stages.stage_runner import run_stage

__all__ = ["Stage", "StageResult", "open_stage", "run_stage"]
