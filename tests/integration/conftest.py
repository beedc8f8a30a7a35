"""What tests of a real tracking server share."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.fixture
def client(tracked: Any) -> Any:
    """A client of the MLflow server on PostgreSQL and S3."""
    from mlflow.tracking import MlflowClient

    return MlflowClient(tracked.uri)
