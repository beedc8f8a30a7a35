"""`schedule`, `unschedule`, `schedules` against the test server."""

from pathlib import Path
from typing import Any

import pytest
from kfp import compiler, dsl

from agent0.kubeflow.schedules import Plan
from tests.kubeflow.conftest import Command
from tests.kubeflow.server import KfpServer
from tests.kubeflow.state import State

DAILY = ("--cron", "0 0 3 * * *")


@pytest.fixture
def state(uploaded: State) -> State:
    return uploaded


def only_schedule(server: KfpServer) -> dict[str, Any]:
    (schedule,) = server.state.recurring_runs.values()
    return schedule


def test_a_schedule_runs_one_at_a_time_and_makes_up_for_nothing(server: KfpServer, pipeline: Command) -> None:
    done = pipeline("schedule", "evaluation", *DAILY, "--model", "lab/model", "--benchmarks", "tiny,gsm8k")
    assert done.code == 0, done.err
    made = only_schedule(server)
    assert (made["display_name"], made["status"], made["no_catchup"]) == ("agent0-evaluation", "ENABLED", True)
    assert made["max_concurrency"] == "1"
    assert made["trigger"] == {"cron_schedule": {"cron": "0 0 3 * * *"}}
    values = made["runtime_config"]["parameters"]
    assert (values["model"]["source"], values["evaluation"]["benchmarks"]) == ("lab/model", ["tiny", "gsm8k"])
    assert "plugins_input" not in made
    assert done.out.count("03:00:00") == 3
    assert "CRON_SCHEDULE_TIMEZONE" in done.out
    assert done.err == ""


def test_a_pinned_schedule_stays_and_one_of_the_latest_follows(server: KfpServer, pipeline: Command) -> None:
    pipeline("schedule", "evaluation", *DAILY, "--name", "pinned")
    pipeline("schedule", "evaluation", *DAILY, "--name", "following", "--latest")
    pipeline("upload", "tagged.yaml", "--version", "second")
    ran = {}
    for identifier, schedule in server.state.recurring_runs.items():
        reference = server.state.fire(identifier)["pipeline_version_reference"]
        ran[schedule["display_name"]] = server.state.versions[reference["pipeline_version_id"]]["name"]
    assert ran == {"pinned": "first", "following": "second"}
    rows = {line.split()[0]: line for line in pipeline("schedules").out.splitlines() if "PENDING" in line}
    assert "agent0-evaluation@first" in rows["pinned"]
    assert "agent0-evaluation, newest" in rows["following"]
    assert "give one of them" in pipeline("schedule", "evaluation", *DAILY, "--latest", "--version", "first").err


VALUES = ("--model", "lab/model", "--benchmarks", "tiny,gsm8k", "--param", "seed=3")


@pytest.mark.parametrize("version", ["2.16.1", "2.17.0"])
@pytest.mark.parametrize("follow", [(), ("--latest",), ("--version", "first")])
def test_the_runs_of_a_schedule_have_its_values(
    server: KfpServer, pipeline: Command, version: str, follow: tuple[str, ...]
) -> None:
    server.state.version = version
    done = pipeline("schedule", "evaluation", *DAILY, *VALUES, *follow)
    assert done.code == 0, done.err
    made = only_schedule(server)
    run = server.state.fire(made["recurring_run_id"])
    values = run["runtime_config"]["parameters"]
    assert (values["model"]["source"], values["seed"]) == ("lab/model", 3)
    assert values == made["runtime_config"]["parameters"]
    plugged = version == "2.17.0" and follow == ("--latest",)
    assert run.get("plugins_input") == ({"mlflow": {"experiment_name": "agent0"}} if plugged else None)
    noted = "A pinned schedule goes without the server's MLflow integration" in done.out
    assert noted == (version == "2.17.0" and not plugged)


def test_a_server_forgets_the_values_of_a_pinned_schedule_with_input_for_a_plugin(
    server: KfpServer, pipeline: Command
) -> None:
    pipeline("schedule", "evaluation", *DAILY, *VALUES)
    body = {**only_schedule(server), "display_name": "plugged", "plugins_input": {"mlflow": {}}}
    plugged = server.state.create_recurring_run(body)
    assert "runtime_config" not in server.state.fire(plugged["recurring_run_id"])
    with pytest.raises(ValueError, match="forgets the parameters of a pinned schedule"):
        Plan("x", "pipeline", "version", "0 0 3 * * *", {}, "agent0", plugins={"mlflow": {}})


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--cron", "0 3 * * *"], "has five fields; Kubeflow's have six"),
        ([*DAILY, "--param", "sede=1"], "did you mean 'seed'?"),
        ([*DAILY, "--version", "tenth"], "has no version 'tenth'"),
    ],
)
def test_a_wrong_schedule_makes_nothing(
    server: KfpServer, pipeline: Command, arguments: list[str], sentence: str
) -> None:
    done = pipeline("schedule", "evaluation", *arguments)
    assert done.code == 2
    assert sentence in done.err
    assert server.state.recurring_runs == {}


