"""A briefly trained model, and both vLLM backends around it; everything here is skipped where vLLM is missing."""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agent0.config import RolloutSettings, SamplingSettings, TinyPretraining, VllmSettings
from agent0.rollout import Backend, Generation, Request
from agent0.rollout.drawing_watch import NOBODY

Draw = Callable[[Backend, list[Request]], list[Generation]]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.vllm)
            item.add_marker(pytest.mark.timeout(900))  # a server may take minutes to start on a busy machine
            if importlib.util.find_spec("vllm") is None:
                item.add_marker(pytest.mark.skip(reason="vLLM is not installed; make test-vllm installs it"))


@pytest.fixture(scope="session")
def trained() -> Any:
    """Model and tokenizer after a few seconds of pretraining: it calls the tool and ends its turns, mostly wrongly.

    Heads of 32, since vLLM's attention on CPUs takes multiples of that only.
    """
    import torch

    from agent0.tiny.pretrain import pretrain

    torch.set_num_threads(1)
    settings = TinyPretraining(hidden_size=64, layers=2, heads=2, vocabulary=420, steps=200)
    model, tokenizer = pretrain(settings, lambda step, loss: None)
    return model.eval(), tokenizer


@pytest.fixture(scope="session")
def model_folder(trained: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    for part in trained:
        part.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def rollout() -> RolloutSettings:
    return RolloutSettings(
        backend="vllm",
        max_turns=2,
        max_prompt_tokens=64,
        max_response_tokens=96,
        max_observation_tokens=24,
        concurrency=512,
        vllm=VllmSettings(dtype="float32", max_sequences=64, enforce_eager=True, start_timeout_seconds=600),
    )


@pytest.fixture(scope="session")
def end_ids(model_folder: Path, trained: Any, rollout: RolloutSettings) -> list[int]:
    from agent0.rollout.tokens import check_model_tokens

    return check_model_tokens(model_folder, trained[1], rollout)


@pytest.fixture(scope="session")
def llm(model_folder: Path, rollout: RolloutSettings) -> Iterator[Any]:
    from agent0.rollout.vllm_backend import open_llm

    with open_llm(model_folder, rollout) as llm:
        yield llm


@pytest.fixture(scope="session")
def endpoints(model_folder: Path, rollout: RolloutSettings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    from agent0.rollout.vllm_process import serve

    with serve(model_folder, rollout, log=tmp_path_factory.mktemp("logs")) as endpoints:
        yield endpoints


@pytest.fixture(scope="session", params=["vllm", "vllm_server"])
def backend_with(
    request: pytest.FixtureRequest, model_folder: Path, end_ids: list[int], rollout: RolloutSettings
) -> Callable[[SamplingSettings], Backend]:
    """Both backends, to be opened with any sampling."""
    if request.param == "vllm":
        from agent0.rollout.vllm_backend import VllmBackend

        llm = request.getfixturevalue("llm")
        return lambda sampling: VllmBackend(llm, sampling, end_ids, rollout.concurrency)
    from agent0.rollout.vllm_server_backend import VllmServerBackend

    addresses = request.getfixturevalue("endpoints")
    return lambda sampling: VllmServerBackend(
        addresses, str(model_folder), sampling, end_ids, rollout.vllm, rollout.concurrency
    )


@pytest.fixture(scope="session")
def draw() -> Draw:
    """Draw requests together from any backend."""

    def drawn(backend: Backend, requests: list[Request]) -> list[Generation]:
        async def all_of_them() -> list[Generation]:
            async with backend.session(len(requests), NOBODY) as session:
                return await asyncio.gather(*(session.generate(request) for request in requests))

        return asyncio.run(all_of_them())

    return drawn


@pytest.fixture(scope="session")
def prompts(trained: Any) -> list[list[int]]:
    """Prompts of different lengths, as the executor gets them."""
    from agent0.config import RolloutSettings
    from agent0.domains import get_prompts

    questions = [f"What is {a}+{a * a}{'*7' * (a % 3)}?" for a in range(1, 25)]
    asked = get_prompts(RolloutSettings())
    return [asked.encode(trained[1], asked.solve(q)) for q in questions]
