"""The check of rollout backends passes those that are sound and names what is wrong with the others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from given_plugins import Give
from typer.testing import CliRunner

from agent0.cli.main import app
from agent0.errors import Agent0Error, NotInstalledError
from agent0.findings import healthy
from agent0.rollout import FrozenModel, Generation, Request
from agent0.rollout.conformance import check_backend
from agent0.rollout.model_folders import save_model

EXAMPLES = Path(__file__).parents[2] / "examples"
Change = Callable[[Request, Generation], Generation]


@pytest.fixture
def folder(random_model: Any, tokenizer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small model; beside it `my_backend`, the example, can be imported."""
    monkeypatch.syspath_prepend(EXAMPLES)
    save_model(random_model, tokenizer, tmp_path / "model")
    return tmp_path / "model"


def problems(name: str, folder: Path) -> dict[str, str]:
    found = check_backend(name, folder, folder.parent)
    assert [finding.check for finding in found] == [
        "amount",
        "end",
        "told",
        "greedy",
        "sampling",
        "seeds",
        "log-probabilities",
        "stop",
    ]
    return {finding.check: finding.finding for finding in found if finding.state == "fail"}


@pytest.mark.parametrize("name", ["transformers", "my_backend:open_plain"])
def test_a_sound_backend_passes(name: str, folder: Path) -> None:
    assert problems(name, folder) == {}


def opener(change: Change | None = None, **settings: Any) -> Callable[[FrozenModel], Any]:
    """The example's backend with something wrong: other sampling, or other answers."""

    @contextmanager
    def opened(frozen: FrozenModel) -> Iterator[Any]:
        from my_backend import Plain

        sampling = frozen.sampling.model_copy(update=settings)
        backend = Plain(replace(frozen, sampling=sampling))
        drawn = backend.generate

        async def generate(request: Request) -> Generation:
            generation = await drawn(request)
            return change(request, generation) if change else generation

        backend.generate = generate
        yield backend

    return opened


BROKEN: dict[str, tuple[Callable[[FrozenModel], Any], dict[str, str]]] = {
    "greedy": (
        opener(temperature=0.0),
        {"sampling": "nats too likely on average", "seeds": "24 seeds drew one and the same turn"},
    ),
    "hot": (opener(temperature=1.0), {"greedy": "nats behind the likeliest"}),
    "longer": (
        opener(lambda request, drawn: replace(drawn, token_ids=[*drawn.token_ids, 5], logprobs=None)),
        {"amount": "25 tokens where max_tokens was 24", "told": "told of", "greedy": ""},
    ),
    "unsaid": (
        opener(lambda request, drawn: replace(drawn, finish="length")),
        {"stop": "finish 'length' although"},
    ),
    "other probabilities": (
        opener(lambda request, drawn: replace(drawn, logprobs=[p - 0.5 for p in drawn.logprobs or ()])),
        {"log-probabilities": "0.50 nats from the model's on average"},
    ),
    "fewer probabilities": (
        opener(lambda request, drawn: replace(drawn, logprobs=(drawn.logprobs or [])[1:])),
        {"log-probabilities": "log-probabilities of"},
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_wrong_with_a_backend_is_named(name: str, folder: Path, give: Give) -> None:
    broken, expected = BROKEN[name]
    give(("agent0.backends", "theirs", "their_package:OPEN"), OPEN=broken)
    found = problems("theirs", folder)
    assert set(expected) <= set(found)
    for check, words in expected.items():
        assert words in found[check]


def test_errors_of_a_backend_name_it(folder: Path, give: Give) -> None:
    def unopened(frozen: FrozenModel) -> Any:
        raise OSError("no such device")

    def failing(request: Request, drawn: Generation) -> Generation:
        raise RuntimeError("lost")

    points = [("agent0.backends", name, f"their_package:{name}") for name in ("unopened", "failing")]
    give(*points, unopened=unopened, failing=opener(failing))
    with pytest.raises(Agent0Error, match=r"^The rollout backend unopened failed \(OSError: no such device\)"):
        check_backend("unopened", folder, folder.parent)
    with pytest.raises(Agent0Error, match=r"^The rollout backend failing failed \(RuntimeError: lost\)"):
        check_backend("failing", folder, folder.parent)
    with pytest.raises(NotInstalledError, match=r"There is no rollout backend 'faling'; .* did you mean 'failing'"):
        check_backend("faling", folder, folder.parent)


def test_the_command_prints_the_findings_and_ends_by_them(folder: Path) -> None:
    done = CliRunner(env={"COLUMNS": "120"}).invoke(app, ["plugins", "backend", "transformers", "-m", str(folder)])
    assert done.exit_code == 0, done.output
    assert "another seed draws another turn" in done.output
    assert healthy(check_backend("transformers", folder, folder.parent))
