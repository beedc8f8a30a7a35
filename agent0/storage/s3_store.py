"""A bucket of an S3 server as a store: large files go in parts, and the parts of a broken upload are not sent again.

Each object carries its sha256 as metadata. Nothing here trusts an upload that it did not begin: parts that are there
already are compared with the file, and the finished object is looked at before it counts. Uploads that are given up for
good stay on the server until a lifecycle rule of the bucket (AbortIncompleteMultipartUpload) takes them away.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from agent0.storage.manifest import FileRecord
from agent0.storage.objects import Answer, Requests, make_client, status
from agent0.storage.settings import TransferSettings
from agent0.storage.store import Item
from agent0.storage.transfer_threads import Crew, Meter
from agent0.storage.uri import Location, NotThereError, StorageError

SHA256_METADATA = "sha256"
MOST_PARTS = 10_000
READ_BYTES = 1 << 20
UPLOAD_ATTEMPTS = 3


class S3Store:
    """The objects of one bucket."""

    def __init__(self, bucket: str, settings: TransferSettings, crew: Crew) -> None:
        self._bucket = bucket
        self._settings = settings
        self._crew = crew
        self._client = make_client(settings)
        self._requests = Requests(self._client.meta.endpoint_url, settings.deadline_seconds, crew)

    def name(self, key: str) -> Location:
        """Return the object's URI."""
        return Location(self._bucket, key)

    def find(self, key: str) -> Item | None:
        """Return the object at `key` with the sha256 that it was stored with."""

        def head() -> Any:
            try:
                return self._client.head_object(Bucket=self._bucket, Key=key)
            except ClientError as error:
                if status(error) == 403:
                    # The answer to HEAD has no body that says why; the answer to this does.
                    self._client.list_objects_v2(Bucket=self._bucket, MaxKeys=1, Prefix=key)
                raise

        try:
            answer = self._call("looking for", key, head)
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
        try:
            return self._call("reading", key, lambda: bytes(self._get(key)["Body"].read()))
        except NotThereError:
            return None

    def write(self, key: str, data: bytes) -> None:
        """Write a small object."""
        self._put(key, data, hashlib.sha256(data).hexdigest())

    def send(self, source: Path, key: str, record: FileRecord, meter: Meter) -> str:
        """Send a file, in one piece or in parts; parts of an earlier attempt are used.

        Raises:
            StorageError: others keep writing to the same key, or the server refuses or is away.
        """
        if record.size <= self._settings.part_bytes:
            with self._crew.slots:
                version = self._put(key, source.read_bytes(), record.sha256)
            meter.add(record.size)
            return version
        counted: list[int] = []

        def count(size: int) -> None:
            counted.append(size)
            meter.add(size)

        for attempt in range(UPLOAD_ATTEMPTS):
            # Not there any more: another transfer finished or aborted the upload; the object tells which.
            with suppress(NotThereError):
                self._send_parts(source, key, record, count, resume=attempt == 0)
            found = self.find(key)
            if found and (found.size, found.sha256) == (record.size, record.sha256):
                meter.add(record.size - sum(counted))
                return found.version
        raise StorageError(
            f"{self.name(key)} was not taken over {UPLOAD_ATTEMPTS} uploads; see that nothing else writes there, and "
            "start again."
        )

    def fetch(self, key: str, target: Path, size: int, meter: Meter) -> None:
        """Read an object into a file, in ranges side by side when it is large."""
        part_bytes = self._part_bytes(size)
        with target.open("wb") as file:
            descriptor = file.fileno()
            if size <= part_bytes:
                self._call("reading", key, lambda: _pour(self._get(key), descriptor, 0))
                meter.add(size)
                return
            os.ftruncate(descriptor, size)

            def part(offset: int) -> None:
                end = min(offset + part_bytes, size)
                with self._crew.slots:
                    self._call(
                        "reading",
                        key,
                        lambda: _pour(self._get(key, Range=f"bytes={offset}-{end - 1}"), descriptor, offset),
                    )
                meter.add(end - offset)

            self._crew.run([partial(part, offset) for offset in range(0, size, part_bytes)])

    def delete(self, keys: Sequence[str]) -> None:
        """Remove objects one by one side by side: not every server takes a list without an MD5 of the request."""

        def remove(key: str) -> None:
            self._call("removing", key, partial(self._client.delete_object, Bucket=self._bucket, Key=key))

        self._crew.run([partial(remove, key) for key in keys])

    def _send_parts(
        self, source: Path, key: str, record: FileRecord, count: Callable[[int], None], *, resume: bool
    ) -> None:
        """Send the parts that are not there yet, and put the object together unless its upload is gone."""
        part_bytes = self._part_bytes(record.size)
        upload, there = self._earlier_upload(source, key, part_bytes) if resume else (None, {})
        upload = upload or self._begin_upload(key, record)

        def part(number: int) -> dict[str, Any] | None:
            tag = there.get(number)
            if tag is None:
                with self._crew.slots:
                    data = _part_of(source, number, part_bytes)
                    try:
                        tag = self._send_part(key, upload, number, data)
                    except NotThereError:
                        return None
            count(min(part_bytes, record.size - (number - 1) * part_bytes))
            return {"PartNumber": number, "ETag": f'"{tag}"'}

        parts = self._crew.run([partial(part, n + 1) for n in range(-(-record.size // part_bytes))])
        if all(parts):
            self._call(
                "finishing",
                key,
                partial(
                    self._client.complete_multipart_upload,
                    Bucket=self._bucket,
                    Key=key,
                    UploadId=upload,
                    MultipartUpload={"Parts": parts},
                ),
            )

    def _earlier_upload(self, source: Path, key: str, part_bytes: int) -> tuple[str | None, dict[int, str]]:
        """Return the newest unfinished upload of the same file, and the MD5 of each part it has."""
        answer = self._call(
            "looking for unfinished uploads of",
            key,
            partial(self._client.list_multipart_uploads, Bucket=self._bucket, Prefix=key),
        )
        uploads = [item for item in answer.get("Uploads", []) if item["Key"] == key]
        if not uploads:
            return None, {}
        upload = max(uploads, key=lambda item: item["Initiated"])["UploadId"]
        pages = self._client.get_paginator("list_parts").paginate(Bucket=self._bucket, Key=key, UploadId=upload)
        try:
            parts = self._call(
                "looking for parts of", key, lambda: [p for page in pages for p in page.get("Parts", [])]
            )
        except NotThereError:
            return None, {}
        there = {int(part["PartNumber"]): _etag(part) for part in parts}
        if not there or any(tag != _md5(_part_of(source, number, part_bytes)) for number, tag in there.items()):
            self._abort(key, upload)
            return None, {}
        return upload, there

    def _begin_upload(self, key: str, record: FileRecord) -> str:
        metadata = {SHA256_METADATA: record.sha256}
        answer = self._call(
            "writing",
            key,
            partial(self._client.create_multipart_upload, Bucket=self._bucket, Key=key, Metadata=metadata),
        )
        return str(answer["UploadId"])

    def _send_part(self, key: str, upload: str, number: int, data: bytes) -> str:
        answer = self._call(
            "writing",
            key,
            partial(
                self._client.upload_part, Bucket=self._bucket, Key=key, UploadId=upload, PartNumber=number, Body=data
            ),
        )
        return _etag(answer)

    def _abort(self, key: str, upload: str) -> None:
        with suppress(NotThereError):
            self._call(
                "giving up an upload of",
                key,
                partial(self._client.abort_multipart_upload, Bucket=self._bucket, Key=key, UploadId=upload),
            )

    def _put(self, key: str, data: bytes, sha256: str) -> str:
        metadata = {SHA256_METADATA: sha256}
        answer = self._call(
            "writing",
            key,
            partial(self._client.put_object, Bucket=self._bucket, Key=key, Body=data, Metadata=metadata),
        )
        return _etag(answer)

    def _get(self, key: str, **more: str) -> Any:
        return self._client.get_object(Bucket=self._bucket, Key=key, **more)

    def _pages(self, prefix: str, **more: str) -> Sequence[Any]:
        paginator = self._client.get_paginator("list_objects_v2")
        start = f"{prefix}/" if prefix else ""
        pages = paginator.paginate(Bucket=self._bucket, Prefix=start, **more)
        return self._call("listing", prefix, lambda: [page for page in pages])

    def _part_bytes(self, size: int) -> int:
        return max(self._settings.part_bytes, -(-size // MOST_PARTS))

    def _call(self, doing: str, key: str, request: Callable[[], Answer]) -> Answer:
        return self._requests.call(f"{doing} {self.name(key)}", request)


def _etag(answer: Any) -> str:
    return str(answer["ETag"]).strip('"')


def _pour(answer: Any, descriptor: int, offset: int) -> None:
    """Write a response's body into a file from `offset` on; a repeated attempt writes the same place again."""
    for block in answer["Body"].iter_chunks(READ_BYTES):
        os.pwrite(descriptor, block, offset)
        offset += len(block)


def _part_of(source: Path, number: int, part_bytes: int) -> bytes:
    with source.open("rb") as file:
        file.seek((number - 1) * part_bytes)
        return file.read(part_bytes)


def _md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()
