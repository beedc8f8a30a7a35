"""The champion among a registered model's versions: what it is compared with, and when its alias moves.

The gate decides on evidence; here the evidence is found, and the alias moved. Whatever stands in the way is a sentence
and keeps the champion: an evaluation that took hours is not lost over it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from agent0.config import GateSettings
from agent0.evaluation.registered_evaluations import fetched_record, recorded_evaluations, setting_key
from agent0.evaluation.results import EvaluationReport, read_report
from agent0.promotion.claims import Run
from agent0.promotion.decision import decide_between, kept, undecided
from agent0.promotion.gate import GateDecision
from agent0.storage.uri import StorageError
from agent0.tracking.model_uri import PREFIX, ModelUri, parse_model_uri

if TYPE_CHECKING:
    from agent0.tracking.registry import Client, Version

NO_CHAMPION = "none"
"""In place of a champion's version, where its alias points to none yet."""


@dataclass(frozen=True)
class Challenge:
    """Which model wants to take whose place.

    Attributes:
        model: source of the evaluated model.
        champion: URI of the registered model that it is compared with; an alias is what may move.
        resolved: URI of the version behind it when the evaluation began, or `NO_CHAMPION`.
        promote: whether the alias may move.
    """

    model: str
    champion: ModelUri
    resolved: str
    promote: bool = True

    @property
    def before(self) -> str | None:
        """The number of the champion's version; None where there is no champion yet."""
        return None if self.resolved == NO_CHAMPION else parse_model_uri(self.resolved).version

    @property
    def version(self) -> str | None:
        """The number of the challenger's version; None where it is no version of the champion's model."""
        return parse_model_uri(self.model).version if self.model.startswith(f"{PREFIX}{self.champion.name}/") else None


@dataclass(frozen=True)
class Contest:
    """A decision between an evaluated model and the champion.

    Attributes:
        decision: of the gate, or to keep the champion because the gate could not be asked.
        champion: the champion's evaluation, in a folder that need not last; None where there is none to compare with.
        place: where that evaluation is kept.
        asked: whether the gate was asked.
    """

    decision: GateDecision
    champion: Run | None
    place: str = ""
    asked: bool = False


@dataclass(frozen=True)
class AliasOutcome:
    """What became of the champion's alias, in one sentence; `hindered` where a promotion was not carried out.

    `version` wanted to be pointed to; `before` and `after` are what was and is, None for nowhere.
    """

    alias: str
    version: str | None
    before: str | None
    after: str | None
    told: str
    hindered: bool = False


def resolve_champion(client: Client, champion: ModelUri) -> str:
    """Return the URI of the version that the champion's URI names now, or `NO_CHAMPION`.

    Raises:
        RegistryError: there is no such version, or the registry does not answer.
    """
    from agent0.tracking.registry import aliases, resolve

    if champion.alias and champion.alias not in aliases(client, champion.name):
        return NO_CHAMPION
    return str(ModelUri(champion.name, version=str(resolve(client, champion).version)))


def early_warning(client: Client, challenge: Challenge, benchmarks: Sequence[str], preset: str) -> tuple[str, ...]:
    """Say before the evaluation runs that the gate will not be able to decide, as far as that can be known.

    Raises:
        RegistryError: the registry does not answer.
    """
    from agent0.tracking.registry import resolve

    if challenge.resolved in (NO_CHAMPION, challenge.model):
        return ()
    recorded = recorded_evaluations(resolve(client, parse_model_uri(challenge.resolved))).values()
    if any(set(item.scores) == set(benchmarks) and item.preset == preset for item in recorded):
        return ()
    return (
        f"The champion, {_told(challenge.resolved)}, has no evaluation of {', '.join(benchmarks)} with the preset "
        f"{preset}, so it will be kept whatever comes out. {_advice(challenge.resolved)}",
    )


