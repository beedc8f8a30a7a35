from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from servers.kubernetes import KubernetesServer, installation

from tests.kubeflow.cluster.transcript import PAGE, make_transcripts, with_transcripts

pytestmark = pytest.mark.integration


@pytest.fixture
def empty_server(tmp_path: Path) -> Iterator[KubernetesServer]:
    installed = installation()
    if installed is None:
        pytest.skip("there is no Kubernetes API server in .kubernetes; run `make test-kubernetes`")
    server = KubernetesServer(tmp_path, installed)
    try:
        server.start()
        yield server
    finally:
        server.end()


def test_the_transcripts_of_the_installation_are_what_the_commands_print(empty_server: KubernetesServer) -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert with_transcripts(page, make_transcripts(empty_server)) == page, (
        "write it anew: python -m tests.kubeflow.cluster.transcript"
    )
