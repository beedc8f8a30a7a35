"""Low-rank adapters in a vLLM engine: loaded beside the model that it holds, without that model being sent anew.

An engine takes any number of them one after the other. Each has a name and a number of its own, so that nothing that
was read with one is taken for having been read with another.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent0.errors import UsageError
from agent0.lean_transformers import transformers
from agent0.rollout.vllm_backend import VllmError

RUNTIME_LOADING = {"VLLM_ALLOW_RUNTIME_LORA_UPDATING": "1"}
"""What a server needs to load adapters while it runs."""
ADVICE = "set training.policy_backend to 'transformers', or training.lora.rank to 0 to train all weights"
_LOADING_SECONDS = 300.0


@dataclass(frozen=True)
class Adapter:
    """Adapters of one state of a model; `folder` is in PEFT's format."""

    number: int
    folder: Path

    @property
    def name(self) -> str:
        """Its name in the engine."""
        return f"adapter-{self.number}"

    def request(self) -> Any:
        """Return vLLM's word for it."""
        from vllm.lora.request import LoRARequest

        return LoRARequest(self.name, self.number + 1, str(self.folder))


def adapter_arguments(rank: int) -> dict[str, bool | int]:
    """Return the arguments of an engine that holds one adapter, up to a `LoraSettings.engine_rank`."""
    return {"enable_lora": True, "max_lora_rank": rank, "max_loras": 1, "max_cpu_loras": 1}


def check_adapters(model: Path) -> None:
    """Check that vLLM, which is installed, takes adapters for the model in a folder.

    Raises:
        UsageError: it has none for models of that kind.
    """
    from vllm import ModelRegistry
    from vllm.model_executor.models import supports_lora

    for name in transformers.AutoConfig.from_pretrained(model).architectures or []:
        known = ModelRegistry.models.get(name)
        if known is None or not supports_lora(known.load_model_cls()):
            raise UsageError(f"vLLM takes no adapters for a model of the architecture {name} ({model}); {ADVICE}.")


def load_adapter(llm: Any, adapter: Adapter) -> None:
    """Load an adapter into an engine in this process, whose memory for weights is awake.

    Raises:
        UsageError: the engine refuses it.
    """
    try:
        loaded = llm.llm_engine.add_lora(adapter.request())
    except (ValueError, RuntimeError) as error:
        raise _refused(adapter, str(error)) from error
    if not loaded:
        raise _refused(adapter, "it says no more")


def load_adapter_on_server(address: str, adapter: Adapter) -> None:
    """Load an adapter into a running server, which reads its folder.

    Raises:
        UsageError: the server refuses it.
        VllmError: it does not answer.
    """
    body = json.dumps({"lora_name": adapter.name, "lora_path": str(adapter.folder)}).encode()
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"{address}/v1/load_lora_adapter", body, headers)
    try:
        with urllib.request.urlopen(request, timeout=_LOADING_SECONDS):
            return
    except urllib.error.HTTPError as error:
        raise _refused(adapter, error.read().decode("utf-8", errors="replace")[:500]) from error
    except OSError as error:
        raise VllmError(f"The vLLM server at {address} did not load an adapter: {error}") from error


def _refused(adapter: Adapter, reason: str) -> UsageError:
    return UsageError(
        f"vLLM refuses the adapters of the model in training ({adapter.folder}): {reason}. To do without: {ADVICE}."
    )
