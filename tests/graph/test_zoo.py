"""The shipped models against arithmetic from their published hyperparameters; no torch."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accelsim.errors import InputError, UnknownNameError
from accelsim.graph import zoo
from accelsim.graph.ir import Graph
from accelsim.graph.ops import access, executed_macs, macs
from accelsim.graph.request import GraphRequest
from accelsim.graph.source import open_model
from accelsim.graph.zoo.configs import ENTRIES

#: Parameters as the model cards give them.
PARAMETERS = {
    "llama-3-8b": 8_030_261_248,
    "bert-base": 109_482_240,
    "resnet-50": 25_557_032,
    "tiny": 885_888,
    "tiny-qwen2": 854_144,
    "vit-b-16": 86_567_656,
}


def total(graph: Graph, executed: bool = False) -> int:
    count = executed_macs if executed else macs
    return sum(count(graph, op) for op in graph.ops)


def weights(graph: Graph) -> int:
    return sum(t.numel for t in graph.tensors.values() if t.role == "weight")


def test_names() -> None:
    assert zoo.names() == tuple(sorted(PARAMETERS)) == tuple(sorted(ENTRIES))
    with pytest.raises(UnknownNameError, match="did you mean 'llama-3-8b'"):
        zoo.load("llama-3-8")


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameters(name: str) -> None:
    model = zoo.load(name)
    assert model.parameters == PARAMETERS[name]
    assert weights(model.graph(GraphRequest())) == PARAMETERS[name]
    assert model.source


def llama_macs(rows: int, queries: int, keys: int, logits: int, seen: int) -> tuple[int, int]:
    """Full and executed MACs: ``rows`` tokens through the layers, attention over ``keys``."""
    layers, width, inner, heads, depth, kv = 32, 4096, 14336, 32, 128, 8 * 128
    linear = rows * layers * (2 * width * width + 2 * width * kv + 3 * width * inner)
    head = logits * width * 128256
    per_score = layers * heads * 2 * depth * (rows // queries)
    return linear + head + per_score * queries * keys, linear + head + per_score * seen


@given(batch=st.integers(1, 8), seq_len=st.integers(1, 3000), every=st.booleans())
def test_llama_prefill(batch: int, seq_len: int, every: bool) -> None:
    request = GraphRequest("prefill", batch, seq_len, logits="all" if every else "last")
    graph = zoo.load("llama-3-8b").graph(request)
    kept = batch * (seq_len if every else 1)
    full, executed = llama_macs(
        batch * seq_len, seq_len, seq_len, kept, seq_len * (seq_len + 1) // 2
    )
    assert (total(graph), total(graph, executed=True)) == (full, executed)
    assert graph.tokens == seq_len


@given(batch=st.integers(1, 64), context_len=st.integers(1, 100_000))
def test_llama_decode(batch: int, context_len: int) -> None:
    request = GraphRequest("decode", batch, context_len=context_len)
    graph = zoo.load("llama-3-8b").graph(request)
    keys = context_len + 1
    full, executed = llama_macs(batch, 1, keys, batch, keys)
    assert (total(graph), total(graph, executed=True)) == (full, executed)
    caches = [t for t in graph.tensors.values() if t.role == "cache"]
    past = [t for t in caches if t.shape[2] == context_len]
    assert sum(t.numel for t in past) == 2 * 32 * batch * 8 * 128 * context_len
    assert graph.tokens == 1


def test_llama_decode_moves_the_cache_once_and_writes_one_token() -> None:
    graph = zoo.load("llama-3-8b").graph(GraphRequest("decode", 2, context_len=1000))
    appended = read = 0
    for op in graph.ops:
        moved = access(graph, op)
        if op.kind == "kv_append":
            appended += sum(moved.written.values())
        if op.kind == "attention":
            read += sum(moved.read[name] for name in op.inputs[1:])
    assert appended == 2 * 32 * 2 * 8 * 128 * 16
    assert read == appended * 1001


def test_llama_is_made_of_whole_ops() -> None:
    graph = zoo.load("llama-3-8b").graph(GraphRequest(batch=2, seq_len=64))
    count = {kind: sum(op.kind == kind for op in graph.ops) for kind in {o.kind for o in graph.ops}}
    assert count["attention"] == 32
    assert count["norm"] == 65
    assert count["rotary"] == 64
    assert count["kv_append"] == 64
    assert count["matmul"] == 7 * 32 + 1
    assert "batched_matmul" not in count and "softmax" not in count
    attention = next(op for op in graph.ops if op.kind == "attention")
    assert attention.attrs["causal"] is True
    assert [t.shape for t in graph.ins(attention)] == [
        (2, 32, 64, 128), (2, 8, 64, 128), (2, 8, 64, 128),
    ]  # fmt: skip
    names = {op.name for op in graph.ops}
    assert "model.layers.0.self_attn.q_proj.linear" in names
    assert graph.tensors["model.layers.31.mlp.down_proj.weight"].shape == (4096, 14336)
    assert graph.outputs[0] == "lm_head.linear"


def test_bert() -> None:
    batch, tokens = 3, 128
    graph = zoo.load("bert-base").graph(GraphRequest(batch=batch, seq_len=tokens))
    layer = 4 * 768 * 768 + 2 * 768 * 3072
    pooler = batch * 768 * 768
    expected = batch * tokens * 12 * layer + 12 * 2 * batch * tokens * tokens * 768 + pooler
    assert total(graph) == total(graph, executed=True) == expected
    with pytest.raises(InputError, match="512 positions"):
        zoo.load("bert-base").graph(GraphRequest(seq_len=513))


def test_vit() -> None:
    graph = zoo.load("vit-b-16").graph(GraphRequest(batch=2))
    tokens = 197
    layers = 12 * (tokens * (4 * 768 * 768 + 2 * 768 * 3072) + 2 * tokens * tokens * 768)
    assert total(graph) == 2 * (196 * 768 * 3 * 16 * 16 + layers + 768 * 1000)


def test_resnet() -> None:
    """4.09 GMAC per image: 4,089,184,256 for v1.5, convolutions and classifier."""
    assert total(zoo.load("resnet-50").graph(GraphRequest(batch=3))) == 3 * 4_089_184_256


@pytest.mark.parametrize("name", ["bert-base", "resnet-50", "vit-b-16"])
def test_only_language_models_decode(name: str) -> None:
    with pytest.raises(InputError, match="has no decode phase"):
        zoo.load(name).graph(GraphRequest("decode"))


@pytest.mark.parametrize("name", PARAMETERS)
def test_files_stay_small(name: str) -> None:
    assert (zoo.FOLDER / f"{name}.json").stat().st_size < 1_000_000


def test_building_is_fast() -> None:
    model = zoo.load("llama-3-8b")
    seconds = []
    for batch in range(1, 6):
        begin = time.perf_counter()
        model.graph(GraphRequest(batch=batch))
        seconds.append(time.perf_counter() - begin)
    assert min(seconds) < 0.06


def test_no_torch_is_imported() -> None:
    code = (
        "import sys, accelsim.graph.source as s\n"
        "from accelsim.graph.request import GraphRequest\n"
        "s.open_model('llama-3-8b').graph(GraphRequest())\n"
        "assert not {'torch', 'transformers', 'numba'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_open_model_finds_the_zoo() -> None:
    assert open_model("llama-3-8b") is zoo.load("llama-3-8b")
