"""Each rule on a small graph, and no rewrite when somebody else reads what it would swallow."""

from __future__ import annotations

from dataclasses import replace

import pytest

from accelsim.graph.ir import Graph
from accelsim.graph.ops import verify
from accelsim.graph.recognize import recognize
from tests.graph.graph_builder import Builder, kinds

SHAPE = (2, 4, 6, 8)


def spelled_rotary(b: Builder) -> tuple[str, str]:
    """``x * cos + cat(-x2, x1) * sin``; returns the result and the turned half."""
    b.given("x", *SHAPE)
    b.given("cos", 1, 1, 6, 8)
    b.given("sin", 1, 1, 6, 8)
    straight = b.op("elementwise", ("x", "cos"), SHAPE, fn="mul")
    half = (2, 4, 6, 4)
    first = b.op("view", ("x",), half, fn="slice", start_3=0, size_3=4)
    second = b.op("view", ("x",), half, fn="slice", start_3=4, size_3=4)
    negative = b.op("elementwise", (second,), half, fn="neg")
    turned = b.op("copy", (negative, first), SHAPE, fn="cat", axis=3)
    bent = b.op("elementwise", (turned, "sin"), SHAPE, fn="mul")
    return b.op("elementwise", (straight, bent), SHAPE, fn="add"), turned


def test_rotary() -> None:
    b = Builder()
    out, _ = spelled_rotary(b)
    graph = verify(recognize(b.graph(out)))
    assert kinds(graph) == ["rotary"]
    assert graph.ops[0].inputs == ("x", "cos", "sin")
    assert graph.outputs == graph.ops[0].outputs == ("m.rotary",)


def test_rotary_stays_when_the_turned_half_is_read_elsewhere() -> None:
    b = Builder()
    out, turned = spelled_rotary(b)
    other = b.op("elementwise", (turned,), SHAPE, fn="abs")
    assert "rotary" not in kinds(recognize(b.graph(out, other)))


def test_rotary_stays_when_the_caller_keeps_an_intermediate() -> None:
    b = Builder()
    out, turned = spelled_rotary(b)
    assert "rotary" not in kinds(recognize(b.graph(out, turned)))


def test_rotary_wants_the_halves_in_their_order() -> None:
    b = Builder()
    out, _ = spelled_rotary(b)
    swapped = [
        replace(op, attrs={**op.attrs, "start_3": 4 - int(op.attrs["start_3"])})
        if "start_3" in op.attrs
        else op
        for op in b.ops
    ]
    graph = Graph("small", b.tensors, tuple(swapped), (out,))
    assert "rotary" not in kinds(recognize(graph))


def spelled_attention(b: Builder, *, mask: bool = True, heads: int = 4) -> tuple[str, str]:
    b.given("q", *SHAPE)
    b.given("k", 2, heads, 6, 8)
    b.given("v", 2, heads, 6, 8)
    scores_shape = (2, 4, 6, 6)
    turned = b.op("view", ("k",), (2, heads, 8, 6), fn="permute", perm="0,1,3,2")
    scores = b.op("batched_matmul", ("q", turned), scores_shape)
    scaled = b.op("elementwise", (scores,), scores_shape, fn="mul", scalar=0.25)
    if mask:
        hidden = b.op("fill", (), (1, 1, 6, 6), fn="mask", causal=True, window=0)
        scaled = b.op("elementwise", (scaled, hidden), scores_shape, fn="add")
    wide = b.op("softmax", (scaled,), scores_shape, row=6, axis=3, format="fp32")
    weights = b.op("elementwise", (wide,), scores_shape, fn="cast")
    return b.op("batched_matmul", (weights, "v"), SHAPE), weights


def test_attention_with_a_causal_mask() -> None:
    b = Builder()
    out, _ = spelled_attention(b)
    graph = verify(recognize(b.graph(out)))
    assert kinds(graph) == ["attention"]
    assert graph.ops[0].inputs == ("q", "k", "v")
    assert graph.ops[0].attrs == {"causal": True, "scale": 0.25}


