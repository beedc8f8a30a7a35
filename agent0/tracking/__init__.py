"""What a run writes down, and where: MLflow behind a small interface, and a buffer before it."""

from agent0.tracking.tracker import TrackedDataset, Tracker

__all__ = ["TrackedDataset", "Tracker"]
