"""`agent0 judge …`: a language model's verdicts beside those of the rule."""

from __future__ import annotations

from typing import Annotated

import typer

from agent0.cli.interruption import SENTENCE, interruptible


def judge(
    run: Annotated[str, typer.Argument(help="Output folder of `agent0 evaluate`, local or s3://.")],
    url: Annotated[str, typer.Option(help="Address of an OpenAI-compatible endpoint, such as http://judge:8000/v1.")],
    model: Annotated[str, typer.Option(help="Model that judges, as the endpoint names it.")],
    benchmarks: Annotated[str, typer.Option("--benchmarks", "-b", help="Names, with commas between; else all.")] = "",
    data: Annotated[str, typer.Option(help="Where the rows are: hub, a folder or s3://.")] = "",
    concurrency: Annotated[int, typer.Option(min=1, help="Requests at a time.")] = 16,
) -> None:
    """Have a model judge a finished evaluation as well; both scores go to a record of their own, in judged/.

    Example: [bold]agent0 judge runs/evaluation --url http://judge:8000/v1 --model judge -b minerva[/bold]

    The endpoint's key is read from AGENT0_JUDGE_KEY. Interrupted? The same command asks only what is missing.
    """
    from agent0.evaluation.judge_client import JudgeSettings
    from agent0.evaluation.judge_record import JUDGED_FOLDER, judge_run
    from agent0.evaluation.results import REPORT_FILE, read_report
    from agent0.storage.uri_files import output_folder

    names = [part.strip() for part in benchmarks.split(",") if part.strip()]
    settings = JudgeSettings(url=url, model=model, concurrency=concurrency)
    read_report(run)  # what is no evaluation is not fetched to find that out
    with (
        interruptible(f"{SENTENCE} The same command asks only what is missing."),
        output_folder(run, resume=True) as output,
    ):
        report = judge_run(output.folder, settings, names, data or None)
    for score in report.benchmarks:
        if score.judged is not None:
            rule, judged = 100 * score.mean_at_k.mean, 100 * score.judged.mean
            print(f"{score.benchmark}: {rule:.1f} by rule, {judged:.1f} by {score.judge}")
    print(f"record  {output.place}/{JUDGED_FOLDER}/{REPORT_FILE}")
