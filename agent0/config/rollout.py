"""Settings of models and trajectories: the base model, sampling, the token budget, the sandbox."""

from __future__ import annotations

import re
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from agent0.config.base import Positive, Probability, Section, Seed
from agent0.errors import shortened

EMBEDDED_MODEL = "tiny"
"""The `model.source` of the model that is trained here from scratch."""


class SamplingSettings(Section):
    """How tokens are drawn."""

    temperature: float = Field(1.0, ge=0.0, description="Softmax temperature; 0 is greedy. Paper: 1.0.")
    top_p: float = Field(
        1.0, gt=0.0, le=1.0, description="Nucleus mass. Paper App. A: 0.99; official executor script: 1.0."
    )
    top_k: int = Field(0, ge=0, description="Keep the k likeliest tokens; 0 keeps all.")
    vocabulary_retention: float = Field(
        1.0,
        gt=0.0,
        le=1.0,
        description=(
            "Share of the vocabulary that each generation batch may use, drawn at random; 1 is off. "
            "arXiv 2604.03472, against a curriculum agent that collapses onto few tasks."
        ),
    )


class TinyPretraining(Section):
    """The embedded base model, trained from scratch on synthetic transcripts (about a minute on one core)."""

    hidden_size: Positive = Field(96, description="Width of the embedded Qwen3 model.")
    layers: Positive = Field(2, description="Transformer layers.")
    heads: Positive = Field(4, description="Attention heads, each with its own keys and values.")
    vocabulary: int = Field(460, ge=300, description="Size of the byte-level BPE vocabulary trained locally.")
    steps: Positive = Field(600, description="Optimizer steps of supervised pretraining.")
    batch_size: Positive = Field(32, description="Transcripts per step.")
    muon_learning_rate: float = Field(0.036, gt=0, description="Peak rate of Muon on the hidden matrices.")
    adamw_learning_rate: float = Field(0.006, gt=0, description="Peak rate of AdamW on embeddings and norms.")
    direct_share: Probability = Field(
        0.4,
        description=(
            "Share of solutions that answer without the tool, mostly wrongly: tool use is left to be learned."
        ),
    )
    propose_share: Probability = Field(0.2, description="Share of transcripts in the curriculum agent's role.")
    propose_tool_share: Probability = Field(
        0.25, description="Share of those that compute with the tool before they ask."
    )
    topic_share: Probability = Field(
        0.0,
        description=(
            "Share of those that are asked for by a topic, a level such as 3x2, and keep to it; without any the model "
            "knows no topics (curriculum.conditioning.topics)."
        ),
    )
    seed: Seed = Field(0, description="Seed of data and weights; independent of the evolution's seed.")


class ModelSettings(Section):
    """The base model that both agents grow from."""

    source: str = Field(
        EMBEDDED_MODEL,
        min_length=1,
        description=(
            "'tiny' for the embedded model, else a folder, local or s3://, a registered model (models:/NAME@ALIAS or "
            "models:/NAME/VERSION), one in an installed package (package:NAME), or a hub id of a causal LM."
        ),
    )
    embedded_only: bool = Field(
        False,
        description=(
            "Refuse to evolve any other model: the recipe's limits and rates are for the embedded one. Set it to false "
            "for a model that grew from that one."
        ),
    )
    dtype: Literal["float32", "bfloat16"] = Field(
        "float32",
        description=(
            "Type of the weights that are trained. In bfloat16 an update of 1e-6 is lost by rounding; compute in it by "
            "training.precision instead."
        ),
    )
    handed_on: Literal["trained", "bfloat16"] = Field(
        "trained",
        description=(
            "Type of the weights that a training hands on to other stages: as they are trained, or bfloat16, half of "
            "float32's bytes. Then those in float32 stay in the workspace, where the next round's training of that "
            "agent goes on from them; so AGENT0_WORKSPACE must be set."
        ),
    )
    tiny: TinyPretraining = TinyPretraining()

    @property
    def rounded(self) -> bool:
        """Whether what is handed on is not what is trained."""
        return self.handed_on == "bfloat16" and self.dtype == "float32"


