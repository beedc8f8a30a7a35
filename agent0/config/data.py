"""Settings of the stages that make, label and filter tasks, of evaluation and of tracking."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from agent0.config.base import Positive, Probability, RegisteredName, Section
from agent0.config.endpoint import QuestionJudgeSettings, TeacherSettings
from agent0.config.rollout import SamplingSettings


class GenerationSettings(Section):
    """Task generation by the trained curriculum agent."""

    proposals: Positive = Field(8000, description="Proposals drawn. Official code: 1,000 on each of 8 GPUs.")
    least_tasks: int = Field(
        0,
        ge=0,
        description=(
            "Distinct valid questions with fewer of which proposals are drawn on, up to max_proposals: "
            "filtering.min_tasks over the share of tasks that is kept (tasks/kept_share), say. 0: never. One pod only."
        ),
    )
    max_proposals: int = Field(0, ge=0, description="Most proposals that are drawn for least_tasks.")
    shard_size: Positive = Field(1000, description="Proposals per shard: the unit that a restart does not repeat.")
    sampling: SamplingSettings = SamplingSettings()
    teacher: TeacherSettings = TeacherSettings()

    @model_validator(mode="after")
    def _can_draw_on(self) -> GenerationSettings:
        if self.least_tasks and self.max_proposals <= self.proposals:
            raise ValueError(
                f"least_tasks {self.least_tasks} could do nothing, since max_proposals {self.max_proposals} allows no "
                f"more than the {self.proposals} proposals that are drawn anyway; raise max_proposals"
            )
        return self


class ExecutionSettings(Section):
    """Sandboxed execution: the executor's answers to each task, and the vote."""

    samples: int = Field(
        10,
        ge=2,
        description="k, trajectories per task; self-consistency is the vote's share of k. Paper: 10.",
    )
    grounded_vote: bool = Field(
        False,
        description=(
            "Whether only grounded samples (see filtering.min_grounded) can win the vote: the label is what most of "
            "them answer, and self-consistency is their share of k. Paper: no."
        ),
    )
    shard_size: Positive = Field(100, description="Tasks per shard: the unit that a restart does not repeat.")
    sampling: SamplingSettings = SamplingSettings()
    probe_tasks: int = Field(
        200,
        ge=0,
        description="Tasks that the first executor solves too, to measure difficulty. Paper Table 5: 200.",
    )
    probe_samples: Positive = Field(4, description="Trajectories per probed task.")
    question_judge: QuestionJudgeSettings = QuestionJudgeSettings()
    known_tasks: str = Field(
        "",
        description=(
            "JSON Lines file of {question, answer} whose answers are known, or a benchmark that makes such tasks "
            "('gym:NAME', 'domain:NAME'), none of which it asks as a benchmark; mixed in to audit the vote where the "
            "domain knows no truth, never trained on. Empty: none."
        ),
    )
    known_count: Positive = Field(
        40, description="Known tasks that a benchmark makes, in equal parts of its families; of a file all are taken."
    )


class FilteringSettings(Section):
    """Which tasks are kept to train on."""

    min_self_consistency: Probability = Field(
        0.3, description="Lower end of the band. Paper: 0.3 (0.5 minus delta 0.2)."
    )
    max_self_consistency: Probability = Field(0.8, description="Upper end of the band. Paper: 0.8.")
    truth: Literal["audit", "refuse", "label"] = Field(
        "audit",
        description=(
            "What the truth is for, where the domain computes it. 'audit': to say how good the labels are (zero data); "
            "'refuse': a task whose label it contradicts is not trained on; 'label': it takes the vote's place, and "
            "self-consistency is the share of answers that are right."
        ),
    )
    min_derivations: Positive = Field(
        1,
        description=(
            "Different programs, one of which may be none at all, that must have reached the label. 2: a label that "
            "rests on repetitions of one program does not count. 1: off."
        ),
    )
    min_grounded: Probability = Field(
        0.0,
        description=(
            "Share of the samples behind a label in which the sandbox printed it and the programs hold every number "
            "as often as the question states it; 0: off."
        ),
    )
    min_novelty: Probability = Field(
        0.0,
        description="1 - BLEU with the nearest question of all earlier iterations that a task must have; 0: off.",
    )
    negative_support: Probability = Field(
        0.0,
        description=(
            "Negative labels: an answer that at most this share of a task's samples gave is refused, where no label is "
            "trusted: below the band, or where min_derivations or min_grounded doubts it. Such tasks are kept aside, "
            "to train against those answers (executor.pools.negative_share). 0: off, as in the paper."
        ),
    )
    well_posed: bool = Field(
        False,
        description="Whether tasks are kept out whose question the judge calls ill posed (execution.question_judge).",
    )
    min_judge_agreement: Probability = Field(
        0.7,
        description=(
            "How often that judge must be right about known tasks (execution.known_tasks), as they are and without "
            "their last number, for its verdicts to keep anything out; guessing is right half of the time."
        ),
    )
    max_per_cluster: int = Field(
        0,
        ge=0,
        description="Tasks kept of each cluster of like questions (curriculum.reward.repetition_distance); 0: all.",
    )
    min_tasks: Positive = Field(
        128, description="Fewer kept tasks than this fail the stage; one training batch must be among them."
    )
    yield_floor: Probability = Field(0.1, description="Warn when a smaller share of the tasks is kept; 0 never warns.")
    label_accuracy_floor: Probability = Field(
        0.6, description="Warn when fewer of the kept labels are true, where the truth is known; 0 never warns."
    )
    contamination: Literal["off", "warn", "refuse", "drop"] = Field(
        "warn",
        description=(
            "What to do with kept tasks that share words with test questions; one that is a test question, sign for "
            "sign, is dropped in any case but 'off'. Checked against the generated benchmarks of evaluation.benchmarks "
            "and those in the folder that AGENT0_BENCHMARKS names."
        ),
    )
    contamination_coverage: Probability = Field(
        0.0, description="Share of a test question's 13-grams that a task must hold to count; 0: any shared run."
    )

    @model_validator(mode="after")
    def _band(self) -> FilteringSettings:
        if self.min_self_consistency > self.max_self_consistency:
            raise ValueError(
                f"min_self_consistency {self.min_self_consistency} is above max_self_consistency "
                f"{self.max_self_consistency}; swap them"
            )
        return self


