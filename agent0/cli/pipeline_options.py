"""The options that every command has which talks to a server, written once."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from agent0.kubeflow.server_connection import TOKEN_FILE_VARIABLE, TOKEN_VARIABLE, Connection

_option = functools.partial(typer.Option, show_default=False, rich_help_panel="Connection")


def _connection(
    endpoint: Annotated[
        str,
        _option(
            envvar="KF_PIPELINES_ENDPOINT",
            help="Address of Kubeflow Pipelines; the cluster of the current context if not given.",
        ),
    ] = "",
    namespace: Annotated[
        str,
        _option(
            "--namespace",
            "-n",
            envvar="KF_PIPELINES_NAMESPACE",
            help="Your namespace on a server for several users; kfp's own context names it otherwise.",
        ),
    ] = "",
    token_file: Annotated[
        Path | None,
        _option(
            help=f"File with a token; the variable {TOKEN_VARIABLE} holds one too, {TOKEN_FILE_VARIABLE} names a file."
        ),
    ] = None,
    ca_file: Annotated[
        Path | None,
        _option(
            envvar=["KF_PIPELINES_SSL_CA_CERT", "REQUESTS_CA_BUNDLE"],
            help="Certificates (PEM) of the authority that signed the server's.",
        ),
    ] = None,
    verify_tls: Annotated[
        bool, _option("--verify-tls/--no-verify-tls", show_default=True, help="Check the server's certificate.")
    ] = True,
    timeout: Annotated[
        float, _option(min=0.1, max=86_400, show_default=True, help="Seconds that an answer may take.")
    ] = 30.0,
) -> Connection:
    return Connection(endpoint, namespace, token_file, ca_file, verify_tls, timeout)


_OPTIONS = list(inspect.signature(_connection).parameters)


def connected(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the connection's options; it gets them as its argument `connection`."""

    @functools.wraps(command)
    def wrapper(**values: Any) -> None:
        given = {name: values.pop(name) for name in _OPTIONS}
        command(**values, connection=_connection(**given))

    hints = get_type_hints(command, include_extras=True) | get_type_hints(_connection, include_extras=True)
    own = [item for name, item in inspect.signature(command).parameters.items() if name != "connection"]
    parameters = [*own, *inspect.signature(_connection).parameters.values()]
    hinted = [item.replace(annotation=hints[item.name], kind=inspect.Parameter.KEYWORD_ONLY) for item in parameters]
    wrapper.__signature__ = inspect.Signature(hinted)  # type: ignore[attr-defined]
    wrapper.__annotations__ = {item.name: item.annotation for item in hinted}
    return wrapper
