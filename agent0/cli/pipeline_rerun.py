"""`agent0 pipeline rerun`: a run once more, from where it ended."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from agent0.cli.pipeline_options import connected
from agent0.cli.pipeline_run import Interval, Mlflow, Run, Wait, announce, check_wait, wait_for
from agent0.cli.shared_options import AsJson
from agent0.kubeflow.server_connection import Connection, connect


@connected
def rerun_pipeline(
    run: Run,
    options: Annotated[
        list[str] | None,
        typer.Option("--option", "-O", help="More for pods of a kind: -O training_memory=768Gi, -O generation_cpu=32."),
    ] = None,
    mlflow: Mlflow = True,
    wait: Wait = False,
    interval: Interval = 5.0,
    as_json: AsJson = False,
    *,
    connection: Connection,
) -> None:
    """Start a run again with the same pipeline and values: finished tasks come from the cache, a training goes on.

    Example: [bold]agent0 pipeline rerun latest -O training_memory=768Gi[/bold]

    CPU and memory are no inputs of tasks, so what is finished stays finished. For another image, other GPUs or volumes
    compile the pipeline anew: image and volumes are part of what makes a result.
    """
    from agent0.config import read_overrides
    from agent0.kubeflow.acceptance import release_of
    from agent0.kubeflow.acceptance.finding_sentences import require_accepted
    from agent0.kubeflow.pod_resources import with_resources
    from agent0.kubeflow.server_runs import create_run, find_run, mlflow_input, package_of_run

    check_wait(wait=wait, as_json=as_json)
    server = connect(connection)
    old = find_run(server, run)
    changes = {name: str(value) for name, value in read_overrides(options or []).items()}
    package = with_resources(package_of_run(server, old), changes)
    values = dict((old.runtime_config.parameters if old.runtime_config else None) or {})
    require_accepted(package, release_of(server.version), values)
    experiment = server.client._experiment_api.experiment_service_get_experiment(old.experiment_id)
    made = create_run(
        server,
        {"pipeline_spec": package.as_struct()},
        values,
        name=f"{package.name} {datetime.now(UTC):%Y-%m-%d %H-%M-%S}",
        experiment=experiment.display_name,
        service_account=old.service_account or "",
        pipeline_root=(old.runtime_config.pipeline_root if old.runtime_config else "") or "",
        plugins=mlflow_input(server, package, values) if mlflow else None,
    )
    announce(server, [made], f"that of {old.display_name} ({old.run_id})", as_json=as_json)
    if wait:
        wait_for(server, made.run_id, package, interval)
