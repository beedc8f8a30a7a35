from __future__ import annotations

import json
from pathlib import Path

import pytest

from agent0.config import ModelSettings
from agent0.errors import UsageError
from agent0.planning.architecture import KNOWN, architecture_of

# The safetensors counts of the published checkpoints (0.6B and 1.7B and 4B tied), and the model cards' roundings.
PUBLISHED = {
    "Qwen3-0.6B": (596_049_920, 0.44e9),
    "Qwen3-1.7B": (1_720_574_976, 1.4e9),
    "Qwen3-4B": (4_022_468_096, 3.6e9),
    "Qwen3-8B": (8_190_735_360, 6.95e9),
    "Qwen3-14B": (14_768_307_200, 13.2e9),
}


@pytest.mark.parametrize(("name", "published"), PUBLISHED.items())
def test_parameters_are_the_published_ones(name: str, published: tuple[int, float]) -> None:
    architecture = KNOWN[name]
    assert architecture.parameters == published[0]
    without_embedding = architecture.parameters - architecture.embedding_parameters
    assert without_embedding == pytest.approx(published[1], rel=0.012)


def test_a_base_model_has_the_sizes_of_its_family() -> None:
    assert architecture_of(ModelSettings(source="Qwen/Qwen3-8B-Base")) is KNOWN["Qwen3-8B"]


def test_an_unknown_model_is_refused_with_the_nearest_and_the_way_out() -> None:
    with pytest.raises(UsageError, match=r"Did you mean Qwen/Qwen3-8B-Base\?.*model.source=FOLDER"):
        architecture_of(ModelSettings(source="Qwen/Qwen3-9B"))


def test_a_local_folder_is_read_from_its_configuration(tmp_path: Path) -> None:
    known = KNOWN["Qwen3-4B"]
    values = {
        "model_type": "qwen3",
        "num_hidden_layers": known.layers,
        "hidden_size": known.hidden,
        "num_attention_heads": known.heads,
        "num_key_value_heads": known.kv_heads,
        "head_dim": known.head_dim,
        "intermediate_size": known.intermediate,
        "vocab_size": known.vocabulary,
        "tie_word_embeddings": True,
    }
    (tmp_path / "config.json").write_text(json.dumps(values))
    assert architecture_of(ModelSettings(source=str(tmp_path))).parameters == known.parameters


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"model_type": "qwen3_moe"}', "no formulas for"),
        ('{"model_type": "qwen3"}', "num_attention_heads"),
        ("{", "no valid JSON.*give the folder of a model"),
    ],
)
def test_a_configuration_that_cannot_be_counted_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(UsageError, match=message):
        architecture_of(ModelSettings(source=str(tmp_path)))


@pytest.mark.parametrize("model_type", ["qwen3", "qwen2", "llama", "mistral"])
def test_the_formula_counts_what_transformers_builds(tmp_path: Path, model_type: str) -> None:
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    sizes = {"hidden_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4, "num_key_value_heads": 2}
    config = AutoConfig.for_model(model_type, vocab_size=320, intermediate_size=96, tie_word_embeddings=False, **sizes)
    config.save_pretrained(tmp_path)
    with torch.device("meta"):
        built = AutoModelForCausalLM.from_config(config)
    assert architecture_of(ModelSettings(source=str(tmp_path))).parameters == built.num_parameters()
