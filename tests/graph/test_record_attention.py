"""The recorder on attention as torch modules spell it."""

from __future__ import annotations

import math
from typing import Any

import pytest

torch = pytest.importorskip("torch")

import torch.nn.functional as F
from torch import nn

from accelsim.graph.ops import executed_macs
from accelsim.graph.record import record_module
from tests.graph.torch_builder import meta, only, record


def test_attention_is_kept_whole_with_its_heads_and_flag() -> None:
    q, k = meta(2, 8, 6, 16), meta(2, 2, 6, 16)
    graph = record(
        lambda m, q, k: F.scaled_dot_product_attention(q, k, k, is_causal=True, enable_gqa=True),
        q, k,
    )  # fmt: skip
    op = only(graph)
    assert (op.kind, op.attrs) == ("attention", {"causal": True, "scale": 0.25})
    assert executed_macs(graph, op) == 2 * 8 * 21 * 32


def test_a_causal_mask_with_values_becomes_the_flag() -> None:
    x = torch.zeros(1, 2, 4, 8)
    mask = torch.ones(4, 4, dtype=torch.bool).tril()
    for seen in (mask, torch.zeros(4, 4).masked_fill(~mask, float("-inf"))):
        graph = record(
            lambda m, x, seen: F.scaled_dot_product_attention(x, x, x, attn_mask=seen), x, seen
        )
        op = only(graph)
        assert op.attrs["causal"] is True
        assert len(op.inputs) == 3
    odd = mask.clone()
    odd[0, 3] = True
    graph = record(lambda m, x, odd: F.scaled_dot_product_attention(x, x, x, odd), x, odd)
    assert only(graph).attrs["causal"] is False
    assert len(only(graph).inputs) == 4


def test_spelled_out_attention_of_a_live_module() -> None:
    def attend(m: Any, q: Any, k: Any, v: Any) -> Any:
        scores = q @ k.transpose(-2, -1) / math.sqrt(8)
        return torch.softmax(scores, dim=-1) @ v

    graph = record(attend, *(meta(1, 2, 4, 8) for _ in range(3)))
    assert only(graph).kind == "attention"
    assert only(graph).attrs["scale"] == pytest.approx(8**-0.5)


def test_attention_that_fills_its_future_with_infinity() -> None:
    def attend(m: Any, q: Any, mask: Any) -> Any:
        scores = (q @ q.transpose(-2, -1) * 0.5).masked_fill(mask[:4, :4] == 0, -math.inf)
        return F.softmax(scores, dim=-1) @ q

    triangle = torch.ones(8, 8).tril()
    graph = record(attend, torch.zeros(1, 2, 4, 8), triangle)
    assert only(graph).attrs == {"causal": True, "scale": 0.5}
    graph = record(attend, meta(1, 2, 4, 8), triangle.to("meta"))
    attention = graph.ops[-1]
    assert attention.attrs == {"causal": False, "scale": 0.5, "mask_hides": True}
    assert len(attention.inputs) == 4


def test_multi_head_attention() -> None:
    with torch.device("meta"):
        module = nn.MultiheadAttention(16, 4, batch_first=True, dtype=torch.bfloat16)
    x = meta(2, 5, 16)
    graph = record_module(module, (x, x, x), {"need_weights": False})
    kinds = [op.kind for op in graph.ops if op.kind != "view"]
    assert kinds == ["matmul", "attention", "matmul"]
    attention = next(op for op in graph.ops if op.kind == "attention")
    assert graph.ins(attention)[0].shape == (2, 4, 5, 4)


def test_transformer_encoder_layer_does_not_take_its_fused_path() -> None:
    with torch.device("meta"):
        module = nn.TransformerEncoderLayer(16, 4, 32, batch_first=True, dtype=torch.bfloat16)
    graph = record_module(module, (meta(2, 5, 16),))
    kinds = [op.kind for op in graph.ops if op.kind != "view"]
    assert kinds == [
        "matmul", "attention", "matmul", "elementwise", "norm", "matmul", "activation", "matmul",
        "elementwise", "norm",
    ]  # fmt: skip
