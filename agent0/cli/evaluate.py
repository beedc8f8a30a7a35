"""`agent0 evaluate`: score a model on benchmarks from a terminal, with progress, tables, and resumption."""

from __future__ import annotations

import functools
import shlex
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from agent0.cli.bars import Bars
from agent0.cli.interruption import SENTENCE, interruptible
from agent0.cli.screen import Table, console
from agent0.cli.shared_options import Quiet
from agent0.errors import UsageError
from agent0.extras import EVALUATION, require
from agent0.progress import Drawing
from agent0.recipes import recipe_names
from agent0.seeds import SEED_LIMIT

if TYPE_CHECKING:
    from rich.console import Console

    from agent0.evaluation.assignments import Assignment
    from agent0.evaluation.results import BenchmarkScore, Estimate
    from agent0.evaluation.sample_store import SampleStore
    from agent0.rollout.drawing_watch import Watch


def evaluate(
    model: Annotated[
        str,
        typer.Option("--model", "-m", help="Folder, s3://, models:/NAME@ALIAS, package:NAME, a hub's id, tiny."),
    ],
    benchmarks: Annotated[
        str, typer.Option("--benchmarks", "-b", help="Names, with commas between; `agent0 benchmarks list`.")
    ] = "",
    preset: Annotated[str, typer.Option(help="paper or official; the recipe's if not given.")] = "",
    data: Annotated[str, typer.Option(help="Where the rows are: hub, a folder or s3://.")] = "",
    partial: Annotated[bool, typer.Option("--partial", help="The files hold only some of the rows.")] = False,
    limit: Annotated[int, typer.Option(min=0, help="Questions of each published benchmark; 0: all.")] = 0,
    samples: Annotated[int, typer.Option(min=0, help="Samples of their questions; 0: the preset's.")] = 0,
    tool: Annotated[bool | None, typer.Option("--tool/--no-tool", help="Whether the model has Python.")] = None,
    output: Annotated[
        str, typer.Option("--output", "-o", help="Folder of the evaluation, local or s3://.")
    ] = "runs/evaluation",
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the evaluation in --output.")] = False,
    name: Annotated[str, typer.Option(help="Name of the model in tables; its folder's if not given.")] = "",
    recipe: Annotated[
        str,
        typer.Option(
            "--recipe",
            "-r",
            show_default=False,
            help=f"Recipe of backend and limits: {', '.join(recipe_names())}, or .toml; else what fits the model.",
        ),
    ] = "",
    overrides: Annotated[
        list[str] | None, typer.Option("--set", "-s", help="Override a setting, e.g. --set evaluation.samples=8.")
    ] = None,
    ablations: Annotated[list[str] | None, typer.Option("--ablation", "-a", help="Leave out a part.")] = None,
    seed: Annotated[int, typer.Option(min=0, max=SEED_LIMIT - 1, help="Seed of the sampling.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the record as JSON in place of the table.")] = False,
    quiet: Quiet = False,
) -> None:
    """Score a model on benchmarks. Interrupted? The same command with --resume draws only what is missing.

    Example: [bold]agent0 evaluate --model runs/evolution/executor --benchmarks gsm8k,math_500 --limit 200[/bold]

    The model tiny is the embedded one; if the cache lacks it, it is trained first, which takes a minute.

    The folder gets evaluation.json, the verdicts on every question, every sample, and logs for `inspect view`.
    """
    from agent0.config import EMBEDDED_MODEL
    from agent0.consistency import read_settings

    given = {
        "benchmarks": [part.strip() for part in benchmarks.split(",") if part.strip()],
        "preset": preset,
        "data": data,
        "sampled_rows": str(partial).lower() if partial else "",
        "limit": limit,
        "published_samples": samples,
        "tool": "" if tool is None else str(tool).lower(),
        "logs": "true",
    }
    fixed = [f"evaluation.{key}={value}" for key, value in given.items() if value]
    given_settings = [*fixed, *(overrides or [])]
    config = read_settings(
        recipe or EMBEDDED_MODEL, given_settings, ablations, evolves=False
    )  # checked before fetching
    require(*EVALUATION, *(("inspect_ai",) if config.evaluation.logs else ()))
    from agent0.cli.invalid_samples import invalid_text
    from agent0.evaluation.local_evaluation import evaluate_model, opened
    from agent0.evaluation.results import REPORT_FILE

    _check_heeded(config.evaluation.benchmarks, limit=limit, samples=samples)
    screen = console(stderr=as_json)
    go_on = f"{SENTENCE} The same command with --resume (--output {shlex.quote(output)}) draws only what is missing."
    with interruptible(go_on), Bars(console(stderr=True), quiet=quiet) as fetching:
        bar = fetching.transfer(model, "steps of training" if model == EMBEDDED_MODEL else "")
        with opened(
            config, model, output, recipe, given_settings, ablations, resume=resume, progress=bar
        ) as evaluation:
            fitted, found, folder = evaluation
            if fitted.chosen and not quiet:
                console(stderr=True).print(fitted.chosen, soft_wrap=True)
            shown = functools.partial(_shown, screen, quiet)
            evaluated = evaluate_model(fitted.config, found, name or found.name, folder, seed, shown)
            record = (folder.folder / REPORT_FILE).read_text(encoding="utf-8")  # one on its way to a store is removed
    report = evaluated.report
    for benchmark, invalid in () if quiet else evaluated.invalid.items():
        screen.print(invalid_text(benchmark, invalid), soft_wrap=True)
    if as_json:
        print(record, end="")
        return
    for table in (score_table(report.benchmarks), cost_table(report.benchmarks)):
        screen.print(table, "")
    screen.print(f"record  {folder.place}/{REPORT_FILE}", soft_wrap=True)
    if fitted.config.evaluation.logs:
        screen.print(f"logs    inspect view --log-dir {folder.place}/logs", soft_wrap=True)


