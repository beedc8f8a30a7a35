"""BIG-Bench Extra Hard: rules of bbeh/evaluate.py, the full set and the mini set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from agent0.answers import Verdict, extract_answer
from agent0.benchmarks.latex import plain
from agent0.benchmarks.spec import Benchmark, Dataset, Decoding, Item, Prompt, Protocol, Row, Rule, boxed_gold

_PREFIXES = ("The answer is:", "The final answer is ", "The final answer is: ", "The answer is ")
_WRAPPERS = ("boxed{", "text{", "texttt{")
_MAX_NUMBER = 1_000  # characters; nothing longer is read as a number


def bbeh_answer(response: str, item: Item) -> str | None:
    """Return the prediction of evaluate.py: what follows the last prefix, unwrapped, in lower case, one line.

    A response without a prefix is read as a whole, so only a blank one has no answer.
    """
    answer = response.strip()
    for prefix in _PREFIXES:
        if prefix in answer:
            answer = answer.rpartition(prefix)[2].strip()
    return _prepared(answer.removesuffix(".")) or None


def bbeh_boxed(response: str, item: Item) -> str | None:
    """Return the last box in the same form and without LaTeX, else what `bbeh_answer` reads."""
    content = extract_answer(response)
    return bbeh_answer(response, item) if content is None else _prepared(_readable(content).removesuffix(".")) or None


def _readable(text: str) -> str:
    return plain(text.replace("{,}", ","))


def _prepared(answer: str) -> str:
    text = _unwrapped(answer).lower().replace(", ", ",").replace("**", "")
    return text.partition("\n")[0].removesuffix(".")


def _unwrapped(text: str) -> str:
    if len(text) > 1 and text.startswith("$") and text.endswith("$"):
        text = text[1:-1]
    for wrapper in _WRAPPERS:
        if wrapper in text and text.endswith("}"):
            text = text[:-1].split(wrapper, 2)[1]
    return text


def bbeh_reference(target: str) -> str:
    """Return the form of a target that predictions are compared with."""
    return target.strip().lower().replace(", ", ",")


def fuzzy_match(prediction: str, reference: str) -> bool:
    """Return whether evaluate.py accepts a prediction.

    Equal; `(x)` for `x` in either place, which then decides; equal numbers; equal but for apostrophes; equal but for
    square brackets around one of them; equal but for a final question mark.
    """
    if prediction == reference:
        return True
    if _parenthesised(prediction):
        return prediction[1] == reference
    if _parenthesised(reference):
        return reference[1] == prediction
    return (
        _same_number(prediction, reference)
        or prediction.replace("'", "") == reference.replace("'", "")
        or f"[{reference}]" == prediction
        or f"[{prediction}]" == reference
        or (prediction.endswith("?") and prediction[:-1] == reference)
    )


def _parenthesised(text: str) -> bool:
    return len(text) == 3 and text[0] == "(" and text[2] == ")"


def _same_number(first: str, second: str) -> bool:
    if max(len(first), len(second)) > _MAX_NUMBER:
        return False
    try:
        return float(first) == float(second)
    except ValueError:
        return False


def _judge(pairs: Sequence[tuple[Item, str]]) -> list[Verdict]:
    return [_verdict(fuzzy_match(text, bbeh_reference(item.gold))) for item, text in pairs]


def _judge_boxed(pairs: Sequence[tuple[Item, str]]) -> list[Verdict]:
    """Judge predictions without LaTeX; a target that holds some is read in the same way."""
    return [_verdict(fuzzy_match(text, bbeh_reference(_readable(item.gold)))) for item, text in pairs]


def _verdict(same: bool) -> Verdict:
    return Verdict.TRUE if same else Verdict.FALSE


def read_bbeh(row: Row) -> Item:
    """Read a row; the id hashes task, input and target, as seven inputs of linguini have several targets.

    Raises:
        ValueError: the target is blank.
    """
    target = str(row["gold"])
    if not target.strip():
        raise ValueError("the target is blank")
    task = str(row["task"]).removeprefix("bbeh_").replace(" ", "_")
    return Item(str(row["question"]), target, groups={"task": task})


def _is_mini(row: Row) -> bool:
    return row["mini"] is None or str(row["mini"]).lower() in ("1", "1.0", "true")


_OFFICIAL = Rule(bbeh_answer, _judge, "bbeh/evaluate.py")
_BOXED = Rule(bbeh_boxed, _judge_boxed, "last box without LaTeX, then bbeh/evaluate.py")
_PAPER = Protocol(
    Prompt("{question}\nPlease reason step by step, and put your final answer option within \\boxed{}."),
    Decoding(max_tokens=8192),
    _BOXED,
    ends_at_answer=True,
    notes=("R-Zero's eval_bbeh.py: zero-shot, T 0, 8192 tokens, micro average (the paper's base rows are R-Zero's).",),
)
_SUFFIX = (
    '{question}\n\nThink step by step, and when you provide the final answer, please use the prefix "The answer is:" '
    "without any modification, and provide the answer directly, with no formatting, no bolding, and no markup. For "
    'instance: "The answer is: 42" or "The answer is: yes". If the question is multiple choice with a single correct '
    'answer, the final answer must only be the letter corresponding to the correct answer. For example, "The answer '
    'is: (a)"'
)

BBEH = Benchmark(
    name="bbeh",
    title="BBEH",
    family="reasoning",
    dataset=Dataset(
        hub_id="BBEH/bbeh",
        split="train",
        rows=4_520,
        columns={
            "task": ("task",),
            "question": ("input", "question"),
            "gold": ("target", "answer"),
            "mini": ("mini",),
        },
        optional=("mini",),
        licence="CC BY 4.0; the canary of its README stays with the data",
        revision="08e07a803851822c04399782ece3c4a07ce419f9",
    ),
    read=read_bbeh,
    protocols={
        "paper": _PAPER,
        "official": Protocol(
            Prompt(_SUFFIX),
            Decoding(max_tokens=8192),
            _OFFICIAL,
            others={"boxed": _BOXED},
            aggregation="harmonic",
            notes=("The authors fix no decoding; greedy, 8192 tokens.",),
        ),
    },
    echo={
        "paper": boxed_gold,
        "official": lambda item: f"The answer is: {item.gold}",
    },
    breakdowns=("task",),
    notes=(
        "Eleven linguini targets end in a full stop, which the official reading takes off predictions: never matched.",
        "Seven linguini inputs have several targets; one row of spatial_reasoning is there twice.",
        "Inputs reach 13,400 characters: the context needs 8,192 tokens beyond the answer.",
    ),
)

BBEH_MINI = replace(
    BBEH,
    name="bbeh_mini",
    title="BBEH mini",
    dataset=replace(BBEH.dataset, rows=460, keep=_is_mini),
    protocols={"paper": _PAPER, "official": replace(BBEH.protocols["official"], aggregation="micro")},
)

BENCHMARKS = (BBEH, BBEH_MINI)
