"""What a run writes down, and where: MLflow behind a small interface, and a buffer before it."""

from agent0.tracking.beside import TRACKERS, TrackedRun
from agent0.tracking.tracker import RunTracker, TrackedDataset, Tracker

__all__ = ["TRACKERS", "RunTracker", "TrackedDataset", "TrackedRun", "Tracker"]