class VllmSettings(Section):
    """The vLLM engine or servers that a stage starts for itself."""

    tensor_parallel_size: Positive = Field(1, description="GPUs that share one copy of the model.")
    gpu_memory_utilization: float = Field(
        0.9, gt=0, le=1, description="Share of a GPU's memory that an engine with GPUs of its own may take."
    )
    dtype: Literal["auto", "bfloat16", "float32"] = Field("auto", description="Type of the weights while generating.")
    max_sequences: Positive = Field(256, description="Sequences that one engine decodes at once.")
    seeded: bool = Field(
        True,
        description=(
            "Draw each turn by a seed of its own: a run can be repeated as far as vLLM's rounding allows, but on "
            "GPUs row by row; false: by the engine's own stream, which the stage seeds."
        ),
    )
    enforce_eager: bool = Field(False, description="Skip CUDA graphs: a faster start, slower tokens.")
    port: int = Field(0, ge=0, le=65535, description="Port of the first server, the next ones follow; 0: free ports.")
    start_timeout_seconds: float = Field(1800.0, gt=0, description="How long a server may take to be ready.")
    request_timeout_seconds: float = Field(
        1800.0, gt=0, description="How long one turn may take on a server, all retries together."
    )
    arguments: tuple[str, ...] = Field((), description="Further arguments of `vllm serve`, e.g. --swap-space=8.")


class PromptMessage(Section):
    """A chat turn."""

    role: Literal["system", "user", "assistant"]
    content: str = Field(min_length=1)


class PromptSettings(Section):
    """What replaces the prompts of the domain, and how its chat template is filled."""

    variant: str = Field("", description="Another set of the domain's own prompts, such as 'paper'; empty: its first.")
    worked: bool = Field(
        False, description="Show worked examples before the task, for models that do not know the protocol."
    )
    curriculum: tuple[PromptMessage, ...] = Field(
        (), description="Turns that ask for a new task, in place of the domain's; {tool} is filled in."
    )
    executor: tuple[PromptMessage, ...] = Field(
        (), description="Turns that ask for a solution, in place of the domain's; {question} and {tool} are filled in."
    )
    plain: str = Field("", description="Chat template (Jinja) for a tokenizer without one; empty: the domain's.")
    template_options: dict[str, bool | int | float | str] = Field(
        {}, description="Options of the model's chat template, such as {enable_thinking = false}."
    )

    @model_validator(mode="after")
    def _asks_the_question(self) -> PromptSettings:
        if self.executor and not any("{question}" in message.content for message in self.executor):
            raise ValueError("executor has no {question}, so the executor would never be told its task; put it in")
        return self