@contextmanager
def contest_of(
    client: Client, challenge: Challenge, candidate: Run, settings: GateSettings, *, seed: int
) -> Iterator[Contest]:
    """Put an evaluated model to the gate against the champion's latest evaluation in the same setting.

    The champion's evaluation is there for the length of the block.

    Raises:
        ResultsError: the champion's evaluation is not what it should be.
        RegistryError: the registry refuses or does not answer.
    """
    from agent0.tracking.registry import resolve

    with ExitStack() as stack:
        if challenge.resolved == NO_CHAMPION:
            contest = Contest(_first(challenge), None)
        elif challenge.resolved == challenge.model:
            contest = Contest(kept(f"{_told(challenge.resolved)} is the champion itself."), None)
        else:
            holder = resolve(client, parse_model_uri(challenge.resolved))
            recorded = recorded_evaluations(holder).get(setting_key(candidate.report))
            if recorded is None:
                contest = Contest(kept(_missing(challenge, holder, candidate.report)), None)
            else:
                try:
                    folder = str(stack.enter_context(fetched_record(client, recorded)))
                except StorageError as error:
                    why = f"its evaluation cannot be read. {error} {_advice(challenge.resolved)}"
                    contest = Contest(kept(why), None)
                else:
                    run = Run(folder, read_report(folder))
                    obstacle = undecided(run.report, candidate.report, settings)
                    decision = obstacle or decide_between(run, candidate, settings, seed=seed)
                    contest = Contest(decision, run, recorded.place, asked=obstacle is None)
        yield contest


def move_champion(client: Client, challenge: Challenge, decision: GateDecision) -> AliasOutcome:
    """Move the champion's alias to the evaluated version if the decision says so, and tell what was done.

    An alias that somebody else has moved since the evaluation began is left where it is.

    Raises:
        RegistryError: the registry refuses or does not answer.
    """
    from agent0.tracking.registry import AliasMovedError, move_alias

    name, alias, version = challenge.champion.name, challenge.champion.alias, challenge.version
    stays = AliasOutcome(alias, version, challenge.before, challenge.before, decision.reason)
    if not decision.promoted:
        return stays
    if not alias:
        return _hindered(stays, f"{challenge.champion} is a version and no alias, so nothing was moved.")
    if version is None:
        return _hindered(stays, f"{challenge.model} is no version of {name}, so its alias {alias} was not moved.")
    if not challenge.promote:
        return _hindered(stays, f"Promotion is switched off for this run, so the alias {alias} was not moved.")
    try:
        move_alias(client, name, alias, version, challenge.before)
    except AliasMovedError as error:
        return _hindered(stays, str(error))
    now = f"The alias {alias} of {name} now points to version {version}."
    return replace(stays, after=version, told=f"{decision.reason} {now}")


def _hindered(stays: AliasOutcome, why: str) -> AliasOutcome:
    return replace(stays, told=f"{stays.told} {why}", hindered=True)


def _first(challenge: Challenge) -> GateDecision:
    name, alias = challenge.champion.name, challenge.champion.alias
    if challenge.version is None:
        return kept(f"{name} has none yet, and {challenge.model} is no version of it that could become one.")
    reason = f"{name} has no {alias} yet, so the first evaluated version becomes it: version {challenge.version}."
    return GateDecision(decision="promote", reason=reason, mean_gain=0.0, gains=(), losses=(), results=())


def _missing(challenge: Challenge, holder: Version, report: EvaluationReport) -> str:
    others = recorded_evaluations(holder).values()
    had = "; ".join(f"{', '.join(item.scores)} with preset {item.preset}" for item in others)
    wanted = ", ".join(score.benchmark for score in report.benchmarks)
    return (
        f"{_told(challenge.resolved)} has no evaluation of {wanted} in these settings, "
        f"{f'it has others ({had})' if had else 'it has none at all'}. {_advice(challenge.resolved)}"
    )


def _advice(champion: str) -> str:
    return (
        f"Run this evaluation with model.source={champion} (or `agent0 evaluate --model {champion}`), then the "
        "candidate's again."
    )


def _told(uri: str) -> str:
    parsed = parse_model_uri(uri)
    return f"version {parsed.version} of {parsed.name}"
