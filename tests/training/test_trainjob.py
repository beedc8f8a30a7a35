"""Training as a TrainJob: what is asked of the cluster, and every way in which the waiting ends."""

from __future__ import annotations

import signal
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agent0.config import ExecutorSettings, TrainingSettings, TrainJobSettings
from agent0.errors import Agent0Error, UsageError
from agent0.training import kubernetes_api
from agent0.training.checkpoints import complete_checkpoints
from agent0.training.gpu_placement import Placement
from agent0.training.launch import run_job
from agent0.training.shared_volume import Nodes, train_on_nodes
from agent0.training.training_job import PreemptedError, TrainingJob
from agent0.training.trainjob import job_name, manifest, run_trainjob
from tests.manifests.test_pipeline_manifests import violations
from tests.training.status_server import status_server
from tests.training.trainjob_server import POD, TrainJobServer, pretend

MakeJob = Callable[..., TrainingJob]
LAUNCHER = TrainingSettings(launcher="trainjob", trainjob=TrainJobSettings(nodes=2, grace_seconds=90))
SHORT = ExecutorSettings(steps=1, tasks_per_step=4, group_size=4, updates_per_step=1, learning_rate=1e-3)


@pytest.fixture
def job(job: TrainingJob) -> TrainingJob:
    return job.model_copy(update={"algorithm": SHORT, "training": LAUNCHER})


def nothing(*_: object) -> None:
    return None


def pod_of(body: dict[str, Any]) -> dict[str, Any]:
    """What a TrainJob says of its nodes' pods, apart from the trainer."""
    (patch,) = body["spec"]["runtimePatches"]
    (replicated,) = patch["trainingRuntimeSpec"]["template"]["spec"]["replicatedJobs"]
    spec: dict[str, Any] = replicated["template"]["spec"]["template"]["spec"]
    return spec


def test_the_job_runs_our_image_with_everything_that_the_pod_has(server: TrainJobServer, job: TrainingJob) -> None:
    pretend(server, "", job)
    assert run_trainjob(job, Nodes("registry.example/agent0@sha256:0", POD), nothing, poll=0.1) == []
    (body,) = server.created
    trainer = body["spec"]["trainer"]
    assert trainer["image"] == "registry.example/agent0@sha256:0"
    assert trainer["numNodes"] == 2
    assert trainer["command"] == ["python", "-m", "agent0.training.node_main", str(job.folder / "job.json")]
    assert trainer["resourcesPerNode"] == POD["resources"]
    assert trainer["env"] == POD["env"]
    spec = pod_of(body)
    assert spec["volumes"] == POD["volumes"]
    assert spec["tolerations"] == POD["tolerations"]
    assert spec["nodeSelector"] == POD["node_selector"]
    assert spec["terminationGracePeriodSeconds"] == 90
    (container,) = spec["containers"]
    assert container["name"] == "node"
    assert container["volumeMounts"] == POD["volume_mounts"]
    assert body["spec"]["runtimeRef"] == {"name": "torch-distributed"}
    assert all(item.gone for item in server.jobs.values())


def test_named_resources_lie_over_those_of_the_pod(server: TrainJobServer, job: TrainingJob) -> None:
    pretend(server, "", job)
    settings = TrainJobSettings(nodes=1, resources={"nvidia.com/gpu": "4", "memory": "400Gi"})
    pod = {**POD, "resources": {"limits": {"cpu": "16", "nvidia.com/gpu": "8"}, "requests": {"cpu": "8"}}}
    named = job.model_copy(update={"training": TrainingSettings(launcher="trainjob", trainjob=settings)})
    run_trainjob(named, Nodes("image", pod), nothing, poll=0.1)
    assert server.created[0]["spec"]["trainer"]["resourcesPerNode"] == {
        "limits": {"cpu": "16", "nvidia.com/gpu": "4", "memory": "400Gi"},
        "requests": {"cpu": "8", "nvidia.com/gpu": "4", "memory": "400Gi"},
    }


def test_the_nodes_meet_the_pod_security_standard_restricted(job: TrainingJob) -> None:
    pod = pod_of(manifest("name", job, Nodes("image", {})))
    assert violations(pod) == []


