"""The frozen executor and the proposals: all at once, or each from the moment it is made."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any

import pytest

from agent0.answers import VoteCounter
from agent0.config import CurriculumSettings, RewardSettings, RolloutSettings
from agent0.domains import get_domain, get_prompts
from agent0.errors import Agent0Error
from agent0.rollout import Generation, Request, RolloutEngine, TokenBudget
from agent0.rollout.agents import ExecutorAgent
from agent0.rollout.model_folders import load_tokenizer
from agent0.rollout.scripted import ScriptedBackend
from agent0.training.curriculum import ExecutorInTheLoopReward
from agent0.training.solver import BatchSolver, EarlySolver, Solver
from agent0.training.training_job import TrainingJob
from agent0.training.worker import train

ROLLOUT = RolloutSettings(max_prompt_tokens=96, max_response_tokens=96)
SETTINGS = CurriculumSettings(executor_samples=4, reward=RewardSettings(repetition_weight=0.0))


class Executor(ScriptedBackend):
    """Answers by a part of the prompt, which may wait or fail, and remembers its requests."""

    def __init__(self, tokenizer: Any, answers: dict[str, str], before: Callable[[str], None] = lambda _: None) -> None:
        super().__init__(tokenizer, lambda text: next(a for part, a in answers.items() if part in text), concurrency=64)
        self.requests: list[tuple[str, int]] = []
        self._before = before

    async def generate(self, request: Request) -> Generation:
        prompt = self._tokenizer.decode(request.prompt)
        self.requests.append((prompt, request.seed))
        await asyncio.to_thread(self._before, prompt)
        return await super().generate(request)

    def agent(self) -> ExecutorAgent:
        engine = RolloutEngine(self._tokenizer, self, None, TokenBudget.from_settings(ROLLOUT))  # type: ignore[arg-type]
        return ExecutorAgent(engine, get_prompts(ROLLOUT), get_domain(ROLLOUT.domain))


ANSWERS = {"2+3": "\\boxed{5}", "5+7": "\\boxed{12}", "4*9": "no box"}
PROPOSED = ["What is 2+3?", "What is 5+7?", "What is 2+3?", "What is love?", "What is 4*9?"]


def step(tokenizer: Any, solver: Solver, proposed: Sequence[str], after_each: Callable[[], None]) -> list[float]:
    """Propose, one after the other, and reward."""
    texts = iter(proposed)

    def propose(_: str) -> str:
        after_each()
        return f"<question>{next(texts)}</question>"

    budget = TokenBudget.from_settings(ROLLOUT, "question")
    engine = RolloutEngine(tokenizer, ScriptedBackend(tokenizer, propose, concurrency=1), None, budget)  # type: ignore[arg-type]
    reward = ExecutorInTheLoopReward(solver, get_domain("arithmetic"), None, SETTINGS, 0)  # type: ignore[arg-type]
    drawn = engine.run([[5, 6]] * len(proposed), 0, ended=lambda _batch, _number, ended: reward.proposed(ended[0], 0))
    return reward(drawn, log_metric=lambda *_: None, trainer_state=SimpleNamespace(global_step=0))


def test_a_question_is_solved_while_others_are_still_proposed_and_earns_the_same(
    tokenizer: Any, counter: VoteCounter
) -> None:
    asked = threading.Event()
    backend = Executor(tokenizer, ANSWERS, lambda _: asked.set())
    calls = 0

    def after_each() -> None:
        nonlocal calls
        calls += 1
        if calls == 3:  # two proposals have been made, and nobody has asked for a reward
            assert asked.wait(timeout=60)

    with EarlySolver(backend.agent(), counter, SETTINGS.executor_samples) as solver:
        rewards = [step(tokenizer, solver, PROPOSED, after_each) for _ in range(2)]
    questions = 3  # that are valid and different
    assert len(backend.requests) == 2 * questions * SETTINGS.executor_samples
    together = Executor(tokenizer, ANSWERS)
    expected = step(
        tokenizer, BatchSolver(together.agent(), counter, SETTINGS.executor_samples), PROPOSED, lambda: None
    )
    assert rewards == [expected, expected]
    assert len(together.requests) == questions * SETTINGS.executor_samples


def test_the_order_in_which_questions_come_changes_no_seed(tokenizer: Any, counter: VoteCounter) -> None:
    def seeds(questions: Sequence[str]) -> list[tuple[str, int]]:
        backend = Executor(tokenizer, ANSWERS)
        with EarlySolver(backend.agent(), counter, SETTINGS.executor_samples) as solver:
            for question in questions:
                solver.ask(question, 7)
            solver.solve(sorted(questions), 7)
        return sorted(backend.requests)

    first = seeds(["What is 2+3?", "What is 5+7?"])
    assert first == seeds(["What is 5+7?", "What is 2+3?"])
    assert len({seed for _, seed in first}) == len(first)


def test_an_executor_that_fails_ends_the_proposing_too(tokenizer: Any, counter: VoteCounter) -> None:
    def fail(_: str) -> None:
        raise Agent0Error("the servers are gone")

    backend = Executor(tokenizer, ANSWERS, fail)
    with EarlySolver(backend.agent(), counter, 2) as solver:
        solver.ask("What is 2+3?", 0)
        failed = solver._batch
        assert failed is not None
        assert isinstance(failed.work.exception(timeout=60), Agent0Error)
        with pytest.raises(Agent0Error, match="the servers are gone"):
            step(tokenizer, solver, PROPOSED, lambda: None)


def test_what_is_at_work_when_the_training_fails_is_given_up(tokenizer: Any, counter: VoteCounter) -> None:
    class Endless(Executor):
        async def generate(self, request: Request) -> Generation:
            self.requests.append(("", 0))
            started.set()
            await asyncio.sleep(3600)
            raise AssertionError("it was to be cancelled")

    started = threading.Event()
    backend = Endless(tokenizer, ANSWERS)

    def fail() -> None:
        with EarlySolver(backend.agent(), counter, 2) as solver:
            solver.ask("What is 2+3?", 0)
            assert started.wait(timeout=60)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert "agent0-executor" not in {thread.name for thread in threading.enumerate()}


@pytest.fixture
def served(half_trained: Any) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A server that answers every turn with 5 as vLLM would, and what it was asked."""
    tokenizer = load_tokenizer(half_trained)
    ids = [*tokenizer("\\boxed{5}", add_special_tokens=False).input_ids, tokenizer.eos_token_id]
    choice = {"token_ids": ids, "logprobs": {"token_logprobs": [0.0] * len(ids)}, "finish_reason": "stop"}
    asked: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            body = json.dumps({"choices": [choice]}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_training_asks_an_executor_on_servers_for_each_proposal(
    make_job: Callable[..., TrainingJob],
    curriculum: CurriculumSettings,
    half_trained: Any,
    served: tuple[str, list[dict[str, Any]]],
) -> None:
    address, asked = served
    settings = curriculum.model_copy(update={"steps": 1})
    job = make_job("served", agent="curriculum", algorithm=settings, frozen_executor=half_trained, tasks=None)
    (log, *_) = train(job.model_copy(update={"executor_endpoints": (address,)}), lambda *_: None)
    assert log["executor/self_consistency"] == 1.0
    distinct = round(
        log["proposals/distinct"] * log["proposals/valid"] * settings.prompts_per_step * settings.group_size
    )
    assert len(asked) == distinct * settings.executor_samples
