"""What is uploaded to the test server: experiments, pipelines and their versions, with the server's words for errors.

Texts and codes are those of `backend/src/apiserver` of Kubeflow Pipelines 2.17, shortened where what was being done is
told at length.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.kubeflow.checking import (
    EXISTS,
    INTERNAL,
    INVALID,
    NOT_FOUND,
    ApiError,
    check_struct,
    parse_pipeline,
    require_readable,
)

Entry = dict[str, Any]


@dataclass
class Catalogue:
    """Experiments, pipelines and versions. The clock ticks a second at each thing made, so that tests repeat."""

    multi_user: bool = False
    experiments: dict[str, Entry] = field(default_factory=dict)
    pipelines: dict[str, Entry] = field(default_factory=dict)
    versions: dict[str, Entry] = field(default_factory=dict)
    now: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    made: int = 0

    # Experiments

    def create_experiment(self, body: Entry) -> Entry:
        if not str(body.get("display_name") or ""):
            raise ApiError(INVALID, "Failed to create an experiment: Invalid input error: Experiment name is empty")
        self._require_namespace(body.get("namespace", ""))
        self._refuse_twin(self.experiments, body, "experiment")
        entry = {**body, "experiment_id": self.identifier(), "created_at": self.time(), "storage_state": "AVAILABLE"}
        self.experiments[entry["experiment_id"]] = entry
        return entry

    # Pipelines and versions

    def create_pipeline(self, body: Entry) -> Entry:
        name = body.get("display_name") or body.get("name")
        if not name:
            raise ApiError(INVALID, "Failed to create a pipeline: Invalid input error: pipeline's name cannot be empty")
        entry = {**body, "display_name": name, "pipeline_id": "", "created_at": ""}
        entry.setdefault("name", name)
        self._refuse_twin(self.pipelines, entry, "pipeline")
        entry |= {"pipeline_id": self.identifier(), "created_at": self.time()}
        self.pipelines[entry["pipeline_id"]] = entry
        return entry

    def upload_pipeline(self, content: bytes, file_name: str, query: Mapping[str, str]) -> Entry:
        """Make a pipeline with a first version of the same name, or neither."""
        require_readable(file_name, content)
        struct = parse_pipeline(content.decode())
        fields = ("name", "display_name", "description", "namespace")
        named = {key: query[key] for key in fields if query.get(key)}
        pipeline = self.create_pipeline({"name": file_name, **named})
        self._add_version(pipeline["pipeline_id"], struct, {**query, "name": pipeline["display_name"]})
        return pipeline

    def upload_version(self, content: bytes, file_name: str, query: Mapping[str, str]) -> Entry:
        require_readable(file_name, content)
        if query.get("pipelineid") not in self.pipelines:
            raise ApiError(INVALID, "Failed to create a pipeline version")
        named = {"name": query.get("display_name") or file_name, **query}
        return self._add_version(query["pipelineid"], parse_pipeline(content.decode()), named)

    def _add_version(self, pipeline_id: str, struct: Entry, query: Mapping[str, str]) -> Entry:
        name = query["name"]
        if any(v["pipeline_id"] == pipeline_id and v["name"] == name for v in self.versions.values()):
            raise ApiError(EXISTS, "Failed to create a pipeline version")
        entry = {
            "pipeline_id": pipeline_id,
            "pipeline_version_id": self.identifier(),
            "name": name,
            "display_name": query.get("display_name") or name,
            "created_at": self.time(),
            "pipeline_spec": struct,
        }
        if query.get("description"):
            entry["description"] = query["description"]
        self.versions[entry["pipeline_version_id"]] = entry
        return entry

    def delete_pipeline(self, pipeline_id: str) -> None:
        get(self.pipelines, pipeline_id, "Pipeline")
        for version in self.versions.values():
            if version["pipeline_id"] == pipeline_id:
                raise ApiError(
                    INVALID,
                    f"Invalid input error: Failed to delete pipeline with id {pipeline_id} as it has existing pipeline "
                    f"versions (e.g. {version['pipeline_version_id']}). Set cascade=true to delete all versions",
                )
        del self.pipelines[pipeline_id]

    def version_of(self, reference: Entry) -> Entry:
        """Return the version that a reference names; with the pipeline alone, its newest."""
        identifier = reference.get("pipeline_id", "")
        if reference.get("pipeline_version_id"):
            return get(self.versions, reference["pipeline_version_id"], "PipelineVersion")
        found = [item for item in self.versions.values() if item["pipeline_id"] == identifier]
        if not found:
            raise ApiError(NOT_FOUND, f"ResourceNotFoundError: PipelineVersion for pipeline {identifier} not found")
        return max(found, key=lambda item: str(item["created_at"]))

    # Common rules

    def source_of(self, body: Entry, words: str) -> tuple[Mapping[str, Any], Entry]:
        """Return the pipeline of a run or schedule, and the reference by which the server tells it."""
        if "pipeline_spec" in body and "pipeline_version_reference" in body:
            raise ApiError(INVALID, 'proto: (line 1:2): error parsing "pipeline_spec", oneof is already set')
        try:
            if "pipeline_spec" in body:
                return check_struct(body["pipeline_spec"]), {}
            if "pipeline_version_reference" not in body:
                raise ApiError(
                    INVALID, "Invalid input error: Failed to fetch a template with an empty pipeline spec manifest"
                )
            version = self.version_of(body["pipeline_version_reference"])
        except ApiError as error:
            raise ApiError(INTERNAL, f"{words} due to error fetching manifest: {error.message}") from error
        reference = {key: version[key] for key in ("pipeline_id", "pipeline_version_id")}
        return check_struct(version["pipeline_spec"]), {"pipeline_version_reference": reference}

    def experiment_of(self, body: Entry, words: str) -> str:
        """Return the experiment that a request names, or the one for all that name none."""
        words = f"{words} due to invalid experimentId and namespace combination"
        if body.get("experiment_id"):
            try:
                return str(get(self.experiments, body["experiment_id"], "Experiment")["experiment_id"])
            except ApiError as error:
                raise error.within(words) from error
        if self.multi_user:
            raise ApiError(INVALID, f"{words}: Invalid input error: Experiment id can not be empty in multi-user mode")
        default = [item for item in self.experiments.values() if item["display_name"] == "Default"]
        return str((default or [self.create_experiment({"display_name": "Default"})])[0]["experiment_id"])

    def _require_namespace(self, namespace: str) -> None:
        if self.multi_user and not namespace:
            raise ApiError(INVALID, "Invalid input error: Namespace cannot be empty in multi-user mode")

    def _refuse_twin(self, entries: Mapping[str, Entry], body: Entry, kind: str) -> None:
        for other in entries.values():
            same = other["display_name"] == body["display_name"]
            if same and other.get("namespace", "") == body.get("namespace", ""):
                raise ApiError(
                    EXISTS,
                    f"Already exist error: Failed to create a new {kind}. The name {body['display_name']} already "
                    "exists. Please specify a new name",
                )

    def identifier(self) -> str:
        """Return a new identifier."""
        self.made += 1
        return str(uuid.uuid5(uuid.NAMESPACE_OID, str(self.made)))

    def time(self) -> str:
        """Return the time, a second later than before."""
        self.now += timedelta(seconds=1)
        return self.now.strftime("%Y-%m-%dT%H:%M:%SZ")


def get(entries: Mapping[str, Entry], identifier: str, kind: str) -> Entry:
    """Return an entry, or refuse as the server does."""
    if identifier not in entries:
        raise ApiError(NOT_FOUND, f"ResourceNotFoundError: {kind} {identifier} not found")
    return entries[identifier]
