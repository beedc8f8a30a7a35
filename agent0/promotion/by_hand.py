"""Promotion by hand: the gate on two evaluations of registered versions, or a person's word with a reason."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

from agent0.config import GateSettings
from agent0.evaluation.registered_evaluations import fetched_record, recorded_evaluations
from agent0.evaluation.results import read_report
from agent0.promotion.champion import NO_CHAMPION, AliasOutcome, Challenge, move_champion, resolve_champion
from agent0.promotion.claims import Run
from agent0.promotion.decision import decide_between, kept
from agent0.promotion.gate import GateDecision
from agent0.tracking.model_uri import ModelUri, parse_model_uri

if TYPE_CHECKING:
    from agent0.tracking.registry import Client, Version


def promote_by_gate(client: Client, model: str, alias: str, evaluation: str = "", against: str = "") -> AliasOutcome:
    """Put a version to the gate against the one that `alias` points to, and move the alias if the gate says so.

    Args:
        client: of the registry.
        model: URI of the version.
        alias: what may move.
        evaluation: place of its evaluation; "" for the most telling recorded one that can be compared: that with the
            most benchmarks, then the most questions, then the newest.
        against: the same of the version that the alias points to, if to any.

    Raises:
        UsageError: the evaluations cannot be compared.
        RegistryError: no such version, or an evaluation is of another model.
        ResultsError: an evaluation is missing or broken.
        StorageError: a store refuses or does not answer.
    """
    from agent0.tracking.registry import resolve, set_version_tags

    version = resolve(client, parse_model_uri(model))
    challenge = _challenge(client, version, alias)
    if challenge.before == challenge.version:
        told = f"The alias {alias} of {version.name} points to version {version.version} already."
        return AliasOutcome(alias, challenge.version, challenge.before, challenge.before, told)
    decision = _decide(client, version, challenge, evaluation, against)
    outcome = move_champion(client, challenge, decision)
    set_version_tags(client, version, {"decision": decision.decision, "decision_reason": outcome.told})
    return outcome


def promote_by_force(client: Client, model: str, alias: str, reason: str) -> AliasOutcome:
    """Point `alias` to a version without asking the gate; the reason is kept on the version.

    Raises:
        RegistryError: no such version, or somebody else moved the alias meanwhile.
    """
    from agent0.tracking.registry import move_alias, resolve, set_version_tags

    version = resolve(client, parse_model_uri(model))
    challenge = _challenge(client, version, alias)
    move_alias(client, version.name, alias, str(version.version), challenge.before)
    before = "nothing" if challenge.before is None else f"version {challenge.before}"
    told = (
        f"The alias {alias} of {version.name} now points to version {version.version} (before: {before}), by hand and "
        f"without the gate: {reason}"
    )
    set_version_tags(client, version, {"decision": "forced", "decision_reason": told})
    return AliasOutcome(alias, challenge.version, challenge.before, challenge.version, told)


def _challenge(client: Client, version: Version, alias: str) -> Challenge:
    champion = parse_model_uri(f"models:/{version.name}@{alias}")
    model = str(ModelUri(version.name, version=str(version.version)))
    return Challenge(model, champion, resolve_champion(client, champion))


def _decide(client: Client, version: Version, challenge: Challenge, evaluation: str, against: str) -> GateDecision:
    from agent0.tracking.model_fetching import check_digest
    from agent0.tracking.registry import resolve

    mine = recorded_evaluations(version)
    if challenge.resolved == NO_CHAMPION:
        if evaluation:
            check_digest(version, read_report(evaluation).revision or "", f"The evaluation {evaluation}")
        elif not mine:
            return kept(
                f"there is none yet, and version {version.version} was never evaluated, so nothing speaks for it. Run "
                f"`agent0 evaluate --model {challenge.model}` first, or give --force and a --reason."
            )
        reason = f"{version.name} has no {challenge.champion.alias} yet, so this evaluated version becomes it."
        return replace(kept(""), decision="promote", reason=reason)
    champion = resolve(client, parse_model_uri(challenge.resolved))
    if evaluation:
        runs = Run(against, read_report(against)), Run(evaluation, read_report(evaluation))
        for run, expected in zip(runs, (champion, version), strict=True):
            check_digest(expected, run.report.revision or "", f"The evaluation {run.place}")
        return decide_between(*runs, GateSettings())
    theirs = recorded_evaluations(champion)
    shared = [key for key in mine if key in theirs]
    if not shared:
        return kept(
            f"versions {champion.version} and {version.version} have no evaluation in the same setting. Run `agent0 "
            f"evaluate` with the same options for {challenge.resolved} and {challenge.model}, then this again."
        )
    chosen = max(shared, key=lambda key: (len(mine[key].scores), mine[key].questions, mine[key].finished_at))
    with ExitStack() as stack:
        folders = [str(stack.enter_context(fetched_record(client, each[chosen]))) for each in (theirs, mine)]
        old, new = (Run(folder, read_report(folder)) for folder in folders)
        return decide_between(old, new, GateSettings())
