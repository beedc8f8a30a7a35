"""The connection to a Kubeflow Pipelines server: where it is, who asks, and errors as sentences.

A call goes through `kfp.Client` and the generated API below it. Both raise what their HTTP library raises; here, every
failure of a request becomes one of the errors of this module, in one place.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from agent0.errors import Agent0Error, UsageError
from agent0.storage.text_files import token_in

HEALTH_PATH = "/apis/v2beta1/healthz"
MINIMUM_SERVER = (2, 16)  # the first that knows every setting of our pods, such as securityContext
RELIABLE_SERVER = (2, 17)  # the first that tells the states of nested pipelines right, and that knows plugins
TOKEN_VARIABLE = "KF_PIPELINES_TOKEN"
TOKEN_FILE_VARIABLE = "KF_PIPELINES_SA_TOKEN_PATH"


class ServerError(Agent0Error):
    """A request failed; `status` is the HTTP status, or 0 where there was no answer."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class UnreachableError(ServerError):
    """The server gave no answer; asking again may help."""


@dataclass(frozen=True)
class Connection:
    """How to reach the server; what is empty is taken from the environment or from kfp's own context."""

    endpoint: str = ""
    namespace: str = ""
    token_file: Path | None = None
    ca_file: Path | None = None
    verify: bool = True
    timeout: float = 30.0


@dataclass(frozen=True)
class Server:
    """A server that has answered: the client, its address, and its version where it tells one."""

    client: Any
    address: str
    namespace: str
    version: tuple[int, ...]
    multi_user: bool

    @property
    def knows_plugins(self) -> bool:
        """Whether runs may carry the input of the server's MLflow plugin."""
        return self.version >= RELIABLE_SERVER

    @property
    def version_text(self) -> str:
        """The version for people."""
        return ".".join(str(part) for part in self.version) or "unknown"

    def link(self, kind: str, identifier: str) -> str:
        """Address of a page of the user interface."""
        return f"{self.client._get_url_prefix()}/#/{kind}/details/{identifier}"

    def get_text(self, path: str) -> str:
        """Return the answer to a GET of a path that the generated API does not know, as text."""
        answer = self.client._run_api.api_client.call_api(
            path, "GET", auth_settings=["Bearer"], _return_http_data_only=True, _preload_content=False
        )
        return str(answer.data.decode("utf-8", errors="replace"))


def connect(connection: Connection) -> Server:
    """Return the server, after it has answered with a version that serves.

    Raises:
        UsageError: no address is known, a file is missing, or multi-user without a namespace.
        ServerError: no answer, a refusal, or a server that is too old.
    """
    client = _make_client(connection)
    address = client._existing_config.host
    health = client.get_kfp_healthz()
    version = parse_version(health.tag_name)
    if version and version < MINIMUM_SERVER:
        raise ServerError(
            f"The server at {address} is Kubeflow Pipelines {'.'.join(map(str, version))}, which refuses settings of "
            "these pipelines' pods that it does not know, so every run would fail; have it upgraded to "
            f"{'.'.join(map(str, MINIMUM_SERVER))} or newer."
        )
    namespace = connection.namespace or client.get_user_namespace()
    multi_user = bool(health.multi_user)
    if multi_user and not namespace:
        raise UsageError(f"The server at {address} is for several users: say which --namespace is yours.")
    return Server(client, address, namespace, version, multi_user)


def parse_version(tag: str) -> tuple[int, ...]:
    """Return the numbers of a release's tag; empty where it names none."""
    found = re.match(r"v?(\d+)\.(\d+)(?:\.(\d+))?", tag)
    return tuple(int(part) for part in found.groups() if part is not None) if found else ()


def _make_client(connection: Connection) -> Any:
    import warnings

    import kfp
    import kfp_server_api
    import urllib3

    place = connection.endpoint or os.environ.get("KF_PIPELINES_ENDPOINT", "")

    class OneTryClient(kfp.Client):  # type: ignore[misc]
        """kfp's client, whose first question is not repeated for half a minute, and whose requests are guarded."""

        def _load_config(self, *arguments: Any, **options: Any) -> Any:
            config = super()._load_config(*arguments, **options)
            if not place and config.host in ("", kfp_server_api.Configuration().host):
                raise UsageError(
                    "Say where Kubeflow Pipelines is, with --endpoint or KF_PIPELINES_ENDPOINT: for example "
                    "http://localhost:8888 after `kubectl port-forward -n kubeflow svc/ml-pipeline 8888`."
                )
            config.retries = urllib3.Retry(connect=2, read=0, redirect=2, status=0, other=0, backoff_factor=0.2)
            return config

        def get_kfp_healthz(self, sleep_duration: int = 0) -> Any:
            api_client = self._healthz_api.api_client
            _guard(api_client.rest_client, api_client.configuration.host, connection)
            try:
                answer = api_client.call_api(
                    HEALTH_PATH, "GET", response_type="object", auth_settings=["Bearer"], _return_http_data_only=True
                )
            except ServerError as error:
                if error.status != 404:
                    raise
                raise ServerError(
                    f"There is no API v2beta1 of Kubeflow Pipelines at {api_client.configuration.host} (404): the "
                    "server is older than 2.0, or the address is another one."
                ) from error
            if not isinstance(answer, dict):
                raise ServerError(f"What answers at {api_client.configuration.host} is no API of Kubeflow Pipelines.")
            return SimpleNamespace(**{"tag_name": "", "multi_user": False, **answer})

        def _load_context_setting_or_default(self) -> None:
            super()._load_context_setting_or_default()
            # With a namespace known, the constructor asks the server nothing.
            self._context_setting["namespace"] = connection.namespace or self._context_setting.get("namespace", "")

    if not connection.verify:
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)  # asked for, and said once is enough
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return OneTryClient(
            host=place or None,
            ssl_ca_cert=_existing(connection.ca_file),
            verify_ssl=connection.verify,
            **_authentication(connection),
        )


