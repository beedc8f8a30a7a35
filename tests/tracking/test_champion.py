"""A scheduled evaluation against the champion of a real registry: who is compared, and when the alias moves."""

from __future__ import annotations

import html
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from mlflow.tracking import MlflowClient
from typer.testing import CliRunner

from agent0.cli.main import app
from agent0.config import GateSettings, ModelSettings
from agent0.evaluation.registered_evaluations import recorded_evaluations
from agent0.evaluation.results import ResultsError
from agent0.stages import Stage, StageResult
from agent0.stages.evaluation_comparison import run_evaluation_comparison
from agent0.stages.evaluation_preparation import PreparedEvaluation, open_evaluation
from agent0.storage.digest import model_digest
from agent0.tracking.registry import RegistryError, aliases
from tests.serving.registry_server import registry_server

EXECUTOR = "agent0-executor"
CHAMPION = f"models:/{EXECUTOR}@champion"


@dataclass(frozen=True)
class World:
    """Three registered versions, and what evaluates them."""

    client: MlflowClient
    folder: Path
    write: Callable[..., Path]
    models: dict[str, Path]

    def prepare(self, model: str, champion: str = CHAMPION) -> PreparedEvaluation:
        values = {"model": {"source": model}, "evaluation": {"benchmarks": ["gsm8k"]}}
        return open_evaluation("", champion, values, job="")

    def compare(
        self,
        prepared: PreparedEvaluation,
        right: int,
        *,
        champion: str = CHAMPION,
        promote: bool = True,
        publish_to: str = "",
        significance: float = 0.05,
        **more: Any,
    ) -> tuple[StageResult, dict[str, Any]]:
        source = prepared.config.model.source
        number = len(list(self.folder.glob("part-*")))
        revision = model_digest(self.models[source[-1]])
        part = self.write(f"part-{number}", {"gsm8k": right}, revision=revision, **more)
        output = self.folder / f"out-{number}"
        result = run_evaluation_comparison(
            Stage.untracked("evaluation_comparison", 0),
            evaluations=[part],
            champion=champion,
            resolved_champion=prepared.champion,
            promote=promote,
            publish_to=publish_to,
            history="",
            model_name="",
            model=ModelSettings(source=source),
            gate=GateSettings(draws=500, significance=significance),
            output=output,
            output_uri=str(output),
            page=output.with_suffix(".page"),
        )
        decided = output / "decision.json"
        return result, json.loads(decided.read_text()) if decided.is_file() else {}

    def evaluate(self, version: int, right: int, **more: Any) -> tuple[StageResult, dict[str, Any]]:
        return self.compare(self.prepare(f"models:/{EXECUTOR}/{version}"), right, **more)

    def champion(self) -> str | None:
        return aliases(self.client, EXECUTOR).get("champion")

    def tags(self, version: str) -> dict[str, str]:
        return dict(self.client.get_model_version(EXECUTOR, version).tags)


@pytest.fixture
def world(client: MlflowClient, make_model: Any, registered: Any, write_evaluation: Any, tmp_path: Path) -> World:
    models = {str(number): make_model(f"model {number}") for number in (1, 2, 3)}
    for number, folder in models.items():
        registered(folder, int(number))
    return World(client, tmp_path, write_evaluation, models)


def test_an_alias_is_resolved_when_the_evaluation_begins(world: World) -> None:
    prepared = world.prepare(f"models:/{EXECUTOR}@candidate")
    assert (prepared.config.model.source, prepared.champion) == (f"models:/{EXECUTOR}/3", "none")
    run = world.client.get_run(prepared.run_id)
    assert run.info.run_name == f"evaluation {EXECUTOR} 3 seed 0"
    assert run.data.tags["agent0.model"] == f"models:/{EXECUTOR}/3"
    assert run.data.params["model.source"] == f"models:/{EXECUTOR}/3"


def test_the_first_evaluated_version_becomes_champion(world: World) -> None:
    result, record = world.evaluate(1, 50)
    assert world.champion() == "1"
    assert record["decision"] == "promote"
    assert record["champion"] is None
    assert "has no champion yet, so the first evaluated version becomes it" in record["alias"]["told"]
    assert "now points to version 1" in world.tags("1")["decision_reason"]
    assert result.warnings == ()