def test_attention_without_a_mask_sees_everything() -> None:
    b = Builder()
    out, _ = spelled_attention(b, mask=False)
    graph = recognize(b.graph(out))
    assert graph.ops[0].attrs == {"causal": False, "scale": 0.25}


def test_attention_stays_when_its_weights_are_an_output() -> None:
    b = Builder()
    out, weights = spelled_attention(b)
    assert "attention" not in kinds(recognize(b.graph(out, weights)))


def test_a_mask_that_is_not_known_stays_an_operand() -> None:
    b = Builder()
    for name in "qkv":
        b.given(name, *SHAPE)
    b.given("mask", 1, 1, 6, 6)
    out = b.op("attention", ("q", "k", "v", "mask"), SHAPE, causal=False, scale=1.0)
    assert recognize(b.graph(out)).ops[0].inputs == ("q", "k", "v", "mask")


def repeated(b: Builder, name: str) -> str:
    b.given(name, 2, 2, 6, 8)
    thin = b.op("view", (name,), (2, 2, 1, 6, 8), fn="reshape")
    wide = b.op("view", (thin,), (2, 2, 2, 6, 8), fn="expand", expand=True)
    return b.op("copy", (wide,), SHAPE, fn="reshape")


def test_repeated_key_heads_are_read_once() -> None:
    b = Builder()
    b.given("q", *SHAPE)
    k, v = repeated(b, "k"), repeated(b, "v")
    graph = verify(recognize(b.graph(b.op("attention", ("q", k, v), SHAPE, causal=True))))
    assert kinds(graph) == ["attention"]
    assert graph.ops[0].inputs == ("q", "k", "v")


def test_gated_activation_takes_the_gate_first() -> None:
    b = Builder()
    b.given("gate", 3, 8)
    b.given("up", 3, 8)
    act = b.op("activation", ("gate",), (3, 8), fn="silu")
    out = b.op("elementwise", ("up", act), (3, 8), fn="mul")
    graph = verify(recognize(b.graph(out)))
    assert [(op.kind, op.attrs["fn"], op.inputs) for op in graph.ops] == [
        ("elementwise", "gated_silu", ("gate", "up"))
    ]
    b.op("elementwise", (act,), (3, 8), fn="abs", name="other")
    assert len(recognize(b.graph(out, "other")).ops) == 3


def spelled_rms(b: Builder) -> tuple[str, str]:
    b.given("x", 3, 8)
    b.given("w", 8, role="weight")
    wide = b.op("elementwise", ("x",), (3, 8), fn="cast", format="fp32")
    square = b.op("elementwise", (wide,), (3, 8), fn="square", format="fp32")
    mean = b.op("reduce", (square,), (3, 1), fn="mean", axes="1", keepdim=True, format="fp32")
    shifted = b.op("elementwise", (mean,), (3, 1), fn="add", scalar=1e-6, format="fp32")
    root = b.op("elementwise", (shifted,), (3, 1), fn="rsqrt", format="fp32")
    scaled = b.op("elementwise", (wide, root), (3, 8), fn="mul", format="fp32")
    narrow = b.op("elementwise", (scaled,), (3, 8), fn="cast")
    return b.op("elementwise", ("w", narrow), (3, 8), fn="mul"), root


def test_rms_norm() -> None:
    b = Builder()
    out, root = spelled_rms(b)
    graph = verify(recognize(b.graph(out)))
    assert kinds(graph) == ["norm"]
    assert graph.ops[0].inputs == ("x", "w")
    assert graph.ops[0].attrs == {"fn": "rms_norm", "row": 8, "eps": 1e-6}
    assert "norm" not in kinds(recognize(b.graph(out, root)))


