"""The recorder on small transformers models, and on big ones without weights."""

from __future__ import annotations

import sys
import time
from typing import Any

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from accelsim.errors import CaptureError
from accelsim.graph.ir import Graph, Op
from accelsim.graph.ops import executed_macs, macs
from accelsim.graph.record_hf import build_hf, mask_pattern, record_built, record_hf
from accelsim.graph.request import GraphRequest

pytestmark = pytest.mark.filterwarnings("ignore")

WIDTH, INNER, LAYERS, HEADS, KV, VOCAB = 64, 112, 2, 4, 2, 128
SIZES: dict[str, Any] = {
    "vocab_size": VOCAB, "hidden_size": WIDTH, "intermediate_size": INNER,
    "num_hidden_layers": LAYERS, "num_attention_heads": HEADS, "max_position_embeddings": 256,
    "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip
LLAMA = SIZES | {"num_key_value_heads": KV}
GPT2 = {
    "vocab_size": VOCAB, "n_embd": WIDTH, "n_layer": LAYERS, "n_head": HEADS, "n_positions": 256,
    "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip
#: Class of the configuration, its values, and attention heads of the keys.
LANGUAGE: dict[str, tuple[str, dict[str, Any], int]] = {
    "llama": ("LlamaConfig", LLAMA, KV),
    "llama_tied": ("LlamaConfig", LLAMA | {"tie_word_embeddings": True}, KV),
    "qwen2": ("Qwen2Config", LLAMA, KV),
    "qwen3": ("Qwen3Config", LLAMA | {"head_dim": 16}, KV),
    "mistral": ("MistralConfig", LLAMA | {"sliding_window": 8}, KV),
    "gemma2": ("Gemma2Config", LLAMA | {"head_dim": 16, "sliding_window": 8}, KV),
    "phi3": ("Phi3Config", LLAMA, KV),
    "gpt_neox": ("GPTNeoXConfig", SIZES, HEADS),
    "gpt2": ("GPT2Config", GPT2, HEADS),
    "opt": ("OPTConfig", SIZES | {"ffn_dim": INNER, "word_embed_proj_dim": WIDTH}, HEADS),
}


def config(name: str, **values: Any) -> Any:
    return getattr(transformers, name)(**values)


def of_kind(graph: Graph, kind: str) -> list[Op]:
    return [op for op in graph.ops if op.kind == kind]


@pytest.mark.parametrize("name", LANGUAGE)
def test_prefill_and_decode_keep_attention_whole(name: str) -> None:
    cls, values, kv = LANGUAGE[name]
    model = build_hf(config(cls, **values), name)
    prefill = record_built(model, GraphRequest("prefill", 3, 20))
    decode = record_built(model, GraphRequest("decode", 3, context_len=20))
    for graph, queries in ((prefill, 20), (decode, 1)):
        attention = of_kind(graph, "attention")
        assert len(attention) == LAYERS
        assert len(of_kind(graph, "kv_append")) == 2 * LAYERS
        assert not of_kind(graph, "batched_matmul") and not of_kind(graph, "softmax")
        for op in attention:
            q, k, v = graph.ins(op)
            assert q.shape == (3, HEADS, queries, 16)
            assert k.shape == v.shape and k.shape[1] == kv
            assert k.role == v.role == "cache"
            assert op.attrs["causal"] is (queries > 1)
    assert prefill.sizes == {"batch": 3, "seq_len": 20, "context_len": 0}
    assert decode.sizes == {"batch": 3, "seq_len": 1, "context_len": 20}
    assert (prefill.tokens, decode.tokens) == (20, 1)


def test_decode_reads_the_past_and_appends_one_token() -> None:
    graph = record_hf(config("LlamaConfig", **LLAMA), GraphRequest("decode", 2, context_len=30))
    for op in of_kind(graph, "kv_append"):
        new, past = graph.ins(op)
        assert (new.shape, past.shape) == ((2, KV, 1, 16), (2, KV, 30, 16))
        assert past.role == "cache" and past.name not in graph.producer
        assert op.outputs[0] in graph.outputs
    caches = {t.name for t in graph.tensors.values() if t.role == "cache"}
    assert "model.layers.1.self_attn.past_key" in caches
    assert "model.layers.1.self_attn.kv_append_value" in caches


def test_macs_of_a_small_llama() -> None:
    graph = record_hf(config("LlamaConfig", **LLAMA), GraphRequest("prefill", 3, 20, logits="all"))
    layer = 2 * WIDTH * WIDTH + 2 * WIDTH * KV * 16 + 3 * WIDTH * INNER
    linear = 60 * (LAYERS * layer + WIDTH * VOCAB)
    scores = LAYERS * 3 * HEADS * 32
    assert sum(macs(graph, op) for op in graph.ops) == linear + scores * 400
    assert sum(executed_macs(graph, op) for op in graph.ops) == linear + scores * 210


def test_tied_weights_are_counted_once() -> None:
    tied = build_hf(config("LlamaConfig", **LLAMA, tie_word_embeddings=True))
    free = build_hf(config("LlamaConfig", **LLAMA))
    assert free.parameters - tied.parameters == VOCAB * WIDTH
    graph = record_built(tied, GraphRequest())
    head = graph.ops[-1]
    assert head.inputs[1] == "model.embed_tokens.weight"


def test_bf16_unless_the_config_says_otherwise() -> None:
    graph = record_hf(config("LlamaConfig", **LLAMA), GraphRequest())
    assert graph.tensors["lm_head.weight"].format == "bf16"
    graph = record_hf(config("LlamaConfig", **LLAMA, dtype="float16"), GraphRequest())
    assert graph.tensors["lm_head.weight"].format == "fp16"


def test_a_sliding_window_is_an_attribute_and_a_shorter_cache() -> None:
    model = build_hf(config("MistralConfig", **LLAMA, sliding_window=8))
    prefill = record_built(model, GraphRequest("prefill", 1, 20))
    op = of_kind(prefill, "attention")[0]
    assert (op.attrs["causal"], op.attrs["window"], len(op.inputs)) == (True, 8, 3)
    seen = 8 * 9 // 2 + 12 * 8
    assert executed_macs(prefill, op) == HEADS * seen * 32
    assert (
        "window" not in of_kind(record_built(model, GraphRequest(seq_len=7)), "attention")[0].attrs
    )
    decode = record_built(model, GraphRequest("decode", 1, context_len=20))
    op = of_kind(decode, "attention")[0]
    assert decode.ins(op)[1].shape == (1, KV, 8, 16)
    add = next(op for op in decode.ops if op.name == "model.add")
    assert add.attrs["scalar"] == 20, "positions count all tokens, not those that are kept"


def test_softcap_is_an_attribute() -> None:
    graph = record_hf(
        config("Gemma2Config", **LLAMA, head_dim=16, attn_logit_softcapping=30.0), GraphRequest()
    )
    assert {op.attrs["softcap"] for op in of_kind(graph, "attention")} == {30.0}


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("MixtralConfig", {"num_local_experts": 4}),
        ("Qwen3MoeConfig", {"num_experts": 4, "moe_intermediate_size": INNER, "head_dim": 16}),
    ],
)
def test_experts_are_one_product_of_the_chosen_rows(name: str, values: dict[str, Any]) -> None:
    model = build_hf(config(name, **LLAMA, **values, num_experts_per_tok=2))
    graph = record_built(model, GraphRequest("prefill", 2, 9))
    experts = of_kind(graph, "grouped_matmul")
    assert len(experts) == 2 * LAYERS
    assert {(op.attrs["experts"], op.attrs["top_k"]) for op in experts} == {(4, 2)}
    rows = 2 * 9 * 2
    assert sum(macs(graph, op) for op in experts) == LAYERS * rows * 3 * WIDTH * INNER
    assert all(graph.ins(op)[1].role == "weight" for op in experts)
    decode = record_built(model, GraphRequest("decode", 1, context_len=9))
    assert sum(macs(decode, op) for op in of_kind(decode, "grouped_matmul")) == (
        LAYERS * 2 * 3 * WIDTH * INNER
    )


