"""What both training stages share: from settings and folders to a finished training job."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from agent0.config import (
    CurriculumSettings,
    ExecutorSettings,
    ModelSettings,
    RolloutSettings,
    SandboxSettings,
    TrainingSettings,
)
from agent0.rollout.vllm_environment import visible_gpus
from agent0.rollout.vllm_process import LOOPBACK
from agent0.sandbox import open_sandbox
from agent0.seeds import derive_seed
from agent0.stages.masters import check_workspace, keep_master, to_train_on
from agent0.stages.session import Stage, StageResult
from agent0.stages.training_log import last_steps, sandbox_readings, step_logger, training_rates
from agent0.training.checkpoints import check_format, complete_checkpoints, step_of
from agent0.training.gpu_placement import Placement, place
from agent0.training.launch import run_job
from agent0.training.preflight import check_job, doubts
from agent0.training.retries import read_retry, retried
from agent0.training.shared_volume import Nodes, own_address, train_on_nodes
from agent0.training.training_job import TrainingJob

WEIGHT_TRANSFER = ('--weight-transfer-config={"backend":"nccl"}', "--max-logprobs=-1")
WEIGHT_TRANSFER_VARIABLES = {"VLLM_SERVER_DEV_MODE": "1"}
"""What TRL needs of a server that it sends weights to."""


def run_training(
    stage: Stage,
    *,
    base: Path,
    output: Path,
    model: ModelSettings,
    rollout: RolloutSettings,
    sandbox: SandboxSettings,
    algorithm: CurriculumSettings | ExecutorSettings,
    training: TrainingSettings,
    headline: Sequence[str],
    tasks: Path | None = None,
    frozen_executor: Path | None = None,
    negative_tasks: Path | None = None,
    anchor_tasks: Path | None = None,
    earlier_tasks: Path | None = None,
    earlier_questions: Path | None = None,
    nodes: Nodes | None = None,
) -> StageResult:
    """Train an agent from `base` into `output`, with the servers and processes that the settings ask for.

    Folders of earlier iterations and of anchors that are not there are left out of the job.
    With the launcher 'trainjob' the training runs on `nodes`, and this pod's GPUs serve the frozen executor.

    Where `model.handed_on` rounds, `output` gets the rounded weights, and the workspace those that were trained.

    Raises:
        UsageError: the training cannot be done here; found before a server starts or a weight is loaded.
        PreemptedError: the training was asked to stop; run again, it goes on.
        Agent0Error: the training failed.
    """
    check_workspace(model)
    fetched = output.with_name(f"{output.name}.base")
    base = to_train_on(stage, base, fetched)
    gpus, elsewhere = visible_gpus(), training.launcher == "trainjob"
    on_servers = rollout.on_vllm and not training.shares_engine(rollout)
    serves_executor = frozen_executor is not None and on_servers
    placement = (
        Placement((), (), tuple(range(gpus)), 0)
        if elsewhere
        else place(
            training,
            gpus,
            policy_server=training.policy_backend == "vllm_server",
            executor_server=serves_executor,
        )
    )
    workspace = stage.workspace(output)
    agent: Literal["executor", "curriculum"] = "executor" if frozen_executor is None else "curriculum"
    job = TrainingJob(
        folder=output.with_name(f"{output.name}.job"),
        base=base,
        output=output,
        master=output.with_name(f"{output.name}.master") if model.rounded else None,
        workspace=workspace.folder,
        remote=workspace.remote,
        tasks=tasks,
        negative_tasks=negative_tasks,
        anchor_tasks=_if_there(anchor_tasks),
        earlier_tasks=_if_there(earlier_tasks),
        earlier_questions=_if_there(earlier_questions),
        frozen_executor=frozen_executor,
        model=model,
        rollout=rollout,
        sandbox=sandbox,
        algorithm=algorithm,
        agent=agent,
        training=training,
        seed=stage.seed,
    )
    if retry := read_retry(workspace):
        job = retried(job, retry)
    for doubt in doubts(job):
        stage.progress.warn(doubt)
    if not elsewhere:  # the nodes check what they have
        check_format(job)
        check_job(job, gpus, placement.processes * int(os.environ.get("PET_NNODES", "1")))
        with open_sandbox(sandbox):  # where there is none, the stage ends here, before servers start
            pass
    host = own_address() if elsewhere else LOOPBACK
    done = max(map(step_of, complete_checkpoints(job.workspace)), default=0)  # one that goes on draws other numbers
    seed = derive_seed(job.drawing_seed, "engine", done)
    served_model = frozen_executor if serves_executor else None
    with (
        _executor_servers(served_model, rollout, placement, job.folder, host, seed) as executors,
        _policy_server(job, placement, len(executors), seed) as policy,
    ):
        served = {"executor_endpoints": tuple(executors), "policy_endpoint": policy, "policy_port": _port(policy)}
        whole, log = job.model_copy(update=served), step_logger(stage, agent, job.updates, headline)
        shown = stage.progress
        history = train_on_nodes(whole, nodes, log, shown) if elsewhere else run_job(whole, placement, log, shown)
    if job.master is not None:
        keep_master(stage, job.master, output)
    shutil.rmtree(fetched, ignore_errors=True)
    rates = training_rates(history, algorithm.groups_per_step * algorithm.group_size)
    measured = {**last_steps(history, agent, headline), **sandbox_readings(history), **rates}
    return StageResult(measured, log=history)


def _if_there(folder: Path | None) -> Path | None:
    return folder if folder is not None and folder.is_dir() else None


@contextmanager
def _executor_servers(
    model: Path | None, rollout: RolloutSettings, placement: Placement, log: Path, host: str, seed: int
) -> Iterator[Sequence[str]]:
    """Serve the frozen executor for the length of the block and yield the servers' addresses; none for no model."""
    if model is None:
        yield ()
        return
    from agent0.rollout.vllm_process import serve

    with serve(model, rollout, log=log / "executor", gpus=placement.executor, host=host, seed=seed) as endpoints:
        yield endpoints


@contextmanager
def _policy_server(job: TrainingJob, placement: Placement, before: int, seed: int) -> Iterator[str]:
    """Serve the model in training on one server; it is not restarted, since it would come back with old weights.

    `before` servers have taken the first of the ports that the configuration names.
    """
    if job.training.policy_backend != "vllm_server":
        yield ""
        return
    from agent0.rollout.vllm_adapters import RUNTIME_LOADING, adapter_arguments
    from agent0.rollout.vllm_process import command_arguments, serve

    rollout = job.rollout
    first = rollout.vllm.port and rollout.vllm.port + before
    together = rollout.vllm.model_copy(update={"tensor_parallel_size": max(1, len(placement.policy)), "port": first})
    arguments: Sequence[str] = WEIGHT_TRANSFER
    variables = WEIGHT_TRANSFER_VARIABLES
    if job.training.sends_adapters:
        arguments, variables = command_arguments(adapter_arguments(job.training.lora.engine_rank)), RUNTIME_LOADING
    with serve(
        job.base,
        rollout.model_copy(update={"vllm": together}),
        log=job.folder / "policy",
        gpus=placement.policy,
        extra_arguments=arguments,
        variables=variables,
        restarts=0,
        seed=derive_seed(seed, "policy"),
    ) as endpoints:
        yield endpoints[0]


def _port(policy: str) -> int:
    """Return a free port for sending weights to the policy's server, if there is one; TRL's own is always the same."""
    if not policy:
        return 0
    from agent0.rollout.vllm_process import choose_ports

    return choose_ports(0, 1)[0]
