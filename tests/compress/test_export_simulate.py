"""A folder in codes is what simulate and evaluate take, and it computes with those very codes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the torch extra is not installed")
pytest.importorskip("transformers", reason="the torch extra is not installed")

from accelsim.compress.export.contents import CodedTensor, Content, PlainTensor
from accelsim.compress.export.write import write_checkpoint
from accelsim.errors import RecipeError
from accelsim.evaluate.benchmarks.coded import load_coded, recipe_of
from accelsim.evaluate.live import on_chip
from accelsim.evaluate.model import RunningModel
from accelsim.graph.quantized.coded import CodedWeight
from accelsim.graph.quantized.scheme import ActivationCodes
from accelsim.graph.request import GraphRequest
from accelsim.graph.source import open_model
from accelsim.recipe.load import load_recipe
from accelsim.recipe.schema import ActivationFormat, Recipe, Rule, WeightFormat
from accelsim.recipe.stored import stored_recipe
from accelsim.sim.interpret import StoredModel
from accelsim_kernels.quantize import quantize_weight
from tests.tiny import chip, running, tokens_of, values

#: Recipes that ship, and how their weights and activations lie in a checkpoint.
RECIPES = {
    "w8a8_int8": ("int8", 0, "fp32", ActivationCodes("int8")),
    "w4a8_int4_g32": ("int4", 32, "fp16", ActivationCodes("int8")),
    "fp8_e4m3": ("fp8_e4m3", 0, "fp32", ActivationCodes("fp8_e4m3")),
    "w4a16": ("int4", 32, "fp16", None),
}


def recipe(name: str) -> Recipe:
    if name != "w4a16":
        return load_recipe(name)
    fmt = WeightFormat(format="int4", group=32, scale_format="fp16")
    rule = Rule(exclude=("*lm_head*",), weight=fmt, activation=ActivationFormat(format="bf16"))
    return Recipe(schema_version=1, name=name, rules=(rule,))


@pytest.fixture(scope="module", params=RECIPES)
def written(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped model, rounded to nearest by a recipe, as a checkpoint of compressed-tensors."""
    fmt, group, scale_format, activation = RECIPES[request.param]
    held = values()
    tensors: dict[str, Content] = {}
    for name in held.entries:
        plain = held.read(name)
        if name.endswith("_proj.weight"):
            codes, scales = quantize_weight(plain, fmt, group, scale_format)
            weight = CodedWeight(fmt, codes, scales, scale_format, group)
            tensors[name] = CodedTensor(weight, activation)
        else:
            tensors[name] = PlainTensor(plain)
    config = json.loads((held.folder / "config.json").read_text())
    folder = tmp_path_factory.mktemp("written") / request.param
    return write_checkpoint(folder, tensors.items(), config, source=held.folder)


def test_its_logits_are_those_of_the_recipe(written: Path) -> None:
    """The same codes, whether rounded now or read: the same bits come out."""
    source = open_model(str(written))
    found = stored_recipe(source)
    assert found is not None and source.values is not None
    tokens = tokens_of(1, 24)
    stored = StoredModel(source.values)
    ours = RunningModel(source, stored, found, chip()).logits(tokens)
    model = running("bf16")
    model.recipe = recipe(written.name)
    assert np.array_equal(ours, model.logits(tokens))


def test_torch_on_the_chip_computes_the_same(written: Path) -> None:
    module = load_coded(written, torch.bfloat16).eval()
    found = recipe_of(str(written), None)
    source = open_model(str(written))
    assert source.values is not None
    tokens = tokens_of(1, 24)
    with on_chip(module, found, chip()), torch.no_grad():
        live = module(torch.from_numpy(tokens)).logits.float().numpy()
    interpreted = RunningModel(source, StoredModel(source.values), found, chip()).logits(tokens)
    assert np.array_equal(live, interpreted)


def test_another_recipe_is_not_laid_over_codes(written: Path) -> None:
    source = open_model(str(written))
    assert source.values is not None
    other = load_recipe("w8a8_int8" if written.name == "fp8_e4m3" else "fp8_e4m3")
    stored = StoredModel(source.values)
    with pytest.raises(RecipeError, match=r"the checkpoint holds .*, the recipe says"):
        RunningModel(source, stored, other, chip()).logits(tokens_of(1, 8))
    plain = RunningModel(source, stored, load_recipe("bf16"), chip()).logits(tokens_of(1, 8))
    assert np.isfinite(plain).all()


def test_simulate_takes_the_folder(written: Path) -> None:
    from accelsim import api

    asked = GraphRequest(seq_len=16)
    found = api.simulate("edge_npu", str(written), request=asked)
    wanted = api.simulate("edge_npu", "tiny", recipe(written.name), request=asked)
    assert found.totals["cycles"] == wanted.totals["cycles"]
    assert found.totals["energy_pj"] == wanted.totals["energy_pj"]
    assert [row.formats for row in found.layers] == [row.formats for row in wanted.layers]
