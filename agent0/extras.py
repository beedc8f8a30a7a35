"""The extras of this package: which one brings a library that is not here, as a sentence with the command to give."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec

from agent0.errors import NotInstalledError

EXTRAS: Mapping[str, tuple[str, ...]] = {
    "train": (
        "accelerate",
        "aiohttp",
        "datasets",
        "httpx",
        "huggingface_hub",
        "math_verify",
        "peft",
        "safetensors",
        "scipy",
        "sympy",
        "tokenizers",
        "torch",
        "transformers",
        "trl",
    ),
    "kfp": ("google", "jsonschema", "kfp", "kfp_server_api", "kubernetes", "kubernetes_validate", "urllib3", "yaml"),
    "tracking": ("PIL", "jinja2", "markupsafe", "matplotlib", "mlflow"),
    "trainjob": ("kubernetes", "yaml"),
    "eval": ("inspect_ai",),
    "gym": ("reasoning_gym",),
    "s3": ("boto3", "botocore", "s3transfer"),
    "sandbox": ("fastapi", "prometheus_client", "starlette", "uvicorn"),
    "smollm2": ("gguf",),
    "verifiers": ("verifiers",),
    "vllm": ("vllm",),
    "zero3": ("deepspeed",),
}
"""What is imported of each extra; of a library that several bring, the first one is named."""
EVOLUTION = ("torch", "transformers", "trl", "math_verify", "kfp", "mlflow")
"""What a whole evolution on this machine imports sooner or later."""
EVALUATION = ("torch", "transformers", "math_verify")


def extra_of(module: str) -> str:
    """Return the extra that brings a module, by its name or that of a part of it; empty if none does."""
    package = module.partition(".")[0]
    return next((extra for extra, packages in EXTRAS.items() if package in packages), "")


def installing(*extras: str) -> str:
    """Return the command that adds extras to the installed package; it needs no index that knows this package."""
    return f"pip install 'agent0[{','.join(extras)}]'"


def not_installed(*modules: str) -> NotInstalledError:
    """Return the error of modules of our extras that are not here."""
    extras = installing(*dict.fromkeys(map(extra_of, modules)))
    verb = "is" if len(modules) == 1 else "are"
    return NotInstalledError(f"{', '.join(modules)} {verb} needed for this and not installed; {extras}")


def require(*modules: str) -> None:
    """Check that all of some modules are here, so that one message names everything that is not.

    Raises:
        NotInstalledError: names those that are not, and the command that installs them.
    """
    missing = [module for module in modules if find_spec(module) is None]
    if missing:
        raise not_installed(*missing)
