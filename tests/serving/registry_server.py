"""A stand-in for Kubeflow's model registry over HTTP: its API, v1 or v1alpha3, as far as publishing a version goes.

It takes the fields of the published OpenAPI, refuses a name that is taken, and answers 404 as the real one does.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

API = "/api/model_registry"
SHARED = {"name", "description", "externalId", "customProperties", "state"}
FIELDS = {
    "RegisteredModelCreate": SHARED
    | {"owner", "readme", "maturity", "language", "tasks", "provider", "logo", "license", "licenseLink", "libraryName"},
    "ModelVersion": SHARED | {"author", "registeredModelId"},
    "ModelArtifactCreate": SHARED | {"artifactType", "uri", "modelFormatName", "modelFormatVersion", "storageKey"}
    | {"storagePath", "serviceAccountName", "modelSourceKind", "modelSourceClass", "modelSourceGroup"}
    | {"modelSourceId", "modelSourceName"},
}  # fmt: skip
"""What a client may send for each schema of the API."""
VALUES = {"MetadataStringValue": ("string_value", str), "MetadataDoubleValue": ("double_value", float | int)}

Answer = tuple[int, Any]


@dataclass
class RegistryServer:
    """What is registered, and what was asked; `refusals` are statuses for the next requests, 200 for none."""

    url: str = ""
    version: str = "v1"
    models: list[dict[str, Any]] = field(default_factory=list)
    versions: list[dict[str, Any]] = field(default_factory=list)
    artifacts: list[dict[str, Any]] = field(default_factory=list)
    requests: list[tuple[str, str, str]] = field(default_factory=list)
    refusals: list[int] = field(default_factory=list)

    @property
    def made(self) -> list[str]:
        """The paths of all requests that make something."""
        return [path for method, path, _ in self.requests if method == "POST"]

    def answer(self, method: str, path: str, body: dict[str, Any]) -> Answer:
        root, query = f"{API}/{self.version}/", parse_qs(urlsplit(path).query)
        place = urlsplit(path).path.removeprefix(root)
        match method, place.strip("/").split("/"):
            case "GET", ["registered_model"]:
                return _one(self.models, name=query["name"][0])
            case "GET", ["model_version"]:
                return _one(self.versions, name=query["name"][0], registeredModelId=query["parentResourceId"][0])
            case "GET", ["registered_models"]:
                return 200, {"items": self.models, "nextPageToken": "", "pageSize": 0, "size": len(self.models)}
            case "GET", ["model_versions", version, "artifacts"]:
                found = [item for item in self.artifacts if item["version"] == version]
                return 200, {"items": found, "nextPageToken": "", "pageSize": 0, "size": len(found)}
            case "POST", ["registered_models"]:
                return _add(self.models, "RegisteredModelCreate", body, {})
            case "POST", ["registered_models", model, "versions"]:
                return _add(self.versions, "ModelVersion", body, {"registeredModelId": model})
            case "POST", ["model_versions", version, "artifacts"]:
                return _add(self.artifacts, "ModelArtifactCreate", body, {"version": version})
        return 404, {"code": "404", "message": "no such path"}


def _one(among: list[dict[str, Any]], **wanted: str) -> Answer:
    found = next((item for item in among if wanted.items() <= item.items()), None)
    return (200, found) if found else (404, {"code": "Not Found", "message": f"nothing found for {wanted}"})


def _add(among: list[dict[str, Any]], schema: str, body: dict[str, Any], parent: dict[str, str]) -> Answer:
    unknown = set(body) - FIELDS[schema]
    if unknown or not isinstance(body.get("name"), str):
        return 400, {"code": "Bad Request", "message": f"unknown field {sorted(unknown)} or no name"}
    for name, value in body.get("customProperties", {}).items():
        key, kind = VALUES[value["metadataType"]]
        if set(value) != {"metadataType", key} or not isinstance(value[key], kind):
            return 400, {"code": "Bad Request", "message": f"property {name}: {value}"}
    taken = {"name": body["name"], **parent}
    if any(taken.items() <= item.items() for item in among):
        return 409, {"code": "Conflict", "message": f"{body['name']} exists"}
    among.append({**body, **parent, "id": str(len(among) + 1)})
    return 201, among[-1]


@contextmanager
def registry_server() -> Iterator[RegistryServer]:
    """Serve on loopback."""
    state = RegistryServer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer({})

        def do_POST(self) -> None:
            self._answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

        def _answer(self, body: dict[str, Any]) -> None:
            state.requests.append((self.command, self.path, self.headers.get("Authorization", "")))
            refused = state.refusals.pop(0) if state.refusals else 200
            status, answer = state.answer(self.command, self.path, body) if refused == 200 else (refused, {})
            data = json.dumps({"code": "x", "message": "refused by the test"} if refused != 200 else answer).encode()
            self.send_response(status)
            if status == 302:
                self.send_header("Location", "http://127.0.0.1:9/elsewhere")
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
