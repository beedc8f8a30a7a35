"""How both trainings run on the devices at hand, what stops them, and the warm start before them."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from agent0.config.base import Positive, Probability, Section
from agent0.config.kubernetes import LabelKey, LabelValue, Quantity, QueueName
from agent0.config.rollout import RolloutSettings, SamplingSettings

QUEUE_LABEL = "kueue.x-k8s.io/queue-name"
PART_OF_LABEL = "app.kubernetes.io/part-of"
ENGINE_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
"""Ranks of adapters that a vLLM engine can be built for (its `MaxLoRARanks`)."""
DEEPSPEED_BYTES = 3 * 4 + 2  # of a weight: itself and two moments in float32, and itself in bfloat16

MAY_CHANGE = (
    "training.checkpoints",
    "training.colocated_memory",
    "training.colocated_sleep",
    "training.gradient_checkpointing",
    "training.guards",
    "training.micro_batch_tokens",
    "training.sharding",
    "training.trainjob.annotations",
    "training.trainjob.deadline_hours",
    "training.trainjob.grace_seconds",
    "training.trainjob.labels",
    "training.trainjob.queue",
    "training.trainjob.resources",
)
"""With which an interrupted training may go on otherwise: they say when it is saved and stopped, where it runs and what
memory it takes, and change nothing but rounding of what is computed."""


class WarmStartSettings(Section):
    """Supervised steps between the base model and the evolution, which teach the protocol and nothing of the tasks.

    For models that earn no reward because they never saw the protocol. A short one leaves the agents unsure, which is
    where the evolution starts; a long one leaves nothing to learn.
    """

    steps: int = Field(0, ge=0, description="Optimizer steps; 0: none, both agents begin as the base model.")
    source: Literal["demonstrations", "own"] = Field(
        "demonstrations",
        description=(
            "What is learned: what the domain's program writes, or the base model's own transcripts that turned out "
            "valid, drawn with the worked examples."
        ),
    )
    batch_size: Positive = Field(8, description="Transcripts per step.")
    learning_rate: float = Field(5e-5, gt=0, description="AdamW rate.")
    propose_share: float = Field(
        0.25, gt=0, lt=1, description="Share of transcripts in the curriculum agent's role; the others solve."
    )
    own_samples: Positive = Field(
        512, description="Transcripts of each role that are drawn where the source is 'own'; the valid ones are kept."
    )
    own_minimum: Positive = Field(16, description="Fewer valid transcripts of a role than this fail the stage.")
    sampling: SamplingSettings = Field(SamplingSettings(), description="How the model's own transcripts are drawn.")


class LoraSettings(Section):
    """Low-rank adapters instead of full training; the stage's output holds the merged weights."""

    rank: int = Field(0, ge=0, description="Rank of the adapters; 0 trains all weights.")
    alpha: Positive = Field(32, description="Scale of the adapters, as alpha / rank.")
    dropout: float = Field(0.0, ge=0, lt=1, description="Dropout on the adapters' input.")

    @property
    def engine_rank(self) -> int:
        """The rank that a vLLM engine is built for, so that it takes these adapters."""
        return next(size for size in ENGINE_RANKS if size >= self.rank)


class CheckpointSettings(Section):
    """When a training is saved so that it can go on after an interruption."""

    every: int = Field(
        1, ge=0, description="Generation batches between checkpoints; 0: none by count. The last batch is always saved."
    )
    every_minutes: float = Field(
        0.0,
        ge=0,
        description="Minutes after the last checkpoint at which the next is made, at a batch's end; 0: none by time.",
    )
    keep: Positive = Field(2, description="Complete checkpoints kept; while one is written, there is one more.")


