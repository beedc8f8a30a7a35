"""The transcripts in docs/install.md: real commands against a real API server, and the tests' Kubeflow Pipelines.

`python -m tests.kubeflow.cluster.transcript` writes them anew; a test compares. What Kubeflow, its controllers and the
cluster's storage would have made is made beforehand; addresses are fixed, everything else is what the commands print.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).parents[2] / "support"))

from servers.kubernetes import KubernetesServer, installation
from typer.testing import CliRunner

from agent0.cli.main import app
from agent0.errors import Agent0Error
from tests.kubeflow.cluster import ready
from tests.kubeflow.server import KfpServer, State, kfp_server
from tests.manifests.building import ROOT

PAGE = ROOT / "docs" / "install.md"
BLOCK = "<!-- transcript {} -->\n```console\n{}```\n"
IMAGE = "ghcr.io/agent0/agent0-python@sha256:" + "5e" * 32
OVERLAYS = "pipelines/manifests/overlays"
CREDENTIALS = "AWS_ACCESS_KEY_ID=x\nAWS_SECRET_ACCESS_KEY=x\nMLFLOW_TRACKING_USERNAME=x\nMLFLOW_TRACKING_PASSWORD=x\n"
SECRET = "kubectl -n {} create secret generic agent0-credentials --from-env-file=credentials.env"


def make_transcripts(server: KubernetesServer) -> dict[str, str]:
    """Return each part's commands with what they print, on a server that has nothing yet."""
    settings = {"COLUMNS": "110", "NO_COLOR": "1", "MLFLOW_TRACKING_URI": "", "KUBECONFIG": str(server.kubeconfig())}
    before = Path.cwd()
    with (
        tempfile.TemporaryDirectory() as folder,
        mock.patch.dict(os.environ, settings),
        mock.patch("agent0.kubeflow.pipeline_versions._commit", return_value="1a2b3c4d5"),
    ):
        for name in ("pipelines", "mlflow"):
            (Path(folder) / name).symlink_to(ROOT / name)
        (Path(folder) / "credentials.env").write_text(CREDENTIALS, encoding="utf-8")
        os.chdir(folder)
        try:
            return {**_standalone(server), **_profile(server)}
        finally:
            os.chdir(before)


def _standalone(server: KubernetesServer) -> dict[str, str]:
    ready.prepare_standalone(server)
    ready.prepare_storage(server, "standard")
    ready.prepare_node(server, "kind-control-plane")
    server.apply(ready.thing("v1", "Namespace", "agent0-mlflow"))
    ready.prepare_tracking(server)
    with kfp_server(State(steps_per_look=2)) as kubeflow:
        return {
            "apply": _session(server, kubeflow, f"kubectl apply --server-side -k {OVERLAYS}/kind"),
            "doctor": _session(server, kubeflow, "agent0 doctor --cluster"),
            "mend": _session(
                server,
                kubeflow,
                "kubectl label namespace kubeflow agent0.dev/tracking-client=true",
                SECRET.format("kubeflow"),
                "agent0 doctor --cluster",
            ),
            "server": _session(
                server,
                kubeflow,
                "kubectl -n kubeflow patch deployment ml-pipeline --patch-file "
                "pipelines/manifests/components/server/ml-pipeline.yaml",
            ),
            "run": _session(
                server,
                kubeflow,
                f"agent0 pipeline compile evaluation --image {IMAGE} -o evaluation.yaml",
                "agent0 pipeline run evaluation.yaml --service-account agent0-runner --name first --wait",
            ),
        }


def _profile(server: KubernetesServer) -> dict[str, str]:
    server.add_custom_resources()
    ready.prepare_cluster(server)
    with kfp_server(State(multi_user=True)) as kubeflow:
        applied = _session(server, kubeflow, f"kubectl apply --server-side -k {OVERLAYS}/gpu")
        root = {"defaultPipelineRoot": "minio://mlpipeline/private-artifacts/agent0/v2/artifacts"}
        server.apply(
            ready.thing("v1", "ConfigMap", "kfp-launcher", "agent0", data=root),
            ready.thing("v1", "Secret", "mlpipeline-minio-artifact", "agent0", data=ready.KEYS),
            ready.thing("kueue.x-k8s.io/v1beta1", "LocalQueue", "training", "agent0", spec={"clusterQueue": "gpus"}),
        )
        for claim in ("agent0-model-cache", "agent0-shared"):
            ready.patch_status(server, "agent0", "pvc", claim, {"phase": "Bound"})
        looked = "agent0 doctor --cluster -n agent0 --shared-volume agent0-shared --queue training"
        return {"gpu": applied, "gpu doctor": _session(server, kubeflow, SECRET.format("agent0"), looked)}


def _session(server: KubernetesServer, kubeflow: KfpServer, *commands: str) -> str:
    """Return the commands, each followed by what it prints."""
    parts = []
    for command in commands:
        words = shlex.split(command)
        if words[0] == "agent0":
            with mock.patch.dict(os.environ, {"KF_PIPELINES_ENDPOINT": kubeflow.url, "KF_PIPELINES_NAMESPACE": ""}):
                result = CliRunner().invoke(app, words[1:])
            error = result.exception
            if error and not isinstance(error, Agent0Error | SystemExit):
                raise error
            shown = result.output + (f"agent0: {error}\n" if isinstance(error, Agent0Error) else "")
        else:
            done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=120)
            shown = done.stdout + done.stderr
        shown = shown.replace(kubeflow.url, "http://localhost:8888").replace(server.url, "https://cluster.example")
        text = "\n".join(line.rstrip() for line in shown.splitlines() if line.strip())
        parts.append(f"$ {command.replace(IMAGE, '$IMAGE')}\n{text}\n")
    return "\n".join(parts)


def with_transcripts(page: str, transcripts: dict[str, str]) -> str:
    """Return the page with each transcript in its place."""
    for name, text in transcripts.items():
        pattern = re.escape(f"<!-- transcript {name} -->\n") + r"```console\n.*?```\n"
        page, count = re.subn(pattern, lambda _, name=name, text=text: BLOCK.format(name, text), page, flags=re.DOTALL)
        assert count == 1, f"{PAGE.name} has {count} places for the transcript {name}"
    return page


def main() -> None:
    """Write the page anew."""
    installed = installation()
    if installed is None:
        sys.exit("There is no Kubernetes API server; run `make test-kubernetes` once.")
    with tempfile.TemporaryDirectory() as folder:
        server = KubernetesServer(Path(folder), installed)
        try:
            server.start()
            transcripts = make_transcripts(server)
        finally:
            server.end()
    PAGE.write_text(with_transcripts(PAGE.read_text(encoding="utf-8"), transcripts), encoding="utf-8")


if __name__ == "__main__":
    main()
