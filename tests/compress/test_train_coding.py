"""Fake quantization of training: the codes of the kernels, and a gradient that passes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from accelsim.compress.train.coding import Coding, coded, mask_of, whole_scale
from accelsim.compress.train.lesson import load_model
from accelsim.compress.train.student import coded_model, covered, masks_of
from accelsim.errors import RecipeError
from accelsim.evaluate.benchmarks.fake import fake_quantized
from accelsim.recipe.load import load_recipe
from accelsim.recipe.schema import ActivationFormat, Recipe, WeightFormat
from accelsim_kernels.blocks import BLOCK_FORMATS, dequantize_blocks, quantize_blocks
from accelsim_kernels.quantize import QMAX, dequantize, quantize_weight
from accelsim_kernels.sparse import prune_2to4
from tests.tiny import tokens_of, values


def rows(seed: int = 0, k: int = 96) -> np.ndarray[Any, np.dtype[np.float32]]:
    rng = np.random.default_rng(seed)
    x = (rng.standard_normal((64, k)) * np.exp(3 * rng.standard_normal((64, 1)))).astype(np.float32)
    x[3], x[5, :32], x[7] = 0.0, 0.0, 1e-38
    return x


@pytest.mark.parametrize("scale_format", ["fp32", "fp16", "bf16"])
@pytest.mark.parametrize("group", [0, 32, 40])
@pytest.mark.parametrize("format", QMAX)
def test_rows_are_coded_as_the_kernels_do(format: str, group: int, scale_format: str) -> None:
    x = rows()
    codes, scales = quantize_weight(x, format, group, scale_format)
    size = group or x.shape[1]
    wanted = np.concatenate(
        [
            dequantize(np.ascontiguousarray(codes[:, i * size : (i + 1) * size]), scales[:, i],
                       format)
            for i in range(scales.shape[1])
        ],
        axis=1,
    )  # fmt: skip
    found = coded(torch.from_numpy(x), Coding(format, group, scale_format)).numpy()
    assert np.array_equal(found.view(np.uint32) << 1, wanted.view(np.uint32) << 1)  # but -0


@pytest.mark.parametrize("format", BLOCK_FORMATS)
def test_blocks_are_coded_as_the_kernels_do(format: str) -> None:
    x = rows()
    coding, given = Coding(format), torch.from_numpy(x)
    whole = whole_scale(given, coding)
    made = quantize_blocks(x, format, tensor_scale=whole)
    wanted = dequantize_blocks(*made, format, tensor_scale=whole)
    assert np.array_equal(coded(given, coding, whole).numpy(), wanted)


def test_recipes_spell_blocks_by_codes_and_scales() -> None:
    (rule,) = load_recipe("w4a16_mxfp4").rules
    assert Coding.of_weight(rule.weight) == Coding("mxfp4_e2m1", 32, scale_rule="rceil")
    assert Coding.of_activation(rule.activation) == Coding("bf16")
    (rule,) = load_recipe("w4a16_nvfp4").rules
    assert Coding.of_weight(rule.weight).format == "nvfp4"


@pytest.mark.parametrize("format", ["int4", "fp8_e4m3", "mxfp4_e2m1", "bf16"])
def test_the_gradient_passes(format: str) -> None:
    x = torch.from_numpy(rows()).requires_grad_()
    weight = torch.from_numpy(rows(1))
    (coded(x, Coding(format)) * weight).sum().backward()
    assert torch.equal(x.grad, weight)


def test_masks_are_those_of_the_kernels() -> None:
    w = rows()
    assert np.array_equal(mask_of(torch.from_numpy(w), (2, 4)).numpy(), prune_2to4(w))


@pytest.mark.parametrize("name", ["w8a8_int8", "w4a4_int4_g32", "fp8_e4m3", "w8a8_2to4"])
def test_the_student_computes_what_evaluation_does(name: str) -> None:
    recipe, model = load_recipe(name), load_model(values().folder)
    tokens = torch.from_numpy(tokens_of(2, 40))
    with torch.no_grad(), fake_quantized(model, recipe):
        wanted = model(tokens).logits
    with torch.no_grad(), coded_model(model, recipe, masks_of(model, recipe)):
        found = model(tokens).logits
    assert torch.equal(found, wanted)


def test_formats_that_are_not_trained_in_are_refused() -> None:
    with pytest.raises(RecipeError, match="no training in int32"):
        Coding.of_weight(WeightFormat(format="int32"))
    with pytest.raises(RecipeError, match="one scale per token"):
        Coding.of_activation(ActivationFormat(format="int8", granularity="tensor"))
    recipe = load_recipe("w8a8_int8")
    rule = recipe.rules[0].model_copy(update={"names": ("nothing",)})
    with pytest.raises(RecipeError, match="covers no linear module"):
        covered(load_model(values().folder), recipe.model_copy(update={"rules": (rule,)}))
    with pytest.raises(RecipeError, match="asks for gptq"):
        covered(load_model(values().folder), load_recipe("w4a8_int4_g32_gptq"))
    with pytest.raises(RecipeError, match="asks for rotation"):
        covered(load_model(values().folder), load_recipe("w4a4_int4_g32_rotated"))
    assert not covered(load_model(values().folder), Recipe(schema_version=1, name="none"))
