r"""The mathematics benchmarks: MATH, MATH-500, GSM8K, AIME, AMC, Minerva, OlympiadBench.

Decoding of preset `paper`: greedy, 4,096 tokens (R-Zero's generate.py); mean@32 on AMC and AIME. The temperature
behind the paper's mean@32 is stated nowhere, and R-Zero's released code asks 32 times at temperature 0; here it is
0.6 with top-p 0.95, so that 32 samples are 32 samples.
"""

from __future__ import annotations

from collections.abc import Callable

from agent0.answers import majority_vote
from agent0.benchmarks.mathematics_rows import read_aime, read_amc, read_gsm8k, read_olympiad, read_problem
from agent0.benchmarks.mathematics_rules import BOXED, BOXED_INTEGER, GSM8K_FLEXIBLE, GSM8K_STRICT, MINERVA
from agent0.benchmarks.spec import Benchmark, Dataset, Decoding, Item, Preset, Prompt, Protocol, Row, Rule

_SYSTEM = "Please reason step by step, and put your final answer within \\boxed{}."
_PROMPT = Prompt("{question}", system=_SYSTEM)
_GREEDY = Decoding(max_tokens=4096)
_MEAN_AT_32 = Decoding(max_tokens=4096, samples=32, temperature=0.6, top_p=0.95)
_LONG_MEAN_AT_32 = Decoding(max_tokens=32_768, samples=32, temperature=0.6, top_p=0.95)
_T_NOTE = "The paper states no temperature for mean@32; 0.6 and top-p 0.95 are this project's choice."
_JUDGE_NOTE = (
    "The paper's numbers were judged by GPT-4o after a rule that rejects some echoed golds; here by the grader."
)


def _box(item: Item) -> str:
    return f"The answer is $\\boxed{{{item.gold}}}$."


def _mathematics(
    name: str,
    title: str,
    dataset: Dataset,
    read: Callable[[Row], Item],
    *,
    rule: Rule = BOXED,
    paper: Decoding = _GREEDY,
    official: Protocol | None = None,
    official_echo: Callable[[Item], str] = _box,
    breakdowns: tuple[str, ...] = (),
    notes: tuple[str, ...] = (),
) -> Benchmark:
    paper_notes = (_JUDGE_NOTE,) if paper.samples == 1 else (_JUDGE_NOTE, _T_NOTE)
    protocols: dict[Preset, Protocol] = {
        "paper": Protocol(_PROMPT, paper, rule, ends_at_answer=True, notes=paper_notes)
    }
    protocols["official"] = official or Protocol(
        _PROMPT, paper, rule, notes=("The authors fix no prompt for models that answer in chat; as in preset paper.",)
    )
    return Benchmark(
        name,
        title,
        "mathematics",
        dataset,
        read,
        protocols,
        {"paper": _box, "official": official_echo},
        breakdowns,
        vote=majority_vote,
        notes=notes,
    )


_MATH_NOTE = "The source, hendrycks/competition_math, was taken down in January 2025; keep rows out of public places."
_MATH_COLUMNS = {
    "id": ("unique_id",),
    "question": ("problem", "Question"),
    "gold": ("answer", "Answer"),
    "solution": ("solution",),
    "level": ("level",),
    "subject": ("subject", "type"),
}
_MATH_OPTIONAL = ("id", "gold", "solution", "level", "subject")

MATH_500 = _mathematics(
    "math_500",
    "MATH-500",
    Dataset(
        hub_id="HuggingFaceH4/MATH-500",
        split="test",
        rows=500,
        columns=_MATH_COLUMNS,
        optional=_MATH_OPTIONAL,
        licence="MIT (openai/prm800k); the problems' source was withdrawn",
        revision="6e4ed1a2a79af7d8630a6b768ec859cb5af4d3be",
    ),
    read_problem,
    breakdowns=("level", "subject"),
    notes=(_MATH_NOTE,),
)

MATH = _mathematics(
    "math",
    "MATH",
    Dataset(
        hub_id="EleutherAI/hendrycks_math",
        configurations=(
            "algebra",
            "counting_and_probability",
            "geometry",
            "intermediate_algebra",
            "number_theory",
            "prealgebra",
            "precalculus",
        ),
        split="test",
        rows=5_000,
        columns=_MATH_COLUMNS,
        optional=_MATH_OPTIONAL,
        licence="MIT; the problems' source was withdrawn",
        revision="21a5633873b6a120296cce3e2df9d5550074f4a3",
    ),
    read_problem,
    breakdowns=("level", "subject"),
    notes=(_MATH_NOTE, "The gold is the last box of the solution."),
)

