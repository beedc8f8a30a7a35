"""The cluster's API for the checks: reading only, short waits, and refusals as sentences.

Nothing is made in the cluster: access reviews are questions, which the API answers and forgets.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, TypeVar

from agent0.cluster import connect
from agent0.errors import Agent0Error

Answer = TypeVar("Answer")
REQUEST_SECONDS = 10


class NotAllowedError(Agent0Error):
    """Whoever asks may not see this; it says nothing about the cluster."""


class Cluster:
    """A cluster's API and the namespace that is looked at.

    Args:
        configuration: `kubernetes.client.Configuration`.
        namespace: where the pipelines' pods run.
    """

    def __init__(self, configuration: Any, namespace: str) -> None:
        from kubernetes import client

        self._configuration = configuration
        configuration.retries = 1
        self.namespace = namespace
        self.address = str(configuration.host)
        api = client.ApiClient(configuration)
        self.core = client.CoreV1Api(api)
        self.custom = client.CustomObjectsApi(api)
        self.storage = client.StorageV1Api(api)
        self.discovery = client.DiscoveryV1Api(api)
        self._apis = client.ApisApi(api)
        self._versions = client.VersionApi(api)
        self.authentication = client.AuthenticationV1Api(api)
        self.authorization = client.AuthorizationV1Api(api)

    @classmethod
    def connect(cls, namespace: str) -> Cluster:
        """Return the cluster that this pod is in, or that of the kubeconfig's current context.

        Raises:
            Agent0Error: there is neither, or the client is not installed.
        """
        api, _ = connect("Looking at a cluster needs")
        return cls(api.configuration, namespace)

    def impersonating(self, user: str) -> Any:
        """Return the API for access reviews as somebody else, for those who may impersonate."""
        from kubernetes import client

        return client.AuthorizationV1Api(client.ApiClient(self._configuration, "Impersonate-User", user))

    def ask(self, call: Callable[..., Answer], *arguments: Any) -> Answer | None:
        """Return the answer to a call of the client; None where there is no such thing.

        Raises:
            NotAllowedError: whoever asks may not know.
            Agent0Error: no answer, or another refusal.
        """
        import urllib3
        from kubernetes.client.exceptions import ApiException

        try:
            return call(*arguments, _request_timeout=REQUEST_SECONDS)
        except ApiException as error:
            if error.status == HTTPStatus.NOT_FOUND:
                return None
            if error.status == HTTPStatus.FORBIDDEN:
                raise NotAllowedError(_refused(_message(error))) from error
            if error.status == HTTPStatus.UNAUTHORIZED:
                raise Agent0Error(
                    f"The cluster at {self.address} does not know who asks (401); sign in again, so that `kubectl get "
                    "pods` answers."
                ) from error
            raise Agent0Error(f"The cluster at {self.address} refused ({error.status}): {_message(error)}") from error
        except urllib3.exceptions.HTTPError as error:
            cause = getattr(error, "reason", None) or error
            raise Agent0Error(
                f"The cluster at {self.address} does not answer ({cause}); check the current context: `kubectl config "
                "current-context`."
            ) from error

    def version(self) -> str:
        """Return the release of the API server."""
        found: Any = self.ask(self._versions.get_code)
        return str(found.git_version)

    def groups(self) -> dict[str, list[str]]:
        """Return the versions of each group of the API, the preferred one first."""
        found: Any = self.ask(self._apis.get_api_versions)
        versions = {}
        for group in found.groups:
            preferred, others = group.preferred_version.version, [item.version for item in group.versions]
            versions[group.name] = [preferred, *(version for version in others if version != preferred)]
        return versions


def _refused(message: str) -> str:
    """Return what the API says of a right that is missing, in short."""
    found = re.search(r'cannot (\w+) resource "([^"]+)" in API group "[^"]*" (?:in the namespace "([^"]+)")?', message)
    if found is None:
        return message
    verb, resource, namespace = found.groups()
    return f"you may not {verb} {resource}" + (f" in {namespace}" if namespace else " of the cluster")


def _message(error: Any) -> str:
    try:
        return str(json.loads(error.body)["message"])
    except (TypeError, ValueError, KeyError):
        return str(error.reason)
