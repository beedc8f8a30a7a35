r"""Constructed responses, one or more for each rule of the official BBEH and SuperGPQA scorers.

What is expected follows from the rules as facts: bbeh/evaluate.py and SuperGPQA eval/eval.py. A rule that a person
would not have made is here as it is.
"""

from __future__ import annotations

from dataclasses import dataclass

OPTIONS = ("the moon", "copper", "copper wire", "$5$", "(ii)", "−3 K", "7.5", "Paris", "iron", "oxygen")


@dataclass(frozen=True)
class Case:
    """A rule, a response, the gold (a target, or a letter of OPTIONS), and what the official scorer makes of it.

    `answer` is what SuperGPQA reads; BBEH's cases leave it out.
    """

    rule: str
    response: str
    gold: str
    accepted: bool
    answer: str | None = None


BBEH_CASES = (
    Case("prefix 'The answer is:'", "I count them. The answer is: 42", "42", True),
    Case("prefix 'The answer is '", "The answer is 42", "42", True),
    Case("prefix 'The final answer is '", "The final answer is 42", "42", True),
    Case("prefix 'The final answer is: '", "The final answer is: 42", "42", True),
    Case("the last of several prefixes", "The answer is: 1. No. The answer is: 42", "42", True),
    Case("the case of a prefix counts", "the answer is: 42", "42", False),
    Case("no prefix: the whole text", "42", "42", True),
    Case("no prefix: a sentence is no answer", "I would say 42", "42", False),
    Case("one final full stop goes", "The answer is: 42.", "42", True),
    Case("a second final full stop goes too", "The answer is: 42..", "42", True),
    Case("a third one does not", "The answer is: yes...", "yes", False),
    Case("a target that ends in a full stop", "The answer is: Na lu.", "Na lu.", False),
    Case("dollar signs go", "The answer is: $42$", "42", True),
    Case("boxed goes", "The answer is: \\boxed{42}", "42", True),
    Case("boxed within dollars goes", "The answer is: $\\boxed{42}$.", "42", True),
    Case("text within boxed goes", "The answer is: \\boxed{\\text{yes}}", "yes", True),
    Case("text goes", "The answer is: \\text{yes}", "yes", True),
    Case("texttt goes", "The answer is: \\texttt{yes}", "yes", True),
    Case("boxed amid a text stays", "The answer is: \\boxed{42} because", "42", False),
    Case("case does not count", "The answer is: PROVED", "proved", True),
    Case("blanks after commas do not count", "The answer is: no,yes, no", "no, yes, no", True),
    Case("blanks before commas do", "The answer is: no ,yes", "no, yes", False),
    Case("bold marks go", "The answer is: **yes**", "yes", True),
    Case("the first line counts", "The answer is: yes\nsince it fits", "yes", True),
    Case("full stop of the first line goes", "The answer is: yes.\nsince it fits", "yes", True),
    Case("(x) for x", "The answer is: (b)", "B", True),
    Case("x for (x)", "The answer is: B", "(B)", True),
    Case("(x) for (y)", "The answer is: (a)", "(B)", False),
    Case("equal numbers", "The answer is: 391.40", "391.4", True),
    Case("equal numbers, an integer", "The answer is: 156", "156.0", True),
    Case("grouped digits are no number", "The answer is: 1,267", "1267", False),
    Case("apostrophes do not count", "The answer is: 'twas it", "twas it", True),
    Case("brackets around the prediction", "The answer is: [0,1]", "0,1", True),
    Case("brackets around the target", "The answer is: 0,1", "[0, 1]", True),
    Case("a final question mark", "The answer is: unknown?", "unknown", True),
    Case("empty", "", "42", False),
    Case("blank", " \n ", "42", False),
)

SUPER_GPQA_CASES = (
    Case("Answer: X", "So it is.\nAnswer: B", "B", True, "B"),
    Case("any case of the word", "ANSWER: B", "B", True, "B"),
    Case("Answer*: X", "**Answer**: B", "B", True, "B"),
    Case("enclosed in bold", "**Answer: B**", "B", True, "B"),
    Case("in brackets", "Answer: (B).", "B", True, "B"),
    Case("in a box", "Answer: $\\boxed{B}$", "B", True, "B"),
    Case("in a box and text", "Answer: \\boxed{\\text{B}}", "B", True, "B"),
    Case("a letter of a word is none", "Answer: Boron", "B", False),
    Case("two letters are none", "Answer: BC", "B", False),
    Case("The answer is X", "The answer is (B).", "B", True, "B"),
    Case("The answer is: X", "the answer is: B", "B", True, "B"),
    Case("The word answer is X", "The correct answer is B.", "B", True, "B"),
    Case("The word option is X", "The best option is B", "B", True, "B"),
    Case("two words before answer", "The very best answer is B", "B", False),
    Case("line that starts with the letter", "B", "B", True, "B"),
    Case("line that starts with the enclosed letter", "$\\boxed{B}$", "B", True, "B"),
    Case("line that starts with the letter and a full stop", "B. copper", "B", True, "B"),
    Case("a word of one letter starts the last line", "A metal, copper", "B", False, "A"),
    Case("the last line first", "Answer: C\nAnswer: B", "B", True, "B"),
    Case("then the whole text, the first found", "Answer: B\nThis was hard.", "B", True, "B"),
    Case("then the whole text, first of two", "Answer: C\nAnswer: B\nThis was hard.", "B", False, "C"),
    Case("lower case is read and wrong", "Answer: b", "B", False, "b"),
    Case("a box amid a line is not read", "So we choose \\boxed{B}", "B", False),
    Case("option text after The answer is", "The answer is Paris.", "H", True, "H"),
    Case("option text after Answer", "Answer Paris", "H", True, "H"),
    Case("option text after a colon is not read", "Hence, answer: Paris", "H", False),
    Case("option text starts the line", "Paris", "H", True, "H"),
    Case("option text in a box", "\\boxed{Paris}", "H", True, "H"),
    Case("option text in other case is not read", "paris", "H", False),
    Case("option text with signs of its own", "The answer is $5$", "D", True, "D"),
    Case("option text in brackets of its own", "The answer is (ii)", "E", True, "E"),
    Case("an option that begins another", "The answer is copper wire", "C", False, "B"),
    Case("trailing blanks", "Answer: B \n\n", "B", True, "B"),
    Case("the pronoun I is a letter", "I do not know", "B", False, "I"),
    Case("nothing to read", "This is not known", "B", False),
    Case("empty", "", "B", False),
)
