"""Values of a graph: right numbers, the same bits however a run is cut, and clear refusals."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from accelsim.errors import AccelsimError, CheckpointError, InputError, RecipeError, RunError
from accelsim.evaluate.model import RunningModel
from accelsim.graph.ir import Graph, Op, Tensor
from accelsim.graph.request import GraphRequest
from accelsim.graph.zoo import load
from accelsim.recipe.annotate import annotate
from accelsim.recipe.load import load_recipe
from accelsim.recipe.schema import Recipe
from accelsim.sim.bindings import sums
from accelsim.sim.interpret import Interpreter, StoredModel
from accelsim.sim.numerics import reference
from accelsim_kernels import integer
from tests.tiny import chip, plain_recipes, running, tokens_of, values

RECIPES = plain_recipes()
#: Beginnings of digests of 64 tokens' logits. Both NPUs have the same: their arrays add up alike,
#: and 64 lanes and more fold a row of 128 in the same order.
DIGESTS = {
    "bf16": "9ef00946d6db",
    "fp8_e4m3": "928b649692d7",
    "w4a16_mxfp4": "011161c8a1d0",
    "w4a16_nvfp4": "3d2f71f452f4",
    "w4a4_int4_g32": "3b6fffe774fa",
    "w4a8_int4_g32": "a05386088798",
    "w8a8_2to4": "711e6e1ec4e7",
    "w8a8_int8": "3d2c77ab430f",
}


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_shipped_recipe_runs_on_tiny(recipe: str) -> None:
    logits = running(recipe).logits(tokens_of(2, 24))
    assert logits.shape == (2, 24, 384)
    assert np.isfinite(logits).all()


@pytest.mark.parametrize("recipe", RECIPES)
def test_bits_do_not_depend_on_the_batch(recipe: str) -> None:
    model, tokens = running(recipe), tokens_of(5, 17)
    together = model.logits(tokens)
    for row in range(5):
        assert np.array_equal(model.logits(tokens[row : row + 1])[0], together[row])


@pytest.mark.parametrize("recipe", ["w8a8_int8", "w4a8_int4_g32", "fp8_e4m3"])
def test_bits_do_not_depend_on_threads(recipe: str, monkeypatch: pytest.MonkeyPatch) -> None:
    tokens, found = tokens_of(8, 40), []
    for threads in ("1", "2", "3"):
        monkeypatch.setenv("ACCELSIM_THREADS", threads)
        found.append(running(recipe).logits(tokens))
    assert np.array_equal(found[0], found[1])
    assert np.array_equal(found[0], found[2])


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_decode_step_has_the_bits_of_the_prefill(recipe: str) -> None:
    model, tokens = running(recipe), tokens_of(3, 20)
    whole = model.logits(tokens)
    _, graph = model.graphs(GraphRequest("decode", 3, context_len=19))
    step = Interpreter(graph, model.stored, model.chip).run(
        {"input_ids": tokens[:, -1:], **model.caches(tokens[:, :-1])}
    )
    assert np.array_equal(step[graph.outputs[0]][:, 0], whole[:, -1])


def test_later_tokens_do_not_change_earlier_ones() -> None:
    model, tokens = running("w8a8_int8"), tokens_of(1, 30)
    changed = tokens.copy()
    changed[0, 20:] = 7
    assert np.array_equal(model.logits(tokens)[0, :20], model.logits(changed)[0, :20])


def test_the_reference_is_what_torch_computes_in_fp32() -> None:
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    tokens = tokens_of(2, 64)
    model = transformers.AutoModelForCausalLM.from_pretrained(values().folder, dtype=torch.float32)
    with torch.no_grad():
        wanted = model(torch.from_numpy(tokens)).logits.numpy()
    found = RunningModel.reference(load("tiny"), StoredModel(values())).logits(tokens)
    assert np.abs(found - wanted).max() < 2e-4 * np.abs(wanted).max()


def _product(weights: Mapping[str, npt.NDArray[np.float32]], x: npt.NDArray[np.float32]) -> object:
    class Given:
        def read(self, name: str) -> npt.NDArray[np.float32]:
            return weights[name]

    (n, k), rows = weights["w"].shape, x.shape[0]
    graph = Graph(
        "one",
        {
            "x": Tensor("x", (rows, k), "input"),
            "w": Tensor("w", (n, k), "weight"),
            "y": Tensor("y", (rows, n)),
        },
        (Op("layer.linear", "matmul", ("x", "w"), ("y",)),),
        ("y",),
    )
    annotated = annotate(graph, load_recipe("w8a8_int8"))
    return Interpreter(annotated, StoredModel(Given()), chip()).run({"x": x})["y"]


def test_an_op_that_leaves_its_format_is_named() -> None:
    weight = np.full((4, 8), 3e38, np.float32)
    with pytest.raises(RunError, match=r"layer\.linear.*NaN or infinite"):
        _product({"w": weight}, np.full((2, 8), 3e38, np.float32))


def test_inputs_that_do_not_fit_are_named() -> None:
    model = running("bf16")
    _, graph = model.graphs(GraphRequest("prefill", 1, 8, logits="all"))
    interpreter = Interpreter(graph, model.stored, model.chip)
    with pytest.raises(InputError, match=r"input 'input_ids' is \[1, 9\].*\[1, 8\]"):
        interpreter.run({"input_ids": tokens_of(1, 9)})
    with pytest.raises(InputError, match="no values for the input 'input_ids'"):
        interpreter.run({})
    with pytest.raises(InputError, match=r"embedding: index 384 into a table of 384 rows"):
        interpreter.run({"input_ids": np.full((1, 8), 384)})


def test_an_op_without_a_kernel_is_named() -> None:
    graph = load("resnet-50").graph(GraphRequest())
    with pytest.raises(AccelsimError, match=r"no kernel for op kind 'conv2d'"):
        Interpreter(graph, StoredModel(_Zeros(graph)), reference()).run(
            {"pixel_values": np.zeros((1, 3, 224, 224), np.float32)}
        )


class _Zeros:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph

    def read(self, name: str) -> npt.NDArray[np.float32]:
        return np.zeros(self.graph.tensors[name].shape, np.float32)


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        ({"format": "int8", "group": 32}, "scales in groups are built for dense int4"),
        ({"format": "fp8_e4m3", "group": 32}, "no kernel for fp8_e4m3 weights in groups"),
    ],
)
def test_layouts_without_a_kernel_are_refused(weight: dict[str, object], message: str) -> None:
    activation = {"format": "int8" if weight["format"] == "int8" else "fp8_e4m3"}
    rule = {"weight": weight, "activation": activation}
    recipe = Recipe.model_validate({"schema_version": 1, "name": "odd", "rules": [rule]})
    model = RunningModel(load("tiny"), StoredModel(values()), recipe, chip())
    with pytest.raises(RecipeError, match=message):
        model.logits(tokens_of(1, 4))


def test_constants_without_values_are_named() -> None:
    with pytest.raises(CheckpointError, match=r"no values for constant .*inv_freq"):
        replace(values(), constants={}).check(load("tiny").graph(GraphRequest()))


def digest(recipe: str, arch: str) -> str:
    logits = running(recipe, arch).logits(tokens_of(1, 64))
    return hashlib.sha256(logits.tobytes()).hexdigest()[:12]


@pytest.mark.parametrize("arch", ["edge_npu", "cloud_npu"])
@pytest.mark.parametrize("recipe", RECIPES)
def test_the_bits_of_a_chip_are_known(recipe: str, arch: str) -> None:
    """Any change of a kernel, a format or a rule shows here."""
    assert digest(recipe, arch) == DIGESTS[recipe]


def test_a_planted_wrong_bit_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    right = integer.matmul_int8

    def wrong(*operands: Any) -> Any:
        found = right(*operands)
        found[0, 0] ^= 1 << 12
        return found

    monkeypatch.setattr(sums, "matmul_int8", wrong)
    with pytest.raises(AssertionError):
        test_the_bits_of_a_chip_are_known("w8a8_int8", "edge_npu")
