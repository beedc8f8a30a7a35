"""Talking to an S3 server: the client, which errors are worth another try, and what the others mean.

Credentials come from boto3's own chain: environment, shared files, IRSA and pod identity on a cluster. For an endpoint
that is not Amazon's, keys go into the path, not into the host name, and requests carry checksums only where S3 demands
them: boto3 otherwise sends them as trailers, which some servers refuse behind TLS (Ceph 16: 411 MissingContentLength).
What is read is checked against its sha256, so boto3 need not ask for a checksum of its own before each download.
`AWS_REQUEST_CHECKSUM_CALCULATION`, `AWS_RESPONSE_CHECKSUM_VALIDATION` and the settings of the profile win over that.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
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
from s3transfer.exceptions import RetriesExceededError, S3DownloadFailedError, S3ValidationError
from urllib3.exceptions import HTTPError

from agent0.storage.transfer_settings import TransferSettings
from agent0.storage.transfer_threads import Crew
from agent0.storage.uri import NotThereError, StorageError

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
CLEANING_UP = "AbortMultipartUpload"
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
        amazon = host.endswith((".amazonaws.com", ".amazonaws.com.cn"))
        profile = session._session.get_scoped_config()
        checksums = {
            name: "when_required"
            for name in ("response_checksum_validation", *(() if amazon else ("request_checksum_calculation",)))
            if f"AWS_{name.upper()}" not in os.environ and name not in profile
        }
        config = config.merge(Config(s3=None if amazon else {"addressing_style": "path"}, **checksums))
        return session.client("s3", region_name=region, config=config)
    except (BotoCoreError, ValueError) as error:
        raise StorageError(
            f"The S3 client cannot be set up ({error}); check AWS_ENDPOINT_URL_S3, AWS_PROFILE, AWS_REGION and "
            "AWS_CA_BUNDLE."
        ) from error


class AwayError(Exception):
    """The server did not answer one request until the deadline."""


def keep_trying(client: Any, deadline_seconds: float, crew: Crew) -> None:
    """Let each request of `client` be tried again while the server is away, and none begin once the transfer failed.

    A request raises `AwayError` at the deadline, and `StoppedError` where another thread of the transfer failed. What
    boto3 gives up for either, an upload in parts, it cleans up with one attempt and whatever happened.
    """

    def begin(model: Any, **_: Any) -> None:
        if model.name != CLEANING_UP:
            crew.pause(0)

    def again(
        operation: Any, attempts: int, request_dict: Any, response: Any, caught_exception: Exception | None, **_: Any
    ) -> float | None:
        error = caught_exception or ClientError(response[1], operation.name)
        if not is_transient(error) or operation.name == CLEANING_UP:
            return None
        begun = request_dict["context"].setdefault("agent0_away_since", time.monotonic())
        waited = time.monotonic() - begun
        if waited >= deadline_seconds:
            raise AwayError(f"did not answer for {waited:.0f} s", error) from error
        pause = min(FIRST_PAUSE_SECONDS * 2 ** min(attempts - 1, 10), LONGEST_PAUSE_SECONDS)
        crew.pause(min(pause * random.uniform(0.5, 1.0), max(0.05, deadline_seconds - waited)))
        return 0.0

    client.meta.events.register("before-call.s3", begin)
    client.meta.events.register("needs-retry.s3", again)


@contextmanager
def explained(endpoint: str, doing: str) -> Iterator[None]:
    """Say in a sentence why a request in the block failed.

    Args:
        endpoint: the server.
        doing: what the block does and to what: 'reading s3://bucket/key'.

    Raises:
        NotThereError: there is no such object or upload.
        StorageError: the server refuses, or did not answer until the deadline.
    """
    try:
        yield
    except (AwayError, RetriesExceededError) as error:
        how, last = error.args if isinstance(error, AwayError) else ("broke off again and again", error.last_exception)
        raise StorageError(
            f"{endpoint} {how} while {doing} (last: {last}); what was copied is kept: start again when the server is "
            "back, or allow it more time with AGENT0_STORAGE_DEADLINE (seconds)."
        ) from error
    except (S3DownloadFailedError, S3ValidationError) as error:
        raise StorageError(f"It was changed by someone else while {doing} ({error}); start again.") from error
    except ClientError as error:
        code = error_code(error)
        where = f"{endpoint} while {doing} ({code}: {error.response.get('Error', {}).get('Message', '')})"
        if code in MISSING_CODES:
            raise NotThereError(f"There is nothing there: {where}.") from error
        raise StorageError(f"{_server_reason(error, code)} It happened at {where}.") from error
    except (BotoCoreError, HTTPError) as error:
        raise StorageError(f"{_client_reason(error)} It happened at {endpoint} while {doing}.") from error


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
