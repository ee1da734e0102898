"""The recorder on small torch modules."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import pytest

torch = pytest.importorskip("torch")

import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from accelsim.graph.ops import access, macs
from accelsim.graph.record import record_module
from tests.graph.torch_builder import meta, only, record


def test_linear_carries_names_roles_and_formats() -> None:
    with torch.device("meta"):
        module = nn.Sequential(nn.Linear(3, 7), nn.ReLU(), nn.Linear(7, 2, bias=False)).half()
    graph = record_module(module, (meta(5, 3, dtype=torch.float16),), name="mlp")
    assert [op.name for op in graph.ops] == ["0.linear", "1.relu", "2.linear"]
    assert graph.ops[0].inputs == ("input_0", "0.weight", "0.bias")
    assert [op.module for op in graph.ops] == ["0", "1", "2"]
    assert graph.tensors["0.weight"].role == "weight"
    assert graph.tensors["input_0"].role == "input"
    assert {t.format for t in graph.tensors.values()} == {"fp16"}
    assert graph.outputs == ("2.linear",)
    assert sum(macs(graph, op) for op in graph.ops) == 5 * (3 * 7 + 7 * 2)


@settings(max_examples=30)
@given(
    size=st.integers(5, 12), kernel=st.sampled_from([1, 2, 3, 5]), stride=st.integers(1, 3),
    padding=st.integers(0, 2), dilation=st.integers(1, 2), depthwise=st.booleans(),
)  # fmt: skip
def test_convolutions_have_the_shape_that_torch_gives(
    size: int, kernel: int, stride: int, padding: int, dilation: int, depthwise: bool
) -> None:
    if size + 2 * padding < dilation * (kernel - 1) + 1:
        return
    groups = 4 if depthwise else 1
    with torch.device("meta"):
        module = nn.Conv2d(
            4, 8, kernel, stride, padding, dilation, groups=groups, dtype=torch.bfloat16
        )
    graph = record_module(module, (meta(2, 4, size, size),))
    op = only(graph)
    out = graph.outs(op)[0].shape
    assert macs(graph, op) == math.prod(out) * (4 // groups) * kernel * kernel


def test_padding_same() -> None:
    with torch.device("meta"):
        module = nn.Conv2d(1, 1, 3, padding="same", dtype=torch.bfloat16)
    assert only(record_module(module, (meta(1, 1, 8, 8),))).attrs["padding_h"] == 1


def test_norm_modules_are_one_op() -> None:
    class MyRMSNorm(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(meta(8))
            self.eps = 1e-6

        def forward(self, x: Any) -> Any:
            wide = x.float()
            return self.weight * (wide * torch.rsqrt(wide.pow(2).mean(-1, True) + 1e-6)).to(x)

    graph = record_module(nn.Sequential(MyRMSNorm()), (meta(3, 8),))
    assert only(graph).name == "0.rms_norm"
    assert only(graph).attrs == {"fn": "rms_norm", "row": 8, "eps": 1e-6}
    with torch.device("meta"):
        module = nn.GroupNorm(2, 8, dtype=torch.bfloat16)
    assert only(record_module(module, (meta(3, 8, 5, 5),))).attrs["row"] == 4 * 25
    with torch.device("meta"):
        module = nn.BatchNorm2d(8, dtype=torch.bfloat16)
    graph = record_module(module, (meta(3, 8, 5, 5),))
    assert [graph.tensors[name].role for name in only(graph).inputs] == [
        "input", "weight", "weight", "constant", "constant",
    ]  # fmt: skip
    assert module.training


def test_in_place_ops_make_new_values_and_reach_views() -> None:
    def mutate(m: Any, x: Any) -> Any:
        y = x * 2.0
        top = y[0]
        y.add_(1.0)
        top.relu_()
        return y, top

    graph = record(mutate, meta(4, 8))
    made = {op.name: op for op in graph.ops}
    assert [op.kind for op in graph.ops].count("activation") == 1
    total, top = graph.outputs
    assert made[total].inputs[1] == top, "the whole is read after its part was changed"
    assert graph.tensors[top].shape == (8,)
    assert graph.tensors[total].shape == (4, 8)


def test_assignment_writes_its_part() -> None:
    def assign(m: Any, x: Any, new: Any) -> Any:
        y = x.clone()
        y[:, 2:4] = new
        y[0] = 0.0
        return y

    graph = record(assign, meta(6, 8), meta(6, 2))
    copy = next(op for op in graph.ops if op.attrs.get("update") and op.kind == "copy")
    fill = next(op for op in graph.ops if op.kind == "fill")
    assert sum(access(graph, copy).written.values()) == 12 * 16
    assert sum(access(graph, fill).written.values()) == 8 * 16


def test_views_are_free_and_copies_are_not() -> None:
    def layout(m: Any, x: Any, y: Any) -> Any:
        a, b = x.reshape(2, 3, 8).transpose(0, 1).split(4, dim=-1)
        return a[None], b[..., -1], x.T.contiguous(), torch.cat([x, y]), y.expand(6, 6, 8)

    graph = record(layout, meta(6, 8), meta(6, 8))
    kinds = [(op.kind, op.attrs["fn"]) for op in graph.ops]
    assert [kind for kind in kinds if kind[0] == "copy"] == [("copy", "reshape"), ("copy", "cat")]
    last = next(op for op in graph.ops if op.attrs.get("fn") == "slice")
    assert last.attrs == {"fn": "slice", "start_2": 3, "size_2": 1}
    permuted = next(op for op in graph.ops if op.attrs.get("fn") == "permute")
    assert permuted.attrs["perm"] == "1,0,2"


def test_scalars_are_attributes() -> None:
    graph = record(lambda m, x: 1.0 - (x * 3) ** 2, meta(4))
    assert [dict(op.attrs) for op in graph.ops] == [
        {"fn": "mul", "scalar": 3},
        {"fn": "square"},
        {"fn": "sub", "scalar": 1.0, "scalar_first": True},
    ]


def test_casts() -> None:
    graph = record(lambda m, x: x.float().to(torch.float32).bfloat16(), meta(4))
    assert [op.attrs["fn"] for op in graph.ops] == ["cast", "cast"]
    assert [graph.outs(op)[0].format for op in graph.ops] == ["fp32", "bf16"]


def test_tied_weights_are_one_tensor() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed = nn.Embedding(10, 4, device="meta")
            self.head = nn.Linear(4, 10, bias=False, device="meta")
            self.head.weight = self.embed.weight

        def forward(self, ids: Any) -> Any:
            return self.head(self.embed(ids))

    graph = record_module(Tied(), (meta(3, dtype=torch.int64),))
    assert [t.name for t in graph.tensors.values() if t.role == "weight"] == ["embed.weight"]


def test_a_product_with_a_parameter_is_a_matmul() -> None:
    weight = meta(8, 5)
    for function in (
        lambda m, x: x @ m.w,
        lambda m, x: torch.addmm(m.b, x, m.w),
        lambda m, x: torch.einsum("rk,kn->rn", x, m.w),
    ):
        graph = record(function, meta(3, 8), w=weight, b=meta(5))
        op = next(op for op in graph.ops if op.kind != "view")
        assert (op.kind, op.attrs) == ("matmul", {"weight_is_kn": True})
        assert macs(graph, op) == 3 * 8 * 5


def test_einsum_of_activations() -> None:
    graph = record(
        lambda m, a, b: torch.einsum("bhqd,bkhd->bhqk", a, b), meta(2, 3, 4, 8), meta(2, 5, 3, 8)
    )
    op = next(op for op in graph.ops if op.kind == "batched_matmul")
    assert macs(graph, op) == 2 * 3 * 4 * 5 * 8


@settings(max_examples=25, deadline=None)
@given(
    widths=st.lists(st.integers(1, 16), min_size=2, max_size=5), rows=st.integers(1, 9),
    gated=st.booleans(),
)  # fmt: skip
def test_stacks_of_layers(widths: list[int], rows: int, gated: bool) -> None:
    class Layer(nn.Module):
        def __init__(self, k: int, n: int) -> None:
            super().__init__()
            self.up = nn.Linear(k, n, device="meta")
            self.gate = nn.Linear(k, n, device="meta") if gated else None

        def forward(self, x: Any) -> Any:
            y = self.up(x)
            return y if self.gate is None else F.silu(self.gate(x)) * y

    module = nn.Sequential(*(Layer(k, n) for k, n in pairwise(widths)))
    graph = record_module(module, (torch.empty(rows, widths[0], device="meta"),))
    products = sum(k * n for k, n in pairwise(widths))
    assert sum(macs(graph, op) for op in graph.ops) == rows * products * (2 if gated else 1)
    assert sum(op.attrs.get("fn") == "gated_silu" for op in graph.ops) == gated * (len(widths) - 1)
    shapes = {n: tuple(w.shape) for n, w in module.named_parameters()}
    assert shapes == {n: t.shape for n, t in graph.tensors.items() if t.role == "weight"}
