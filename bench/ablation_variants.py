"""What the ablation compares: the paper's full method, parts of it left out, gates beside it, and other recipes.

A variant is settings alone, on top of a world's: everything that is no part of the paper's method is off in all of
them, whatever the world's own recipe says, so that the full method is the paper's and each gate is measured by itself.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from agent0.ablations import ABLATIONS, FULL, active_ablations
from agent0.config import Config, load_config
from agent0.recipes import recipe_names

_SHIPPED = "the world's recipe with all that it adds to the paper"
BEYOND_PAPER = (
    "curriculum.baseline",
    "curriculum.conditioning.examples",
    "curriculum.conditioning.topics",
    "curriculum.reward.archive_weight",
    "curriculum.reward.grounded",
    "execution.grounded_vote",
    "execution.question_judge.source",
    "executor.anchors.file",
    "executor.guard_samples",
    "executor.pools.enabled",
    "executor.pools.negative_share",
    "executor.redraws",
    "filtering.max_per_cluster",
    "filtering.max_self_consistency",
    "filtering.min_derivations",
    "filtering.min_grounded",
    "filtering.min_novelty",
    "filtering.min_self_consistency",
    "filtering.negative_support",
    "filtering.truth",
    "filtering.well_posed",
    "one_model",
)
"""Settings whose default is the paper's; of all but the band, that is nothing."""


ABSOLUTE_ZERO = "absolute-zero"


@dataclass(frozen=True)
class World:
    """Where the table is measured.

    Attributes:
        title: of the table.
        recipe: that every run is under.
        settings: of every run.
        known: tasks whose answers are known, for the variants that need some.
        lacks: variants that its model cannot be run with.
        starving: variants that may leave too few tasks to train on, which is their result and no fault of the run.
        warm_start: whether the recipe's warm start is made once, and every run begins with that model.
    """

    title: str
    recipe: str
    settings: Mapping[str, Any]
    known: Mapping[str, Any]
    lacks: tuple[str, ...] = ()
    starving: tuple[str, ...] = ("gate-derivations", "no-tool", "r-zero", "socratic-zero")
    warm_start: bool = False


@dataclass(frozen=True)
class Variant:
    """What differs from the full method.

    Attributes:
        about: in words.
        paper: the paper's row for it, where it has one.
        ablations: parts that are left out.
        settings: that are set.
        needs_known: whether it needs tasks whose answers are known.
        taught: whether a teacher proposes in the curriculum agent's place.
        shipped: whether what the world's recipe adds to the paper stays on.
        recipe: that it is under, in place of the world's.
    """

    about: str
    paper: str = ""
    ablations: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    needs_known: bool = False
    taught: bool = False
    shipped: bool = False
    recipe: str = ""


def _left_out(recipe: str) -> tuple[str, ...]:
    return active_ablations(load_config(recipe).model_dump())


