"""The algorithms of both trainings, with the paper's constants: GRPO and ADPO."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from agent0.config.base import Positive, Probability, Section
from agent0.config.reward import RewardSettings
from agent0.config.rollout import SamplingSettings


class PolicyOptimisation(Section):
    """What both agents' trainings have in common: AdamW, and the loss of GRPO."""

    group_size: int = Field(ge=2, description="Trajectories that are compared with each other.")
    updates_per_step: Positive = Field(description="Optimizer steps per generation batch.")
    learning_rate: float = Field(1e-6, gt=0, description="AdamW rate. Paper App. A: 1e-6.")
    warmup_updates: int = Field(
        0,
        ge=0,
        description=(
            "Optimizer steps over which the rate rises to that, from 0. Official executor script: 10; curriculum: 0."
        ),
    )
    adam_beta1: float = Field(0.9, ge=0, lt=1, description="AdamW's mean of gradients. Official code (verl): 0.9.")
    adam_beta2: float = Field(
        0.999, ge=0, lt=1, description="AdamW's mean of squared gradients. Official code (verl): 0.999."
    )
    weight_decay: float = Field(0.01, ge=0, description="AdamW's decay. Official code: 0.01.")
    max_grad_norm: float = Field(1.0, gt=0, description="Gradient clipping. Official code (verl): 1.")
    kl_coefficient: float = Field(
        1e-2, ge=0, description="KL penalty to the stage's starting weights. Paper App. A: 1e-2."
    )
    kl_bias_correction: bool = Field(
        True,
        description=(
            "Weigh that penalty by the importance ratio, so that its gradient stays unbiased off-policy. TRL: true; "
            "official code (low_var_kl): false."
        ),
    )
    clip_range: float = Field(
        0.2, gt=0, lt=1, description="epsilon of the clipped ratio. Paper and official code: 0.2."
    )
    loss_aggregation: Literal["sequence", "token", "dr_grpo"] = Field(
        "sequence",
        description=(
            "'sequence': mean over each trajectory's tokens, then over trajectories (GRPO, the paper's formula); "
            "'token': mean over all tokens of the batch (DAPO; official code, verl); 'dr_grpo': sum over tokens by "
            "rollout.max_response_tokens, so that length does not count (arXiv 2503.20783)."
        ),
    )
    sampling: SamplingSettings = SamplingSettings()


class ConditioningSettings(Section):
    """What proposals are asked for beyond being one; nothing, as in the paper, by default."""

    topics: Literal["off", "even", "earned"] = Field(
        "off",
        description=(
            "Whether each proposal is asked for a topic of the domain. In training every topic comes up as often as "
            "the others; when tasks are generated, too ('even'), or by the mean reward that it earned in the training "
            "of that iteration ('earned'). A proposal that is off its topic is invalid, where the domain can tell. "
            "Paper: off."
        ),
    )
    exploration: Probability = Field(
        0.2, description="Share of the generated proposals whose topic is drawn evenly all the same, with 'earned'."
    )
    examples: int = Field(
        0,
        ge=0,
        description=(
            "Kept questions of earlier iterations that each prompt shows, far from each other by 1 - BLEU, of its "
            "topic where it has one; as many as there are and as its budget of tokens holds. Paper: none."
        ),
    )
    max_example_consistency: Probability = Field(
        0.8, description="Questions with a larger self-consistency are no examples. Upper end of the paper's band: 0.8."
    )

    @property
    def has_topics(self) -> bool:
        """Whether proposals are asked for by topic."""
        return self.topics != "off"

    @property
    def is_on(self) -> bool:
        """Whether proposals are asked for by anything."""
        return self.has_topics or self.examples > 0


class CurriculumSettings(PolicyOptimisation):
    """Training of the curriculum agent by GRPO."""

    steps: int = Field(5, ge=0, description="Generation batches. Paper App. A: 5. 0 leaves the agent as it is.")
    prompts_per_step: Positive = Field(512, description="Groups per batch. Official code: 512.")
    group_size: int = Field(4, ge=2, description="Proposals per group. Paper App. A: 4.")
    updates_per_step: Positive = Field(
        4, description="Optimizer steps per batch. Official code: 512 groups in updates of 128."
    )
    baseline: Literal["group", "batch"] = Field(
        "group",
        description=(
            "What a reward is compared with: the mean of its group, scaled by the group's spread (paper, official "
            "code), or 'batch': all proposals are asked with one text, so the mean and the spread of the whole batch; "
            "where texts differ (conditioning) the mean stays that of the group, all of one text."
        ),
    )
    conditioning: ConditioningSettings = ConditioningSettings()
    executor_samples: int = Field(10, ge=2, description="k, executor trajectories per proposed task. Paper: 10.")
    executor_sampling: SamplingSettings = SamplingSettings()
    reward: RewardSettings = RewardSettings()

    @property
    def groups_per_step(self) -> int:
        """Groups of trajectories in a generation batch."""
        return self.prompts_per_step


