"""A hub on the loopback, as far as its client pushes to one and fetches from one; what it answers the client checks.

Large files come by the LFS protocol, as from a hub without Xet (HF_HUB_DISABLE_XET). A token stands for a user,
who owns the repositories below that name; `READ_ONLY` may write nothing.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

from huggingface_hub import constants

READ_ONLY = "read-only"
LARGE = (".safetensors", ".parquet")
LARGE_BYTES = 10_000_000
REPOSITORY = r"(?:(?P<kind>models|datasets)/)?(?P<name>[\w.-]+/[\w.-]+)"


@dataclass
class Repository:
    """What a repository holds, by name, and its commits' messages."""

    private: bool
    files: dict[str, bytes] = field(default_factory=dict)
    commits: list[str] = field(default_factory=list)

    @property
    def sha(self) -> str:
        return hashlib.sha1(json.dumps([self.commits, sorted(self.files)]).encode()).hexdigest()


class Hub:
    """The server, its repositories by kind and name, and the large files that it was sent."""

    def __init__(self) -> None:
        self.repositories: dict[tuple[str, str], Repository] = {}
        self.large: dict[str, bytes] = {}
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": self}))
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def environment(self, token: str) -> dict[str, str]:
        """What makes the client of another process talk to this hub, and to nothing else."""
        return {"HF_ENDPOINT": self.url, "HF_TOKEN": token, "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}


class _Handler(BaseHTTPRequestHandler):
    hub: Hub

    def do_POST(self) -> None:
        path, body = unquote(urlsplit(self.path).path), self._body()
        if path == "/api/repos/create":
            self._create(json.loads(body))
        elif path == "/api/validate-yaml":
            self._answer(200, {"errors": [], "warnings": []})
        elif found := re.fullmatch(rf"/api/{REPOSITORY}/preupload/main", path):
            self._writing(found, lambda repository: self._modes(repository, json.loads(body)))
        elif found := re.fullmatch(rf"/{REPOSITORY}\.git/info/lfs/objects/batch", path):
            self._writing(found, lambda _: self._batch(json.loads(body)))
        elif found := re.fullmatch(rf"/api/{REPOSITORY}/commit/main", path):
            self._writing(found, lambda repository: self._commit(repository, found["name"], body))
        else:
            self._refuse(404, f"no POST {path}")

    def do_PUT(self) -> None:
        content = self._body()
        assert self.path == f"/large/{hashlib.sha256(content).hexdigest()}"
        self.hub.large[self.path.rpartition("/")[2]] = content
        self._answer(200, {})

    def do_GET(self) -> None:
        self._read(body=True)

    def do_HEAD(self) -> None:
        self._read(body=False)

    def _read(self, *, body: bool) -> None:
        path = unquote(urlsplit(self.path).path)
        if found := re.fullmatch(rf"/api/{REPOSITORY}(?:/revision/[\w]+)?", path):
            self._reading(
                found, lambda r: self._answer(200, {"id": found["name"], "sha": r.sha, "siblings": _names(r)})
            )
        elif found := re.fullmatch(rf"/api/{REPOSITORY}/tree/\w+", path):
            self._reading(found, lambda r: self._answer(200, _tree(r)))
        elif found := re.fullmatch(rf"/{REPOSITORY}/resolve/\w+/(?P<file>.+)", path):
            self._reading(found, lambda r: self._file(r, found["file"], body=body))
        else:
            self._refuse(404, f"no GET {path}")

    def _create(self, asked: dict[str, Any]) -> None:
        owner, kind = asked["organization"] or self._user(), asked.get("type", "model")
        name = f"{owner}/{asked['name']}"
        prefix = constants.REPO_TYPES_URL_PREFIXES.get(kind, "")
        if not self._may_write(owner):
            self._refuse(403 if self._user() else 401, f"You don't have the rights to create a {kind} under {owner}")
        elif (kind, name) in self.hub.repositories:
            self._answer(409, {"error": "You already created this repo", "url": f"{self.hub.url}/{prefix}{name}"})
        else:
            self.hub.repositories[kind, name] = Repository(asked.get("visibility") == "private")
            self._answer(200, {"url": f"{self.hub.url}/{prefix}{name}", "name": name})

    def _modes(self, repository: Repository, asked: dict[str, Any]) -> None:
        modes = {f["path"]: f["path"].endswith(LARGE) or f["size"] > LARGE_BYTES for f in asked["files"]}
        self._answer(
            200,
            {
                "files": [
                    {"path": path, "uploadMode": "lfs" if large else "regular", "shouldIgnore": False}
                    for path, large in modes.items()
                ]
            },
        )

    def _batch(self, asked: dict[str, Any]) -> None:
        assert asked["hash_algo"] == "sha256"
        there = [{**item, "actions": self._actions(item["oid"])} for item in asked["objects"]]
        self._answer(200, {"transfer": "basic", "objects": [{k: v for k, v in o.items() if v} for o in there]})

    def _actions(self, oid: str) -> dict[str, Any]:
        return {} if oid in self.hub.large else {"upload": {"href": f"{self.hub.url}/large/{oid}"}}

    def _commit(self, repository: Repository, name: str, body: bytes) -> None:
        lines = [json.loads(line) for line in body.decode().splitlines() if line]
        assert lines[0]["key"] == "header"
        for line in lines[1:]:
            value = line["value"]
            if line["key"] == "file":
                repository.files[value["path"]] = base64.b64decode(value["content"])
            else:
                assert line["key"] == "lfsFile"
                repository.files[value["path"]] = self.hub.large[value["oid"]]
                assert len(self.hub.large[value["oid"]]) == value["size"]
        repository.commits.append(lines[0]["value"]["summary"])
        url = f"{self.hub.url}/{name}/commit/{repository.sha}"
        self._answer(200, {"success": True, "commitOid": repository.sha, "commitUrl": url, "hookOutput": ""})

    def _file(self, repository: Repository, name: str, *, body: bool) -> None:
        if name not in repository.files:
            self._refuse(404, "no such file", **{"X-Error-Code": "EntryNotFound"})
            return
        content = repository.files[name]
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("ETag", f'"{hashlib.sha1(content).hexdigest()}"')
        self.send_header(constants.HUGGINGFACE_HEADER_X_REPO_COMMIT, repository.sha)
        self.end_headers()
        self.wfile.write(content if body else b"")

    def _writing(self, found: re.Match[str], then: Any) -> None:
        if self._may_write(found["name"].partition("/")[0]):
            self._reading(found, then)
        else:
            self._refuse(403, "Forbidden: pass a token that may write")

    def _reading(self, found: re.Match[str], then: Any) -> None:
        kind = {"models": "model", "datasets": "dataset", None: "model"}[found["kind"]]
        repository = self.hub.repositories.get((kind, found["name"]))
        if repository is None:
            self._refuse(404, "Repository not found", **{"X-Error-Code": "RepoNotFound"})
        else:
            then(repository)

    def _user(self) -> str:
        return self.headers.get("Authorization", "").removeprefix("Bearer ")

    def _may_write(self, owner: str) -> bool:
        return self._user() == owner != READ_ONLY

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", "0")))
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _refuse(self, status: int, message: str, **headers: str) -> None:
        self._answer(status, {"error": message}, {"X-Error-Message": message, **headers})

    def _answer(self, status: int, value: Any, headers: dict[str, str] | None = None) -> None:
        payload = json.dumps(value).encode()
        self.send_response(status)
        for name, text in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, text)
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    def log_message(self, *_: object) -> None:
        pass


def _names(repository: Repository) -> list[dict[str, str]]:
    return [{"rfilename": name} for name in repository.files]


def _tree(repository: Repository) -> list[dict[str, Any]]:
    return [
        {"type": "file", "path": name, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}
        for name, content in repository.files.items()
    ]


@contextmanager
def serving_hub() -> Iterator[Hub]:
    """Serve for the length of the block."""
    hub = Hub()
    threading.Thread(target=hub.server.serve_forever, daemon=True).start()
    yield hub
    hub.server.shutdown()
    hub.server.server_close()
