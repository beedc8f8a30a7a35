"""Multiple choice: MMLU-Pro and SuperGPQA."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from agent0.answers import Verdict
from agent0.benchmarks.letters import boxed_letter, mmlu_pro_chain, mmlu_pro_first_step, super_gpqa_answer
from agent0.benchmarks.spec import LETTERS, Benchmark, Dataset, Decoding, Item, Prompt, Protocol, Row, Rule, boxed_gold

_PAPER_USER = (
    "{question}\nOptions are:\n{options}\n"
    "Please reason step by step, and put your final answer option within \\boxed{}. "
    "Only put the option letter in the box, e.g. \\boxed{A}. There is only one correct answer."
)


def same_letter(pairs: Sequence[tuple[Item, str]]) -> list[Verdict]:
    """Judge letters by equality, case included."""
    return [Verdict.TRUE if item.gold == answer else Verdict.FALSE for item, answer in pairs]


def _texts(value: Any) -> tuple[str, ...]:
    """Options as a list, an array, or its JSON text (as CSV has it)."""
    values = json.loads(value) if isinstance(value, str) else list(value)
    if not isinstance(values, list) or not all(isinstance(text, str) for text in values):
        raise ValueError("the options are no list of texts")
    return tuple(values)


def _letter(value: Any, options: tuple[str, ...]) -> str:
    if not 2 <= len(options) <= len(LETTERS):
        raise ValueError(f"{len(options)} options, where 2 to {len(LETTERS)} are allowed")
    if not isinstance(value, str) or len(value) != 1 or value not in LETTERS[: len(options)]:
        raise ValueError(f"the gold {value!r} is no letter from A to {LETTERS[len(options) - 1]}")
    return value


def read_mmlu_pro(row: Row) -> Item:
    """Read a row of MMLU-Pro; options that are `N/A` are dropped, as evaluate_from_local.py does."""
    options = tuple(option for option in _texts(row["options"]) if option != "N/A")
    gold = _letter(row["gold"], options)
    if row["index"] is not None and LETTERS.index(gold) != int(row["index"]):
        raise ValueError(f"the gold {gold} is not the option at answer_index {row['index']}")
    solution = str(row["solution"] or "").removeprefix("A: ")
    return Item(row["question"], gold, options, {"category": str(row["category"])}, solution, str(row["id"]))


def read_super_gpqa(row: Row) -> Item:
    """Read a row of SuperGPQA; field and subfield are named with what they belong to, as eval.py does."""
    options = _texts(row["options"])
    gold = _letter(row["gold"], options)
    if row["text"] is not None and options[LETTERS.index(gold)] != row["text"]:
        raise ValueError(f"option {gold} is not the text that the row calls the answer")
    field = f"{row['discipline']}/{row['field']}"
    groups = {
        "discipline": str(row["discipline"]),
        "field": field,
        "subfield": f"{field}/{row['subfield']}",
        "difficulty": str(row["difficulty"]),
    }
    return Item(row["question"], gold, options, groups, "", str(row["id"]))


_BOXED = Rule(
    boxed_letter,
    same_letter,
    "option that the last box chooses, else what is stated after it; MMLU-Pro's chain without its draw",
)
_CHAIN = Rule(mmlu_pro_chain, same_letter, "MMLU-Pro evaluate_from_local.py, without the random draw")
_STEP = Rule(mmlu_pro_first_step, same_letter, "lm-evaluation-harness mmlu_pro, first step of the chain")
_SUPER = Rule(super_gpqa_answer, same_letter, "SuperGPQA eval/eval.py, zero-shot")


_PAPER = Protocol(
    Prompt(_PAPER_USER),
    Decoding(max_tokens=8192),
    _BOXED,
    ends_at_answer=True,
    guessing=True,
    notes=(
        "R-Zero's eval_mmlupro.py and eval_supergpqa.py: zero-shot, T 0, 8192 tokens.",
        "Their reading takes the first of A to J anywhere in the box and draws a letter where there is none; here the "
        "letter must be the only one, or the box an option itself, and nothing is drawn.",
    ),
)

MMLU_PRO = Benchmark(
    name="mmlu_pro",
    title="MMLU-Pro",
    family="multiple choice",
    dataset=Dataset(
        hub_id="TIGER-Lab/MMLU-Pro",
        split="test",
        rows=12_032,
        columns={
            "id": ("question_id",),
            "question": ("question",),
            "options": ("options",),
            "gold": ("answer",),
            "index": ("answer_index",),
            "category": ("category",),
            "solution": ("cot_content",),
        },
        optional=("index", "solution"),
        licence="MIT",
        revision="b189ec765aa7ed75c8acfea42df31fdae71f97be",
        shots_split="validation",
    ),
    read=read_mmlu_pro,
    protocols={
        "paper": _PAPER,
        "official": Protocol(
            Prompt(
                "The following are multiple choice questions (with answers) about {category}. Think step by step and "
                'then finish your answer with "the answer is (X)" where X is the correct letter choice.\n\n\n'
                "{shots}Question:\n{question}\nOptions:\n{options}\nAnswer: Let's think step by step.",
                option="{letter}. {text}",
                shot="Question:\n{question}\nOptions:\n{options}\nAnswer: {solution}\n\n",
                shots=5,
                shots_by="category",
                prompt_limit=2048,
                chat=False,
            ),
            Decoding(max_tokens=2048, stop=("Question:",)),
            _CHAIN,
            others={"first step": _STEP},
            guessing=True,
            notes=(
                "Shots are left out from the end until the prompt has fewer than 2,048 tokens: the context of the "
                "original, 4,096, less the answer's 2,048.",
                "The original draws a random option where no letter is found; here that is invalid and wrong, and the "
                "expected score of the draw is reported beside.",
            ),
        ),
    },
    echo={"paper": boxed_gold, "official": lambda item: f"The answer is ({item.gold})."},
    breakdowns=("category",),
    notes=("17 % of the rows have 3 to 9 options.",),
)

SUPER_GPQA = Benchmark(
    name="super_gpqa",
    title="SuperGPQA",
    family="multiple choice",
    dataset=Dataset(
        hub_id="m-a-p/SuperGPQA",
        split="train",
        rows=26_529,
        columns={
            "id": ("uuid",),
            "question": ("question",),
            "options": ("options",),
            "gold": ("answer_letter",),
            "text": ("answer",),
            "discipline": ("discipline",),
            "field": ("field",),
            "subfield": ("subfield",),
            "difficulty": ("difficulty",),
        },
        optional=("text",),
        licence="ODC-BY 1.0; some rows from third parties that its card lists",
        revision="4430d4458112c7d4497fdcf94d7cc223313d6acf",
    ),
    read=read_super_gpqa,
    protocols={
        "paper": _PAPER,
        "official": Protocol(
            Prompt(
                "Answer the following multiple choice question. There is only one correct answer. The last line of "
                "your response should be in the format 'Answer: $LETTER' (without quotes), where LETTER is one of "
                "A, B, C, D, E, F, G, H, I, or J.\n\n{question}\n{options}",
                option="{letter}) {text}",
            ),
            Decoding(max_tokens=4096),
            _SUPER,
            others={"lenient": _BOXED},
            guessing=True,
            notes=(
                "32,768 tokens for models that reason before they answer.",
                "A letter in lower case is read and counts as wrong, and a box amid a line is not read: so in eval.py. "
                "The lenient rule beside it reads boxes.",
            ),
        ),
    },
    echo={"paper": boxed_gold, "official": lambda item: f"Answer: {item.gold}"},
    breakdowns=("discipline", "field", "subfield", "difficulty"),
    notes=("The only split is called train.", "Of options where one begins another, the first listed is read."),
)

BENCHMARKS = (SUPER_GPQA, MMLU_PRO)