class ADPOSettings(Section):
    """Ambiguity-dynamic policy optimisation (paper section 3.3): w = clip((p - low) / (high - low), 0, 1)."""

    enabled: bool = Field(True, description="False trains with plain GRPO.")
    low: Probability = Field(0.3, description="Self-consistency at and below which w = 0. Official script: 0.3.")
    high: Probability = Field(0.8, description="Self-consistency at and above which w = 1. Official script: 0.8.")
    min_advantage_scale: Probability = Field(0.6, description="Advantage factor at w = 0. Official script: 0.6.")
    max_clip_bonus: float = Field(
        0.1, ge=0, description="Added to the upper clip bound at w = 0. Official script: 0.1."
    )

    @model_validator(mode="after")
    def _band(self) -> ADPOSettings:
        if self.low >= self.high:
            raise ValueError(f"low {self.low} must be below high {self.high}")
        return self


class PoolSettings(Section):
    """Difficulty pools (prime-rl's buffer): shares of each batch for easy and hard tasks, and for earlier ones."""

    enabled: bool = Field(False, description="False draws each batch from all kept tasks alike, as in the paper.")
    easy_threshold: Probability = Field(0.8, description="Tasks from this self-consistency on are easy. prime-rl: 0.8.")
    hard_threshold: Probability = Field(0.4, description="Tasks up to this self-consistency are hard. prime-rl: 0.2.")
    easy_share: Probability = Field(0.1, description="Share of each batch for easy tasks.")
    hard_share: Probability = Field(0.2, description="Share of each batch for hard tasks.")
    earlier_share: Probability = Field(
        0.0, description="Share of each batch for tasks that earlier iterations kept, whatever their difficulty was."
    )
    negative_share: Probability = Field(
        0.0, description="Share of each batch for tasks that only have refused answers (filtering.negative_support)."
    )

    @model_validator(mode="after")
    def _pools_differ(self) -> PoolSettings:
        if self.hard_threshold >= self.easy_threshold:
            raise ValueError(f"hard_threshold {self.hard_threshold} must be below easy_threshold {self.easy_threshold}")
        if self.easy_share + self.hard_share + self.earlier_share + self.negative_share > 1:
            raise ValueError("the shares of its pools are more than a whole batch together; lower one")
        return self


class AnchorSettings(Section):
    """Human anchors (R-Few, arXiv 2512.02472): given examples among the tasks that the agents made themselves."""

    file: str = Field(
        "",
        description=(
            "JSON Lines of {question, answer}: a path that stages see, or s3://. Refused where a test question of "
            "evaluation.benchmarks or of AGENT0_BENCHMARKS is among them. Empty: none, as in the paper."
        ),
    )
    share: float = Field(
        0.05, gt=0, le=0.5, description="Of the tasks that the executor is trained on. R-Few: 0.01 to 0.05."
    )


class ExecutorSettings(PolicyOptimisation):
    """Training of the executor agent by ADPO."""

    steps: int = Field(40, ge=0, description="Generation batches. Paper App. A: 40. 0 leaves the agent as it is.")
    tasks_per_step: Positive = Field(128, description="Tasks per batch. Paper App. A: 128.")
    group_size: int = Field(16, ge=2, description="Trajectories per task. Paper App. A: 16.")
    updates_per_step: Positive = Field(
        2,
        description=(
            "Optimizer steps per batch. With 1 (paper) the ratio is 1 and no clip ever acts; see ADPO in the docs."
        ),
    )
    guard_samples: int = Field(
        0,
        ge=0,
        description=(
            "Trajectories to each known task (execution.known_tasks) before and after the training; where the paired "
            "test says that it did harm, the executor before it is kept. 0: off, as in the paper."
        ),
    )
    adpo: ADPOSettings = ADPOSettings()
    pools: PoolSettings = PoolSettings()
    anchors: AnchorSettings = AnchorSettings()
    negative_weight: float = Field(
        0.5,
        gt=0,
        description=(
            "An answer that the vote refuses has minus this as its advantage, whatever else its group says; all others "
            "of a task without a trusted label have none (executor.pools.negative_share)."
        ),
    )
    redraws: int = Field(
        0,
        ge=0,
        description=(
            "Dynamic sampling (DAPO, arXiv 2503.14476): how many times groups with equal rewards, which teach nothing, "
            "are replaced by groups of other tasks before a batch is trained on; 0: never."
        ),
    )
    overlong_buffer: int = Field(
        0,
        ge=0,
        description=(
            "Last tokens of rollout.max_response_tokens over which a reward falls by overlong_penalty (soft overlong "
            "punishment of DAPO: 4096 of 20480); 0: length is not punished."
        ),
    )
    overlong_penalty: float = Field(1.0, gt=0, description="What a response of full length loses. DAPO: 1.")

    @property
    def groups_per_step(self) -> int:
        """Groups of trajectories in a generation batch."""
        return self.tasks_per_step
