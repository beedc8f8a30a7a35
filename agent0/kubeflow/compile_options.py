"""What compiling fixes: everything that Kubeflow does not take as a run parameter, and the parameters' defaults."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, field_validator, model_validator

from agent0.config import Section, parse_section
from agent0.config.kubernetes import LabelKey, LabelValue, QueueName
from agent0.kubeflow.default_images import DEFAULT_IMAGE, GPU_IMAGE
from agent0.kubeflow.pod_policy import POLICIES, Role
from agent0.storage.workspace import ENVIRONMENT_VARIABLE as WORKSPACE_VARIABLE
from agent0.tracking.tracking_location import variable_of


def _text(value: object) -> object:
    """Return a number as the text that Kubernetes takes for a quantity."""
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


# An empty quantity leaves the choice to whoever reads the option.
Memory = Annotated[str, BeforeValidator(_text), Field(pattern=r"^([1-9][0-9]*([EPTGMK]i?)?)?$")]
Cpu = Annotated[str, BeforeValidator(_text), Field(pattern=r"^([0-9]*\.?[0-9]+|[1-9][0-9]*m)?$")]
EnvironmentName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
ObjectName = Annotated[str, Field(pattern=r"^([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?)?$")]
# The name of a claim becomes that of a pod's volume, which takes no dots.
ClaimName = Annotated[str, Field(pattern=r"^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)?$")]
MOST_HOURS = 24 * 365 * 10
RETRYING_SECONDS = 30 * 86400
"""Argo takes the longest pause for the time within which all attempts must begin and end (operator.go, backoff)."""

SETTINGS_KEYS = (
    "AGENT0_BENCHMARKS",
    "AGENT0_TRACKING_BUFFER",
    "AGENT0_CACHE",
    "AGENT0_CACHE_GB",
    "AGENT0_WORKSPACE",
    "AWS_ENDPOINT_URL_S3",
    "AWS_REGION",
    "HF_ENDPOINT",
    "HF_HOME",
    "MLFLOW_TRACKING_URI",
)
CREDENTIAL_KEYS = (
    "AGENT0_JUDGE_KEY",
    "AGENT0_SANDBOX_TOKEN",
    "AGENT0_TEACHER_KEY",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "HF_TOKEN",
    "MLFLOW_TRACKING_PASSWORD",
    "MLFLOW_TRACKING_TOKEN",
    "MLFLOW_TRACKING_USERNAME",
)


class CompileOptions(Section):
    """Options of compiling a pipeline; the same options and settings give the same bytes.

    What names an object of the cluster (image, secret, volumes) is the default of a run parameter. CPU, memory and GPUs
    are not: Kubeflow counts parameters among a task's inputs, by which it finds cached results, and a run that is given
    more memory would train again what it has trained.
    """

    image: str = Field(
        "",
        description=f"Image of all components; pin it by digest. Empty: {DEFAULT_IMAGE}, and with GPUs {GPU_IMAGE}.",
    )
    gpus: int = Field(
        0,
        ge=0,
        le=64,
        description="GPUs of each pod that trains or generates; 0 compiles pods that ask for none.",
    )
    training_gpus: int = Field(-1, ge=-1, le=64, description="GPUs of each pod that trains; -1: as many as gpus.")
    generation_gpus: int = Field(-1, ge=-1, le=64, description="GPUs of each pod that generates; -1: as many as gpus.")
    gpu_type: LabelKey = Field("nvidia.com/gpu", description="Resource name of the GPUs.")
    training_cpu: Cpu = Field("", description="CPU of pods that train, as request and limit; empty: 16 with GPUs, 2.")
    training_memory: Memory = Field(
        "", description="Memory of pods that train, likewise; empty: what the plan says, 192Gi at least with GPUs, 8Gi."
    )
    generation_cpu: Cpu = Field("", description="CPU of pods that generate; empty: 16 with GPUs, 2.")
    generation_memory: Memory = Field("", description="Memory of pods that generate; empty: 192Gi with GPUs, 8Gi.")
    light_cpu: Cpu = Field("2", min_length=1, description="CPU of all other pods.")
    light_memory: Memory = Field("8Gi", min_length=1, description="Memory of all other pods.")
    shared_memory: Memory = Field(
        "16Gi", description="Size of /dev/shm in pods that train or generate; empty: the cluster's 64 MiB."
    )
    queue: QueueName = Field("", description="Kueue queue of the pods that train or generate; empty: none.")
    pod_labels: dict[LabelKey, Annotated[LabelValue, BeforeValidator(_text)]] = Field(
        {}, description="Further labels of every pod."
    )
    pod_annotations: dict[LabelKey, str] = Field({}, description="Annotations of every pod.")
    retries: int = Field(2, ge=0, le=10, description="How often a failed task is started again.")
    retry_pause_seconds: int = Field(60, ge=0, description="Pause before the first retry; each next one is twice that.")
    training_timeout_hours: float = Field(0, ge=0, description="A training pod is ended after this; 0: never.")
    generation_timeout_hours: float = Field(0, ge=0, description="A generating pod is ended after this; 0: never.")
    light_timeout_hours: float = Field(0, ge=0, description="Any other pod is ended after this; 0: never.")
    run_timeout_hours: float = Field(
        0, ge=0, le=MOST_HOURS, description="A run is ended after this (servers from 2.17 on); 0: never."
    )
    keep_hours: float = Field(
        0,
        ge=0,
        le=MOST_HOURS,
        description="An ended run's workflow and pods are kept so long (servers from 2.17 on); 0: the cluster decides.",
    )
    uncached: tuple[str, ...] = Field(
        (), description="Components whose results are never taken from the cache, beside those that never are."
    )
    workspace: str = Field(
        "",
        description="AGENT0_WORKSPACE of every pod: s3:// prefix or mounted folder of unfinished work; empty: what the "
        "ConfigMap says.",
    )
    settings_keys: tuple[EnvironmentName, ...] = Field(
        SETTINGS_KEYS, description="Keys of the ConfigMap that become environment variables, where it has them."
    )
    credential_keys: tuple[EnvironmentName, ...] = Field(
        CREDENTIAL_KEYS, description="Keys of the Secret that become environment variables, where it has them."
    )
    model_cache: ClaimName = Field("", description="Volume claim mounted at /models, for HF_HOME; empty: none.")
    shared_volume: ClaimName = Field(
        "",
        description="Volume claim mounted at /shared in every pod, for a workspace that TrainJobs share; empty: none.",
    )
    image_pull_secret: ObjectName = Field("", description="Secret with the registry's credentials; empty: none.")
    run_as_non_root: bool = Field(True, description="Refuse to run as root.")
    parallel_variants: int = Field(
        0, ge=0, description="Variants of an ablation that run at once; 1: one after another, 0: all."
    )

    @field_validator("uncached")
    @classmethod
    def _known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        unknown = sorted(set(names) - set(POLICIES))
        if unknown:
            raise ValueError(f"there is no component {', '.join(unknown)}; there are: {', '.join(sorted(POLICIES))}")
        return names

    @field_validator("workspace")
    @classmethod
    def _reachable(cls, place: str) -> str:
        if place and not place.startswith(("s3://", "/")):
            raise ValueError(f"a workspace is an s3:// prefix or the path of a mounted folder, not {place!r}")
        return place

    @model_validator(mode="after")
    def _each_variable_once(self) -> CompileOptions:
        twice = sorted(set(self.settings_keys) & set(self.credential_keys))
        if twice:
            raise ValueError(f"{', '.join(twice)} cannot come from the ConfigMap and from the Secret; name it in one")
        return self

    @model_validator(mode="after")
    def _retries_in_time(self) -> CompileOptions:
        pauses = self.retry_pause_seconds * (2**self.retries - 1)
        if pauses > RETRYING_SECONDS // 2:
            raise ValueError(
                f"{self.retries} retries with pauses from {self.retry_pause_seconds} s on take {pauses / 86400:.0f} "
                f"days; all attempts of a task must end within {RETRYING_SECONDS // 86400}: lower retries or "
                "retry_pause_seconds"
            )
        return self

    def gpus_of(self, role: Role) -> int:
        """Return the GPUs of each pod of a role."""
        if role == "light":
            return 0
        own: int = getattr(self, f"{role}_gpus")
        return self.gpus if own < 0 else own

    @property
    def settings_variables(self) -> dict[str, str]:
        """The pods' environment variables by key of the ConfigMap."""
        kept = (key for key in self.settings_keys if not (key == WORKSPACE_VARIABLE and self.workspace))
        return {key: variable_of(key) for key in kept}

    @property
    def credential_variables(self) -> dict[str, str]:
        """The pods' environment variables by key of the Secret."""
        return {key: variable_of(key) for key in self.credential_keys}

    def timeout_seconds(self, role: Role) -> int:
        """Return after how long a pod of this role is ended; 0 is never."""
        hours: float = getattr(self, f"{role}_timeout_hours")
        return round(hours * 3600)

    @classmethod
    def parse(cls, values: Mapping[str, Any]) -> CompileOptions:
        """Return the options with these values.

        Raises:
            UsageError: names the option that is unknown or out of range.
        """
        return parse_section(cls, values)


LOCAL = CompileOptions(retries=0, shared_memory="", run_as_non_root=False)
"""Options of a run on this machine, where the person at the screen is the one who tries again."""