def test_encoders_see_everything_and_have_no_cache() -> None:
    for name in ("BertConfig", "RobertaConfig", "DistilBertConfig"):
        values = SIZES
        if name == "DistilBertConfig":
            values = {"vocab_size": VOCAB, "dim": WIDTH, "n_layers": LAYERS, "n_heads": HEADS}
        model = build_hf(config(name, **values))
        assert model.kind == "encoder"
        graph = record_built(model, GraphRequest(batch=2, seq_len=20))
        assert [op.attrs["causal"] for op in of_kind(graph, "attention")] == [False] * LAYERS
        assert not of_kind(graph, "kv_append")
        assert graph.tokens == 0
        with pytest.raises(CaptureError, match="no decode phase"):
            record_built(model, GraphRequest("decode"))


VISION: dict[str, dict[str, Any]] = {
    "ViTConfig": {
        "hidden_size": WIDTH, "intermediate_size": INNER, "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS, "image_size": 32, "patch_size": 8,
    },
    "ResNetConfig": {"embedding_size": 8, "hidden_sizes": [16, 32], "depths": [1, 2]},
    "MobileNetV2Config": {"image_size": 64},
    "ConvNextConfig": {"hidden_sizes": [16, 32], "depths": [1, 1], "num_stages": 2},
    "SwinConfig": {
        "image_size": 32, "patch_size": 2, "embed_dim": 16, "depths": [1, 1],
        "num_heads": [2, 2], "window_size": 4,
    },
}  # fmt: skip


