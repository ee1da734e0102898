"""Recipes: what they say, what they cost in bits, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accelsim.errors import RecipeError, UnknownNameError
from accelsim.recipe.load import load_recipe, shipped
from accelsim.recipe.schema import WeightFormat

SHIPPED = (
    "bf16", "fp8_e4m3", "w4a16_mxfp4", "w4a16_nvfp4", "w4a4_int4_g32", "w4a4_int4_g32_rotated",
    "w4a8_int4_g32", "w4a8_int4_g32_gptq", "w8a8_2to4", "w8a8_int8", "w8a8_int8_smoothquant",
)  # fmt: skip


def test_shipped_recipes_are_named_after_their_files() -> None:
    assert shipped() == SHIPPED
    for name in SHIPPED:
        recipe = load_recipe(name)
        assert recipe.name == name
        assert recipe.description


@given(st.integers(1, 500), st.integers(1, 500))
def test_metadata_bits_by_hand(channels: int, k: int) -> None:
    assert WeightFormat(format="int8").metadata_bits(channels, k) == channels * 32
    grouped = WeightFormat(format="int4", group=32, scale_format="fp16")
    assert grouped.metadata_bits(channels, k) == channels * -(-k // 32) * 16
    assert WeightFormat(format="bf16").metadata_bits(channels, k) == 0


def test_two_of_four_stores_two_index_bits_per_kept_value() -> None:
    sparse = WeightFormat(format="int8", sparsity="2:4")
    assert sparse.density == 0.5
    assert sparse.metadata_bits(16, 64) == 16 * 32 + 16 * 32 * 2


def test_rules_match_by_kind_and_name() -> None:
    recipe = load_recipe("w8a8_int8")
    assert recipe.rule_for("matmul", "model.layers.0.mlp.up_proj.linear") is not None
    assert recipe.rule_for("matmul", "lm_head.linear") is None
    conv = recipe.rule_for("conv2d", "layer.0.conv2d")
    assert conv is not None
    assert conv.activation.granularity == "tensor"
    assert recipe.rule_for("attention", "anything") is None


def test_unknown_recipe_names_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'w8a8_2to4'"):
        load_recipe("w8a8_2t4")


BAD = {
    "rules: [": "not YAML",
    "- 1": "a mapping of keys is needed",
    "schema_version: 1\nname: x\nstorrage: bf16\n": "storrage",
    "schema_version: 1\nname: x\nrules:\n- {weight: {format: int9}, activation: {format: int8}}\n":
        "unknown number format 'int9'",
    "schema_version: 1\nname: x\nrules:\n- {ops: [conv2d], weight: {format: int8}, "
    "activation: {format: int8}}\n": "a conv2d has no tokens",
}  # fmt: skip


@pytest.mark.parametrize("text", BAD)
def test_mistakes_of_a_file_are_told(tmp_path: Path, text: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(RecipeError) as caught:
        load_recipe(str(path))
    assert BAD[text] in str(caught.value)
    assert "bad.yaml" in str(caught.value)


def test_a_missing_or_binary_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="no such file"):
        load_recipe(str(tmp_path / "none.yaml"))
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RecipeError, match="not text in UTF-8"):
        load_recipe(str(tmp_path / "binary.yaml"))