class GuardSettings(Section):
    """What stops a training that has gone wrong; measured at each optimizer step, 0 switches a guard off.

    A loss or gradient that is not a number stops at once; the others after `patience` measurements in a row.
    """

    patience: Positive = Field(3, description="Measurements in a row that a guard must be violated.")
    grace: int = Field(
        3,
        ge=0,
        description=(
            "First measurements of each guard, in which it does not count. Where entropy, truncation or tool format "
            "are beyond their limit already, the model is weak rather than broken, and is held to half of what it "
            "could at first: see the docs."
        ),
    )
    max_grad_norm: float = Field(100.0, ge=0, description="Gradient norm before clipping.")
    min_entropy: float = Field(0.01, ge=0, description="Mean entropy of the policy's tokens, nats.")
    max_zero_advantage_share: Probability = Field(
        1.0, description="Share of groups whose rewards are all equal, so that they teach nothing."
    )
    max_truncated_share: Probability = Field(0.9, description="Share of trajectories out of budget.")
    min_tool_format: Probability = Field(0.3, description="Share of tool calls that hold a complete program.")
    min_tool_calls: Positive = Field(
        8, description="Calls that make one measurement of that share; those of several steps are taken together."
    )
    max_importance_ratio: float = Field(
        1000.0, ge=0, description="Largest ratio between the trainer's and vLLM's probability of a drawn token."
    )


class TrainJobSettings(Section):
    """Training on several nodes as a Kubeflow TrainJob, which the training's own pod starts and waits for."""

    nodes: Positive = Field(2, description="Nodes of the job.")
    runtime: str = Field("torch-distributed", min_length=1, description="ClusterTrainingRuntime to run on.")
    resources: dict[LabelKey, Quantity] = Field(
        {},
        description=(
            "Resources of each node, such as {'nvidia.com/gpu': '8', 'memory': '576Gi'}; what is not named is as in "
            "the pod that starts the job, which holds its own idle meanwhile."
        ),
    )
    grace_seconds: Positive = Field(
        600, description="How long a node that is ended may take to save; must cover one generation batch."
    )
    queue: QueueName = Field(
        "", description="Kueue LocalQueue, in the pod's namespace, that admits the job; empty: none, it starts at once."
    )
    deadline_hours: float = Field(
        0.0,
        ge=0,
        le=8760,
        description="Hours that the job may run, and that it may stay suspended before; 0: without end.",
    )
    labels: dict[LabelKey, LabelValue] = Field({}, description="Labels of the job and of its nodes' pods.")
    annotations: dict[LabelKey, str] = Field({}, description="Annotations of the job and of its nodes' pods.")

    @model_validator(mode="after")
    def _labels_are_free(self) -> TrainJobSettings:
        taken = sorted({QUEUE_LABEL, PART_OF_LABEL} & set(self.labels))
        if taken:
            raise ValueError(f"labels may not hold {', '.join(taken)}, which Agent0 sets; name a queue in 'queue'")
        return self