@contextmanager
def _shown(
    screen: Console, quiet: bool, assignments: Sequence[Assignment], stores: dict[str, SampleStore]
) -> Iterator[Callable[[Assignment], Watch]]:
    """Show what is about to be asked, and yield what gives the watch of a benchmark's samples."""
    if not quiet:
        screen.print(plan_table(assignments, stores), "")
    with Bars(screen, quiet=quiet) as bars:
        yield lambda assignment: Drawing(
            bars.of(assignment.benchmark.name),
            assignment.total,
            "samples",
            len(stores[assignment.benchmark.name].records),
        )


def plan_table(assignments: Sequence[Assignment], stores: dict[str, SampleStore]) -> Table:
    """Return what is about to be asked, and the smallest difference to another model that it can show."""
    numbers = ("questions", "k", "done", "can show")
    table = Table("benchmark", "questions", "k", "decoding", "done", "can show", right=numbers, spare=("done",))
    for assignment in assignments:
        decoding = assignment.protocol.decoding
        drawn = f"T {decoding.temperature:g} p {decoding.top_p:g}" if decoding.temperature else "greedy"
        table.add(
            assignment.benchmark.name,
            f"{len(assignment.questions):,}/{assignment.published:,}",
            str(assignment.samples),
            f"{drawn}, {decoding.max_tokens}{', tool' if assignment.tool else ''}",
            f"{len(stores[assignment.benchmark.name].records):,}",
            assignment.can_show(),
        )
    return table


def score_table(scores: Sequence[BenchmarkScore]) -> Table:
    """Return the scores of an evaluation, in percent."""
    numbers = ("n", "k", "score", "95 %", "pass@k", "maj@k")
    table = Table("benchmark", *numbers, right=numbers, spare=("maj@k", "pass@k"))
    for score in scores:
        table.add(
            score.benchmark,
            f"{score.questions:,}",
            str(score.samples),
            _percent(score.score),
            f"{100 * score.score.low:.1f}–{100 * score.score.high:.1f}",
            _percent(score.pass_at_k.get(score.samples)),
            _percent(score.maj_at_k),
        )
    return table


def cost_table(scores: Sequence[BenchmarkScore]) -> Table:
    """Return what went wrong, in percent of the samples, and what it took."""
    gpu = ["GPU-hours"] if any(score.cost.gpu_hours is not None for score in scores) else []
    numbers = ("invalid", "cut off", "timeout", "tokens", "calls", "seconds", *gpu)
    table = Table("benchmark", *numbers, right=numbers, spare=("timeout", "calls"))
    for score in scores:
        table.add(
            score.benchmark,
            *(_percent(score.rates[rate]) for rate in ("invalid", "truncated", "timeout")),
            f"{score.cost.completion_tokens:,}",
            f"{score.cost.tool_calls:,}",
            f"{score.cost.seconds:,.1f}",
            *(f"{score.cost.gpu_hours or 0:,.2f}" for _ in gpu),
        )
    return table


def _percent(estimate: Estimate | None) -> str:
    return "–" if estimate is None else f"{100 * estimate.mean:.1f}"


def _check_heeded(benchmarks: Sequence[str], *, limit: int, samples: int) -> None:
    """Refuse options of published benchmarks where every benchmark is generated, which would not heed them."""
    from agent0.benchmarks.catalogue import benchmark

    if any(benchmark(name).generate is None for name in benchmarks):
        return
    generated = {"--limit": (limit, "questions_per_level"), "--samples": (samples, "samples")}
    for option, (given, setting) in generated.items():
        if given:
            raise UsageError(
                f"{option} is for published benchmarks, and {', '.join(benchmarks)} is generated; leave it out, or "
                f"say --set evaluation.{setting}={given}."
            )
