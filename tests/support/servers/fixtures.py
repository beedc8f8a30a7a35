"""Real servers as fixtures, one of each for all tests of a run; where one is missing, the test skips and says so.

`make test-integration` installs what they need. Their modules are imported when a test asks, since not every
environment that runs tests has what they need.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from servers.ceph import CephServer
    from servers.kubernetes import KubernetesServer
    from servers.postgres import PostgresServer
    from servers.swift import SwiftServer
    from servers.tracking import TrackingServer


@pytest.fixture(scope="session")
def swift(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SwiftServer]:
    """OpenStack Swift."""
    from servers.swift import SwiftServer, installation

    installed = installation()
    if installed is None:
        pytest.skip("OpenStack Swift is not installed in .venv-swift; run `make test-integration`")
    server = SwiftServer(tmp_path_factory.mktemp("swift"), installed)
    server.start()
    yield server
    server.end()


@pytest.fixture(scope="session")
def ceph(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CephServer]:
    """Ceph's S3 gateway behind TLS."""
    from servers.ceph import CephServer, is_installed

    if not is_installed():
        pytest.skip("Ceph is not installed; run `make test-integration` as root on Debian")
    server = CephServer(tmp_path_factory.mktemp("ceph"))
    try:
        server.start()
        yield server
    finally:
        server.end()


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """PostgreSQL."""
    from servers.postgres import PostgresServer, programs

    installed = programs()
    if installed is None:
        pytest.skip("PostgreSQL is not installed; run `make test-integration` as root on Debian")
    server = PostgresServer(installed)
    try:
        server.start()
        yield server
    finally:
        server.end()


@pytest.fixture(scope="session")
def tracking_server(
    tmp_path_factory: pytest.TempPathFactory, postgres: PostgresServer, swift: SwiftServer
) -> Iterator[TrackingServer]:
    """MLflow with basic authentication on PostgreSQL and Swift."""
    pytest.importorskip("mlflow", reason="the extra tracking is not installed")
    pytest.importorskip("psycopg2", reason="psycopg2 is not installed")
    pytest.importorskip("flask_wtf", reason="Flask-WTF, which MLflow's authentication needs, is not installed")
    from servers.tracking import TrackingServer, create_bucket

    postgres.create_database("mlflow")
    create_bucket(swift)
    server = TrackingServer(tmp_path_factory.mktemp("mlflow"), postgres, swift)
    server.start()
    yield server
    server.end()


@pytest.fixture
def tracked(tracking_server: TrackingServer, monkeypatch: pytest.MonkeyPatch) -> TrackingServer:
    """The MLflow server as the one that this test's clients talk to."""
    for name, value in tracking_server.client_environment().items():
        monkeypatch.setenv(name, value)
    return tracking_server


@pytest.fixture(scope="session")
def kubernetes_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KubernetesServer]:
    """A Kubernetes API server, with an editor and a stranger beside the administrator."""
    from servers.kubernetes import KubernetesServer, installation

    installed = installation()
    if installed is None:
        pytest.skip("there is no Kubernetes API server in .kubernetes; run `make test-kubernetes`")
    server = KubernetesServer(tmp_path_factory.mktemp("kubernetes"), installed, ("editor", "viewer", "stranger"))
    try:
        server.start()
        server.add_custom_resources()
        yield server
    finally:
        server.end()