def test_layer_norm() -> None:
    b = Builder()
    b.given("x", 3, 8)
    b.given("w", 8, role="weight")
    b.given("bias", 8, role="weight")
    mean = b.op("reduce", ("x",), (3, 1), fn="mean", axes="1", keepdim=True)
    centred = b.op("elementwise", ("x", mean), (3, 8), fn="sub")
    square = b.op("elementwise", (centred,), (3, 8), fn="square")
    variance = b.op("reduce", (square,), (3, 1), fn="mean", axes="1", keepdim=True)
    shifted = b.op("elementwise", (variance,), (3, 1), fn="add", scalar=1e-5)
    root = b.op("elementwise", (shifted,), (3, 1), fn="rsqrt")
    scaled = b.op("elementwise", (centred, root), (3, 8), fn="mul")
    weighted = b.op("elementwise", (scaled, "w"), (3, 8), fn="mul")
    out = b.op("elementwise", (weighted, "bias"), (3, 8), fn="add")
    graph = verify(recognize(b.graph(out)))
    assert kinds(graph) == ["norm"]
    assert graph.ops[0].inputs == ("x", "w", "bias")
    assert "norm" not in kinds(recognize(b.graph(out, centred)))


def test_a_product_with_a_transposed_weight_reads_the_weight() -> None:
    b = Builder()
    b.given("x", 3, 8)
    b.given("w", 5, 8, role="weight")
    turned = b.op("view", ("w",), (8, 5), fn="permute", perm="1,0")
    graph = verify(recognize(b.graph(b.op("batched_matmul", ("x", turned), (3, 5)))))
    assert [(op.kind, op.inputs, dict(op.attrs)) for op in graph.ops] == [
        ("matmul", ("x", "w"), {})
    ]


def test_experts_per_token_are_read_off_the_router() -> None:
    b = Builder()
    b.given("scores", 3, 4)
    b.given("x", 6, 8)
    b.given("w", 4, 5, 8, role="weight")
    chosen = b.op("reduce", ("scores",), (3, 2), fn="topk", k=2, axes="1", row=4)
    ends = b.op("reduce", (chosen,), (4,), fn="histogram", format="int32")
    graph = recognize(b.graph(b.op("grouped_matmul", ("x", "w", ends), (6, 5), experts=4)))
    assert graph.ops[-1].attrs == {"experts": 4, "top_k": 2}


@pytest.mark.parametrize(
    ("fn", "scalar", "format", "gone"),
    [
        ("mul", 1.0, "bf16", True),
        ("div", 1, "bf16", True),
        ("add", 0, "int64", True),
        ("add", 0, "bf16", False),  # -0.0 + 0 is +0.0
        ("mul", 2.0, "bf16", False),
    ],
)
def test_identity(fn: str, scalar: float, format: str, gone: bool) -> None:
    b = Builder()
    b.given("x", 3, 8, format=format)
    same = b.op("elementwise", ("x",), (3, 8), fn=fn, scalar=scalar, format=format)
    out = b.op("elementwise", (same,), (3, 8), fn="neg", format=format)
    graph = verify(recognize(b.graph(out)))
    assert len(graph.ops) == (1 if gone else 2)


def test_a_layout_is_folded_into_the_op_that_has_just_written_it() -> None:
    b = Builder()
    b.given("x", 3, 8)
    made = b.op("activation", ("x",), (3, 8), fn="relu")
    turned = b.op("view", (made,), (8, 3), fn="permute", perm="1,0")
    out = b.op("copy", (turned,), (24,), fn="reshape")
    assert kinds(recognize(b.graph(out))) == ["activation", "view", "view"]
    assert "copy" in kinds(recognize(b.graph(out, made)))


def test_a_layout_of_an_input_must_be_made() -> None:
    b = Builder()
    b.given("x", 3, 8)
    turned = b.op("view", ("x",), (8, 3), fn="permute", perm="1,0")
    assert "copy" in kinds(recognize(b.graph(b.op("copy", (turned,), (24,), fn="reshape"))))


def test_what_nobody_reads_is_dropped_but_caches_stay() -> None:
    b = Builder()
    b.given("x", 1, 2, 3, 4)
    b.op("activation", ("x",), (1, 2, 3, 4), fn="relu")
    b.op("kv_append", ("x",), (1, 2, 3, 4), name="kept")
    out = b.op("elementwise", ("x",), (1, 2, 3, 4), fn="neg")
    assert kinds(recognize(b.graph(out))) == ["kv_append", "elementwise"]
