"""A trial of a model under a recipe: a few dozen proposals, some of them answered, before any hour is spent.

Everything is drawn as the recipe's own stages would: domain, prompts, budget, sampling, sandbox and backend. Trains
nothing, and keeps nothing but the figures.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from agent0.answers import Verdict, equivalent_many, majority_vote
from agent0.config import Config, FilteringSettings
from agent0.cpu_arithmetic import cpu_rates
from agent0.domains import UNCONDITIONED, Domain, get_domain
from agent0.planning.placement import STAGES
from agent0.planning.token_work import mean_lengths, stage_work
from agent0.progress import Drawing, Shown
from agent0.rollout import Throughput
from agent0.rollout.agents import Proposal, mean_tool_calls, truncated_share
from agent0.sandbox import open_sandbox
from agent0.seeds import derive_seed
from agent0.stages.open_agents import open_executor, open_proposer
from agent0.types import Trajectory

ANSWERED_SHARE = 0.5
"""Tasks that are answered, as a share of the proposals that are drawn."""
SPECIMEN_CHARACTERS = 240


@dataclass(frozen=True)
class Proposals:
    """What became of the proposals.

    Attributes:
        drawn: how many.
        rejections: those without a valid question, by reason.
        distinct: different valid questions that are not held out.
        calls: mean tool calls.
        examples: the first few questions.
        specimen: the beginning of the first text without a valid question; empty if there is none.
    """

    drawn: int
    rejections: Mapping[str, int]
    distinct: int
    calls: float
    examples: tuple[str, ...]
    specimen: str

    @property
    def valid(self) -> int:
        """Proposals with a valid question."""
        return self.drawn - sum(self.rejections.values())


@dataclass(frozen=True)
class Answers:
    """What became of the answers; shares are of all trajectories, `in_band` and `label_accuracy` of tasks.

    Attributes:
        tasks: how many were answered.
        own: whether the model proposed them; else the domain's program wrote them, since none of its own was valid.
        samples: k, answers to each task.
        calls: mean tool calls.
        boxed: share with an answer.
        truncated: share out of budget.
        self_consistency: mean p-hat.
        in_band: share of tasks that the recipe's filter would keep.
        above_band: share of tasks that more answers agree on than it keeps.
        known: tasks whose truth the domain knows.
        label_accuracy: share of those whose vote is right; None where there are none.
        tokens: mean drawn tokens.
    """

    tasks: int
    own: bool
    samples: int
    calls: float
    boxed: float
    truncated: float
    self_consistency: float
    in_band: float
    above_band: float
    known: int
    label_accuracy: float | None
    tokens: float


@dataclass(frozen=True)
class Trial:
    """The figures of a trial; `answers` is None where there was nothing to answer.

    Attributes:
        proposals: what became of them.
        answers: what became of those.
        tokens_per_second: drawn, over both; batches are smaller here than in a run, so a run is no slower.
        recipe_tokens: that the recipe draws in all its rounds, at the mean length seen here.
        cpu_rates: GFLOP/s of the CPU by type; empty where a GPU computes.
    """

    proposals: Proposals
    answers: Answers | None
    tokens_per_second: float
    recipe_tokens: float
    cpu_rates: Mapping[str, float]

    @property
    def drawing_hours(self) -> float:
        """Hours that the recipe's drawing takes at this rate; training comes on top."""
        return self.recipe_tokens / max(self.tokens_per_second, 1e-9) / 3600


