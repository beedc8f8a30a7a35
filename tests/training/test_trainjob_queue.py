"""A TrainJob in a queue: admitted by Kueue or not, suspended while it runs, and ended by its deadline."""

from __future__ import annotations

import re
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from agent0.config import TrainingSettings, TrainJobSettings, load_config
from agent0.errors import Agent0Error, UsageError
from agent0.training import kubernetes_api
from agent0.training.shared_volume import Nodes
from agent0.training.training_job import TrainingJob
from agent0.training.trainjob import job_name, manifest, run_trainjob
from tests.training.trainjob_server import POD, TrainJobServer, pretend

NODES = Nodes("image", POD)
NO_QUEUE = [
    {
        "type": "QuotaReserved",
        "status": "False",
        "reason": "Misconfigured",
        "message": "LocalQueue gpus doesn't exist",
    }
]


def with_settings(job: TrainingJob, **settings: Any) -> TrainingJob:
    trainjob = TrainJobSettings(nodes=2, **settings)
    return job.model_copy(update={"training": TrainingSettings(launcher="trainjob", trainjob=trainjob)})


def nothing(*_: object) -> None:
    return None


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)


def later(action: Callable[[], object], seconds: float) -> threading.Timer:
    timer = threading.Timer(seconds, action)
    timer.start()
    return timer


def test_without_settings_a_job_has_no_queue_and_no_deadline(job: TrainingJob) -> None:
    body = manifest("name", with_settings(job), NODES)
    assert body["metadata"] == {"name": "name", "labels": {"app.kubernetes.io/part-of": "agent0"}}
    assert "activeDeadlineSeconds" not in body["spec"]
    assert "suspend" not in body["spec"]