GSM8K = _mathematics(
    "gsm8k",
    "GSM8K",
    Dataset(
        hub_id="openai/gsm8k",
        configurations=("main",),
        split="test",
        rows=1_319,
        columns={"question": ("question",), "gold": ("answer",)},
        licence="MIT",
        revision="740312add88f781978c0658806c59bc2815b9866",
        shots_split="train",
    ),
    read_gsm8k,
    official=Protocol(
        Prompt(
            "{shots}Question: {question}\nAnswer:",
            shot="Question: {question}\nAnswer: {solution}\n\n",
            shots=5,
            chat=False,
        ),
        Decoding(max_tokens=512, stop=("Question:",)),
        GSM8K_STRICT,
        others={"flexible": GSM8K_FLEXIBLE},
        notes=(
            "lm-evaluation-harness gsm8k version 3. Its shots are drawn by a seed; here they are the first five of the "
            "train split.",
        ),
    ),
    official_echo=lambda item: f"so it is {item.gold}.\n#### {item.gold}",
    notes=("14 golds have thousands commas.",),
)

_AIME_COLUMNS = {"id": ("id", "ID"), "question": ("problem", "Problem"), "gold": ("answer", "Answer")}
_AIME_OFFICIAL = Protocol(
    _PROMPT,
    _LONG_MEAN_AT_32,
    BOXED_INTEGER,
    notes=("No protocol of the authors exists; common practice is mean@32 or 64, T 0.6 to 1, up to 32k tokens.",),
)

AIME_2024 = _mathematics(
    "aime_2024",
    "AIME 2024",
    Dataset(
        hub_id="HuggingFaceH4/aime_2024",
        split="train",
        rows=30,
        columns=_AIME_COLUMNS,
        optional=("id",),
        licence="unknown; problems © MAA",
        revision="2fe88a2f1091d5048c0f36abc874fb997b3dd99a",
    ),
    read_aime,
    rule=BOXED_INTEGER,
    paper=_MEAN_AT_32,
    official=_AIME_OFFICIAL,
    notes=("The split is called train; golds are zero-padded.",),
)

AIME_2025 = _mathematics(
    "aime_2025",
    "AIME 2025",
    Dataset(
        hub_id="yentinglin/aime_2025",
        split="train",
        rows=30,
        columns=_AIME_COLUMNS,
        optional=("id",),
        licence="unknown; problems © MAA",
        revision="6f71d77b0b89b9dabe07ab466c51df33f514df7f",
    ),
    read_aime,
    rule=BOXED_INTEGER,
    paper=_MEAN_AT_32,
    official=_AIME_OFFICIAL,
    notes=("The split is called train.",),
)

AMC_2023 = _mathematics(
    "amc_2023",
    "AMC 2023",
    Dataset(
        hub_id="zwhe99/amc23",
        split="test",
        rows=40,
        columns={"id": ("id",), "question": ("question", "problem"), "gold": ("answer",)},
        optional=("id",),
        licence="unknown; problems © MAA",
        revision="f9810c0439cd3c670ec885d328a2f06a87f3694a",
    ),
    read_amc,
    paper=_MEAN_AT_32,
    notes=("Golds are floats such as 27.0.",),
)

MINERVA_MATH = _mathematics(
    "minerva",
    "Minerva",
    Dataset(
        hub_id="zwhe99/simplerl-minerva-math",
        split="test",
        rows=272,
        columns={**_MATH_COLUMNS, "question": ("problem", "question")},
        optional=_MATH_OPTIONAL,
        licence="unknown; from MIT OpenCourseWare",
    ),
    read_problem,
    official=Protocol(
        _PROMPT,
        _GREEDY,
        MINERVA,
        notes=(
            "Zero-shot instead of the authors' four worked examples; their closing sentence is read where written.",
        ),
    ),
    official_echo=lambda item: f"Final Answer: The final answer is ${item.gold}$. I hope it is correct.",
)

OLYMPIAD = _mathematics(
    "olympiad",
    "OlympiadBench",
    Dataset(
        hub_id="zwhe99/simplerl-OlympiadBench",
        split="test",
        rows=675,
        columns={
            "id": ("id",),
            "question": ("question",),
            "gold": ("final_answer",),
            "kind": ("answer_type",),
        },
        optional=("id", "kind"),
        licence="unknown (the original: Apache-2.0)",
    ),
    read_olympiad,
    breakdowns=("answer_type",),
    notes=("final_answer is a list, of which the first entry counts; 94 rows hold several values in it.",),
)

BENCHMARKS = (AMC_2023, MINERVA_MATH, MATH_500, MATH, GSM8K, OLYMPIAD, AIME_2025, AIME_2024)
