"""The card of a registered executor or curriculum agent: what its evolution's report states, and no more."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from agent0.ablations import active_ablations
from agent0.evaluation.registered_evaluations import RecordedEvaluation, recorded_evaluations
from agent0.hub.card_text import METHOD, joined, metadata, rounds_table, rows
from agent0.hub.hub_repository import CARD_FILE
from agent0.report import wording
from agent0.report.fruitless_iterations import explanations
from agent0.report.history import History
from agent0.report.intervals import bounds
from agent0.stages.open_history import MLFLOW_SCHEME, open_history
from agent0.storage.digest import of_a_model
from agent0.storage.folder_files import files_under
from agent0.storage.manifest import MANIFEST
from agent0.tracking.model_source import HUB_ID

if TYPE_CHECKING:
    from agent0.tracking.registry import Version

SUMMARY_FILE, SETTINGS_FILE = "agent0/summary.json", "agent0/settings.json"


@dataclass(frozen=True)
class Grown:
    """A registered version, and the history of its evolution up to the round that made it."""

    version: Version
    history: History

    @property
    def title(self) -> str:
        """What the model is called."""
        return f"{self.version.name} {self.version.version}"

    @property
    def source(self) -> str:
        """By what it is fetched."""
        return f"models:/{self.version.name}/{self.version.version}"


def grown(version: Version) -> Grown:
    """Return a version with its evolution's history, as its MLflow run keeps it.

    Raises:
        Agent0Error: MLflow keeps no history of it.
    """
    history = open_history(f"{MLFLOW_SCHEME}{version.tags.get('evolution_run_id', 'none')}")
    made = int(version.tags["iteration"])
    return Grown(
        version,
        history.model_copy(update={"iterations": tuple(r for r in history.iterations if r.iteration <= made)}),
    )


def card(model: Grown, licence: str) -> str:
    """Return the card, in Markdown behind its metadata.

    Args:
        model: what is pushed.
        licence: its licence as the hub names it; empty to say none.
    """
    version, history = model.version, model.history
    source = str(history.config["model"]["source"])
    left_out = active_ablations(history.config)
    head = metadata(
        license=licence,
        library_name="transformers",
        pipeline_tag="text-generation",
        base_model=source if HUB_ID.fullmatch(source) else "",
        tags=["agent0", "reinforcement-learning", *(["ablation"] if left_out else [])],
    )
    facts = {
        "made by": f"round {version.tags['iteration']} of an evolution of `{source}`",
        "recipe": f"`{history.recipe}`, seed {history.seed}",
        "left out of the method": ", ".join(left_out) or "nothing",
        "trained on": _data(history),
        "code": f"`{version.tags.get('code_version', 'unknown')}`",
        "sha256 of the files": f"`{version.tags['model_sha256']}`",
        "settings, figures": f"`{SETTINGS_FILE}`, `{SUMMARY_FILE}`",
    }
    said = [wording.headline(history), *explanations(history)]
    return joined(
        f"{head}\n# {model.title}",
        METHOD,
        rows(("", ""), list(facts.items())),
        f"## What was measured\n\n**{said[0]}**",
        *said[1:],
        "Accuracy of the executor on held-out questions, in percent, with its 95 % interval over the questions; two "
        "that overlap are no difference.",
        rounds_table(history),
        *_evaluations(recorded_evaluations(version)),
        f"## Use\n\n{_use(version, history)}",
        "Its labels were its own votes, and what it was tested on is named above; nothing more is known of it.",
    )


def files(model: Grown, folder: Path, text: str) -> Mapping[str, Path | str]:
    """Return what is pushed, by name: the model's files in `folder`, its card `text`, settings and figures."""
    here = {path.relative_to(folder).as_posix(): path for path in files_under(folder)}
    return {
        **{name: path for name, path in here.items() if of_a_model(name) and name != MANIFEST},
        CARD_FILE: text,
        SETTINGS_FILE: json.dumps(model.history.config, indent=2),
        SUMMARY_FILE: json.dumps(model.history.summary(), indent=2),
    }


def _use(version: Version, history: History) -> str:
    if "tasks_sha256" not in version.tags:  # see `agent0.tracking.model_origin.Origin`
        return (
            f"It proposes tasks for an executor, in the domain `{history.config['rollout']['domain']}`; the figures "
            "above are those of the executor that grew with it."
        )
    return (
        "It reasons in text and calls a tool by a ```` ```python ```` block, whose output is written behind it; its "
        "answer stands in `\\boxed{}`. Outside Agent0, which runs such programs in a sandbox, run none of them without "
        f"one. `agent0 evaluate --recipe {history.recipe} --model` with this repository's id asks it as it was trained."
    )


def _data(history: History) -> str:
    kept = sum(proposals.kept for _, proposals in wording.rounds(history))
    return f"{kept} tasks that its curriculum agent proposed, labelled by its own majority vote; no human data"


def _evaluations(recorded: Mapping[str, RecordedEvaluation]) -> list[str]:
    found = [
        (name, bounds(*score), item.preset, "yes" if item.tool else "no")
        for item in recorded.values()
        for name, score in item.scores.items()
    ]
    if not found:
        return []
    columns = ("benchmark", "score, % (95 %)", "preset", "tool")
    return ["Evaluations of this version, the newest first:", rows(columns, found)]
