"""Whether what a configuration names is there: domain, prompts, benchmarks, known tasks, and what packages give.

That its sections do not contradict each other `Config` itself sees. The command line checks this before anything starts
(`read_settings`), and the parameters of a run before they are sent (`check_parameter`,
`check_sections`). The first task of a pipeline checks again: its image may lack what the machine has that compiled it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from agent0.ablations import ABLATIONS, FULL
from agent0.benchmarks.catalogue import benchmark, is_benchmark, known_tasks
from agent0.config import (
    SECTIONS,
    Config,
    EvaluationSettings,
    ExecutionSettings,
    GateSettings,
    load_config,
    parse_section,
)
from agent0.domains import get_domain, get_prompts, task_writer
from agent0.errors import NotInstalledError, UsageError, warn
from agent0.rewards import TERMS
from agent0.rollout.backend_opening import BACKENDS
from agent0.tracking import TRACKERS


def read_settings(
    recipe: str | Mapping[str, Any] | None,
    overrides: Iterable[str] | None,
    ablations: Sequence[str] | None = None,
    *,
    evolves: bool = True,
) -> Config:
    """Return the configuration of a command that starts or prepares something; see `load_config`.

    Args:
        recipe: a shipped recipe's name, a TOML file, or the settings of an earlier run; None: the defaults.
        overrides: of single settings.
        ablations: parts of the method to leave out.
        evolves: whether an evolution is to come, or else an evaluation alone.

    Raises:
        UsageError: it cannot be loaded, or its sections, its domain and its benchmarks do not fit together.
    """
    config = load_config(recipe, overrides or [], ablations or [])
    (check_consistency if evolves else check_evaluation)(config)
    return config


def check_evaluation(config: Config) -> None:
    """Check that domain, prompts, tools, backend, trackers, benchmarks and those that the gate speaks of are there.

    Raises:
        UsageError: names what cannot be found or used.
    """
    get_prompts(config.rollout)
    check_packages(config)
    check_benchmarks(config.evaluation.benchmarks)
    check_gate(config.gate)


def check_benchmarks(names: Iterable[str]) -> None:
    """Check that benchmarks are there, each once.

    Raises:
        UsageError: there is none of a name, or one is named twice.
        NotInstalledError: all others are there, but what makes one is not installed.
    """
    named = list(names)
    if len(set(named)) != len(named):
        raise UsageError(f"A benchmark is named twice: {', '.join(named)}.")
    missing = None
    for name in named:
        try:
            benchmark(name)
        except NotInstalledError as error:
            missing = missing or error
    if missing:
        raise missing


def check_packages(config: Config) -> None:
    """Check that the backend, the trackers beside MLflow and the further reward terms are there.

    Raises:
        UsageError: names one that is not.
    """
    BACKENDS.check(config.rollout.backend)
    for name in config.tracking.also:
        TRACKERS.check(name)
    for name in config.curriculum.reward.terms:
        TERMS.check(name)


def check_gate(gate: GateSettings) -> None:
    """Check that the benchmarks are there whose losses the gate allows.

    Raises:
        UsageError: names one that is not.
    """
    check_benchmarks(gate.allowed_losses)


def check_variants(variants: Sequence[Any]) -> None:
    """Check that the variants of an ablation are there, each once.

    Raises:
        UsageError: names those that are not.
    """
    _check_each_once("variant", variants)
    unknown = sorted({str(variant) for variant in variants} - {FULL, *ABLATIONS})
    if unknown:
        raise UsageError(f"There is no variant {', '.join(unknown)}; there are: {', '.join((FULL, *ABLATIONS))}.")


def check_start(iteration: int) -> None:
    """Check the number of the round that an evolution begins with.

    Raises:
        UsageError: it is no number of a round.
    """
    if iteration < 1:
        raise UsageError(f"start_iteration is {iteration}; the first round of an evolution has number 1.")


def check_seeds(seeds: Sequence[Any]) -> None:
    """Check that seeds are whole numbers in the range that every generator of random numbers takes, each once.

    Raises:
        UsageError: one is not.
    """
    _check_each_once("seed", seeds)
    for seed in seeds:
        parse_section(Config, {"seed": seed})


def _check_each_once(kind: str, named: Sequence[Any]) -> None:
    if not isinstance(named, (list, tuple)) or not named or any(named.count(value) > 1 for value in named):
        raise UsageError(f"Name each {kind} once, in a list of at least one; got {named!r:.200}.")


def check_parameter(name: str, value: Any) -> None:
    """Check the value of a run's parameter as the settings of its name are checked; of others nothing is known.

    What a package makes that is not installed here may be in the image, so a warning speaks of it.

    Raises:
        UsageError: the value cannot be run with.
    """
    try:
        if name in SECTIONS:
            model: Any = Config.model_fields[name].annotation
            _check_section(parse_section(model, value))
        elif name in ("seed", "seeds"):
            check_seeds(value if name == "seeds" else [value])
        elif name == "variants":
            check_variants(value)
        elif name == "start_iteration":
            check_start(value)
    except NotInstalledError as error:
        warn(f"parameter {name} was not looked up from here; the image may have what it names ({error})")


def check_sections(values: Mapping[str, Any]) -> None:
    """Check the sections of a run's parameters together, as its first task will: see `check_parameter`.

    Raises:
        UsageError: they contradict each other, or what they name cannot be used.
    """
    try:
        check_consistency(parse_section(Config, values))
    except NotInstalledError as error:
        warn(f"the parameters were not all looked up from here; the image may have what they name ({error})")


def _check_section(section: Any) -> None:
    if isinstance(section, EvaluationSettings):
        check_benchmarks(section.benchmarks)
    if isinstance(section, GateSettings):
        check_gate(section)
    if isinstance(section, ExecutionSettings) and is_benchmark(section.known_tasks):
        benchmark(section.known_tasks)


def check_consistency(config: Config) -> None:
    """Check that what an evolution needs is there: what an evaluation does, its demonstrations and its known tasks.

    Raises:
        UsageError: names what cannot be found or used.
    """
    check_evaluation(config)
    if config.warm_start.steps and config.warm_start.source == "demonstrations":
        task_writer(config.rollout.domain)
    _check_labels(config)
    _check_conditioning(config)
    if is_benchmark(config.execution.known_tasks):
        known_tasks(config.execution.known_tasks, config.execution.known_count)


def _check_labels(config: Config) -> None:
    domain = get_domain(config.rollout.domain)
    if config.filtering.truth != "audit" and not domain.knows_truth:
        raise UsageError(
            f"filtering.truth is {config.filtering.truth!r}, but the domain {config.rollout.domain} computes no truth; "
            "set it to 'audit'."
        )
    of_votes = {
        "filtering.truth": config.filtering.truth != "audit",
        "filtering.min_grounded": config.filtering.min_grounded > 0,
        "filtering.negative_support": config.filtering.negative_support > 0,
        "execution.grounded_vote": config.execution.grounded_vote,
        "execution.question_judge.source": config.execution.question_judge.source != "off",
        "curriculum.reward.grounded": config.curriculum.reward.grounded,
    }
    doubting = ", ".join(name for name, is_on in of_votes.items() if is_on)
    if domain.labels == "verified" and doubting:
        raise UsageError(
            f"The domain {config.rollout.domain} verifies its labels in the sandbox, where {doubting} would do nothing "
            "or harm, being for labels that are voted; leave it at its default."
        )


def _check_conditioning(config: Config) -> None:
    conditioning, name = config.curriculum.conditioning, config.rollout.domain
    prompts = get_prompts(config.rollout)
    if conditioning.has_topics and not (prompts.topic and get_domain(name).topics):
        raise UsageError(
            f"curriculum.conditioning.topics is {conditioning.topics!r}, but the domain {name} names no topics; set it "
            "to 'off', or give the domain topics and its prompts a text for them."
        )
    if conditioning.examples and not prompts.examples:
        raise UsageError(
            f"curriculum.conditioning.examples is {conditioning.examples}, but the prompts of the domain {name} have "
            "no place for examples; set it to 0, or give them a text with {examples}."
        )
