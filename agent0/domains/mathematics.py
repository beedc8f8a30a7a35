"""Free mathematics: any text of reasonable length is a question, and no truth is known.

The variant `paper` holds the prompts that arXiv 2511.16043 publishes (curriculum agent: Appendix, the same as R-Zero's;
executor: the tool-integrated prompt of its training code), with the rules of our tool behind them. The topics are the
fields that the paper's prompt names.
"""

from __future__ import annotations

from agent0.domains.domain import AgentPrompt, Domain, PromptSet

MIN_CHARACTERS = 10
MAX_CHARACTERS = 2000

_WORKED_QUESTION = "How many positive divisors does 360 have?"
_WORKED_SOLUTION = (
    "I count them with a program.\n```python\nprint(sum(360 % d == 0 for d in range(1, 361)))\n```\n"
    "```output\n24\n```\nThere are \\boxed{24}."
)

TOPICS = (
    "algebra",
    "number theory",
    "combinatorics",
    "geometry",
    "prealgebra",
    "probability",
    "statistics",
    "calculus",
)
_EXAMPLES = (
    "\n\nThese problems were of the right difficulty; write one that is as hard, and unlike all of them:\n{examples}"
)

OURS = PromptSet(
    curriculum=AgentPrompt(
        messages=(
            {
                "role": "system",
                "content": "You set problems for a mathematics competition. Invent one new problem that is well "
                "defined, has a single answer that can be checked, and is hard enough that a strong student solves it "
                "only about half the time. {tool} Think first. Then give the problem, and nothing else, between "
                "<question> and </question>.",
            },
            {"role": "user", "content": "Write one new, challenging problem."},
        ),
        worked=(
            {"role": "user", "content": "Write one new, challenging problem."},
            {"role": "assistant", "content": f"<question>{_WORKED_QUESTION}</question>"},
        ),
    ),
    executor=AgentPrompt(
        messages=(
            {
                "role": "system",
                "content": "Solve the problem by reasoning step by step. {tool} Give the final answer in \\boxed{}.",
            },
            {"role": "user", "content": "{question}"},
        ),
        worked=(
            {"role": "user", "content": _WORKED_QUESTION},
            {"role": "assistant", "content": _WORKED_SOLUTION},
        ),
    ),
    topic=" It is about {topic}.",
    examples=_EXAMPLES,
)

PAPER = PromptSet(
    curriculum=AgentPrompt(
        (
            {
                "role": "system",
                "content": "You are an expert competition-math problem setter.\n"
                "FIRST, in your private scratch-pad, think step-by-step to design a brand-new, non-trivial problem. "
                "The problem could come from any field of mathematics, including but not limited to algebra, geometry, "
                "number theory, combinatorics, prealgebra, probability, statistics, and calculus. Aim for a difficulty "
                "such that fewer than 30 % of advanced high-school students could solve it. Avoid re-using textbook "
                "clichés or famous contest problems.\n"
                "THEN, without revealing any of your private thoughts, output **exactly** the following two blocks:\n\n"
                "<question>\n{The full problem statement on one or more lines}\n</question>\n\n"
                "\\boxed{final_answer}\n\n"
                "Do NOT output anything else—no explanations, no extra markup.",
            },
            {
                "role": "user",
                "content": "Generate one new, challenging reasoning question now. Remember to format the output "
                "exactly as instructed.",
            },
        )
    ),
    executor=AgentPrompt(
        (
            {
                "role": "system",
                "content": "A conversation between User and Assistant. The user asks a question, and the Assistant "
                "solves it. Please integrate natural language reasoning with programs to solve the problem, and put "
                "your final answer within \\boxed{}. {tool}",
            },
            {"role": "user", "content": "{question}"},
        )
    ),
    topic=" The problem comes from {topic}.",
    examples=_EXAMPLES,
)


def rejection(question: str) -> str | None:
    """Return why `question` is not valid: too short or too long."""
    if len(question) < MIN_CHARACTERS:
        return "too_short"
    return "too_long" if len(question) > MAX_CHARACTERS else None


DOMAIN = Domain(prompts=OURS, rejection=rejection, topics=TOPICS, variants={"paper": PAPER})
