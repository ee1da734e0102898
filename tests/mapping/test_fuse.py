"""Fusion rules on small graphs, one by one, and what must not fuse."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from accelsim.graph.ir import Graph, Op, Role, Tensor
from accelsim.graph.ops import kind_of, verify
from accelsim.graph.request import GraphRequest
from accelsim.graph.zoo import load
from accelsim.mapping.fuse import RULES, fuse, roots
from accelsim.recipe.annotate import annotate
from accelsim.recipe.load import load_recipe


def graph(ops: list[Op], shapes: Mapping[str, tuple[int, ...]], outputs: tuple[str, ...]) -> Graph:
    made = {name for op in ops for name in op.outputs}
    tensors = {}
    for name, shape in shapes.items():
        role: Role = "activation" if name in made else "weight" if name.startswith("w") else "input"
        tensors[name] = Tensor(name, shape, role)
    return verify(Graph("test", tensors, tuple(ops), outputs))


LINEAR = Op("linear", "matmul", ("x", "w"), ("y",))
SHAPES = {"x": (4, 8), "w": (16, 8), "y": (4, 16), "z": (4, 16), "r": (4, 16)}


def test_an_activation_joins_its_product_and_the_intermediate_stays_on_chip() -> None:
    relu = Op("relu", "activation", ("y",), ("z",), {"fn": "relu"})
    shapes = {k: SHAPES[k] for k in "xwyz"}
    (group,) = fuse(graph([LINEAR, relu], shapes, ("z",)))
    assert group.rules == ("epilogue",)
    assert set(group.reads) == {"x", "w"}
    assert set(group.writes) == {"z"}


def test_an_intermediate_that_others_read_is_stored_too() -> None:
    relu = Op("relu", "activation", ("y",), ("z",), {"fn": "relu"})
    shapes = {k: SHAPES[k] for k in "xwyz"}
    (group,) = fuse(graph([LINEAR, relu], shapes, ("y", "z")))
    assert set(group.writes) == {"y", "z"}


def test_a_residual_is_read_by_the_product_that_adds_it() -> None:
    add = Op("add", "elementwise", ("r", "y"), ("z",), {"fn": "add"})
    (group,) = fuse(graph([LINEAR, add], SHAPES, ("z",)))
    assert group.rules == ("residual",)
    assert group.reads["r"] == 4 * 16 * 16


def test_the_newer_of_two_producers_takes_the_op() -> None:
    other = Op("other", "matmul", ("x", "w2"), ("v",))
    gate = Op("gate", "elementwise", ("y", "v"), ("z",), {"fn": "gated_silu"})
    shapes = {**{k: SHAPES[k] for k in "xwyz"}, "w2": (16, 8), "v": (4, 16)}
    first, second = fuse(graph([LINEAR, other, gate], shapes, ("z",)))
    assert (first.rules, second.rules) == ((), ("gated_activation",))
    assert set(second.reads) == {"x", "w2", "y"}


def test_whole_rows_do_not_join_a_product() -> None:
    norm = Op("norm", "norm", ("y",), ("z",), {"fn": "rms_norm", "row": 16})
    absmax = Op("absmax", "absmax", ("z",), ("s",))
    quantize = Op("quantize", "quantize", ("z", "s"), ("q",))
    shapes = {**{k: SHAPES[k] for k in "xwyz"}, "s": (4, 1), "q": (4, 16)}
    first, second = fuse(graph([LINEAR, norm, absmax, quantize], shapes, ("q",)))
    assert [op.name for op in first.ops] == ["linear"]
    assert second.rules == ("row_statistic", "quantize_on_write")
    assert set(second.writes) == {"q"}


def test_another_size_does_not_join() -> None:
    shapes = {"x": (4, 8), "w": (16, 8), "y": (4, 16), "r": (3, 4, 16), "z": (3, 4, 16)}
    add = Op("add", "elementwise", ("y", "r"), ("z",), {"fn": "add"})
    assert len(fuse(graph([LINEAR, add], shapes, ("z",)))) == 2


def test_views_share_the_bytes_of_their_root() -> None:
    view = Op("view", "view", ("y",), ("v",))
    shapes = {**{k: SHAPES[k] for k in "xwy"}, "v": (64,)}
    found = graph([LINEAR, view], shapes, ("v",))
    assert roots(found)["v"] == "y"
    (group,) = fuse(found)
    assert set(group.writes) == {"y"}


def test_a_cache_write_replaces_the_store_of_what_it_appends() -> None:
    append = Op("append", "kv_append", ("v", "c"), ("k",))
    view = Op("view", "view", ("y",), ("v",))
    shapes = {"x": (4, 8), "w": (16, 8), "y": (4, 16), "v": (1, 2, 4, 8), "c": (1, 2, 9, 8),
              "k": (1, 2, 13, 8)}  # fmt: skip
    (group,) = fuse(graph([LINEAR, view, append], shapes, ("k",)))
    assert group.rules == ("cache_write",)
    assert group.writes == {"k": 4 * 16 * 16}


@pytest.mark.parametrize("recipe", ["bf16", "w8a8_int8", "w8a8_2to4"])
@pytest.mark.parametrize("model", ["llama-3-8b", "bert-base", "resnet-50", "vit-b-16"])
def test_every_op_is_in_one_group_and_every_input_is_made_before(model: str, recipe: str) -> None:
    found = annotate(load(model).graph(GraphRequest(seq_len=16)), load_recipe(recipe))
    groups = fuse(found)
    placed = [op.name for group in groups for op in group.ops]
    assert sorted(placed) == sorted(op.name for op in found.ops if kind_of(op).engine != "free")
    root = roots(found)
    stored = {n for n, t in found.tensors.items() if t.role != "activation"}
    for group in groups:
        assert {root[name] for name in group.reads} <= stored, group.anchor.name
        stored |= set(group.writes)
    assert {root[name] for name in found.outputs} <= stored


def test_rules_have_one_name_each() -> None:
    assert len({rule.name for rule in RULES}) == len(RULES)
    assert [rule.name for rule in RULES if not rule.rounds] == ["rescale"]
