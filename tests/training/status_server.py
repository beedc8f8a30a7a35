"""A stand-in for the status server of Kubeflow Trainer: a POST to a job's own address, with the job's own token."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from kubeflow_trainer_api.models import TrainerV1alpha1UpdateTrainJobStatusRequest
from servers.tls import make_certificate

ADDRESS = "/apis/trainer.kubeflow.org/v1alpha1/namespaces/team-a/trainjobs/job/status"
LARGEST = 1 << 16


@dataclass
class StatusServer:
    """What arrived; `environment` is what Trainer would give the nodes; `answer` is given to whatever is right."""

    environment: dict[str, str] = field(default_factory=dict)
    statuses: list[dict[str, Any]] = field(default_factory=list)
    requests: int = 0
    answer: int = 200

    def take(self, path: str, authorization: str, body: bytes, token: str) -> tuple[int, dict[str, Any]]:
        """Answer as the real one does: address, token, size, form."""
        self.requests += 1
        if path != ADDRESS:
            return 404, {"status": "Failure", "message": "Not found", "code": 404}
        if authorization.split() != ["Bearer", token]:
            return 403, {"status": "Failure", "message": "Forbidden", "code": 403}
        if len(body) > LARGEST:
            return 413, {"status": "Failure", "message": "Payload too large", "code": 413}
        given = json.loads(body)
        known = TrainerV1alpha1UpdateTrainJobStatusRequest.from_dict(given)
        if known is None or set(known.to_dict()["trainerStatus"]) != set(given["trainerStatus"]):
            return 422, {"status": "Failure", "message": "Invalid payload", "code": 422}
        if self.answer == 200:
            self.statuses.append(given["trainerStatus"])
        return self.answer, {"message": "refused by the test"} if self.answer != 200 else given


@contextmanager
def status_server(folder: Path) -> Iterator[StatusServer]:
    """Serve over TLS on loopback; certificate and token lie in `folder`."""
    state, files = StatusServer(), make_certificate(folder)
    token = folder / "token"
    token.write_text("first\n", encoding="utf-8")

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            expected = token.read_text(encoding="utf-8").strip()
            status, answer = state.take(self.path, self.headers.get("Authorization", ""), body, expected)
            data = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    state.environment = {
        "KUBEFLOW_TRAINER_SERVER_URL": f"https://127.0.0.1:{server.server_port}{ADDRESS}",
        "KUBEFLOW_TRAINER_SERVER_CA_CERT": str(files.authority),
        "KUBEFLOW_TRAINER_SERVER_TOKEN": str(token),
    }
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
