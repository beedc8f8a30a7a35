"""Who waits for whom in a step of curriculum training: proposals, the frozen executor's answers, and the votes on them.

Engine, reward, solvers, grader and votes are the real ones; both models are scripts that take a time of their own for
each turn, drawn from a long-tailed distribution. All in one run:
- the step with the executor in the loop, in turn as where both agents share an engine, and with each question put to
  the executor the moment it is proposed, as where it has servers of its own;
- what 512 votes over ten symbolic answers cost the event loop that draws those answers: the processor time that they
  take of its own thread, and of all other Python threads of its process, which it may have to wait for; next to
  counting the votes inside the loop, measured on some of them.
Leaves out the model, programs and the trainer's own passes. Prints one table; `--check` exits with 1 when a bar is
missed.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import math
import random
import re
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from agent0.answers import VoteCounter, majority_vote
from agent0.config import CurriculumSettings, PromptMessage, PromptSettings, RolloutSettings
from agent0.domains import get_domain, get_prompts
from agent0.rollout import Generation, Request, RolloutEngine, TokenBudget
from agent0.rollout.agents import ExecutorAgent
from agent0.rollout.scripted import ScriptedBackend
from agent0.sandbox import RunResult
from agent0.training.curriculum import ExecutorInTheLoopReward
from agent0.training.solver import BatchSolver, EarlySolver, Solver
from agent0.types import Trajectory, Vote

PROMPTS = PromptSettings(
    curriculum=(PromptMessage(role="user", content="propose"),),
    executor=(PromptMessage(role="user", content="solve {question}"),),
)
ROLLOUT = RolloutSettings(domain="mathematics", prompts=PROMPTS, max_prompt_tokens=96, max_response_tokens=96)
TURN_SECONDS = 0.2
SPREAD = 0.5  # standard deviation of a turn's logarithmic time: one in a hundred takes three times the median
SAMPLES = 10
INSIDE = 16  # votes that are counted inside the loop, to be compared with
Answer = Callable[[int, random.Random], str]


@dataclass(frozen=True)
class Row:
    """One line of the table: what was measured, the bar, and whether it is met."""

    name: str
    measured: str
    bar: str = ""
    met: bool = True


class SlowScript(ScriptedBackend):
    """A script whose turns take `TURN_SECONDS` on average, each a time of its own."""

    async def generate(self, request: Request) -> Generation:
        """Wait, then draw; see `ScriptedBackend`."""
        factor = random.Random(request.seed).gauss(-(SPREAD**2) / 2, SPREAD)
        await asyncio.sleep(TURN_SECONDS * math.exp(factor))
        return await super().generate(request)


class NoProgram:
    """Stands where the sandbox would; the scripts write no programs."""

    async def arun(self, source: str) -> RunResult:
        """Refuse."""
        raise SystemExit("A script wrote a program, which this benchmark has no sandbox for.")


def question(number: int) -> str:
    """A question of its own for each number."""
    return f"Expand the product (x + {number}) (x + {number + 3}) into a polynomial in x."


def polynomial(number: int, rng: random.Random) -> str:
    """The answer to question `number` in one of two spellings, or a wrong one, which only Math-Verify tells apart."""
    linear, constant = 2 * number + 3, number * (number + 3)
    return rng.choice((f"x^2+{linear}x+{constant}", f"{constant}+x({linear}+x)", f"x^2+{linear}x-{constant}"))


def plain(number: int, rng: random.Random) -> str:
    """A number in one of two spellings, or another one."""
    return rng.choice((f"{number}", f"{number}.0", f"{number + 1}"))


def new_tokenizer() -> Any:
    """A small tokenizer, so that reading and writing texts costs what it does."""
    from agent0.tiny.tokenizer import train_tokenizer

    return train_tokenizer([question(number) for number in range(200)], 420)


def executor(tokenizer: Any, concurrency: int, answer: Answer) -> ExecutorAgent:
    """The executor over a script that answers."""
    rng = random.Random(0)

    def write(text: str) -> str:
        number = int(re.findall(r"\(x \+ (\d+)\)", text)[-2])
        return f"\\boxed{{{answer(number, rng)}}}"

    backend = SlowScript(tokenizer, write, concurrency)
    engine = RolloutEngine(tokenizer, backend, NoProgram(), TokenBudget.from_settings(ROLLOUT))
    return ExecutorAgent(engine, get_prompts(ROLLOUT), get_domain(ROLLOUT.domain))


def step(tokenizer: Any, proposals: int, concurrency: int, solver: Solver, settings: CurriculumSettings) -> list[float]:
    """Propose and reward one batch; return the seconds of proposing and of what came after it."""
    numbers = itertools.count(1)
    backend = SlowScript(tokenizer, lambda _: f"<question>{question(next(numbers))}</question>", concurrency)
    prompts = get_prompts(ROLLOUT)
    engine = RolloutEngine(tokenizer, backend, NoProgram(), TokenBudget.from_settings(ROLLOUT, "question"))
    reward = ExecutorInTheLoopReward(solver, get_domain(ROLLOUT.domain), NoProgram(), settings, seed=0)
    prompt = prompts.encode(tokenizer, prompts.propose())
    began = time.perf_counter()
    drawn = engine.run([prompt] * proposals, 0, ended=lambda _batch, _number, ended: reward.proposed(ended[0], 0))
    proposed = time.perf_counter()
    logged: dict[str, float] = {}
    reward(drawn, log_metric=logged.__setitem__, trainer_state=SimpleNamespace(global_step=0))
    if logged["proposals/distinct"] < 1 or logged["proposals/valid"] < 1:
        raise SystemExit(f"The script's proposals are not all valid and distinct: {logged}")
    return [proposed - began, time.perf_counter() - proposed]


def curriculum_step(tokenizer: Any, counter: VoteCounter, proposals: int, concurrency: int) -> list[Row]:
    """One step in turn, and one in which the executor begins with each proposal."""
    settings = CurriculumSettings(executor_samples=SAMPLES)
    solves = executor(tokenizer, concurrency * SAMPLES, plain)  # as many questions at once as proposals
    proposing, solving = step(tokenizer, proposals, concurrency, BatchSolver(solves, counter, SAMPLES), settings)
    with EarlySolver(solves, counter, SAMPLES) as early:
        together = sum(step(tokenizer, proposals, concurrency, early, settings))
    ratio = together / max(proposing, solving)
    return [
        Row(f"{proposals} proposals, {proposals * SAMPLES} answers, in turn", f"{proposing + solving:.1f} s"),
        Row("of it proposing / solving and voting", f"{proposing:.1f} / {solving:.1f} s"),
        Row("each question solved when it is proposed", f"{together:.1f} s"),
        Row("that / the longer of the two", f"{ratio:.2f} x", "<= 1.1 x", ratio <= 1.1),
    ]


def votes(tokenizer: Any, counter: VoteCounter, tasks: int, concurrency: int) -> list[Row]:
    """The executor solves tasks while their votes are counted."""
    held = 0.0
    answers: list[list[str | None]] = []
    counted: list[Future[Vote]] = []

    def solved(_key: int, _place: int, trajectories: list[Trajectory]) -> None:
        nonlocal held
        began = time.thread_time()
        answers.append([trajectory.answer for trajectory in trajectories])
        counted.append(counter.count(answers[-1]))
        held += time.thread_time() - began

    agent = executor(tokenizer, concurrency, polynomial)
    wall, others = time.perf_counter(), other_threads()
    agent.solve([question(1000 + number) for number in range(tasks)], SAMPLES, 0, solved=solved)
    wall = time.perf_counter() - wall
    _ = [vote.result() for vote in counted]  # what the threads do after the last answer is counted in
    others = other_threads() - others
    share = (held + others) / wall
    inside = timed(lambda: [majority_vote(each) for each in answers[:INSIDE]]) / INSIDE * tasks / wall
    return [
        Row(f"{tasks} tasks, {tasks * SAMPLES} symbolic answers", f"{wall:.1f} s"),
        Row("counted inside the loop, it would stand still for", f"{inside:.0%} more"),
        Row("votes: time of the loop / of other Python threads", f"{held * 1000:.0f} / {others * 1000:.0f} ms"),
        Row(f"cost of {tasks} votes to the loop", f"{share:.2%}", "<= 2 %", share <= 0.02),
    ]


def other_threads() -> float:
    """CPU seconds of this process's other Python threads; those of libraries never hold the interpreter."""
    others = (thread for thread in threading.enumerate() if thread is not threading.current_thread())
    return sum(time.clock_gettime(time.pthread_getcpuclockid(thread.ident)) for thread in others if thread.ident)


def timed(work: Callable[[], object]) -> float:
    """Seconds that `work` takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def main() -> None:
    """Measure, print, and judge where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="exit with 1 when a bar is missed")
    parser.add_argument("--proposals", type=int, default=300, help="proposals of a step (default: 300)")
    parser.add_argument("--at-once", type=int, default=4, help="proposals, and questions, at once (default: 4)")
    parser.add_argument("--tasks", type=int, default=512, help="tasks that are voted on (default: 512)")
    options = parser.parse_args()
    tokenizer = new_tokenizer()
    with VoteCounter() as counter:
        for begin in (lambda pair: counter.count(pair).result(), majority_vote):  # the workers of both start
            begin(["x+1", "1+x"])
        rows = [
            *curriculum_step(tokenizer, counter, options.proposals, options.at_once),
            *votes(tokenizer, counter, options.tasks, concurrency=128),
        ]
    for row in rows:
        print(f"{row.name:52}{row.measured:>18}  {row.bar:10}{'' if not row.bar else 'met' if row.met else 'MISSED'}")
    if options.check and not all(row.met for row in rows):
        sys.exit(1)


if __name__ == "__main__":
    main()
