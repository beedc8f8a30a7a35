"""The test server is what it stands for: used through kfp, strict, and within the API's specification."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import kfp
import kfp_server_api
import pytest

from tests.kubeflow.argo import LOOP_ITEMS
from tests.kubeflow.conftest import Command
from tests.kubeflow.server import PREFIX, KfpServer, kfp_server

KFP = "from kfp.cli.__main__ import main; main()"
SPECIFICATION = "kfp_api_v2beta1.swagger.json"


@pytest.fixture
def client(server: KfpServer) -> kfp.Client:
    return kfp.Client(host=server.url)


def test_kfps_own_client_is_served(server: KfpServer, client: kfp.Client, compiled: Path) -> None:
    file = str(compiled / "evaluation.yaml")
    assert client.get_kfp_healthz().multi_user is False
    experiment = client.create_experiment("nightly")
    assert client.create_experiment("nightly").experiment_id == experiment.experiment_id
    uploaded = client.upload_pipeline(file, pipeline_name="mine")
    version = client.upload_pipeline_version(file, "second", pipeline_name="mine")
    assert client.get_pipeline_id("mine") == uploaded.pipeline_id
    assert [item.display_name for item in client.list_pipeline_versions(uploaded.pipeline_id).pipeline_versions] == [
        "mine",
        "second",
    ]
    run = client.run_pipeline(
        experiment.experiment_id,
        "first",
        params={"seed": 3, "name": "x"},
        pipeline_id=uploaded.pipeline_id,
        version_id=version.pipeline_version_id,
    )
    server.state.steps_per_look = 2
    assert client.wait_for_run_completion(run.run_id, timeout=60, sleep_duration=0).state == "SUCCEEDED"
    assert [item.run_id for item in client.list_runs().runs] == [run.run_id]
    inline = client.create_run_from_pipeline_package(file, arguments={"seed": 1}, experiment_name="nightly")
    client.terminate_run(inline.run_id)
    assert client.get_run(inline.run_id).state == "FAILED"
    recurring = client.create_recurring_run(
        experiment.experiment_id,
        "often",
        cron_expression="0 0 3 * * *",
        params={"seed": 3},
        pipeline_id=uploaded.pipeline_id,
        version_id=version.pipeline_version_id,
        no_catchup=True,
    )
    client.disable_recurring_run(recurring.recurring_run_id)
    assert client.get_recurring_run(recurring.recurring_run_id).status == "DISABLED"
    client.enable_recurring_run(recurring.recurring_run_id)
    assert [item.status for item in client.list_recurring_runs().recurring_runs] == ["ENABLED"]
    client.delete_recurring_run(recurring.recurring_run_id)
    assert client.list_recurring_runs().recurring_runs is None


@pytest.mark.slow
def test_kfps_own_command_line_is_served_and_its_mistake_refused(server: KfpServer, compiled: Path) -> None:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", KFP, "--endpoint", server.url, "--output", "json", *arguments]
        return subprocess.run(command, capture_output=True, text=True, cwd=compiled, env=os.environ, check=False)

    made = run("pipeline", "create", "-p", "mine", "evaluation.yaml")
    assert made.returncode == 0, made.stderr
    identifier = json.loads(made.stdout[made.stdout.index("{") :])["pipeline_id"]
    assert run("run", "create", "-e", "nightly", "-r", "one", "-f", "evaluation.yaml", "seed=3").returncode == 0
    (run_made,) = server.state.runs.values()
    assert run_made["runtime_config"]["parameters"] == {"seed": 3}
    (version,) = server.state.versions
    schedule = ["recurring-run", "create", "--experiment-name", "nightly", "--job-name", "often"]
    schedule += ["--cron-expression", "0 0 3 * * *", "--pipeline-id", identifier, "--version-id", version]
    refused = run(*schedule, "seed=3")  # it sends every value as text
    assert refused.returncode != 0
    assert "input parameter seed requires type double or integer" in refused.stderr + refused.stdout
    assert run(*schedule, "name=x").returncode == 0


def test_a_run_steps_through_nested_pipelines_and_loops(server: KfpServer, client: kfp.Client, compiled: Path) -> None:
    run = client.create_run_from_pipeline_package(str(compiled / "evaluation.yaml"))
    server.state.steps_per_look = 100
    names = [detail.display_name for detail in client.get_run(run.run_id).run_details.task_details]
    assert names.count("benchmark-evaluation") == LOOP_ITEMS
    assert {"root-driver", "evaluation-comparison", "evaluation-comparison-driver", "executor"} <= set(names)


RUN = {"display_name": "x", "runtime_config": {"parameters": {"seed": 1}}}
CRON = {"cron_schedule": {"cron": "0 0 3 * * *"}}


@pytest.mark.parametrize(
    ("path", "change", "message"),
    [
        ("/runs", {"display_name": ""}, "Run name cannot be empty"),
        ("/runs", {"pipeline_version_reference": None}, "Failed to fetch a template with an empty pipeline spec"),
        ("/runs", {"nmae": "x"}, 'unknown field "nmae"'),
        ("/runs", {"experiment_id": "none"}, "Experiment none not found"),
        ("/runs", {"runtime_config": {"parameters": {"seed": "1"}}}, "seed requires type double or integer"),
        ("/runs", {"runtime_config": {"parameters": {"name": 1}}}, "name requires type string"),
        ("/runs", {"runtime_config": {"parameters": {"model": "tiny"}}}, "model requires type struct"),
        ("/runs", {"runtime_config": {"parameters": {"sede": 1}}}, "not required by pipeline: sede"),
        ("/runs", {"runtime_config": {"params": {}}}, 'unknown field "params"'),
        ("/runs", {"plugins_input": {"mlflow": {"experiment": "x"}}}, 'unknown field "experiment"'),
        ("/recurringruns", {}, "Set at interval to least 1 second"),
        (
            "/recurringruns",
            {"trigger": CRON, "max_concurrency": "11"},
            "Max concurrency of a recurring run must be at least 1 and at most 10. Received 11",
        ),
        (
            "/recurringruns",
            {"trigger": {"cron_schedule": {"cron": "0 0 25 * * *"}}},
            "Schedule cron is not a supported",
        ),
        ("/recurringruns", {"trigger": CRON, "mode": "ON"}, "'ON' is none of"),
        ("/recurringruns", {"trigger": CRON, "no_catchup": "yes"}, "'yes' is no bool"),
    ],
)
def test_a_wrong_request_is_refused_as_invalid(
    server: KfpServer, client: kfp.Client, compiled: Path, path: str, change: dict[str, Any], message: str
) -> None:
    made = client.upload_pipeline(str(compiled / "evaluation.yaml"), pipeline_name="mine")
    body = {**RUN, "pipeline_version_reference": {"pipeline_id": made.pipeline_id}}
    if path == "/recurringruns":
        body["max_concurrency"] = "1"
    body = {key: value for key, value in {**body, **change}.items() if value is not None}
    with pytest.raises(kfp_server_api.ApiException) as error:
        client._run_api.api_client.call_api(f"/apis/v2beta1{path}", "POST", body=body)
    answer = json.loads(error.value.body)
    assert message in answer["message"]
    assert (error.value.status, answer["code"]) in ((400, 3), (404, 5), (500, 13))
    assert not server.state.runs
    assert not server.state.recurring_runs


def test_five_fields_of_a_cron_are_taken_as_the_real_parser_takes_them(
    server: KfpServer, client: kfp.Client, compiled: Path
) -> None:
    made = client.upload_pipeline(str(compiled / "evaluation.yaml"), pipeline_name="mine")
    (version,) = server.state.versions
    experiment = client.create_experiment("x").experiment_id
    client.create_recurring_run(
        experiment, "trap", cron_expression="0 3 * * *", pipeline_id=made.pipeline_id, version_id=version
    )
    assert len(server.state.recurring_runs) == 1


@pytest.fixture(scope="module")
def specification() -> dict[str, Any]:
    places = [parent / "shared" / "reference" / SPECIFICATION for parent in Path(__file__).parents]
    places += [Path(os.environ["AGENT0_REFERENCE"]) / SPECIFICATION] if "AGENT0_REFERENCE" in os.environ else []
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        pytest.skip("the API's specification is not here; AGENT0_REFERENCE names its folder")
    loaded: dict[str, Any] = json.loads(found.read_text())
    return loaded


def operation(specification: dict[str, Any], method: str, path: str) -> dict[str, Any]:
    found: dict[str, Any] = specification["paths"][path][method.lower()]
    return found


def test_every_path_of_the_server_is_one_of_the_specification(specification: dict[str, Any]) -> None:
    from tests.kubeflow.server import _routes
    from tests.kubeflow.state import State

    for method, path, _ in _routes(State()):
        assert operation(specification, method, path), (method, path)


def test_the_generated_models_are_those_of_the_specification(specification: dict[str, Any]) -> None:
    compared = 0
    for name, definition in specification["definitions"].items():
        model = getattr(kfp_server_api, name[0].upper() + name[1:], None)
        if model is not None and "properties" in definition and name != "protobufAny":
            assert set(model.attribute_map.values()) == set(definition["properties"]), name
            compared += 1
    assert compared > 30


def resolved(specification: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema with what it refers to, closed against unknown fields, in the numbers that JSON really has."""

    def rewrite(node: Any) -> Any:
        if isinstance(node, list):
            return [rewrite(item) for item in node]
        if not isinstance(node, dict):
            return node
        changed = {key: rewrite(value) for key, value in node.items() if key not in ("default", "format", "title")}
        if node.get("format") == "int64":
            changed["type"] = ["string", "integer"]
        if node.get("properties"):
            changed["additionalProperties"] = False
        return changed

    definitions = rewrite(specification["definitions"])
    definitions["protobufAny"] = {}
    return {**rewrite(schema), "definitions": definitions}