def run_trial(model: Path, config: Config, samples: int, log: Path, shown: Shown) -> Trial:
    """Draw `samples` proposals, answer some, and return the figures.

    Args:
        model: folder of the model, which plays both agents.
        config: the recipe.
        samples: proposals to draw.
        log: folder for what servers print.
        shown: shows the trajectories and tokens that are drawn.

    Raises:
        UsageError: model, tokenizer, prompts and budget do not fit together.
        SandboxError: the sandbox cannot be opened.
    """
    rollout, domain = config.rollout, get_domain(config.rollout.domain)
    throughput = Throughput()
    solved: list[list[Trajectory]] = []
    proposed: list[Trajectory] = []
    asked = [UNCONDITIONED] * samples
    with open_sandbox(config.sandbox) as pool:
        with open_proposer(
            model, pool, rollout, config.generation.sampling, executor=model, log=log, seed=config.seed
        ) as proposer:
            proposer.propose_batches(
                [(0, asked)],
                derive_seed(config.seed, "trial"),
                lambda _, batch: proposed.extend(batch),
                Drawing(shown, samples, "proposals"),
            )
            drawn = proposer.read(proposed, asked)
            _add(throughput, proposer.throughput)
        proposals = summarize_proposals(drawn, domain)
        own = _own_questions(drawn, domain)
        wanted = max(1, round(ANSWERED_SHARE * samples))
        questions = own[:wanted] or _written(domain, wanted, config.seed)
        k = config.execution.samples
        if questions:
            with open_executor(
                model, pool, rollout, config.execution.sampling, log=log, seed=config.seed, questions=questions
            ) as executor:
                solved = executor.solve(
                    questions,
                    k,
                    derive_seed(config.seed, "trial answers"),
                    Drawing(shown, k * len(questions), "answers"),
                )
                _add(throughput, executor.throughput)
    answers = summarize_answers(questions, solved, domain, config.filtering, own=bool(own)) if questions else None
    mean = answers.tokens if answers else throughput.tokens / samples
    rate = throughput.tokens / max(throughput.seconds, 1e-9)
    return Trial(proposals, answers, rate, tokens_of_recipe(config, round(mean)), cpu_rates())


def summarize_proposals(drawn: Sequence[Proposal], domain: Domain) -> Proposals:
    """Return what became of the proposals."""
    distinct = _own_questions(drawn, domain)
    rejected = [proposal for proposal in drawn if proposal.rejection is not None]
    return Proposals(
        drawn=len(drawn),
        rejections=dict(Counter(proposal.rejection or "" for proposal in rejected).most_common()),
        distinct=len(distinct),
        calls=mean_tool_calls([proposal.trajectory for proposal in drawn]),
        examples=tuple(distinct[:3]),
        specimen=rejected[0].trajectory.text[:SPECIMEN_CHARACTERS] if rejected else "",
    )


def summarize_answers(
    questions: Sequence[str],
    solved: Sequence[Sequence[Trajectory]],
    domain: Domain,
    filtering: FilteringSettings,
    *,
    own: bool,
) -> Answers:
    """Return what became of the answers; `solved` is aligned with `questions`, k trajectories each."""
    votes = [majority_vote([trajectory.answer for trajectory in group]) for group in solved]
    everything = [trajectory for group in solved for trajectory in group]
    low, high = filtering.min_self_consistency, filtering.max_self_consistency
    truths = [(domain.truth(question), vote.answer) for question, vote in zip(questions, votes, strict=True)]
    judged = [(truth, label) for truth, label in truths if truth is not None]
    return Answers(
        tasks=len(questions),
        own=own,
        samples=votes[0].k,
        calls=mean_tool_calls(everything),
        boxed=fmean(trajectory.answer is not None for trajectory in everything),
        truncated=truncated_share(everything),
        self_consistency=fmean(vote.self_consistency for vote in votes),
        in_band=fmean(vote.answer is not None and low <= vote.self_consistency <= high for vote in votes),
        above_band=fmean(vote.self_consistency > high for vote in votes),
        known=len(judged),
        label_accuracy=fmean(verdict is Verdict.TRUE for verdict in equivalent_many(judged)) if judged else None,
        tokens=fmean(sum(trajectory.mask) for trajectory in everything),
    )


def tokens_of_recipe(config: Config, mean_response_tokens: int) -> float:
    """Return the tokens that all rounds of a recipe draw, where a response has so many on average."""
    lengths = mean_lengths(config, max(1, mean_response_tokens))
    return config.iterations * sum(stage_work(stage, config, lengths).drawn for stage in STAGES)


def _own_questions(drawn: Sequence[Proposal], domain: Domain) -> list[str]:
    """Return the different valid questions that are not held out, in their order."""
    return list(dict.fromkeys(p.question for p in drawn if p.question and not domain.held_out(p.question)))


def _written(domain: Domain, count: int, seed: int) -> list[str]:
    """Return questions that the domain's program writes; none where it has no program."""
    rng = random.Random(derive_seed(seed, "trial tasks"))
    return [domain.draw(rng).question for _ in range(count)] if domain.draw else []


def _add(total: Throughput, more: Throughput) -> None:
    total.tokens += more.tokens
    total.seconds += more.seconds