WORLDS: Mapping[str, World] = {
    "tiny": World(
        title="Embedded model, arithmetic",
        recipe="spiral",
        settings={},
        known={"execution.known_tasks": "domain:arithmetic", "execution.known_count": 16},
        lacks=("gate-well-posed", ABSOLUTE_ZERO),  # its model reads nothing but its own prompts
    ),
    "words": World(
        title="SmolLM2-135M, word problems",
        recipe="smollm2",
        settings={
            "iterations": 1,
            "generation.proposals": 96,
            "generation.shard_size": 96,
            "execution.known_tasks": "",
            "executor.steps": 8,
            "evaluation.benchmarks": ["domain:word_problems"],
        },
        known={"execution.known_tasks": "gym:small", "execution.known_count": 16},
        lacks=("gate-novelty",),  # nothing was asked before the one round
        warm_start=True,
    ),
}
GATES: Mapping[str, Variant] = {
    "gate-truth": Variant(
        "without tasks whose label the domain's truth contradicts", settings={"filtering.truth": "refuse"}
    ),
    "gate-derivations": Variant("without labels of one program alone", settings={"filtering.min_derivations": 2}),
    "gate-grounded": Variant(
        "without labels that were not computed from the question", settings={"filtering.min_grounded": 0.5}
    ),
    "gate-well-posed": Variant(
        "without questions that the executor calls ill posed",
        settings={"execution.question_judge.source": "executor", "filtering.well_posed": True},
        needs_known=True,
    ),
    "gate-novelty": Variant("without questions near earlier ones", settings={"filtering.min_novelty": 0.3}),
    "gate-cluster": Variant("without more than four of a cluster", settings={"filtering.max_per_cluster": 4}),
    "negative-labels": Variant(
        "refused answers are trained against",
        settings={
            "filtering.negative_support": 0.1,
            "executor.pools.enabled": True,
            "executor.pools.easy_share": 0.0,
            "executor.pools.hard_share": 0.0,
            "executor.pools.negative_share": 0.1,
        },
    ),
    "guard": Variant(
        "a training that did harm on known tasks is undone", settings={"executor.guard_samples": 4}, needs_known=True
    ),
}
APART = {"gate-truth", "gate-derivations"}
"""Gates that are not among all together: the first is no longer zero data, the second leaves nothing where every sample
runs one program (docs/gates.md)."""
BASELINES: Mapping[str, Variant] = {
    "r-zero": Variant("what r-zero leaves out: tool, reward for it, ADPO", ablations=_left_out("r-zero")),
    "socratic-zero": Variant(
        "what socratic-zero leaves out: the same, and a teacher proposes",
        ablations=_left_out("socratic-zero"),
        taught=True,
    ),
    ABSOLUTE_ZERO: Variant(
        "programs and their truth by execution, asked the world's questions in the end",
        settings={"curriculum.prompts_per_step": 4, "curriculum.executor_samples": 6, "execution.samples": 10},
        shipped=True,
        recipe=ABSOLUTE_ZERO,
    ),
}
"""Other methods: in a world, what their recipes leave out, with its numbers; or their own recipe, at its budget."""
PROGRAM = ("http://127.0.0.1:18977/v1", "program")
"""Address and model of the teacher that is a program; fixed, since it is among the settings of a run."""


def variants_of(world: World) -> dict[str, Variant]:
    """Return what is compared in a world by name, the full method first."""
    gates = {name: gate for name, gate in GATES.items() if name not in world.lacks}
    together = [gate for name, gate in gates.items() if name not in APART]
    full, shipped = (Variant(about, shipped=on) for about, on in (("nothing is left out", False), (_SHIPPED, True)))
    found = {
        FULL: full,
        **{name: Variant(part.description, part.paper, (name,)) for name, part in ABLATIONS.items()},
        **gates,
        "gates": Variant(
            "all of these that need no truth, together",
            settings={key: value for gate in together for key, value in gate.settings.items()},
            needs_known=True,
        ),
        "one-model": Variant("both trainings update the same weights", settings={"one_model": True}),
        "teacher": Variant("a teacher proposes from what the executor failed", taught=True),
        **{name: variant for name, variant in BASELINES.items() if variant.recipe in ("", *recipe_names())},
    }
    if load_config(world.recipe, overrides(world, full)) != load_config(world.recipe, overrides(world, shipped)):
        found["as-shipped"] = shipped
    return {name: variant for name, variant in found.items() if name not in world.lacks}


def overrides(world: World, variant: Variant, more: Sequence[str] = (), teacher: Sequence[str] = PROGRAM) -> list[str]:
    """Return the settings of a variant as `--set` takes them; later ones count: the world's, `more`, its own."""
    paper = Config().model_dump(mode="json")
    values: dict[str, Any] = {} if variant.shipped else {name: _lookup(paper, name) for name in BEYOND_PAPER}
    own = {**(world.known if variant.needs_known else {}), **variant.settings}
    if variant.taught:
        own |= {"curriculum.steps": 0, "generation.teacher.url": teacher[0], "generation.teacher.model": teacher[1]}
    return [*_written({**values, **world.settings}), *more, *_written(own)]


def _written(values: Mapping[str, Any]) -> list[str]:
    return [f"{name}={json.dumps(value)}" for name, value in values.items()]


def _lookup(settings: Mapping[str, Any], name: str) -> Any:
    for part in name.split("."):
        settings = settings[part]
    return settings
