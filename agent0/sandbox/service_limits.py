"""What a sandbox service says of its limits, and whether they are those that a client's settings ask for."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from agent0.config import SandboxSettings
from agent0.errors import UsageError


class ServiceLimits(BaseModel):
    """The answer of `GET /v1/limits`: the service's settings, and how many programs it runs at once."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    timeout_seconds: float
    memory_mb: int
    preload: tuple[str, ...]
    policy: Literal["strict", "permissive"]
    max_output_bytes: int
    workers: int

    @classmethod
    def of(cls, settings: SandboxSettings, workers: int) -> ServiceLimits:
        """Return what a service with these settings says."""
        return cls(**{**settings.model_dump(include=set(cls.model_fields)), "workers": workers})

    def check(self, settings: SandboxSettings, url: str) -> None:
        """Check that a program ends the same here as under `settings`; the client sends the time limit itself.

        Raises:
            UsageError: it would not.
        """
        missing = [module for module in settings.preload if module not in self.preload]
        faults = {
            "memory_mb": (settings.memory_mb, self.memory_mb, self.memory_mb != settings.memory_mb),
            "max_output_bytes": (
                settings.max_output_bytes,
                self.max_output_bytes,
                self.max_output_bytes != settings.max_output_bytes,
            ),
            "timeout_seconds": (
                settings.timeout_seconds,
                f"at most {self.timeout_seconds}",
                self.timeout_seconds < settings.timeout_seconds,
            ),
            "preload": (list(settings.preload), list(self.preload), bool(missing)),
            "policy": (settings.policy, self.policy, settings.policy == "strict" and self.policy != "strict"),
        }
        found = [f"{name} is {own} here and {theirs} there" for name, (own, theirs, bad) in faults.items() if bad]
        if found:
            raise UsageError(
                f"The sandbox at {url} has other limits than the section sandbox: {'; '.join(found)}. Start the "
                "service with the same (`agent0 sandbox serve --help`), or set these to the service's."
            )
