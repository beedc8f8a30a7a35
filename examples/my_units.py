import re
from fractions import Fraction

from agent0.domains import AgentPrompt, Domain, PromptSet, WorkedTask, in_reserved_fifth

KINDS = {
    "length": {"centimeters": 1, "meters": 100, "kilometers": 100000},
    "mass": {"grams": 1, "kilograms": 1000, "tonnes": 1000000},
    "time": {"seconds": 1, "minutes": 60, "hours": 3600, "days": 86400},
}
FORM = re.compile(r"How many (\w+) are (\d+(?:\.\d+)?) (\w+)\?")


def rejection(question):
    return None if FORM.fullmatch(question) and known_answer(question) else "no_conversion"


def known_answer(question):
    to, number, unit = FORM.fullmatch(question).groups()
    sizes = next((sizes for sizes in KINDS.values() if {to, unit} <= sizes.keys()), None)
    return sizes and str(Fraction(number) * sizes[unit] / sizes[to])


def draw(rng):
    kind = rng.choice(sorted(KINDS))
    (to, one), (unit, many) = sorted(rng.sample(sorted(KINDS[kind].items()), 2), key=lambda pair: pair[1])
    number = f"{rng.randint(1, 199) / 2:g}"
    question = f"How many {to} are {number} {unit}?"
    return WorkedTask(question, known_answer(question), f"print(round({number} * {many // one}))", kind)


def ask(text):
    return AgentPrompt(({"role": "user", "content": text},))


PROMPTS = PromptSet(ask("Write one question about units."), ask("{question} {tool}"), tool="You may run Python.")
UNITS = Domain(PROMPTS, rejection, known_answer, held_out=in_reserved_fifth, draw=draw)
