"""A model folder that is damaged or not whole is a sentence, whatever is wrong with it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from agent0.errors import Agent0Error
from agent0.rollout.model_folders import load_model, load_tokenizer, parameter_count, save_model
from agent0.rollout.tokens import configured_end, model_positions

WEIGHTS, CONFIG, TOKENIZER = "model.safetensors", "config.json", "tokenizer.json"


@pytest.fixture
def folder(random_model: Any, tokenizer: Any, tmp_path: Path) -> Path:
    save_model(random_model, tokenizer, tmp_path)
    return tmp_path


def halved(name: str) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[: len(content) // 2])

    return damage


def holding(name: str, content: bytes) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_bytes(content) and None


def configured(**values: Any) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        path = folder / CONFIG
        path.write_text(json.dumps({**json.loads(path.read_text()), **values}))

    return damage


def filled(value: float) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        weights = load_file(folder / WEIGHTS)
        next(iter(weights.values())).fill_(value)
        save_file(weights, folder / WEIGHTS, {"format": "pt"})

    return damage


def lacking(folder: Path) -> None:
    weights = load_file(folder / WEIGHTS)
    del weights[next(name for name in weights if "layers" in name)]
    save_file(weights, folder / WEIGHTS, {"format": "pt"})


DAMAGES = {
    "no weights": holding(WEIGHTS, b""),
    "half of the weights": halved(WEIGHTS),
    "weights that are none": holding(WEIGHTS, b"weights" * 100),
    "a weight missing": lacking,
    "a weight that is no number": filled(float("nan")),
    "an infinite weight": filled(float("inf")),
    "no configuration": holding(CONFIG, b""),
    "half of the configuration": halved(CONFIG),
    "a configuration in Latin-1": holding(CONFIG, b'{"model_type": "caf\xe9"}'),
    "a configuration that is a list": holding(CONFIG, b"[1]"),
    "an unknown kind": configured(model_type="made-up", architectures=["MadeUp"]),
    "other sizes": configured(intermediate_size=8),
    "no heads": configured(num_attention_heads=0),
    "an empty tokenizer": holding(TOKENIZER, b""),
    "half of the tokenizer": halved(TOKENIZER),
    "a tokenizer that is a list": holding(TOKENIZER, b"[]"),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_model_is_one_sentence(damage: Callable[[Path], None], folder: Path) -> None:
    damage(folder)
    with pytest.raises(Agent0Error, match=r"The model in .* cannot be loaded \(.*\); it is damaged") as raised:
        load_model(folder, "float32")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("content", [b"", b"[1]", b"caf\xe9", b"{"])
def test_files_beside_the_weights_are_read_with_the_same_care(content: bytes, folder: Path) -> None:
    (folder / CONFIG).write_bytes(content)
    (folder / "generation_config.json").unlink(missing_ok=True)
    for read in (model_positions, configured_end):
        with pytest.raises(Agent0Error, match=r"config\.json"):
            read(folder)


@pytest.mark.parametrize("value", ["many", ["many"]])
@pytest.mark.parametrize("name", ["max_position_embeddings", "eos_token_id", "rope_scaling"])
def test_a_setting_of_another_type_is_named(name: str, value: Any, folder: Path) -> None:
    configured(**{name: value})(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    with pytest.raises(Agent0Error, match=rf"{name} is .*many"):
        model_positions(folder)


def test_weights_that_cannot_be_counted_are_told(folder: Path) -> None:
    assert parameter_count(folder) > 0
    halved(WEIGHTS)(folder)
    with pytest.raises(Agent0Error, match="cannot be loaded"):
        parameter_count(folder)


@pytest.mark.parametrize("left", [[], ["tokenizer_config.json"]])
def test_a_folder_without_a_tokenizer_says_that_it_lacks_one(left: list[str], folder: Path) -> None:
    for path in [*folder.glob("tokenizer*"), *folder.glob("chat_template*")]:
        if path.name not in left:
            path.unlink()
    with pytest.raises(Agent0Error, match=r"The model in .* has no tokenizer \(no tokenizer\.json"):
        load_tokenizer(folder)


def test_a_model_with_a_temperature_that_nothing_asks_for_is_saved_again(folder: Path, tmp_path: Path) -> None:
    (folder / "generation_config.json").write_text('{"temperature": 0.6, "top_p": 0.9}')
    save_model(*load_model(folder, "float32"), tmp_path / "again")
    saved = json.loads((tmp_path / "again" / "generation_config.json").read_text())
    assert (saved["temperature"], saved["top_p"], saved["do_sample"]) == (0.6, 0.9, True)


def test_a_whole_model_is_loaded(folder: Path, tokenizer: Any) -> None:
    model, _ = load_model(folder, "float32")
    assert model.num_parameters() == parameter_count(folder)
    assert len(load_tokenizer(folder)) == len(tokenizer)
