"""What compiling fixes: everything that Kubeflow does not take as a run parameter, and the parameters' defaults."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, field_validator

from agent0.config import Section, parse_section
from agent0_kfp.components import DEFAULT_IMAGE
from agent0_kfp.pipelines.policy import POLICIES, Role

Quantity = Annotated[str, Field(pattern=r"^([0-9]+(\.[0-9]+)?(m|[kMGTPE]i?)?)?$")]
EnvironmentName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]

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
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "HF_TOKEN",
    "MLFLOW_TRACKING_PASSWORD",
    "MLFLOW_TRACKING_TOKEN",
    "MLFLOW_TRACKING_USERNAME",
)


class CompileOptions(Section):
    """Options of compiling a pipeline; the same options and settings give the same bytes.

    What names an object of the cluster (image, secret, volumes) is the default of a run parameter.
    """

    image: str = Field(DEFAULT_IMAGE, min_length=1, description="Image of all components; pin it by digest.")
    gpus: int = Field(
        0,
        ge=0,
        le=64,
        description="GPUs of each pod that trains or generates; 0 compiles pods that ask for none.",
    )
    shared_memory: Quantity = Field(
        "16Gi", description="Size of /dev/shm in pods that train or generate; empty: the cluster's 64 MiB."
    )
    retries: int = Field(2, ge=0, le=20, description="How often a failed task is started again.")
    retry_pause_seconds: int = Field(60, ge=0, description="Pause before the first retry; it doubles up to an hour.")
    training_timeout_hours: float = Field(0, ge=0, description="A training pod is ended after this; 0: never.")
    generation_timeout_hours: float = Field(0, ge=0, description="A generating pod is ended after this; 0: never.")
    light_timeout_hours: float = Field(0, ge=0, description="Any other pod is ended after this; 0: never.")
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
    model_cache: str = Field("", description="Volume claim mounted at /models, for HF_HOME; empty: none.")
    shared_volume: str = Field(
        "",
        description="Volume claim mounted at /shared in every pod, for a workspace that TrainJobs share; empty: none.",
    )
    image_pull_secret: str = Field("", description="Secret with the registry's credentials; empty: none.")
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
