"""A local MLflow store with versions in it, as the tests of the registry have it."""

from tests.tracking.conftest import client, make_model, registered, run_id, store

__all__ = ["client", "make_model", "registered", "run_id", "store"]