class RolloutSettings(Section):
    """The one protocol and the one token budget of every trajectory."""

    domain: str = Field(
        "arithmetic",
        min_length=1,
        description=(
            "Kind of tasks: an installed domain's entry point, or package.module:NAME. `agent0 domains` shows them."
        ),
    )
    prompts: PromptSettings = PromptSettings()
    max_turns: int = Field(
        4, ge=0, description="Tool calls allowed in one trajectory. Paper: 4 turns. 0: no agent has a tool."
    )
    tools: tuple[str, ...] = Field(
        ("python",),
        min_length=1,
        description=(
            "The tools, each called by a block of its own: 'python' in the sandbox (in the paper the only one), an "
            "installed package's entry point, or package.module:NAME."
        ),
    )
    proposer_tool: bool = Field(True, description="Whether the curriculum agent has the tools, too, as in the paper.")
    max_prompt_tokens: Positive = Field(
        1024, description="A longer prompt is an error. Official executor script: 1024."
    )
    max_response_tokens: Positive = Field(
        4096, description="Model and tool tokens of one trajectory. Paper App. A: 4096."
    )
    max_observation_tokens: Positive = Field(512, description="Tool output kept per call. Paper App. A: 512.")
    backend: str = Field(
        "transformers",
        min_length=1,
        description=(
            "Who draws tokens with a frozen model: 'transformers' or 'vllm' in the stage's own process, 'vllm_server' "
            "one server per group of GPUs; or an installed package's entry point, or package.module:NAME, which draws "
            "in the stage's own process. While the curriculum agent trains, both vLLM backends serve the executor, "
            "unless 'vllm' shares the engine of the training (training.executor_gpus). For the model in training see "
            "training.policy_backend."
        ),
    )
    concurrency: Positive = Field(512, description="Trajectories in flight at once at each vLLM engine or server.")
    vllm: VllmSettings = VllmSettings()
    batch_size: Positive = Field(
        512, description="Trajectories generated at once by the transformers backend; halved while they do not fit."
    )
    compaction_interval: Positive = Field(
        128,
        description=(
            "Tokens after which the transformers backend drops finished trajectories, and reports what it drew."
        ),
    )
    dtype: Literal["auto", "fastest", "float32", "bfloat16"] = Field(
        "auto",
        description=(
            "Type of the weights that the transformers backend draws with; 'auto': bfloat16 on GPUs, float32 on CPUs; "
            "'fastest': bfloat16 on CPUs that are much faster in it, too. A model that trains in another type draws "
            "with a copy, so its batches are slightly off-policy. For vLLM see rollout.vllm.dtype."
        ),
    )

    @property
    def has_tool(self) -> bool:
        """Whether an agent under these settings has tools; one without is not told of them."""
        return self.max_turns > 0

    @property
    def has_python(self) -> bool:
        """Whether one of them is Python in the sandbox."""
        return self.has_tool and "python" in self.tools

    @property
    def on_vllm(self) -> bool:
        """Whether vLLM draws with frozen models."""
        return self.backend in ("vllm", "vllm_server")

    def for_proposer(self) -> RolloutSettings:
        """Return the settings of the curriculum agent's trajectories; without tools it has no turns."""
        return self if self.proposer_tool else self.model_copy(update={"max_turns": 0})


class SandboxSettings(Section):
    """Limits of one model-written program, and where it runs."""

    endpoints: tuple[str, ...] = Field(
        (),
        description=(
            "Services that run the programs (`agent0 sandbox serve`), such as http://agent0-sandbox:8194, in turn; "
            "empty: each stage's own pool. The token is read from AGENT0_SANDBOX_TOKEN, a secret. A service must keep "
            "the limits that are set here."
        ),
    )
    timeout_seconds: float = Field(
        10.0, ge=0.1, le=86_400, description="Wall-clock limit of one program. Official code: 10 s."
    )
    memory_mb: int = Field(1024, ge=64, le=1 << 24, description="Address space of one program, MiB.")
    workers: int = Field(
        0, ge=0, le=1024, description="Programs run at once; 0 means one per core, or what the services can."
    )
    preload: tuple[str, ...] = Field(("numpy", "sympy"), description="Modules imported once, before any program runs.")
    policy: Literal["strict", "permissive"] = Field(
        "strict",
        description="'strict' runs nothing unless the self test proves isolation; 'permissive' takes what there is.",
    )
    max_output_bytes: Positive = Field(65_536, description="stdout and stderr kept, bytes each.")

    @field_validator("endpoints")
    @classmethod
    def _addresses(cls, endpoints: tuple[str, ...]) -> tuple[str, ...]:
        for endpoint in endpoints:
            try:
                parts = urlsplit(endpoint)
                sound = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
            except ValueError:
                sound = False
            if not sound or parts.query or parts.fragment or re.search(r"\s", endpoint):
                raise ValueError(f"{endpoint!r} is no address of a service; write one such as http://sandbox:8194")
            if "@" in parts.netloc:  # a parameter of a run is for everybody to read
                raise ValueError("an endpoint holds no user or password; give the token in AGENT0_SANDBOX_TOKEN")
        return tuple(dict.fromkeys(endpoint.rstrip("/") for endpoint in endpoints))

    @field_validator("preload")
    @classmethod
    def _importable(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if not all(part.isidentifier() for part in name.split(".")):
                raise ValueError(f"{shortened(name)!r} is no module's name; give names such as numpy")
        return names