def test_the_nodes_pull_their_image_as_this_pod_does(server: TrainJobServer, job: TrainingJob) -> None:
    pretend(server, "", job)
    server.others = [
        {"metadata": {"name": name}, "spec": {"containers": [], "imagePullSecrets": [{"name": f"{name}-registry"}]}}
        for name in ("another", socket.gethostname())
    ]
    run_trainjob(job, Nodes("image", POD), nothing, poll=0.1)
    assert pod_of(server.created[0])["imagePullSecrets"] == [{"name": f"{socket.gethostname()}-registry"}]


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (
            {
                "conditions": [
                    {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "no GPU"}
                ]
            },
            "Unschedulable: no GPU",
        ),
        (
            {
                "conditions": [{"type": "PodScheduled", "status": "True"}],
                "containerStatuses": [
                    {
                        **{"name": "node", "image": "image", "imageID": "", "ready": False, "restartCount": 0},
                        "state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}},
                    }
                ],
            },
            "ImagePullBackOff: no such image",
        ),
    ],
)
def test_a_pod_that_does_not_start_is_named_with_the_reason(
    server: TrainJobServer,
    job: TrainingJob,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    status: dict[str, Any],
    words: str,
) -> None:
    monkeypatch.setattr(kubernetes_api, "WAITING_SECONDS", 0.5)
    server.pending = {"phase": "Pending", **status}
    pretend(server, "time.sleep(2)", job)
    run_trainjob(job, Nodes("image", POD), nothing, poll=0.1)
    printed = capfd.readouterr().err
    for rank in (0, 1):
        assert f"[{job_name(job)}-node-0-{rank}] The pod has not started: {words}\n" in printed


def test_each_steps_numbers_and_each_nodes_log_arrive(
    server: TrainJobServer, job: TrainingJob, capfd: pytest.CaptureFixture[str]
) -> None:
    pretend(
        server,
        "print('hello of', rank); rank == '0' and (folder / 'steps.jsonl').write_text("
        """'{"step": 1, "numbers": {"loss": 0.5}}\\n'); time.sleep(3)""",
        job,
    )
    seen: list[int] = []
    history = run_trainjob(job, Nodes("image", POD), lambda _, step: seen.append(step), poll=0.1)
    assert history == [{"step": 1.0, "loss": 0.5}]
    assert seen == [1]
    printed = capfd.readouterr().err
    for rank in (0, 1):
        assert f"[{job_name(job)}-node-0-{rank}] hello of {rank}" in printed


def test_a_failure_is_told_in_the_words_of_the_process_and_the_job_is_deleted(
    server: TrainJobServer, job: TrainingJob
) -> None:
    pretend(server, "(folder / 'error.txt').write_text('1\\nthe reward is not a number'); sys.exit(1)", job)
    with pytest.raises(Agent0Error, match="the reward is not a number"):
        run_trainjob(job, Nodes("image", POD), nothing, poll=0.1)
    assert any(request.startswith("DELETE") for request in server.requests)


def test_a_failure_without_words_is_told_in_the_controllers(server: TrainJobServer, job: TrainingJob) -> None:
    pretend(server, "sys.exit(3)", job)
    with pytest.raises(Agent0Error, match=rf"TrainJob {job_name(job)} failed: nodes ended with"):
        run_trainjob(job, Nodes("image", POD), nothing, poll=0.1)


def test_sigterm_deletes_the_job_at_once_and_its_nodes_save(
    server: TrainJobServer, job: TrainingJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kubernetes_api, "PAUSE_SECONDS", 30.0)  # for what the pods still print, if it were waited for
    pretend(server, "signal = __import__('signal'); signal.signal(15, lambda *_: None); "
            "[time.sleep(0.1) for _ in iter(lambda: (folder / 'stop').exists(), True)]; "
            "(folder / f'saved{rank}').touch()", job)  # fmt: skip
    timer = threading.Timer(2.0, signal.raise_signal, (signal.SIGTERM,))
    timer.start()
    begun = time.monotonic()
    with pytest.raises(PreemptedError, match="90 s to save"):
        run_trainjob(job, Nodes("image", POD), nothing, poll=0.1)
    assert time.monotonic() - begun < 15
    timer.join()
    for node in next(iter(server.jobs.values())).nodes:
        assert node.wait(20) == 0
    assert {path.name for path in job.folder.glob("saved*")} == {"saved0", "saved1"}