class EvaluationSettings(Section):
    """Held-out benchmarks, before the first iteration and after each."""

    benchmarks: tuple[str, ...] = Field(
        ("tiny",), min_length=1, description="Names; `agent0 benchmarks list` shows them. 'tiny' is the embedded one."
    )
    preset: Literal["paper", "official"] = Field(
        "paper",
        description="How published benchmarks are asked, decoded and judged: as the paper, or as their authors.",
    )
    data: str = Field(
        "", description="Where their rows are: 'hub', a folder or s3://; empty: AGENT0_BENCHMARKS, else the hub."
    )
    sampled_rows: bool = Field(
        False, description="Accept files that hold only some of a benchmark's rows; their hash is not checked then."
    )
    limit: int = Field(
        0, ge=0, description="Questions of each published benchmark, every group in proportion; 0: all of them."
    )
    tool: bool = Field(True, description="Whether the executor has the Python tool, with rollout.max_turns calls.")
    published_samples: int = Field(
        0, ge=0, description="Trajectories per question of published benchmarks (k); 0: the preset's, 1 or 32."
    )
    max_response_tokens: int = Field(
        0, ge=0, description="Tokens of one response on published benchmarks; 0: the preset's."
    )
    logs: bool = Field(True, description="Write a log of all samples that `inspect view` opens; needs agent0[eval].")
    questions_per_level: Positive = Field(
        40,
        description="Questions per level, family or kind of a generated benchmark: 'tiny', 'gym:NAME', 'domain:NAME'.",
    )
    samples: Positive = Field(
        4, description="Trajectories per question of a generated benchmark; accuracy is the mean over them (mean@k)."
    )
    sampling: SamplingSettings = Field(SamplingSettings(), description="Of generated benchmarks.")


class GateSettings(Section):
    """When a candidate is promoted; gains and losses are shares of 1."""

    significance: float = Field(
        0.05, gt=0, lt=1, description="Of the two-sided paired tests, after Holm's correction for the benchmarks."
    )
    minimum_gain: Probability = Field(0.0, description="Least gain, on average over the benchmarks.")
    allowed_loss: Probability = Field(
        0.01, description="A benchmark blocks when the whole 95 % interval of its difference lies below minus this."
    )
    allowed_losses: dict[str, Probability] = Field(
        default_factory=dict, description="Allowed loss of single benchmarks, instead of allowed_loss."
    )
    draws: Positive = Field(10_000, le=1_000_000, description="Draws of the bootstrap, and of sign flips.")


class TrackingSettings(Section):
    """What is written to MLflow, and to trackers beside it."""

    experiment: str = Field("agent0", min_length=1, description="MLflow experiment.")
    also: tuple[str, ...] = Field(
        (),
        description=(
            "Trackers that stages tell beside MLflow: installed packages' entry points, or package.module:NAME. None "
            "takes MLflow's place."
        ),
    )
    registered_executor: RegisteredName = Field(
        "agent0-executor", description="Registered model of the executor agent; a version per iteration."
    )
    registered_curriculum: RegisteredName = Field(
        "agent0-curriculum", description="Registered model of the curriculum agent; a version per iteration."
    )
    trajectories: int = Field(64, ge=0, description="Trajectories logged as a table per sandboxed execution.")