@pytest.mark.parametrize(("right", "champion"), [(80, "2"), (51, "1")])
def test_the_champion_is_replaced_only_by_what_is_shown_to_be_better(world: World, right: int, champion: str) -> None:
    world.evaluate(1, 50)
    prepared = world.prepare(f"models:/{EXECUTOR}/2")
    assert (prepared.champion, prepared.warnings) == (f"models:/{EXECUTOR}/1", ())
    result, record = world.compare(prepared, right)
    assert world.champion() == champion
    assert record["results"][0]["difference"]["mean"] == pytest.approx(right / 100 - 0.5)
    assert record["champion"]["place"] == (world.folder / "out-0").as_uri()
    assert (record["alias"]["before"], record["alias"]["after"]) == ("1", champion)
    assert world.tags("2")["decision"] == ("promote" if champion == "2" else "keep")
    assert result.warnings == ()
    page = html.unescape((world.folder / "out-1" / "comparison.html").read_text())
    assert f"{EXECUTOR} 1" in page
    assert f'<p class="verdict" id="decision">{record["alias"]["told"]}</p>' in page


def test_the_latest_evaluation_in_the_setting_is_the_one_compared_with(world: World) -> None:
    world.evaluate(1, 90)
    world.evaluate(1, 50, finished_at=300.0)
    (recorded,) = recorded_evaluations(world.client.get_model_version(EXECUTOR, "1")).values()
    assert recorded.scores["gsm8k"][0] == pytest.approx(0.5)
    assert world.evaluate(2, 80)[1]["decision"] == "promote"


def test_the_champion_itself_is_evaluated_without_a_decision(world: World) -> None:
    world.evaluate(1, 50)
    _, record = world.evaluate(1, 90)
    assert (record["decision"], world.champion()) == ("keep", "1")
    assert "is the champion itself" in record["reason"]


def test_a_champion_is_kept_where_the_questions_are_too_few_for_the_gate(world: World) -> None:
    world.evaluate(1, 50)
    result, record = world.evaluate(2, 90, significance=1e-31)
    assert (record["decision"], world.champion()) == ("keep", "1")
    assert "gsm8k: too few questions (100)" in record["reason"]
    assert record["reason"] in result.warnings[0]


def test_promotion_can_be_switched_off(world: World) -> None:
    world.evaluate(1, 50)
    result, record = world.compare(world.prepare(f"models:/{EXECUTOR}/2"), 90, promote=False)
    assert (record["decision"], world.champion()) == ("promote", "1")
    assert "switched off" in result.warnings[0]


def test_a_champion_without_an_evaluation_is_kept_and_one_is_told_what_to_run(world: World) -> None:
    world.client.set_registered_model_alias(EXECUTOR, "champion", "1")
    prepared = world.prepare(f"models:/{EXECUTOR}/2")
    assert "will be kept whatever comes out" in prepared.warnings[0]
    result, record = world.compare(prepared, 99)
    assert (record["decision"], world.champion()) == ("keep", "1")
    assert f"agent0 evaluate --model models:/{EXECUTOR}/1" in result.warnings[0]
    assert "it has none at all" in world.tags("2")["decision_reason"]


def test_a_champion_evaluated_in_another_setting_is_kept(world: World) -> None:
    world.evaluate(1, 10, tool=False)
    result, record = world.evaluate(2, 99)
    assert (record["decision"], world.champion()) == ("keep", "1")
    assert "it has others (gsm8k with preset paper)" in result.warnings[0]


def test_a_champion_whose_evaluation_is_gone_or_was_changed_is_kept(world: World) -> None:
    world.evaluate(1, 10)
    verdicts = world.folder / "out-0" / "questions" / "gsm8k.jsonl"
    verdicts.write_text(verdicts.read_text().replace("true", "false"))
    result, record = world.evaluate(2, 99)
    assert (record["decision"], world.champion()) == ("keep", "1")
    assert "is not what was registered" in result.warnings[0]
    shutil.rmtree(world.folder / "out-0")
    result, _ = world.evaluate(2, 99)
    assert "There is nothing at" in result.warnings[0]
    assert world.champion() == "1"


def test_an_alias_that_moved_meanwhile_is_left_alone(world: World) -> None:
    world.evaluate(1, 50)
    prepared = world.prepare(f"models:/{EXECUTOR}/2")
    world.client.set_registered_model_alias(EXECUTOR, "champion", "3")
    result, record = world.compare(prepared, 90)
    assert (record["decision"], world.champion()) == ("promote", "3")
    assert "moved by someone else meanwhile" in result.warnings[0]
    assert "moved by someone else meanwhile" in world.tags("2")["decision_reason"]
    world.client.delete_registered_model_alias(EXECUTOR, "champion")
    assert "points to no version now" in world.compare(prepared, 90)[0].warnings[0]


def test_a_retried_comparison_finds_its_promotion_done(world: World) -> None:
    world.evaluate(1, 50)
    prepared = world.prepare(f"models:/{EXECUTOR}/2")
    for _ in range(2):
        result, record = world.compare(prepared, 90)
        assert (record["alias"]["before"], record["alias"]["after"], world.champion()) == ("1", "2", "2")
        assert result.warnings == ()


