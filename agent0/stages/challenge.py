"""The part of an evaluation that knows registered models: recording it, asking the gate, moving the champion."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

from agent0.config import GateSettings
from agent0.errors import Agent0Error
from agent0.evaluation.results import read_report
from agent0.promotion.champion import AliasOutcome, Challenge, Contest, contest_of, move_champion
from agent0.promotion.claims import Run
from agent0.promotion.decision import DECISION_FILE, decide_between, decision_record, undecided
from agent0.stages.session import Stage
from agent0.storage.atomic_file import write_json
from agent0.tracking.model_uri import is_model_uri, parse_model_uri
from agent0.tracking.tracking_location import tracking_uri

AUTHOR = "agent0"
"""Who a version is published as that a pipeline promoted."""


def challenge_of(model: str, champion: str, resolved: str, *, promote: bool) -> Challenge | None:
    """Return who challenges whom; None where the champion is no registered model."""
    return Challenge(model, parse_model_uri(champion), resolved, promote) if is_model_uri(champion) else None


@contextmanager
def contest_against(
    stage: Stage, champion: str, challenge: Challenge | None, candidate: Run, gate: GateSettings
) -> Iterator[Contest | None]:
    """Yield the decision between the candidate and the champion, None where there is no champion to ask for."""
    if challenge is not None:
        from agent0.tracking.mlflow_runs import open_client

        with contest_of(open_client(tracking_uri()), challenge, candidate, gate, seed=stage.seed) as contest:
            yield contest
    elif champion:
        run = Run(champion, read_report(champion))
        obstacle = undecided(run.report, candidate.report, gate)
        decision = obstacle or decide_between(run, candidate, gate, seed=stage.seed)
        yield Contest(decision, run, champion, asked=obstacle is None)
    else:
        yield None


def carry_out(
    stage: Stage,
    contest: Contest,
    challenge: Challenge | None,
    candidate: Run,
    gate: GateSettings,
    publish_to: str,
    output: Path,
) -> tuple[str, bool]:
    """Move the champion's alias if the decision says so, and write down what was decided and done, and why.

    A version that the alias moved to is published in the model registry at the address `publish_to`, if there is one. A
    publication that fails is told, not raised: the command that makes up for it is in the sentence.

    It is written to the decision's file, to the evaluation's run and, for a registered model, to the version.

    Returns:
        The sentence, and whether a person should be warned of it: the gate was not asked, or not followed.
    """
    decision = contest.decision
    champion = contest.champion and Run(contest.place, contest.champion.report)
    record = decision_record(decision, champion, candidate, gate)
    tags = {"agent0.decision": decision.decision, "agent0.reason": decision.reason}
    outcome = None
    if challenge is not None:
        outcome = _published(_move(challenge, contest), challenge, publish_to)
        record["alias"] = asdict(outcome)
        tags["agent0.reason"] = outcome.told
    write_json(output / DECISION_FILE, record)
    stage.evolution.set_tags(tags)
    hindered = outcome is not None and outcome.hindered
    unasked = not contest.asked and not decision.promoted
    return tags["agent0.reason"], hindered or unasked


def _published(outcome: AliasOutcome, challenge: Challenge, publish_to: str) -> AliasOutcome:
    """Publish the version that an alias moved to; return the outcome with what became of that."""
    if not publish_to or outcome.version is None or outcome.after != outcome.version:
        return outcome
    from agent0.serving.publication import publish_version

    try:
        published = publish_version(challenge.model, publish_to, AUTHOR)
    except Agent0Error as error:
        advice = f"Run `agent0 models publish {challenge.model} --registry {publish_to}`."
        return replace(outcome, told=f"{outcome.told} It was not published: {error} {advice}", hindered=True)
    return replace(outcome, told=f"{outcome.told} {published.told}")


def _move(challenge: Challenge, contest: Contest) -> AliasOutcome:
    from agent0.tracking.mlflow_runs import open_client
    from agent0.tracking.registry import resolve, set_version_tags

    client = open_client(tracking_uri())
    outcome = move_champion(client, challenge, contest.decision)
    if is_model_uri(challenge.model):
        version = resolve(client, parse_model_uri(challenge.model))
        set_version_tags(client, version, {"decision": contest.decision.decision, "decision_reason": outcome.told})
    return outcome
