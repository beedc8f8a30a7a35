"""Kubeflow's model registry (Kubeflow Hub) over its REST API: as much of it as publishing a version takes.

The API is served as v1 or, by older servers, as v1alpha3; what is used here is the same in both. Its own client is not
used: each release of it speaks one of the two, it patches asyncio for the whole process, and a version whose artifact
never arrived, since the process died in between, is refused by it from then on.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from http import HTTPStatus
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode, urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from agent0.errors import Agent0Error, UsageError
from agent0.storage.text_files import UnreadableError, parse_json, token_in

API = "/api/model_registry"
VERSIONS = ("v1", "v1alpha3")
"""Of the API, the newest first."""
TOKEN_VARIABLE = "KF_PIPELINES_SA_TOKEN_PATH"
TOKEN_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")
REQUEST_SECONDS = 30.0
SHOWN = 300

Resource = dict[str, Any]


class PublicationError(Agent0Error):
    """Kubeflow's model registry did not take or give what it should."""


class ModelRegistry:
    """One model registry.

    Args:
        address: `http://` or `https://`, before the path of the API. The token that is sent along lies in the file
            that `KF_PIPELINES_SA_TOKEN_PATH` names, or in a pod's own.

    Raises:
        UsageError: it is no address.
    """

    def __init__(self, address: str) -> None:
        parts = urlsplit(address)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UsageError(
                f"{address!r} is no address of a model registry; write such as "
                "http://model-registry-service.kubeflow.svc:8080."
            )
        self._address = address.rstrip("/")
        self._opener = build_opener(_NoRedirect)
        self._version = ""

    def model(self, name: str) -> Resource | None:
        """Return a registered model by its name."""
        return self._ask("GET", f"/registered_model?{urlencode({'name': name})}")

    def version(self, model_id: str, name: str) -> Resource | None:
        """Return a version of a model by its name."""
        return self._ask("GET", f"/model_version?{urlencode({'name': name, 'parentResourceId': model_id})}")

    def artifacts(self, version_id: str) -> list[Resource]:
        """Return the artifacts of a version."""
        found = self._ask("GET", f"/model_versions/{version_id}/artifacts") or {}
        return list(found.get("items") or ())

    def add_model(self, body: Resource) -> Resource:
        """Make a registered model."""
        return self._made("/registered_models", body)

    def add_version(self, model_id: str, body: Resource) -> Resource:
        """Make a version of a model."""
        return self._made(f"/registered_models/{model_id}/versions", {**body, "registeredModelId": model_id})

    def add_artifact(self, version_id: str, body: Resource) -> Resource:
        """Say where the files of a version lie."""
        return self._made(f"/model_versions/{version_id}/artifacts", {**body, "artifactType": "model-artifact"})

    def _made(self, path: str, body: Resource) -> Resource:
        made = self._ask("POST", path, body)
        if made is None:
            raise PublicationError(f"The model registry at {self._address} lost what {path} belongs to; publish again.")
        return made

    def _ask(self, method: str, path: str, body: Resource | None = None) -> Resource | None:
        """Return the answer; None for what is not there."""
        if not self._version:
            found = (version for version in VERSIONS if self._send("GET", version, "/registered_models?pageSize=1"))
            self._version = next(found, "")
        if not self._version:
            raise PublicationError(
                f"There is no model registry at {self._address}: it knows none of {API}/{{{','.join(VERSIONS)}}}."
            )
        return self._send(method, self._version, path, body)

    def _send(self, method: str, version: str, path: str, body: Resource | None = None) -> Resource | None:
        """Return the answer; None for what is not there.

        Raises:
            PublicationError: the registry refuses, does not answer, or is none.
        """
        data = None if body is None else json.dumps(body).encode()
        request = Request(f"{self._address}{API}/{version}{path}", data, _headers(), method=method)
        try:
            with self._opener.open(request, timeout=REQUEST_SECONDS) as answer:
                found = parse_json(answer.read(), self._address)
        except HTTPError as error:
            if error.code == HTTPStatus.NOT_FOUND:
                return None
            said = " ".join(error.read(SHOWN).decode(errors="replace").split())
            raise PublicationError(
                f"The model registry at {self._address} refused to {method} {path.partition('?')[0]}: {error.code} "
                f"{error.reason}: {said}{_advice(error.code)}"
            ) from error
        except (OSError, HTTPException) as error:
            raise PublicationError(f"The model registry at {self._address} does not answer: {error}.") from error
        except UnreadableError as error:
            raise PublicationError(f"{self._address} is no model registry: what it answers is no JSON.") from error
        if not isinstance(found, dict):
            raise PublicationError(f"{self._address} is no model registry: it answers {str(found)[:60]}.")
        return found


class _NoRedirect(HTTPRedirectHandler):
    """Follows no redirection, which would take the token to another server."""

    def redirect_request(self, *_: Any) -> None:
        return None


def properties(values: Mapping[str, str | float]) -> Resource:
    """Return values as custom properties of a resource."""
    return {
        name: {"metadataType": "MetadataStringValue", "string_value": value}
        if isinstance(value, str)
        else {"metadataType": "MetadataDoubleValue", "double_value": value}
        for name, value in values.items()
    }


def _headers() -> dict[str, str]:
    headers = {"Content-Type": "application/json", "Accept": "application/json"}
    named = os.environ.get(TOKEN_VARIABLE)
    file = Path(named) if named else TOKEN_FILE
    if named or file.is_file():
        headers["Authorization"] = f"Bearer {token_in(file)}"
    return headers


def _advice(status: int) -> str:
    return {
        HTTPStatus.UNAUTHORIZED.value: f" Name the file of a token in {TOKEN_VARIABLE}.",
        HTTPStatus.FORBIDDEN.value: " The token's account needs the right to use it.",
    }.get(status, "")