def test_a_model_that_is_no_version_of_the_champions_is_not_promoted(world: World) -> None:
    world.evaluate(1, 50)
    folder = world.models["3"]
    prepared = world.prepare(str(folder))
    part = world.write("part-x", {"gsm8k": 90})
    output = world.folder / "outside"
    result = run_evaluation_comparison(
        Stage.untracked("evaluation_comparison", 0),
        evaluations=[part],
        champion=CHAMPION,
        resolved_champion=prepared.champion,
        promote=True,
        publish_to="",
        history="",
        model_name="",
        model=ModelSettings(source=str(folder)),
        gate=GateSettings(draws=500),
        output=output,
        output_uri=str(output),
        page=output.with_suffix(".page"),
    )
    assert "is no version of agent0-executor" in result.warnings[0]
    assert world.champion() == "1"


def test_a_version_as_the_champion_has_no_alias_to_move(world: World) -> None:
    world.evaluate(1, 50)
    fixed = f"models:/{EXECUTOR}/1"
    result, record = world.compare(world.prepare(f"models:/{EXECUTOR}/2", fixed), 90, champion=fixed)
    assert (record["decision"], world.champion()) == ("promote", "1")
    assert "is a version and no alias" in result.warnings[0]


def test_an_evaluation_of_other_weights_is_not_recorded(world: World) -> None:
    prepared = world.prepare(f"models:/{EXECUTOR}/1")
    world.models["1"] = world.models["2"]
    with pytest.raises(RegistryError, match="it is another model's"):
        world.compare(prepared, 50)
    assert recorded_evaluations(world.client.get_model_version(EXECUTOR, "1")) == {}


def test_a_damaged_record_is_named(world: World) -> None:
    world.client.set_model_version_tag(EXECUTOR, "1", "evaluation.abc", '{"place": 1}')
    with pytest.raises(ResultsError, match=r"evaluation\.abc of agent0-executor version 1 is damaged"):
        recorded_evaluations(world.client.get_model_version(EXECUTOR, "1"))


def test_what_is_not_registered_stops_an_evaluation_before_it_runs(world: World) -> None:
    with pytest.raises(RegistryError, match="no registered model 'other'"):
        world.prepare(f"models:/{EXECUTOR}/1", "models:/other@champion")
    with pytest.raises(RegistryError, match="no version 9"):
        world.prepare(f"models:/{EXECUTOR}/9")


@pytest.mark.slow
def test_the_command_evaluates_a_registered_model_and_records_it_on_its_version(
    client: MlflowClient, registered: Any, random_model: Any, tokenizer: Any, tmp_path: Path
) -> None:
    folder = tmp_path / "weights"
    random_model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    registered(folder, 1)
    settings = ["questions_per_level=2", "tool=false", "logs=false", "samples=1"]
    short = [part for setting in settings for part in ("--set", f"evaluation.{setting}")]
    limits = ["--set", "rollout.max_response_tokens=8", "--set", "rollout.max_observation_tokens=4"]
    command = ["evaluate", "--model", f"models:/{EXECUTOR}@candidate", "-o", str(tmp_path / "out"), "--json", "-q"]
    done = CliRunner().invoke(app, [*command, *short, *limits], catch_exceptions=False)
    report = json.loads(done.stdout)
    assert (report["name"], report["model"]) == (f"{EXECUTOR} 1", f"models:/{EXECUTOR}/1")
    (recorded,) = recorded_evaluations(client.get_model_version(EXECUTOR, "1")).values()
    assert recorded.place == (tmp_path / "out").as_uri()
    with pytest.raises(RegistryError, match="no alias 'champion'"):
        CliRunner().invoke(
            app, ["evaluate", "--model", CHAMPION, "-o", str(tmp_path / "other")], catch_exceptions=False
        )


def test_a_new_champion_is_published_on_request_and_only_then(world: World) -> None:
    with registry_server() as registry:
        world.evaluate(1, 50)
        world.evaluate(2, 51, publish_to=registry.url)
        assert registry.requests == []
        prepared = world.prepare(f"models:/{EXECUTOR}/3")
        for _ in range(2):  # the task is tried again
            result, record = world.compare(prepared, 90, publish_to=registry.url)
            assert f"published as version 3 of {EXECUTOR}" in record["alias"]["told"]
            assert result.warnings == ()
        assert [version["name"] for version in registry.versions] == ["3"]
        assert len(registry.made) == 3


def test_a_publication_that_fails_is_a_warning_with_the_command_that_makes_up_for_it(world: World) -> None:
    result, record = world.evaluate(1, 50, publish_to="http://127.0.0.1:9")
    assert world.champion() == "1"
    assert record["alias"]["hindered"]
    assert "does not answer" in result.warnings[0]
    assert f"agent0 models publish models:/{EXECUTOR}/1 --registry http://127.0.0.1:9" in result.warnings[0]