def test_queue_deadline_labels_and_annotations_are_where_the_cluster_looks(job: TrainingJob) -> None:
    settings = {"queue": "gpus", "deadline_hours": 1.5, "labels": {"team": "a"}, "annotations": {"why": "round 3"}}
    body = manifest("name", with_settings(job, **settings), NODES)
    labels = {"team": "a", "app.kubernetes.io/part-of": "agent0"}
    assert body["metadata"]["labels"] == {**labels, "kueue.x-k8s.io/queue-name": "gpus"}
    assert body["metadata"]["annotations"] == {"why": "round 3"}
    assert body["spec"]["activeDeadlineSeconds"] == 5400
    (replicated,) = body["spec"]["runtimePatches"][0]["trainingRuntimeSpec"]["template"]["spec"]["replicatedJobs"]
    pods = replicated["template"]["spec"]["template"]["metadata"]
    alone = {"sidecar.istio.io/inject": "false"}
    assert pods == {"labels": {**alone, **labels}, "annotations": {**alone, "why": "round 3"}}


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ('queue = "GPU queue"', "cannot be a Kueue LocalQueue's name"),
        ('labels = {"a b" = "c"}', "no key of a label"),
        ('labels = {a = "b c"}', "no value of a label"),
        ('labels = {"kueue.x-k8s.io/queue-name" = "gpus"}', "name a queue in 'queue'"),
        ('resources = {memory = "many"}', "no quantity of Kubernetes"),
        ("deadline_hours = -1", "deadline_hours"),
    ],
)
def test_what_the_cluster_would_refuse_is_refused_before(override: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        load_config(overrides=[f"training.trainjob.{override}"])


@pytest.mark.parametrize("version", ["v1beta2", "v1beta1"])
def test_a_queue_that_does_not_exist_is_named_in_the_log_and_bounded_by_the_deadline(
    server: TrainJobServer,
    job: TrainingJob,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    version: str,
) -> None:
    monkeypatch.setattr(kubernetes_api, "WAITING_SECONDS", 0.3)
    server.workloads = (version, NO_QUEUE)
    waiting = with_settings(job, queue="gpus", deadline_hours=1.5 / 3600)
    with pytest.raises(Agent0Error, match=r"suspended for longer than .* doesn't exist.*Name a queue that has room"):
        run_trainjob(waiting, NODES, nothing, poll=0.1)
    printed = capfd.readouterr().err
    assert "waits in the queue gpus: Misconfigured: LocalQueue gpus doesn't exist" in printed
    assert f"kubectl describe trainjob {job_name(waiting)}" in printed
    assert "kubectl describe workload trainjob-workload" in printed
    assert server.jobs[job_name(waiting)].gone


@pytest.mark.parametrize(
    ("version", "conditions", "words"),
    [("v1beta9", [], "Kueue is not installed"), ("v1beta2", [], "kubectl describe workload trainjob-workload")],
)
def test_a_job_that_waits_without_a_reason_says_where_to_look(
    server: TrainJobServer, job: TrainingJob, version: str, conditions: list[Any], words: str
) -> None:
    server.workloads = (version, conditions)
    with pytest.raises(Agent0Error, match=words):
        run_trainjob(with_settings(job, queue="gpus", deadline_hours=0.5 / 3600), NODES, nothing, poll=0.1)


def test_an_admitted_job_runs(server: TrainJobServer, job: TrainingJob) -> None:
    server.workloads = ("v1beta2", NO_QUEUE)
    queued = with_settings(job, queue="gpus", deadline_hours=1)
    pretend(server, "", queued)
    timer = later(lambda: server.resume(job_name(queued)), 1.0)
    assert run_trainjob(queued, NODES, nothing, poll=0.1) == []
    timer.join()


def test_a_job_that_is_suspended_while_it_runs_goes_on_when_it_is_resumed(
    server: TrainJobServer, job: TrainingJob
) -> None:
    queued = with_settings(job, queue="gpus", deadline_hours=1)
    stop = (
        "signal = __import__('signal'); end = lambda *_: ((folder / 'stop').touch(), os._exit(143)); "
        "signal.signal(15, end); "
    )
    tell = "rank == '0' and (folder / 'steps.jsonl').write_text({}); "
    first, second = ('{"step": 1, "numbers": {"loss": 2.0}}\n', '{"step": 2, "numbers": {"loss": 1.0}}\n')
    pretend(server, f"{stop}{tell.format(repr(first))}time.sleep(30)", queued)
    seen: list[int] = []

    def suspended_and_resumed() -> None:
        name, stop_file = job_name(queued), queued.folder / "stop"
        wait_for(lambda: bool(seen))
        server.suspend(name)
        wait_for(stop_file.is_file)
        wait_for(lambda: not stop_file.is_file())
        pretend(server, f"{tell.format(repr(first + second))}sys.exit((folder / 'stop').exists())", queued)
        server.resume(name)

    timer = later(suspended_and_resumed, 0.5)
    history = run_trainjob(queued, NODES, lambda _, step: seen.append(step), poll=0.1)
    timer.join()
    assert seen == [1, 2]
    assert history == [{"step": 1.0, "loss": 2.0}, {"step": 2.0, "loss": 1.0}]


def test_a_job_that_reached_its_deadline_says_so_whatever_its_nodes_left(
    server: TrainJobServer, job: TrainingJob
) -> None:
    limited = with_settings(job, deadline_hours=2)
    pretend(server, "(folder / 'error.txt').write_text('143\\nasked to stop'); time.sleep(30)", limited)

    def end() -> None:
        found = server.jobs[job_name(limited)]
        found.reason = "DeadlineExceeded"
        for node in found.nodes:
            node.send_signal(signal.SIGKILL)

    timer = later(end, 1.0)
    with pytest.raises(Agent0Error, match=r"ran for longer than training.trainjob.deadline_hours, 2, and was ended"):
        run_trainjob(limited, NODES, nothing, poll=0.1)
    timer.join()


def test_a_trainer_that_is_too_old_is_named(server: TrainJobServer, job: TrainingJob) -> None:
    server.refusals = [404, 404, 404, 400]
    with pytest.raises(Agent0Error, match=re.escape("Is it Kubeflow Trainer 2.2 or later?")):
        run_trainjob(with_settings(job), NODES, nothing, poll=0.1)
