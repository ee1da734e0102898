"""Facts of the op table against arithmetic by hand, and the verifier's refusals."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accelsim.errors import GraphError
from accelsim.graph.ir import Graph, Op, Tensor
from accelsim.graph.ops import OPS, access, executed_macs, kind_of, macs, vector_work, verify
from accelsim.graph.ops.attention import visible_scores
from accelsim.graph.recognize import RULES
from tests.graph.graph_builder import Builder
from tests.support import ROOT


def only(builder: Builder, output: str) -> tuple[Graph, Op]:
    graph = verify(builder.graph(output))
    return graph, graph.ops[-1]


def test_matmul_counts_rows_times_weight() -> None:
    b = Builder()
    b.given("x", 2, 5, 3)
    b.given("w", 7, 3, role="weight")
    b.given("bias", 7, role="weight")
    graph, op = only(b, b.op("matmul", ("x", "w", "bias"), (2, 5, 7)))
    assert macs(graph, op) == executed_macs(graph, op) == 2 * 5 * 3 * 7
    moved = access(graph, op)
    assert moved.read == {"x": 30 * 16, "w": 21 * 16, "bias": 7 * 16}
    assert moved.written == {op.name: 70 * 16}
    assert vector_work(graph, op) == {}


def test_pruned_weight_executes_half_and_moves_half() -> None:
    b = Builder()
    b.given("x", 4, 8)
    b.tensors["w"] = Tensor("w", (6, 8), "weight", "int8", metadata_bits=10, density=0.5)
    graph, op = only(b, b.op("matmul", ("x", "w"), (4, 6)))
    assert macs(graph, op) == 4 * 8 * 6
    assert executed_macs(graph, op) == 4 * 8 * 6 // 2
    assert access(graph, op).read["w"] == 24 * 8 + 10


def test_convolution_depthwise_with_stride_and_padding() -> None:
    b = Builder()
    b.given("x", 2, 6, 9, 9)
    b.given("w", 6, 1, 3, 3, role="weight")
    attrs: dict[str, Any] = {
        "stride_h": 2,
        "stride_w": 2,
        "padding_h": 1,
        "padding_w": 1,
        "groups": 6,
    }
    graph, op = only(b, b.op("conv2d", ("x", "w"), (2, 6, 5, 5), **attrs))
    assert macs(graph, op) == 2 * 6 * 5 * 5 * 9
    lowered = kind_of(op).gemm(graph.ins(op), graph.outs(op), op.attrs)
    assert lowered is not None
    assert (lowered.batch, lowered.m, lowered.n, lowered.k) == (6, 50, 1, 9)


def test_attention_full_causal_and_grouped() -> None:
    b = Builder()
    b.given("q", 2, 8, 5, 16)
    b.given("k", 2, 2, 7, 16)
    b.given("v", 2, 2, 7, 16)
    graph, op = only(b, b.op("attention", ("q", "k", "v"), (2, 8, 5, 16), causal=True))
    seen = 3 + 4 + 5 + 6 + 7
    assert macs(graph, op) == 2 * 8 * 5 * 7 * 32
    assert executed_macs(graph, op) == 2 * 8 * seen * 32
    work = vector_work(graph, op)
    assert work["exp"] == 2 * 8 * seen
    assert work["mul"] == 2 * 8 * seen + 2 * 8 * 5 * 16
    assert access(graph, op).read["k"] == 2 * 2 * 7 * 16 * 16


@given(
    queries=st.integers(1, 12), keys=st.integers(1, 12), causal=st.booleans(),
    window=st.integers(0, 14),
)  # fmt: skip
def test_visible_scores_are_what_a_mask_shows(
    queries: int, keys: int, causal: bool, window: int
) -> None:
    shown = 0
    for i in range(queries):
        last = keys - queries + i
        for j in range(keys):
            near = not window or j > last - window
            shown += not causal or (j <= last and near)
    assert visible_scores(queries, keys, causal, window) == shown


def test_softcap_adds_a_tangent_per_score() -> None:
    b = Builder()
    for name in "qkv":
        b.given(name, 1, 2, 3, 4)
    graph, op = only(b, b.op("attention", ("q", "k", "v"), (1, 2, 3, 4), softcap=50.0))
    assert vector_work(graph, op)["tanh"] == 2 * 9


def test_grouped_matmul_reads_active_experts_only() -> None:
    b = Builder()
    b.given("x", 6, 4)
    b.given("w", 8, 5, 4, role="weight")
    b.given("offsets", 8, format="int32")
    graph, op = only(b, b.op("grouped_matmul", ("x", "w", "offsets"), (6, 5), experts=8, top_k=2))
    assert macs(graph, op) == 6 * 4 * 5
    assert access(graph, op).read["w"] == 6 * 5 * 4 * 16
    lowered = kind_of(op).gemm(graph.ins(op), graph.outs(op), op.attrs)
    assert lowered is not None
    assert (lowered.batch, lowered.m) == (6, 1)


def test_kv_append_moves_the_new_entries_only() -> None:
    b = Builder()
    b.given("new", 1, 2, 1, 4)
    b.given("past", 1, 2, 9, 4, role="cache")
    graph, op = only(b, b.op("kv_append", ("new", "past"), (1, 2, 10, 4)))
    moved = access(graph, op)
    assert moved.read == {"new": 8 * 16}
    assert moved.written == {op.name: 8 * 16}


def test_gather_reads_chosen_rows_only() -> None:
    b = Builder()
    b.given("table", 100, 8, role="weight")
    b.given("ids", 3, format="int64")
    graph, op = only(b, b.op("gather", ("table", "ids"), (3, 8), fn="rows"))
    assert access(graph, op).read == {"table": 3 * 8 * 16, "ids": 3 * 64}


def test_update_writes_its_part_only() -> None:
    b = Builder()
    b.given("new", 2, 3)
    b.given("old", 10, 3)
    graph, op = only(
        b, b.op("copy", ("new", "old"), (10, 3), fn="slice", start_0=4, size_0=2, update=True)
    )
    assert access(graph, op).written == {op.name: 6 * 16}
    b = Builder()
    b.given("old", 10, 3)
    graph, op = only(b, b.op("fill", ("old",), (10, 3), start_0=4, size_0=2, update=True))
    assert access(graph, op).written == {op.name: 6 * 16}


@pytest.mark.parametrize(
    ("fn", "shape", "attrs", "work"),
    [
        ("mean", (4, 6), {}, {"add": 24}),
        ("topk", (4, 8), {"k": 2, "row": 8}, {"compare": 32 * 2}),
        ("sort", (32,), {"row": 32}, {"compare": 32 * 5}),
        ("max_pool", (1, 2, 3, 3), {"window": 4}, {"max": 4 * 2 * 4}),
    ],
)
def test_reductions(
    fn: str, shape: tuple[int, ...], attrs: dict[str, Any], work: dict[str, int]
) -> None:
    b = Builder()
    b.given("x", *shape)
    out = {"mean": (4, 1), "topk": (4, 2), "sort": (32,), "max_pool": (1, 2, 2, 2)}[fn]
    graph, op = only(b, b.op("reduce", ("x",), out, fn=fn, **attrs))
    assert vector_work(graph, op) == work


def test_norms_and_softmax_count_rows() -> None:
    b = Builder()
    b.given("x", 4, 8)
    graph, op = only(b, b.op("norm", ("x",), (4, 8), fn="rms_norm", row=8))
    assert vector_work(graph, op) == {"add": 32 + 4, "mul": 3 * 32 + 4, "rsqrt": 4}
    graph, op = only(b, b.op("softmax", ("x",), (4, 8), row=8))
    assert vector_work(graph, op) == {
        "max": 32, "sub": 32, "exp": 32, "add": 32, "mul": 32, "div": 4,
    }  # fmt: skip


def test_views_cost_nothing() -> None:
    b = Builder()
    b.given("x", 4, 8)
    graph, op = only(b, b.op("view", ("x",), (32,), fn="reshape"))
    assert access(graph, op).read == {} == access(graph, op).written
    assert kind_of(op).engine == "free"


def test_every_kind_has_a_summary_and_array_kinds_lower_to_products() -> None:
    for name, kind in OPS.items():
        assert kind.name == name
        assert kind.summary


BAD: list[tuple[str, tuple[tuple[int, ...], ...], tuple[int, ...], dict[str, int | str], str]] = [
    ("matmul", ((2, 3), (7, 4)), (2, 7), {}, "the input has K=3, the weight K=4"),
    ("matmul", ((2, 3), (7, 3)), (2, 8), {}, "[2, 7] is needed"),
    ("batched_matmul", ((2, 3, 4), (2, 5, 6)), (2, 3, 6), {}, "K=4 and K=5"),
    ("conv2d", ((1, 3, 8, 8), (4, 3, 3, 3)), (1, 4, 8, 8), {}, "[1, 4, 6, 6] is needed"),
    ("conv2d", ((1, 4, 8, 8), (4, 3, 3, 3)), (1, 4, 6, 6), {}, "do not split"),
    ("attention", ((1, 3, 4, 8), (1, 2, 4, 8), (1, 2, 4, 8)), (1, 3, 4, 8), {}, "not a multiple"),
    ("grouped_matmul", ((6, 4), (8, 5, 3)), (6, 5), {}, "K=3"),
    ("kv_append", ((1, 2, 1, 4), (1, 2, 9, 4)), (1, 2, 9, 4), {}, "the cache becomes"),
    ("elementwise", ((2, 3), (2, 4)), (2, 3), {"fn": "add"}, "broadcast to None"),
    ("elementwise", ((2, 3),), (2, 3), {"fn": "atan"}, "no model for fn 'atan'"),
    ("activation", ((2, 3),), (2, 3), {"fn": "mish"}, "no model for fn 'mish'"),
    ("norm", ((2, 3),), (2, 3), {"fn": "rms_norm", "row": 4}, "do not tile"),
    ("norm", ((2, 3),), (2, 3), {"fn": "rms_norm"}, "missing"),
    ("view", ((2, 3),), (7,), {"fn": "reshape"}, "more elements"),
    ("rotary", ((2, 3),), (2, 4), {}, "differ in shape"),
    ("teleport", ((2, 3),), (2, 3), {}, "no model for op kind 'teleport'"),
]


@pytest.mark.parametrize(("kind", "shapes", "out", "attrs", "message"), BAD)
def test_verifier_names_the_op_and_what_is_wrong(
    kind: str, shapes: tuple[tuple[int, ...], ...], out: tuple[int, ...],
    attrs: dict[str, Any], message: str,
) -> None:  # fmt: skip
    b = Builder()
    names = tuple(b.given(f"x{i}", *shape) for i, shape in enumerate(shapes))
    b.op(kind, names, out, name="layer.bad", **attrs)
    with pytest.raises(GraphError) as error:
        verify(b.graph("layer.bad"))
    assert "layer.bad" in str(error.value)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_structure_is_checked() -> None:
    b = Builder()
    b.given("x", 2)
    y = b.op("copy", ("x",), (2,), name="y")
    op = b.ops[0]
    with pytest.raises(GraphError, match="no ops"):
        verify(Graph("empty", {}, (), ()))
    with pytest.raises(GraphError, match="two ops are named"):
        verify(Graph("g", b.tensors, (op, op), (y,)))
    with pytest.raises(GraphError, match="before any op makes it"):
        verify(Graph("g", b.tensors, (Op("z", "copy", ("y",), ("y",)),), (y,)))
    with pytest.raises(GraphError, match="not a tensor"):
        verify(Graph("g", b.tensors, (Op("z", "copy", ("w",), ("y",)),), (y,)))
    with pytest.raises(GraphError, match="already exists"):
        verify(Graph("g", b.tensors, (Op("z", "copy", ("x",), ("x",)),), ("x",)))
    with pytest.raises(GraphError, match="made by no op"):
        verify(Graph("g", b.tensors, (op,), ("nothing",)))


def test_a_cache_may_be_made_by_an_op_and_is_not_there_before_it() -> None:
    b = Builder()
    b.given("new", 1, 2, 1, 4)
    name = b.op("kv_append", ("new",), (1, 2, 1, 4), name="cache")
    b.tensors[name] = Tensor(name, (1, 2, 1, 4), "cache")
    verify(b.graph(name))
    early = Op("early", "copy", (name,), ("early",))
    b.tensors["early"] = Tensor("early", (1, 2, 1, 4))
    with pytest.raises(GraphError, match="before any op makes it"):
        verify(Graph("g", b.tensors, (early, *b.ops), ("early",)))


def test_the_documentation_lists_every_kind_and_rule() -> None:
    text = (ROOT / "docs" / "graphs.md").read_text(encoding="utf-8")
    for name in (*OPS, *(rule.__name__ for rule in RULES)):
        assert f"`{name}`" in text
