"""Talking to an S3 server: the client, which errors are worth another try, and what the others mean.

Credentials come from boto3's own chain: environment, shared files, IRSA and pod identity on a cluster. For an endpoint
that is not Amazon's, keys go into the path, not into the host name, and requests carry checksums only where S3 demands
them: boto3 otherwise sends them as trailers, which some servers refuse behind TLS (Ceph 16: 411 MissingContentLength).
`AWS_REQUEST_CHECKSUM_CALCULATION`, `AWS_RESPONSE_CHECKSUM_VALIDATION` and the settings of the profile win over that.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,
    HTTPClientError,
    IncompleteReadError,
    NoCredentialsError,
    PartialCredentialsError,
    SSLError,
)
from urllib3.exceptions import HTTPError

from agent0.storage.settings import TransferSettings
from agent0.storage.transfer_threads import Crew
from agent0.storage.uri import NotThereError, StorageError

Answer = TypeVar("Answer")
RESPONSE_SECONDS = 60.0
CONNECT_SECONDS = 10.0
FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 5.0
TRANSIENT_CODES = {"SlowDown", "RequestTimeout", "Throttling", "ThrottlingException", "OperationAborted"}
MISSING_CODES = {"NoSuchKey", "NoSuchUpload", "404", "NotFound"}
CREDENTIAL_CODES = {
    "AuthorizationHeaderMalformed",
    "ExpiredToken",
    "InvalidAccessKeyId",
    "InvalidToken",
    "SignatureDoesNotMatch",
}
FULL_CODES = {"EntityTooLarge", "InsufficientStorage", "QuotaExceeded", "XAmzQuotaExceeded"}


def make_client(settings: TransferSettings) -> Any:
    """Return a boto3 client for the configured S3 server."""
    session = boto3.session.Session()
    timeout = max(1.0, settings.deadline_seconds)
    config = Config(
        connect_timeout=min(CONNECT_SECONDS, timeout),
        read_timeout=min(RESPONSE_SECONDS, timeout),
        max_pool_connections=2 * settings.workers + 2,
        retries={"total_max_attempts": 1, "mode": "standard"},
        signature_version="s3v4",
    )
    region = session.region_name or "us-east-1"
    try:
        client = session.client("s3", region_name=region, config=config)
        host = urlsplit(client.meta.endpoint_url).hostname or ""
        if host.endswith((".amazonaws.com", ".amazonaws.com.cn")):
            return client
        profile = session._session.get_scoped_config()
        checksums = {
            name: "when_required"
            for name in ("request_checksum_calculation", "response_checksum_validation")
            if f"AWS_{name.upper()}" not in os.environ and name not in profile
        }
        other = config.merge(Config(s3={"addressing_style": "path"}, **checksums))
        return session.client("s3", region_name=region, config=other)
    except (BotoCoreError, ValueError) as error:
        raise StorageError(
            f"The S3 client cannot be set up ({error}); check AWS_ENDPOINT_URL_S3, AWS_PROFILE, AWS_REGION and "
            "AWS_CA_BUNDLE."
        ) from error


class Requests:
    """Requests to one endpoint, tried again until a deadline while the server is away."""

    def __init__(self, endpoint: str, deadline_seconds: float, crew: Crew) -> None:
        self._endpoint = endpoint
        self._deadline = deadline_seconds
        self._crew = crew

    def call(self, doing: str, request: Callable[[], Answer]) -> Answer:
        """Return what `request` returns.

        Args:
            doing: what it does and to what, for errors: 'reading s3://bucket/key'.
            request: may be called several times.

        Raises:
            NotThereError: there is no such object or upload.
            StorageError: the server refuses, or did not answer until the deadline.
            StoppedError: another thread of the transfer failed.
        """
        begin = None
        pause = FIRST_PAUSE_SECONDS
        while True:
            try:
                return request()
            except (ClientError, BotoCoreError, HTTPError) as error:
                if not is_transient(error):
                    raise self._explained(doing, error) from error
                begin = begin or time.monotonic()
                waited = time.monotonic() - begin
                if waited >= self._deadline:
                    raise StorageError(
                        f"{self._endpoint} did not answer for {waited:.0f} s while {doing} (last: {error}); what was "
                        "copied is kept: start again when the server is back, or allow it more time with "
                        "AGENT0_STORAGE_DEADLINE (seconds)."
                    ) from error
            self._crew.pause(min(pause * random.uniform(0.5, 1.0), max(0.05, self._deadline - waited)))
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    def _explained(self, doing: str, error: Exception) -> StorageError:
        if not isinstance(error, ClientError):
            return StorageError(f"{_client_reason(error)} It happened at {self._endpoint} while {doing}.")
        code = error_code(error)
        message = error.response.get("Error", {}).get("Message", "")
        where = f"{self._endpoint} while {doing} ({code}: {message})"
        if code in MISSING_CODES:
            return NotThereError(f"There is nothing there: {where}.")
        return StorageError(f"{_server_reason(error, code)} It happened at {where}.")


def error_code(error: ClientError) -> str:
    """Return the server's name of an error, or the HTTP status where the answer has no body."""
    return str(error.response.get("Error", {}).get("Code", ""))


def status(error: ClientError) -> int:
    """Return the HTTP status of an error."""
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def is_transient(error: Exception) -> bool:
    """Say whether the same request may succeed later."""
    if isinstance(error, ClientError):
        code = status(error)
        return error_code(error) in TRANSIENT_CODES or code == 429 or (code >= 500 and code != 501)
    if isinstance(error, SSLError):
        return "CERTIFICATE_VERIFY_FAILED" not in str(error) and "WRONG_VERSION" not in str(error)
    return isinstance(error, ConnectionError | HTTPClientError | HTTPError | IncompleteReadError)


def _server_reason(error: ClientError, code: str) -> str:
    if error.operation_name.startswith("AssumeRole"):
        return "The pod's role could not be assumed: check AWS_ROLE_ARN and the trust policy of that role."
    if code == "NoSuchBucket":
        return "The bucket does not exist: create it, or correct the s3:// URI or the endpoint."
    if code == "RequestTimeTooSkewed":
        return "This machine's clock is too far from the server's: set the clock (NTP) and start again."
    if code in CREDENTIAL_CODES:
        return (
            "The server does not accept the credentials: check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, "
            "AWS_SESSION_TOKEN and AWS_REGION."
        )
    if status(error) in (401, 403):
        return (
            "The server denies access: check the credentials (AWS_ACCESS_KEY_ID, AWS_PROFILE or the pod's role) and "
            "what they may do in this bucket."
        )
    if status(error) == 411:
        return (
            "The server takes no checksums as trailers: unset AWS_REQUEST_CHECKSUM_CALCULATION and the profile's "
            "request_checksum_calculation, or set them to when_required."
        )
    if code in FULL_CODES:
        return "The store is full or takes no object of this size: free space or raise the quota, then start again."
    return "The server refused the request: correct what it names."


def _client_reason(error: Exception) -> str:
    if isinstance(error, NoCredentialsError | PartialCredentialsError):
        return (
            "There are no complete S3 credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, "
            "or give the pod a role."
        )
    if isinstance(error, SSLError):
        return f"The server's certificate cannot be trusted ({error}): set AWS_CA_BUNDLE to the file of its authority."
    return f"The request could not be made ({error}): correct the AWS settings that it names."
