"""Annotated graphs: formats, inserted conversions, and what stays as it was."""

from __future__ import annotations

from pathlib import Path

import pytest

from accelsim.errors import RecipeError
from accelsim.graph.ir import Attr, Graph, Op, Tensor
from accelsim.graph.ops import vector_work, verify
from accelsim.graph.request import GraphRequest
from accelsim.graph.zoo import load
from accelsim.recipe.annotate import annotate
from accelsim.recipe.load import load_recipe, shipped
from accelsim.recipe.schema import Recipe


def two_readers() -> Graph:
    """x feeds two linear layers; the first one's result feeds lm_head."""
    tensors = [
        Tensor("x", (6, 64), "input", "fp32"),
        Tensor("a.weight", (32, 64), "weight", "fp32"),
        Tensor("b.weight", (32, 64), "weight", "fp32"),
        Tensor("lm_head.weight", (10, 32), "weight", "fp32"),
        Tensor("a", (6, 32), format="fp32"),
        Tensor("b", (6, 32), format="fp32"),
        Tensor("logits", (6, 10), format="fp32"),
    ]
    ops = (
        Op("a", "matmul", ("x", "a.weight"), ("a",)),
        Op("b", "matmul", ("x", "b.weight"), ("b",)),
        Op("lm_head", "matmul", ("a", "lm_head.weight"), ("logits",)),
    )
    return verify(Graph("two", {t.name: t for t in tensors}, ops, ("b", "logits")))


def test_bf16_changes_formats_alone() -> None:
    graph = two_readers()
    found = annotate(graph, load_recipe("bf16"))
    assert found.ops == graph.ops
    assert {t.format for t in found.tensors.values()} == {"bf16"}


def test_int8_inserts_conversions_once_per_tensor() -> None:
    found = annotate(two_readers(), load_recipe("w8a8_int8"))
    kinds = [op.kind for op in found.ops]
    assert kinds == [
        "absmax", "quantize", "matmul", "rescale", "matmul", "rescale", "matmul",
    ]  # fmt: skip
    x = found.tensors["x.int8"]
    assert (x.format, x.metadata_bits) == ("int8", 6 * 32)
    weight = found.tensors["a.weight"]
    assert (weight.format, weight.bits) == ("int8", 8 * 32 * 64 + 32 * 32)
    assert found.tensors["a.sums"].format == "int32"
    # The head is excluded and stays in the storage format.
    assert found.tensors["lm_head.weight"].format == "bf16"


def test_two_of_four_keeps_half_of_the_codes() -> None:
    weight = annotate(two_readers(), load_recipe("w8a8_2to4")).tensors["a.weight"]
    assert weight.bits == 8 * 32 * 32 + (32 * 32 + 2 * 32 * 32)


def test_a_table_that_others_read_keeps_its_own_copy() -> None:
    tensors = [
        Tensor("tokens", (6,), "input", "int64"),
        Tensor("table", (50, 32), "weight"),
        Tensor("x", (6, 32)),
        Tensor("y", (6, 50)),
    ]
    ops = (
        Op("embed", "gather", ("table", "tokens"), ("x",)),
        Op("tied", "matmul", ("x", "table"), ("y",)),
    )
    graph = verify(Graph("tied", {t.name: t for t in tensors}, ops, ("y",)))
    found = annotate(graph, load_recipe("w8a8_int8"))
    assert found.tensors["table"].format == "bf16"
    assert found.tensors["table.int8"].format == "int8"


@pytest.mark.parametrize("recipe", shipped())
@pytest.mark.parametrize("model", ["llama-3-8b", "bert-base", "resnet-50", "vit-b-16"])
def test_every_recipe_fits_every_shipped_model(model: str, recipe: str) -> None:
    graph = load(model).graph(GraphRequest(seq_len=32))
    found = annotate(graph, load_recipe(recipe))
    originals = [op.name for op in graph.ops]
    assert [op.name for op in found.ops if op.name in set(originals)] == originals
    weights = [found.tensors[op.inputs[1]] for op in found.ops if op.kind in ("matmul", "conv2d")]
    widest = max(t.bits / t.numel for t in weights)
    assert widest <= 16


def test_experts_are_compressed_as_matrix_products() -> None:
    tensors = [
        Tensor("x", (8, 64), "input"),
        Tensor("experts.weight", (4, 32, 64), "weight"),
        Tensor("y", (8, 32)),
    ]
    attrs: dict[str, Attr] = {"experts": 4, "top_k": 2}
    op = Op("experts", "grouped_matmul", ("x", "experts.weight"), ("y",), attrs)
    graph = verify(Graph("experts", {t.name: t for t in tensors}, (op,), ("y",)))
    found = annotate(graph, load_recipe("w8a8_int8")).tensors["experts.weight"]
    assert (found.format, found.metadata_bits) == ("int8", 4 * 32 * 32)


def recipe(tmp_path: Path, text: str) -> Recipe:
    path = tmp_path / "mine.yaml"
    path.write_text(f"schema_version: 1\nname: mine\nrules:\n{text}", encoding="utf-8")
    return load_recipe(str(path))


def test_a_pattern_that_matches_nothing_is_an_error_with_near_misses(tmp_path: Path) -> None:
    found = recipe(
        tmp_path, "- {names: [a, lm_hed], weight: {format: int8}, activation: {format: int8}}\n"
    )
    with pytest.raises(RecipeError, match=r"rules.0.names: 'lm_hed' matches no op.*lm_head"):
        annotate(two_readers(), found)


def test_weights_alone_pay_for_their_scales(tmp_path: Path) -> None:
    found = recipe(tmp_path, "- {weight: {format: int4, group: 32}, activation: {format: bf16}}\n")
    graph = annotate(two_readers(), found)
    assert [op.kind for op in graph.ops] == ["matmul"] * 3
    assert {(op.attrs["group"], op.attrs["widened"]) for op in graph.ops} == {(32, "bf16")}
    for op in graph.ops:
        count = graph.tensors[op.inputs[1]].numel
        assert vector_work(graph, op) == {"convert": count, "mul": count}
