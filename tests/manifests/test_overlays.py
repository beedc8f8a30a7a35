"""What each overlay is for: where its objects go, whose namespace it is, and what its volumes and jobs need."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from tests.manifests.building import (
    GPU,
    KIND,
    MANIFESTS,
    NAMESPACE,
    OURS,
    PROFILE,
    STANDALONE,
    built,
    documents,
    named,
    one,
)


def test_objects_go_where_kubeflow_runs_pipelines() -> None:
    for folder, expected in {STANDALONE: "kubeflow", KIND: "kubeflow", PROFILE: "agent0", GPU: "agent0"}.items():
        assert one(built(folder), "ServiceAccount", "agent0-runner")["metadata"]["namespace"] == expected


@pytest.mark.parametrize("folder", [PROFILE, NAMESPACE, GPU], ids=named)
def test_a_namespace_of_ours_is_one_that_kubeflows_network_policies_let_in(folder: Path) -> None:
    labels = one(built(folder), "Namespace", "agent0")["metadata"]["labels"]
    assert labels["app.kubernetes.io/part-of"] == "kubeflow-profile"


@pytest.mark.parametrize("folder", [PROFILE, GPU], ids=named)
def test_the_namespace_of_a_profile_names_the_owner_so_that_the_profiles_controller_takes_it_over(folder: Path) -> None:
    objects = built(folder)
    profile, namespace = one(objects, "Profile", "agent0"), one(objects, "Namespace", "agent0")
    assert namespace["metadata"]["annotations"]["owner"] == profile["spec"]["owner"]["name"] == "user@example.com"
    assert namespace["metadata"]["labels"]["pipelines.kubeflow.org/enabled"] == "true"


def test_without_a_profiles_controller_the_namespace_has_what_it_would_have_made_but_for_the_secret() -> None:
    objects = built(NAMESPACE)
    root = one(objects, "ConfigMap", "kfp-launcher")["data"]["defaultPipelineRoot"]
    repository = yaml.safe_load(one(objects, "ConfigMap", "artifact-repositories")["data"]["default-namespaced"])
    assert root.startswith("minio://mlpipeline/private-artifacts/agent0/")
    assert repository["s3"]["keyFormat"].startswith("private-artifacts/agent0/")
    assert repository["s3"]["accessKeySecret"] == {"name": "mlpipeline-minio-artifact", "key": "accesskey"}


@pytest.mark.parametrize("folder", OURS, ids=named)
def test_each_claim_is_made_writable_for_the_user_of_steps_where_pipelines_mount_it(folder: Path) -> None:
    objects = built(folder)
    claims = {o["metadata"]["name"] for o in objects if o["kind"] == "PersistentVolumeClaim"}
    pod = one(objects, "Job", "agent0-volumes")["spec"]["template"]["spec"]
    mounted = {volume["persistentVolumeClaim"]["claimName"] for volume in pod["volumes"]}
    assert mounted == claims
    assert pod["securityContext"]["fsGroup"] == pod["securityContext"]["runAsUser"] == 10001
    (container,) = pod["containers"]
    places = {mount["mountPath"] for mount in container["volumeMounts"]}
    assert {str(Path(made).parent) for made in container["args"]} == places
    assert one(objects, "ConfigMap", "agent0-settings")["data"]["HF_HOME"] in container["args"]


def test_jobs_have_no_sidecar_that_would_keep_them_from_ending() -> None:
    jobs = [o for o in built(GPU) if o["kind"] == "Job"]
    assert len(jobs) == 2
    for metadata in (job["spec"]["template"]["metadata"] for job in jobs):
        assert metadata["labels"]["sidecar.istio.io/inject"] == "false"
        assert metadata["annotations"]["sidecar.istio.io/inject"] == "false"


def test_the_patch_of_kubeflows_server_is_one_of_templates_so_that_it_survives_and_restarts_no_part_of_a_pipeline() -> (
    None
):
    (patch,) = documents(MANIFESTS / "components" / "server" / "ml-pipeline.yaml")
    (container,) = patch["spec"]["template"]["spec"]["containers"]
    (variable,) = container["env"]
    assert (container["name"], variable["name"]) == ("ml-pipeline-api-server", "COMPILED_PIPELINE_SPEC_PATCH")
    (defaults,) = json.loads(variable["value"]).items()
    assert defaults[0] == "templateDefaults"
    assert defaults[1]["retryStrategy"] == {"limit": "0", "retryPolicy": "Always"}
    assert defaults[1]["securityContext"]["fsGroup"] == 10001