def test_every_exchange_of_the_commands_fits_the_specification(
    specification: dict[str, Any], server: KfpServer, pipeline: Command
) -> None:
    server.state.mlflow_url = "https://mlflow.example"
    server.state.failing = {"evaluation-comparison": "no champion"}
    server.state.steps_per_look = 2
    for arguments in (
        ["upload", "evaluation.yaml"],
        ["upload", "tagged.yaml"],
        ["run", "evaluation", "--wait", "--interval", "0.01", "--param", "seed=3"],
        ["run", "evolution.yaml"],
        ["status", "latest"],
        ["cancel", "latest"],
        ["status", "latest"],
        ["list"],
        ["list", "evaluation"],
        ["list", "--runs"],
        ["schedule", "evaluation", "--cron", "0 0 3 * * *", "--latest"],
        ["schedule", "evaluation", "--cron", "0 0 4 * * *", "--replace"],
        ["schedules"],
        ["diff", "evaluation.yaml", "evaluation"],
        ["unschedule", "agent0-evaluation"],
        ["status", "00000000-0000-0000-0000-000000000000"],
    ):
        pipeline(*arguments)
    assert len(server.exchanges) > 50
    validators: dict[str, Any] = {}
    for exchange in server.exchanges:
        if not exchange.path.startswith(PREFIX):  # the specification is of the newer API alone
            continue
        described = operation(specification, exchange.method, exchange.path)
        parameters = {item["name"]: item for item in described.get("parameters", [])}
        assert set(exchange.query) <= {name for name, item in parameters.items() if item["in"] == "query"}
        body = next((item for item in parameters.values() if item["in"] == "body"), None)
        assert (body is not None) == (exchange.body is not None)
        pairs = [(body["schema"], exchange.body)] if body else []
        answer = described["responses"]["200" if exchange.status == 200 else "default"]["schema"]
        if not exchange.path.endswith("healthz"):  # the real one answers more than it declares
            pairs.append((answer, exchange.answer))
        for schema, data in pairs:
            key = json.dumps(schema)
            if key not in validators:
                validators[key] = jsonschema.Draft7Validator(resolved(specification, schema))
            errors = [f"{error.json_path}: {error.message[:200]}" for error in validators[key].iter_errors(data)]
            assert errors == [], (exchange.method, exchange.path)
    assert {exchange.status for exchange in server.exchanges} == {200, 404}


def test_two_servers_know_nothing_of_each_other(server: KfpServer, compiled: Path) -> None:
    with kfp_server() as other:
        kfp.Client(host=server.url).upload_pipeline(str(compiled / "evaluation.yaml"), pipeline_name="mine")
        assert kfp.Client(host=other.url).list_pipelines().pipelines is None
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+", other.url)