def test_what_a_cron_expression_means_is_judged_by_the_server(server: KfpServer, pipeline: Command) -> None:
    done = pipeline("schedule", "evaluation", "--cron", "0 0 25 * * *")
    assert done.code == 1
    assert "End of range (25) above maximum (23)" in done.err
    assert server.state.recurring_runs == {}
    assert "no time: there is no such day" in pipeline("schedule", "evaluation", "--cron", "0 0 0 30 feb *").out


def test_an_existing_schedule_is_only_replaced_on_request(server: KfpServer, pipeline: Command) -> None:
    pipeline("schedule", "evaluation", *DAILY)
    before = only_schedule(server)
    done = pipeline("schedule", "evaluation", "--cron", "0 0 4 * * *")
    assert done.code == 2
    assert "There is a schedule 'agent0-evaluation' already (0 0 3 * * *); replace it with --replace" in done.err
    assert only_schedule(server) is before


def test_replacing_leaves_no_moment_without_a_schedule(server: KfpServer, pipeline: Command) -> None:
    pipeline("schedule", "evaluation", *DAILY)
    old = only_schedule(server)["recurring_run_id"]
    counts = []
    server.on_request = lambda method, path: counts.append(len(server.state.recurring_runs))
    done = pipeline("schedule", "evaluation", "--cron", "0 0 4 * * *", "--replace")
    assert done.code == 0, done.err
    assert min(counts) == 1
    assert max(counts) == 2
    new = only_schedule(server)
    assert new["trigger"]["cron_schedule"]["cron"] == "0 0 4 * * *"
    assert new["status"] == "ENABLED"
    assert f"replaced  {old}" in done.out


def test_a_replacement_that_cannot_be_made_leaves_the_old_one(server: KfpServer, pipeline: Command) -> None:
    pipeline("schedule", "evaluation", *DAILY)
    before = only_schedule(server)
    server.break_next("POST", "recurringruns", "503")
    assert pipeline("schedule", "evaluation", "--cron", "0 0 4 * * *", "--replace").code == 1
    assert only_schedule(server) is before


def test_an_old_schedule_that_cannot_be_deleted_is_named(server: KfpServer, pipeline: Command) -> None:
    pipeline("schedule", "evaluation", *DAILY)
    old = only_schedule(server)["recurring_run_id"]
    server.break_next("DELETE", "recurringruns", "500")
    done = pipeline("schedule", "evaluation", "--cron", "0 0 4 * * *", "--replace")
    assert done.code == 1
    assert f"but the old one, {old}, could not be deleted and fires as well" in done.err
    assert f"agent0 pipeline unschedule {old}" in done.err
    ambiguous = pipeline("unschedule", "agent0-evaluation")
    assert "2 schedules are named" in ambiguous.err
    assert pipeline("unschedule", old).code == 0
    assert only_schedule(server)["recurring_run_id"] != old


def test_an_image_by_tag_is_warned_of(pipeline: Command) -> None:
    pipeline("upload", "tagged.yaml", "--version", "second")
    done = pipeline("schedule", "evaluation", *DAILY)
    assert done.code == 0
    assert "warning: registry.example/agent0-python:1.0 is named by a tag" in done.err
    assert "--image NAME@sha256:" in done.err


def test_an_image_that_the_run_parameter_pins_is_not_warned_of(pipeline: Command, tmp_path: Path) -> None:
    @dsl.component(base_image="registry.example/python:1", install_kfp_package=False)
    def nothing() -> None:
        pass

    @dsl.pipeline(name="agent0-placed")
    def placed(image: str = "registry.example/python:1") -> None:
        nothing().set_container_image(image)

    compiler.Compiler().compile(placed, str(tmp_path / "placed.yaml"))
    assert pipeline("upload", str(tmp_path / "placed.yaml")).code == 0
    pinned = f"image=registry.example/python@sha256:{'1' * 64}"
    assert pipeline("schedule", "placed", *DAILY, "--name", "pinned", "--param", pinned).err == ""
    assert "registry.example/python:1 is named by a tag" in pipeline("schedule", "placed", *DAILY).err


def test_schedules_are_listed_with_their_next_firing_and_deleted(server: KfpServer, pipeline: Command) -> None:
    assert "There are none." in pipeline("schedules").out
    pipeline("schedule", "evaluation", *DAILY)
    server.state.recurring_runs[only_schedule(server)["recurring_run_id"]]["trigger"]["cron_schedule"]["cron"] = (
        "@daily"
    )
    assert "00:00:00" in pipeline("schedules").out
    only_schedule(server)["status"] = "DISABLED"
    assert "disabled" in pipeline("schedules").out
    done = pipeline("unschedule", "agent0-evaluation")
    assert done.code == 0
    assert server.state.recurring_runs == {}
    assert (
        "There is no schedule 'agent0-evaluation'; there are: none" in pipeline("unschedule", "agent0-evaluation").err
    )
