"""Opening folders, configurations and functions; shipped families against fresh recordings."""

from __future__ import annotations

import json
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from accelsim.errors import CaptureError, CheckpointError, InputError
from accelsim.graph import zoo
from accelsim.graph.family import difference
from accelsim.graph.record_hf import HfModel, build_hf, record_built
from accelsim.graph.record_source import WORTH_FITTING, HfSource
from accelsim.graph.request import GraphRequest
from accelsim.graph.source import open_model
from accelsim.graph.zoo.__main__ import main
from accelsim.graph.zoo.configs import config_of

pytestmark = pytest.mark.filterwarnings("ignore")

TINY: dict[str, Any] = {
    "vocab_size": 64, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1,
    "num_attention_heads": 2, "num_key_value_heads": 1, "max_position_embeddings": 8192,
    "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip
#: Sizes of which none is used in fitting or checking a family.
UNUSED = {
    "llama-3-8b": [
        GraphRequest("prefill", 1, 512),
        GraphRequest("prefill", 4, 37, logits="all"),
        GraphRequest("decode", 1, context_len=1000),
        GraphRequest("decode", 7, context_len=8192),
    ],
    "bert-base": [GraphRequest(batch=b, seq_len=n) for b, n in ((1, 128), (4, 384), (9, 512))],
    "resnet-50": [GraphRequest(batch=b) for b in (1, 4, 64)],
    "vit-b-16": [GraphRequest(batch=b) for b in (1, 4, 64)],
}


@cache
def built(name: str) -> HfModel:
    return build_hf(config_of(name), name)


@pytest.mark.parametrize("name", UNUSED)
def test_a_shipped_family_is_a_fresh_recording_at_sizes_that_were_not_used(name: str) -> None:
    for request in UNUSED[name]:
        shipped, fresh = zoo.load(name).graph(request), record_built(built(name), request)
        assert difference(shipped, fresh) == ""
        assert shipped == fresh


def test_check_compares_the_shipped_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--check", "bert-base", "--folder", str(zoo.FOLDER)]) == 0
    assert main(["bert-base", "--folder", str(tmp_path)]) == 0
    written = tmp_path / "bert-base.json"
    assert written.read_bytes() == (zoo.FOLDER / "bert-base.json").read_bytes()
    written.write_text(written.read_text().replace("768", "769", 1))
    capsys.readouterr()
    assert main(["--check", "bert-base", "--folder", str(tmp_path)]) == 1
    assert "1 lines differ" in capsys.readouterr().out
    with pytest.raises(SystemExit) as stop:
        main(["bert-bose"])
    assert stop.value.code == 2


def folder_of(path: Path, **changes: Any) -> Path:
    config = transformers.LlamaConfig(**(TINY | changes))
    config.architectures = ["LlamaForCausalLM"]
    config.save_pretrained(path)
    return path


def test_a_folder_with_only_a_config(tmp_path: Path) -> None:
    source = open_model(str(folder_of(tmp_path / "tiny-llama")))
    assert (source.name, source.kind) == ("tiny-llama", "language")
    request = GraphRequest("decode", 2, context_len=9)
    graph = source.graph(request)
    assert (graph.name, graph.phase) == ("tiny-llama", "decode")
    assert source.graph(request) is graph
    beside = open_model(str(tmp_path / "tiny-llama" / "config.json"))
    assert beside.graph(request) == graph
    renamed = tmp_path / "other.json"
    renamed.write_bytes((tmp_path / "tiny-llama" / "config.json").read_bytes())
    assert open_model(str(renamed)).name == "other"


def test_a_folder_with_weights(tmp_path: Path) -> None:
    config = transformers.LlamaConfig(**TINY, tie_word_embeddings=True)
    transformers.LlamaForCausalLM(config).save_pretrained(tmp_path)
    source = open_model(str(tmp_path))
    names = {t.name for t in source.graph(GraphRequest()).tensors.values() if t.role == "weight"}
    assert "model.embed_tokens.weight" in names
    folder_of(tmp_path, hidden_size=32, tie_word_embeddings=True)
    with pytest.raises(CheckpointError, match=r"misshapen: .* instead of \[64, 32\]"):
        open_model(str(tmp_path))


def test_a_config_that_transformers_does_not_know(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"model_type": "no_such_model"}))
    with pytest.raises(CaptureError, match="check model_type") as error:
        open_model(str(tmp_path))
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)


def test_many_sizes_become_a_family_and_stay_right(tmp_path: Path) -> None:
    source = open_model(str(folder_of(tmp_path)))
    assert isinstance(source, HfSource)
    for n in range(3, 4 + WORTH_FITTING):
        source.graph(GraphRequest("decode", 2, context_len=n))
    assert source._families["decode"] is not None
    request = GraphRequest("decode", 9, context_len=77)
    assert source.graph(request) == record_built(source.model, request)


def test_a_window_keeps_a_model_from_becoming_a_family() -> None:
    config = transformers.MistralConfig(**TINY, sliding_window=100)
    source = HfSource(build_hf(config, "windowed"))
    for n in range(90, 91 + WORTH_FITTING):
        source.graph(GraphRequest("decode", 2, context_len=n))
    assert source._families["decode"] is None
    graph = source.graph(GraphRequest("decode", 2, context_len=300))
    assert next(op for op in graph.ops if op.kind == "attention").attrs["causal"] is False


FUNCTIONS = """
import torch, transformers
from torch import nn

def module():
    return nn.Linear(3, 4), (torch.zeros(2, 3),), {}

def bare():
    return (nn.ReLU(), [torch.zeros(2)])

def config():
    return transformers.LlamaConfig(**TINY, dtype="float32")

def model():
    with torch.device("meta"):
        return transformers.LlamaForCausalLM(config())

def nonsense():
    return 7
"""


def test_functions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "user_models.py").write_text(f"TINY = {TINY!r}\n{FUNCTIONS}")
    monkeypatch.chdir(tmp_path)
    source = open_model("user_models:module")
    assert source.kind == "module"
    graph = source.graph(GraphRequest(batch=9))
    assert graph.tensors["weight"].shape == (4, 3)
    assert graph.tensors["input_0"].shape == (2, 3)
    with pytest.raises(InputError, match="no decode phase"):
        source.graph(GraphRequest("decode"))
    assert open_model("user_models:bare").graph(GraphRequest()).ops[0].kind == "activation"
    request = GraphRequest("decode", 2, context_len=5)
    one, other = (open_model(f"user_models:{name}").graph(request) for name in ("config", "model"))
    assert difference(one, other, shapes=False) == ""
    with pytest.raises(InputError, match="it returned int"):
        open_model("user_models:nonsense")
    sys.modules.pop("user_models")


def test_vision_models_do_not_decode(tmp_path: Path) -> None:
    transformers.ResNetConfig(hidden_sizes=[8], depths=[1], embedding_size=8).save_pretrained(
        tmp_path
    )
    source = open_model(str(tmp_path))
    assert source.kind == "vision"
    with pytest.raises(InputError, match="a vision model has no decode phase"):
        source.graph(GraphRequest("decode"))