def _authentication(connection: Connection) -> dict[str, Any]:
    """Return how the client proves who asks: by a token, or by a file that is read for each request.

    A file outlives its token: Kubernetes replaces the ones that it mounts, and a wait can be longer than that.
    """
    from kfp.client.set_volume_credentials import ServiceAccountTokenVolumeCredentials

    token, file = os.environ.get(TOKEN_VARIABLE), os.environ.get(TOKEN_FILE_VARIABLE)
    path = connection.token_file or (Path(file) if file and not token else None)
    if path is not None:
        token_in(path)  # so that one that is none is told of here, not by each request
        return {"credentials": ServiceAccountTokenVolumeCredentials(str(path))}
    return {"existing_token": token} if token else {}


def _existing(path: Path | None) -> str | None:
    if path is not None and not path.is_file():
        raise UsageError(f"There is no file {path}.")
    return None if path is None else str(path)


def _guard(rest_client: Any, host: str, connection: Connection) -> None:
    """Give each request of `rest_client` a time limit, and turn its failures into errors of this module."""
    import kfp_server_api
    import urllib3

    plain: Callable[..., Any] = rest_client.request
    limits = (min(10.0, connection.timeout), connection.timeout)  # to connect, and for each piece of the answer
    if getattr(plain, "guarded", False):
        return

    def request(method: str, url: str, **options: Any) -> Any:
        options["_request_timeout"] = options.get("_request_timeout") or limits
        try:
            answer = plain(method, url, **options)
        except kfp_server_api.ApiException as error:
            raise _refusal(error, host, connection) from error
        except urllib3.exceptions.HTTPError as error:
            raise _no_answer(error, method, host, connection) from error
        response = getattr(answer, "urllib3_response", answer)
        if "text/html" in response.headers.get("Content-Type", ""):
            raise ServerError(
                f"The server at {host} answers with a web page, not as the API of Kubeflow Pipelines: it may want a "
                f"login (give a token: {TOKEN_VARIABLE}, --token-file), or the address is another one."
            )
        return answer

    request.guarded = True  # type: ignore[attr-defined]
    rest_client.request = request


def _no_answer(error: Exception, method: str, host: str, connection: Connection) -> UnreachableError:
    import urllib3

    cause = getattr(error, "reason", None) or error
    doubt = "" if method == "GET" else " Whether it was done is not known: look with `agent0 pipeline list`."
    if isinstance(cause, urllib3.exceptions.SSLError):
        return _not_trusted(host, str(cause))
    if isinstance(cause, urllib3.exceptions.ConnectTimeoutError | urllib3.exceptions.NewConnectionError):
        return UnreachableError(
            f"Kubeflow Pipelines does not answer at {host}; check --endpoint or KF_PIPELINES_ENDPOINT, and that a "
            "port-forward still runs."
        )
    if isinstance(cause, urllib3.exceptions.ReadTimeoutError):
        return UnreachableError(
            f"Kubeflow Pipelines at {host} did not answer within {connection.timeout:g} s (--timeout).{doubt}"
        )
    return UnreachableError(f"The connection to Kubeflow Pipelines at {host} broke off ({cause}).{doubt}")


def _refusal(error: Any, host: str, connection: Connection) -> ServerError:
    """Turn an answer that is no success into a sentence."""
    status, message = error.status or 0, _message(error.body) or str(error.reason)
    if status == 0:  # the generated client's way to report TLS
        return _not_trusted(host, message.replace("\n", ": "))
    if status == 401:
        text = f"The server at {host} does not know who asks (401): give a token ({TOKEN_VARIABLE}, --token-file)"
        return ServerError(f"{text}, or a new one if it has expired.", status)
    if status == 403:
        where = f" in namespace {connection.namespace}" if connection.namespace else ""
        return ServerError(f"The server at {host} does not allow this{where} (403): {message}", status)
    if status >= 500:
        return UnreachableError(f"The server at {host} failed ({status}): {message}", status)
    return ServerError(f"The server at {host} refused ({status}): {message}", status)


def _not_trusted(host: str, cause: str) -> UnreachableError:
    return UnreachableError(
        f"The certificate of {host} is not trusted ({cause}); name its authority with --ca-file, or use "
        "--no-verify-tls."
    )


def _message(body: Any) -> str:
    """Return the sentence in an error's body: of the gateway, or of the upload."""
    text = body.decode("utf-8", errors="replace") if isinstance(body, bytes) else str(body or "")
    try:
        values = json.loads(text)
    except ValueError:
        return text.strip()[:300]
    if not isinstance(values, dict):
        return text[:300]
    return str(values.get("message") or values.get("error_message") or values.get("error") or text)[:600]