def test_who_waits_for_the_job_shows_it_to_the_nodes(server: TrainJobServer, job: TrainingJob) -> None:
    pretend(server, "beats = lambda: (folder / 'heartbeat').stat().st_mtime_ns; first = beats(); time.sleep(2); "
            "sys.exit(beats() == first)", job)  # fmt: skip
    assert run_trainjob(job, Nodes("image", POD), nothing, poll=0.1) == []


def test_a_pod_started_again_waits_on_for_the_job_of_the_attempt_before(
    server: TrainJobServer, job: TrainingJob
) -> None:
    pretend(server, "time.sleep(1)", job)
    server.create(manifest(job_name(job), job, Nodes("image", POD)))
    run_trainjob(job, Nodes("image", POD), nothing, poll=0.1)
    assert len(server.created) == 1


def test_a_job_whose_frozen_executor_went_with_the_pod_before_is_made_anew(
    server: TrainJobServer, job: TrainingJob
) -> None:
    pretend(server, "time.sleep(60)", job)
    before = job.model_copy(update={"executor_endpoints": ("http://10.0.0.1:8000",)})
    server.create(manifest(job_name(before), before, Nodes("image", POD)))
    old = server.jobs[job_name(before)]
    pretend(server, "print((folder / 'job.json').read_text())", job)
    now = job.model_copy(update={"executor_endpoints": ("http://10.0.0.2:8000",)})
    run_trainjob(now, Nodes("image", POD), nothing, poll=0.1)
    assert old.gone
    assert len(server.created) == 2
    assert "http://10.0.0.2:8000" in server.jobs[job_name(now)].logs[0].read_text()


@pytest.mark.parametrize(
    ("status", "words"), [(403, "service account create"), (404, "Trainer installed"), (422, "refused by the test")]
)
def test_a_refusal_says_what_to_do(server: TrainJobServer, job: TrainingJob, status: int, words: str) -> None:
    pretend(server, "", job)
    server.refusals = [404, 404, 404, status]  # three that look for a job of an earlier attempt, then the creation
    with pytest.raises(Agent0Error, match=words):
        run_trainjob(job, Nodes("image", POD), nothing, poll=0.1)


def test_a_server_that_is_away_for_a_moment_is_asked_again(server: TrainJobServer, job: TrainingJob) -> None:
    pretend(server, "", job)
    server.refusals = [503]
    assert run_trainjob(job, Nodes("image", POD), nothing, poll=0.1) == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "on a volume that all nodes mount"),
        ({"remote": "s3://bucket/key"}, "cannot keep its workspace at s3://bucket/key"),
        (
            {"training": TrainingSettings(launcher="trainjob", policy_backend="vllm_server")},
            "policy_backend 'vllm_server' serves one pod only",
        ),
    ],
)
def test_what_nodes_could_not_reach_is_refused_before_anything_starts(
    job: TrainingJob, changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        train_on_nodes(job.model_copy(update=changes), Nodes("image", POD), nothing)


def test_outside_kubeflow_the_launcher_is_refused(job: TrainingJob) -> None:
    with pytest.raises(UsageError, match="needs a pod on Kubeflow"):
        train_on_nodes(job, None, nothing)


@pytest.mark.slow
def test_two_nodes_train_what_one_pod_would(server: TrainJobServer, make_job: MakeJob, tmp_path: Path) -> None:
    there = make_job("there", algorithm=SHORT, training=LAUNCHER)
    with status_server(tmp_path) as trainer:
        env = [{"name": name, "value": value} for name, value in trainer.environment.items()]
        pod = {**POD, "env": env, "volume_mounts": [{"name": "shared", "mountPath": str(tmp_path)}]}
        history = train_on_nodes(there, Nodes("image", pod), nothing)
    assert [found["progressPercentage"] for found in trainer.statuses] == [0, 100]
    assert {"name": "reward", "value": str(history[0]["reward"])} in trainer.statuses[-1]["metrics"]
    assert [row["step"] for row in history] == [1]
    assert (there.output / "model.safetensors").is_file()
    assert len(complete_checkpoints(there.workspace)) == 1
    here = make_job("here", algorithm=SHORT, training=TrainingSettings(processes=2))
    expected = run_job(here, Placement((), (), (), 2), nothing)
    assert history[0]["reward"] == expected[0]["reward"]
    assert history[0]["loss"] == pytest.approx(expected[0]["loss"], abs=1e-5)