class TrainingSettings(Section):
    """How both trainings run on the devices at hand: one process per GPU, started by torchrun where there are many."""

    launcher: Literal["pod", "trainjob"] = Field(
        "pod", description="Where training runs: in the stage's own pod, or as a Kubeflow TrainJob on several nodes."
    )
    trainjob: TrainJobSettings = TrainJobSettings()

    processes: int = Field(
        0, ge=0, description="Training processes on each node; 0: one per GPU that no server takes, one without GPUs."
    )
    sharding: Literal["ddp", "fsdp2", "zero3"] = Field(
        "ddp", description="How weights and optimizer lie on several devices: copied (ddp), or sharded."
    )
    precision: Literal["fastest", "float32", "bfloat16"] = Field(
        "float32",
        description=(
            "Type of the arithmetic; see model.dtype. 'fastest': bfloat16 on GPUs and on CPUs that are much faster in "
            "it, else float32."
        ),
    )
    micro_batch_tokens: int = Field(
        0,
        ge=0,
        description=(
            "Tokens of one forward pass on one device, padding included: rows of like lengths go together, as many as "
            "fit; 0: the whole update at once."
        ),
    )
    gradient_checkpointing: bool = Field(False, description="Recompute activations instead of keeping them.")
    policy_backend: Literal["transformers", "vllm", "vllm_server"] = Field(
        "transformers",
        description=(
            "Who draws the trajectories of the model in training: 'transformers', 'vllm' colocated in each training "
            "process, or 'vllm_server' on GPUs of its own (policy_gpus)."
        ),
    )
    oversample: float = Field(
        1.0,
        ge=1,
        le=2,
        description=(
            "Groups begun for each that a batch needs; the first that end are trained on, which favours short ones and "
            "makes no two runs alike. 1: all are waited for. Above 1 for policy_backend 'vllm' and 'vllm_server'."
        ),
    )
    staleness: int = Field(
        0,
        ge=0,
        le=1,
        description=(
            "0: a batch is drawn, then trained on. 1: the executor's next batch is drawn meanwhile, by the policy's "
            "server, or with 'transformers' by a copy of the model in a thread; its weights are one batch of updates "
            "old, and a training that is resumed goes on with other numbers. Not for policy_backend 'vllm'."
        ),
    )
    colocated_memory: float = Field(
        0.0,
        ge=0,
        lt=1,
        description=(
            "Share of a GPU's memory for the vLLM engine beside the trainer (policy_backend 'vllm'); 0: what the "
            "stage's plan finds that the trainer leaves it on the GPU that is there, and it can use."
        ),
    )
    colocated_sleep: bool = Field(True, description="Free that engine's memory while the optimizer works.")
    policy_gpus: int = Field(
        0, ge=0, description="GPUs set aside for the server of the model in training (policy_backend 'vllm_server')."
    )
    executor_gpus: int = Field(
        0,
        ge=0,
        description=(
            "GPUs set aside for the frozen executor's servers (rollout.backend 'vllm' or 'vllm_server'). 0 with "
            "policy_backend 'vllm': it draws from the training's own engines, in turn with the agent in training."
        ),
    )
    importance_correction: Literal["token_truncate", "token_mask", "sequence_mask", "sequence_truncate", "off"] = Field(
        "token_truncate",
        description=(
            "Correction for the probabilities of vLLM, or of older weights (staleness), differing from the trainer's. "
            "TRL's default sequence_mask drops a whole trajectory whose product of ratios passes the cap, which long "
            "ones do."
        ),
    )
    importance_cap: float = Field(3.0, gt=0, description="Cap of that correction. TRL: 3.")
    lora: LoraSettings = LoraSettings()
    checkpoints: CheckpointSettings = CheckpointSettings()
    guards: GuardSettings = GuardSettings()

    def checkpoint_bytes(self, weights: int, element: int) -> int:
        """Return the bytes of one checkpoint of so many trained weights of `element` bytes, and two moments of each.

        DeepSpeed keeps weights in float32 beside the moments, and rounded ones.
        """
        return weights * (DEEPSPEED_BYTES if self.sharding == "zero3" else 3 * element)

    @property
    def sends_adapters(self) -> bool:
        """Whether vLLM draws with the base model and the adapters of the model in training, which alone it is sent."""
        return bool(self.lora.rank) and self.policy_backend != "transformers"

    def shares_engine(self, rollout: RolloutSettings) -> bool:
        """Whether the frozen executor draws, in turn with the curriculum agent, from the training's own vLLM engine."""
        on_vllm = rollout.on_vllm and self.policy_backend == "vllm"
        return on_vllm and self.launcher == "pod" and not self.executor_gpus

    @model_validator(mode="after")
    def _ratio_is_measured(self) -> TrainingSettings:
        if self.importance_correction == "off" and self.guards.max_importance_ratio > 0:
            raise ValueError(
                "guards.max_importance_ratio would guard nothing, since importance_correction 'off' logs no ratio; set "
                "it to 0, or choose a correction"
            )
        return self
