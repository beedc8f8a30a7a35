"""A bucket of an S3 server as a store; boto3's transfer manager sends and reads large files in parts side by side.

Each object carries its sha256 as metadata, and one that was sent in parts is looked at before it counts. Uploads that
were killed stay on the server until a lifecycle rule of the bucket (AbortIncompleteMultipartUpload) takes them away.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

from boto3.s3.transfer import ProgressCallbackInvoker, TransferConfig, create_transfer_manager
from botocore.exceptions import ClientError

from agent0.storage.manifest import FileRecord
from agent0.storage.s3_client import explained, keep_trying, make_client, status
from agent0.storage.store import Item
from agent0.storage.transfer_settings import TransferSettings
from agent0.storage.transfer_threads import Crew, Meter
from agent0.storage.uri import Location, NotThereError, StorageError

SHA256_METADATA = "sha256"
READ_BYTES = 1 << 20
WAITING_BLOCKS = 32
"""Most blocks of a download that are in memory and wait for the disk."""


@contextmanager
def s3_store(bucket: str, settings: TransferSettings, crew: Crew) -> Iterator[S3Store]:
    """Yield the objects of `bucket` for the length of one transfer, which `crew` works on."""
    client = make_client(settings)
    keep_trying(client, settings.deadline_seconds, crew)
    config = TransferConfig(
        multipart_threshold=settings.part_bytes,
        multipart_chunksize=settings.part_bytes,
        max_concurrency=settings.workers,
        io_chunksize=READ_BYTES,
        max_io_queue=WAITING_BLOCKS,
        preferred_transfer_client="classic",  # the other one asks no handler whether to try again
    )
    with create_transfer_manager(client, config) as manager:
        yield S3Store(bucket, client, manager, settings.part_bytes, crew)


class S3Store:
    """The objects of one bucket."""

    def __init__(self, bucket: str, client: Any, manager: Any, part_bytes: int, crew: Crew) -> None:
        self._bucket = bucket
        self._client = client
        self._manager = manager
        self._part_bytes = part_bytes
        self._crew = crew

    def name(self, key: str) -> Location:
        """Return the object's URI."""
        return Location(self._bucket, key)

    def find(self, key: str) -> Item | None:
        """Return the object at `key` with the sha256 that it was stored with."""
        try:
            with self._doing("looking for", key):
                try:
                    answer = self._client.head_object(Bucket=self._bucket, Key=key)
                except ClientError as error:
                    if status(error) == 403:
                        # The answer to HEAD has no body that says why; the answer to this does.
                        self._client.list_objects_v2(Bucket=self._bucket, MaxKeys=1, Prefix=key)
                    raise
        except NotThereError:
            return None
        return Item(answer["ContentLength"], _etag(answer), answer["Metadata"].get(SHA256_METADATA))

    def listing(self, prefix: str) -> dict[str, Item]:
        """Return all objects under `prefix`/ by key."""
        items = (item for page in self._pages(prefix) for item in page.get("Contents", []))
        return {item["Key"]: Item(item["Size"], _etag(item), None) for item in items}

    def children(self, prefix: str) -> tuple[list[str], list[str]]:
        """Return the names of the objects, and of the prefixes of further objects, directly under `prefix`/."""
        start = len(prefix) + 1 if prefix else 0
        files: list[str] = []
        folders: list[str] = []
        for page in self._pages(prefix, Delimiter="/"):
            files += [item["Key"][start:] for item in page.get("Contents", []) if item["Key"][start:]]
            folders += [item["Prefix"][start:-1] for item in page.get("CommonPrefixes", []) if item["Prefix"][start:-1]]
        return files, folders

    def read(self, key: str) -> bytes | None:
        """Return a small object's content, None if there is none."""
        content = BytesIO()
        try:
            self._download(key, content)
        except NotThereError:
            return None
        return content.getvalue()

    def write(self, key: str, data: bytes) -> None:
        """Write a small object."""
        self._put(key, data, hashlib.sha256(data).hexdigest())

    def send(self, source: Path, key: str, record: FileRecord, meter: Meter) -> str:
        """Send a file, in one piece or in parts.

        Raises:
            StorageError: others write to the same key, or the server refuses or is away.
        """
        if record.size <= self._part_bytes:
            version = self._put(key, source.read_bytes(), record.sha256)
            meter.add(record.size)
            return version
        metadata = {"Metadata": {SHA256_METADATA: record.sha256}}
        progress = [ProgressCallbackInvoker(meter.add)]
        # An upload that is not there any more was finished, its answer lost, or aborted; the object tells which.
        with suppress(NotThereError), self._doing("writing", key):
            self._manager.upload(str(source), self._bucket, key, metadata, progress).result()
        found = self.find(key)
        if found is None or (found.size, found.sha256) != (record.size, record.sha256):
            raise StorageError(
                f"{self.name(key)} is not what was sent; see that nothing else writes there, and start again."
            )
        return found.version

    def fetch(self, key: str, target: Path, meter: Meter) -> None:
        """Read an object into a file, in ranges side by side when it is large."""
        self._download(key, str(target), ProgressCallbackInvoker(meter.add))

    def delete(self, keys: Sequence[str]) -> None:
        """Remove objects one by one side by side: not every server takes a list without an MD5 of the request."""

        def remove(key: str) -> None:
            with self._doing("removing", key):
                self._client.delete_object(Bucket=self._bucket, Key=key)

        self._crew.run([partial(remove, key) for key in keys])

    def _put(self, key: str, data: bytes, sha256: str) -> str:
        metadata = {SHA256_METADATA: sha256}
        with self._doing("writing", key):
            return _etag(self._client.put_object(Bucket=self._bucket, Key=key, Body=data, Metadata=metadata))

    def _download(self, key: str, target: str | BytesIO, *progress: ProgressCallbackInvoker) -> None:
        with self._doing("reading", key):
            self._manager.download(self._bucket, key, target, subscribers=progress).result()

    def _pages(self, prefix: str, **more: str) -> Sequence[Any]:
        paginator = self._client.get_paginator("list_objects_v2")
        start = f"{prefix}/" if prefix else ""
        with self._doing("listing", prefix):
            return list(paginator.paginate(Bucket=self._bucket, Prefix=start, **more))

    def _doing(self, what: str, key: str) -> AbstractContextManager[None]:
        return explained(self._client.meta.endpoint_url, f"{what} {self.name(key)}")


def _etag(answer: Any) -> str:
    return str(answer["ETag"]).strip('"')
