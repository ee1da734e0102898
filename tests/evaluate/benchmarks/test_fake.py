"""Fake quantization in torch gives the numbers of the kernels' own codes and scales."""

from __future__ import annotations

import numpy as np
import pytest

from accelsim.recipe.load import load_recipe
from accelsim.recipe.schema import ActivationFormat
from accelsim_kernels.quantize import QMAX, absmax, dequantize, quantize, scales
from tests.tiny import plain_recipes, tokens_of, values

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from accelsim.evaluate.benchmarks.fake import can_fake, fake_quantized, fake_rows

pytestmark = pytest.mark.filterwarnings("ignore")


def rows() -> np.ndarray:
    rng = np.random.default_rng(0)
    found = rng.normal(size=(64, 48)) * np.exp(rng.normal(size=(64, 1)) * 12)
    found[3] = 0.0
    found[4] = 1e-42  # below the smallest normal scale
    found[5, 7] = -60_000.0
    return found.astype(np.float32)


@pytest.mark.parametrize("scale_format", ["fp32", "bf16", "fp16"])
@pytest.mark.parametrize("format", sorted(QMAX))
def test_rows_are_those_of_the_kernels(format: str, scale_format: str) -> None:
    x = rows()
    found_scales = scales(absmax(x), format, scale_format)
    wanted = dequantize(quantize(x, found_scales, format), found_scales, format)
    asked = ActivationFormat(format=format, scale_format=scale_format)
    found = fake_rows(torch.from_numpy(x), asked).numpy()
    assert np.array_equal(found, wanted)


@pytest.mark.parametrize("recipe", plain_recipes())
def test_a_module_is_itself_again_afterwards(recipe: str) -> None:
    model = transformers.AutoModelForCausalLM.from_pretrained(
        values().folder, dtype=torch.bfloat16
    ).eval()
    tokens, chosen = torch.from_numpy(tokens_of(1, 12)), load_recipe(recipe)
    assert can_fake(model, chosen)
    with torch.no_grad():
        before = model(tokens).logits
        with fake_quantized(model, chosen):
            inside = model(tokens).logits
        after = model(tokens).logits
    assert torch.equal(before, after)
    assert torch.equal(before, inside) == (recipe == "bf16")
