"""What a place in a store is called: `s3://bucket/key`, or a local path; and the errors of stores."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from agent0.errors import Agent0Error

BUCKET_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,62}")


class StorageError(Agent0Error):
    """A store did not give or take what it should."""


class NotThereError(StorageError):
    """There is nothing at that place."""


class NotWholeError(StorageError):
    """Files are at that place, but the folder that they belong to never became whole."""


@dataclass(frozen=True)
class Location:
    """A place in a store.

    Attributes:
        bucket: the S3 bucket; None for a local path.
        key: the key inside the bucket without slashes at its ends ("" for the whole bucket), or the local path.
    """

    bucket: str | None
    key: str

    def __str__(self) -> str:
        return self.key if self.bucket is None else f"s3://{self.bucket}/{self.key}".rstrip("/")


def parse(uri: str) -> Location:
    """Read a local path or an `s3://` URI.

    Raises:
        StorageError: another scheme, no bucket, or a key that S3 servers take for another one.
    """
    scheme, separator, rest = uri.partition("://")
    if not separator:
        if not uri:
            raise StorageError("An empty path names no place; give a local path or s3://BUCKET/KEY.")
        return Location(None, str(Path(uri).absolute()))
    if scheme != "s3":
        raise StorageError(f"{uri} starts with {scheme}://, which no store here answers; give a local path or s3://.")
    bucket, _, key = rest.partition("/")
    if not BUCKET_NAME.fullmatch(bucket):
        raise StorageError(f"{uri} names no valid bucket ({bucket!r}); write s3://BUCKET/KEY.")
    parts = key.rstrip("/").split("/")
    if parts != [""] and any(part in ("", ".", "..") for part in parts):
        raise StorageError(f"{uri} has an empty, '.' or '..' part, which S3 does not resolve; write the plain key.")
    return Location(bucket, "/".join(parts))


def is_in_s3(place: str) -> bool:
    """Say whether a place is written as one in S3, not as a local path."""
    return place.startswith("s3://")


def join(key: str, name: str) -> str:
    """Return the key of `name` under `key`."""
    return f"{key}/{name}" if key else name