@pytest.mark.parametrize("name", VISION)
def test_vision_models(name: str) -> None:
    model = build_hf(config(name, **VISION[name]))
    assert model.kind == "vision"
    one = record_built(model, GraphRequest(batch=1))
    three = record_built(model, GraphRequest(batch=3))
    assert one.tensors["pixel_values"].shape[0] == 1
    assert 3 * sum(macs(one, op) for op in one.ops) == sum(macs(three, op) for op in three.ops)
    used = sum(t.numel for t in one.tensors.values() if t.role == "weight")
    assert used <= model.parameters


def test_what_is_not_modelled_says_so() -> None:
    with pytest.raises(CaptureError, match="encoder-decoder"):
        record_hf(config("T5Config"), GraphRequest())
    mamba = config("MambaConfig", vocab_size=VOCAB, hidden_size=WIDTH, num_hidden_layers=1)
    with pytest.raises(CaptureError, match="no model for the cache of LinearAttentionLayer"):
        record_hf(mamba, GraphRequest())
    broken = config("LlamaConfig", **(LLAMA | {"hidden_act": "nothing"}))
    with pytest.raises(CaptureError, match="transformers cannot build the model"):
        record_hf(broken, GraphRequest())


def test_mask_functions_are_told_apart() -> None:
    def options(function: Any, queries: int, keys: int, offset: int = 0) -> dict[str, Any]:
        return {
            "mask_function": function, "q_length": queries, "kv_length": keys, "q_offset": offset,
        }  # fmt: skip

    def near(b: Any, h: Any, q: Any, k: Any) -> Any:
        return (k <= q) & (k > q - 5)

    assert mask_pattern(options(lambda b, h, q, k: k <= q, 9, 9)) == (True, 0)
    assert mask_pattern(options(lambda b, h, q, k: k <= q, 1, 9, 8)) == (False, 0)
    assert mask_pattern(options(lambda b, h, q, k: q >= 0, 9, 9)) == (False, 0)
    assert mask_pattern(options(near, 20, 20)) == (True, 5)
    assert mask_pattern(options(near, 4, 4)) == (True, 0)
    assert mask_pattern(options(lambda b, h, q, k: (q - k).abs() < 3, 20, 20)) is None


def test_masks_are_given_back_to_transformers() -> None:
    from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS as masks

    before = masks["sdpa"]
    record_hf(config("LlamaConfig", **LLAMA), GraphRequest())
    assert masks["sdpa"] is before


def test_a_live_model_with_weights_gives_the_same_graph() -> None:
    from accelsim.graph.record_hf import live_hf

    values = config("LlamaConfig", **LLAMA, dtype="float32")
    live = live_hf(transformers.LlamaForCausalLM(values), "llama")
    for phase in ("prefill", "decode"):
        request = GraphRequest(phase, 2, 7, 7)
        assert record_built(live, request) == record_hf(values, request, "llama")


def test_a_70b_model_is_recorded_without_weights() -> None:
    values = config(
        "LlamaConfig", vocab_size=128256, hidden_size=8192, intermediate_size=28672,
        num_hidden_layers=80, num_attention_heads=64, num_key_value_heads=8,
    )  # fmt: skip
    begin = time.perf_counter()
    model = build_hf(values, "llama-3-70b")
    prefill = record_built(model, GraphRequest(seq_len=2048))
    decode = record_built(model, GraphRequest("decode", context_len=2048))
    sys.stdout.write(f"70B model recorded in {time.perf_counter() - begin:.2f} s\n")
    assert model.parameters == 70_553_706_496
    assert len(of_kind(prefill, "attention")) == len(of_kind(decode, "attention")) == 80
    linear = 80 * (2 * 8192**2 + 2 * 8192 * 1024 + 3 * 8192 * 28672)
    full = 2048 * linear + 8192 * 128256 + 80 * 64 * 2048**2 * 256
    assert sum(macs(prefill, op) for op in prefill.ops) == full
