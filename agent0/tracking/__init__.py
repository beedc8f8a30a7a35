"""What a run writes down, and where: MLflow behind a small interface."""

from agent0.tracking.tracker import NullTracker, Tracker

__all__ = ["NullTracker", "Tracker"]
