"""The component `closing`: give the MLflow runs of a pipeline their final status and report, however it ended."""

from kfp.dsl import HTML, Output, PipelineTaskFinalStatus


def closing(job: str, tracking: dict, status: PipelineTaskFinalStatus, report: Output[HTML]):
    """Leave no run of the pipeline open, and write the report of everything that was finished."""
    from pathlib import Path

    from agent0.config import TrackingSettings, parse_section
    from agent0.progress import reported
    from agent0.stages.closing import Ending, close_runs

    with reported("closing", 0) as progress:
        ending = Ending(status.state, status.error_message or "")
        closed = close_runs(job, ending, parse_section(TrackingSettings, tracking), Path(report.path))
        progress.end(f"{ending.status}, {len(closed)} MLflow runs")
