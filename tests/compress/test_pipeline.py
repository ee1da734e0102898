"""A whole model through the methods: what is kept, what resumes, what is refused."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from accelsim.api import simulate
from accelsim.compress.calibration import windows
from accelsim.compress.edits import EditedValues, Scale
from accelsim.compress.folder import compress_into, partial_of
from accelsim.compress.pipeline import Compressed, compress_model
from accelsim.compress.shelf import FolderShelf, MemoryShelf
from accelsim.errors import CheckpointError, InputError, OutputError, RecipeError
from accelsim.evaluate.model import FP32, RunningModel
from accelsim.graph.model import ModelSource
from accelsim.graph.ops import vector_work
from accelsim.graph.request import GraphRequest
from accelsim.graph.zoo import load
from accelsim.recipe.annotate import annotate
from accelsim.recipe.load import load_recipe
from accelsim.recipe.methods import Calibration, Rotation
from accelsim.recipe.schema import ActivationFormat, Recipe, Rule, WeightFormat
from accelsim.sim.interpret import StoredModel
from accelsim.sim.numerics import numerics_of, reference
from accelsim.sim.simulate import Simulator
from accelsim.spec.load import load_arch
from tests.tiny import encoder, tokens_of, values

SMALL = Calibration(samples=8, seq_len=48)
INT8, INT4 = {"format": "int8"}, {"format": "int4", "group": 32, "scale_format": "fp16"}


def recipe(weight: dict[str, Any], activation: str, method: Any = (), **more: Any) -> Recipe:
    rule = Rule(
        exclude=("*lm_head*",), weight=WeightFormat(**weight),
        activation=ActivationFormat(format=activation), method=method,
    )  # fmt: skip
    return Recipe(schema_version=1, name="test", rules=(rule,), **{"calibration": SMALL, **more})


def compressed(wanted: Recipe, source: ModelSource | None = None) -> Compressed:
    return compress_model(source or load("tiny"), wanted, MemoryShelf())


def logits(made: Compressed, tokens: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    chip = numerics_of(load_arch("edge_npu"), ideal=True)
    model = RunningModel(made.source, StoredModel(made.weights), made.recipe, chip)
    return model.logits(tokens).astype(np.float64)


@cache
def truth() -> npt.NDArray[np.float64]:
    found = RunningModel.reference(load("tiny"), StoredModel(values()))
    return found.logits(tokens_of(4, 64)).astype(np.float64)


def loss(made: Compressed) -> float:
    """Return the KL divergence of the checkpoint's predictions to the compressed model's."""
    return divergence(truth(), logits(made, tokens_of(4, 64)))


def divergence(wanted: npt.NDArray[np.float64], found: npt.NDArray[np.float64]) -> float:
    p, q = _log_softmax(wanted), _log_softmax(found)
    return float((np.exp(p) * (p - q)).sum(-1).mean())


def _log_softmax(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    moved = x - x.max(-1, keepdims=True)
    return np.asarray(moved - np.log(np.exp(moved).sum(-1, keepdims=True)))


def test_rtn_is_what_a_recipe_without_methods_gives() -> None:
    wanted = recipe(INT4, "int8")
    chip = numerics_of(load_arch("edge_npu"), ideal=True)
    plain = RunningModel(load("tiny"), StoredModel(values()), wanted, chip)
    tokens = tokens_of(2, 32)
    np.testing.assert_array_equal(logits(compressed(wanted), tokens), plain.logits(tokens))


def test_gptq_loses_less_than_rtn() -> None:
    assert loss(compressed(recipe(INT4, "int8", "gptq"))) < loss(compressed(recipe(INT4, "int8")))


def test_sparsegpt_loses_less_than_magnitude() -> None:
    pruned = {"format": "int8", "sparsity": "2:4"}
    found = [loss(compressed(recipe(pruned, "int8", name))) for name in ("sparsegpt", "magnitude")]
    assert found[0] < found[1]


def outlying(factor: float = 1000.0, every: int = 16) -> ModelSource:
    """Return tiny with a few channels scaled up in norms and down in what reads them."""
    changed = EditedValues(values())
    scale = np.ones(128)
    scale[::every] = factor
    for layer in range(4):
        head = f"model.layers.{layer}"
        changed.add(f"{head}.input_layernorm.weight", Scale(0, scale))
        changed.add(f"{head}.post_attention_layernorm.weight", Scale(0, scale))
        for name in ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "mlp.gate_proj",
                     "mlp.up_proj"):  # fmt: skip
            changed.add(f"{head}.{name}.weight", Scale(1, 1 / scale))
    return replace(load("tiny"), values=_Planted(changed))  # type: ignore[arg-type]


class _Planted:
    """The values of tiny with changes."""

    def __init__(self, changed: EditedValues) -> None:
        self._changed, self._base = changed, values()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._base, name)

    def read(self, name: str) -> npt.NDArray[np.float32]:
        return self._changed.read(name)


def test_planted_outliers_leave_the_model_as_it_was() -> None:
    source = outlying()
    assert source.values is not None
    model = RunningModel(source, StoredModel(source.values), FP32, reference())
    found = model.logits(tokens_of(4, 64)).astype(np.float64)
    assert divergence(truth(), found) < 1e-9


def test_smoothquant_recovers_from_planted_outliers() -> None:
    source = outlying()
    lost = loss(compressed(recipe(INT8, "int8"), source))
    kept = loss(compressed(recipe(INT8, "int8", "smoothquant"), source))
    assert lost > 0.05
    assert kept < 0.05 * lost


def test_four_bits_with_planted_outliers() -> None:
    source = outlying(30.0)
    plain = loss(compressed(recipe(INT4, "int8"), source))
    for method in ("gptq", {"name": "awq", "grid": 6}):
        assert loss(compressed(recipe(INT4, "int8", method), source)) < plain


def test_smoothquant_leaves_the_function_as_it_is() -> None:
    made = compressed(recipe(INT8, "int8", "smoothquant"))
    model = RunningModel(made.source, StoredModel(made.values), FP32, reference())
    found = model.logits(tokens_of(4, 64)).astype(np.float64)
    assert divergence(truth(), found) < 1e-9
    assert "model.layers.0.input_layernorm.weight" in made.values.edits


def test_a_scale_needs_a_norm() -> None:
    wanted = recipe(INT8, "int8", "smoothquant")
    rule = wanted.rules[0].model_copy(update={"names": ("*o_proj*",)})
    with pytest.raises(RecipeError, match=r"no norm stands before model.layers.0.self_attn.o_proj"):
        compressed(wanted.model_copy(update={"rules": (rule,)}))


def test_a_pattern_that_matches_nothing_is_refused() -> None:
    wanted = recipe(INT8, "int8", "gptq")
    rule = wanted.rules[0].model_copy(update={"names": ("*o_prj*",)})
    with pytest.raises(RecipeError, match=r"matches no op of tiny; near misses: .*o_proj"):
        compressed(wanted.model_copy(update={"rules": (rule,)}))


def test_calibration_text_must_fill_a_window(tmp_path: Path) -> None:
    text = tmp_path / "short.txt"
    text.write_text("Ana has 3 coins.\n")
    with pytest.raises(InputError, match="shorter than a window of 64"):
        windows(encoder(), Calibration(text=str(text), samples=2, seq_len=64))
    with pytest.raises(InputError, match="No such file"):
        windows(encoder(), Calibration(text=str(tmp_path / "none.txt")))


def test_windows_of_a_text_are_drawn_by_the_seed(tmp_path: Path) -> None:
    text = tmp_path / "long.txt"
    text.write_text("Ana has 3 coins and gets 5 more. How many coins now? 8\n" * 50)
    found = [
        windows(encoder(), Calibration(text=str(text), samples=3, seq_len=32, seed=seed))
        for seed in (0, 0, 1)
    ]
    np.testing.assert_array_equal(found[0], found[1])
    assert not np.array_equal(found[0], found[2])
    assert found[0].shape == (3, 32)


class _Stop(Exception):
    pass


def test_a_stopped_run_ends_with_the_same_bytes(tmp_path: Path) -> None:
    wanted = recipe(INT4, "int8", ["smoothquant", "gptq"])
    few = wanted.rules[0].model_copy(update={"names": ("*layers.0.*", "*layers.1.*")})
    wanted = wanted.model_copy(update={"rules": (few,)})
    calls = 0

    def stop(what: str, done: int, total: int) -> None:
        nonlocal calls
        calls += 1
        if calls in (3, 14):
            raise _Stop

    whole, again = tmp_path / "whole", tmp_path / "again"
    compress_into(whole, load("tiny"), wanted, None, lambda what, done, total: None)
    for _ in range(2):
        with pytest.raises(_Stop):
            compress_into(again, load("tiny"), wanted, None, stop)
        assert partial_of(again).is_dir()
        assert not again.exists()
    compress_into(again, load("tiny"), wanted, None, stop)
    assert not partial_of(again).exists()
    names = sorted(path.name for path in whole.iterdir())
    assert names == sorted(path.name for path in again.iterdir())
    for name in names:
        assert (whole / name).read_bytes() == (again / name).read_bytes(), name


def test_parts_of_another_compression_are_not_taken(tmp_path: Path) -> None:
    FolderShelf(tmp_path / "parts", {"recipe": "a"})
    FolderShelf(tmp_path / "parts", {"recipe": "a"})
    with pytest.raises(InputError, match="other recipe"):
        FolderShelf(tmp_path / "parts", {"recipe": "b"})


def test_a_folder_that_holds_something_is_not_written(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("")
    with pytest.raises(OutputError, match="not empty"):
        compress_into(tmp_path, load("tiny"), recipe(INT8, "int8"), None, lambda *told: None)


def test_weights_that_are_not_finite_are_refused() -> None:
    source: Any = outlying()
    source.values._changed.add("model.layers.1.mlp.up_proj.weight", Scale(0, np.full(384, np.nan)))
    with pytest.raises(CheckpointError, match=r"up_proj"):
        compressed(recipe(INT8, "int8"), source)


def test_rotations_leave_the_function_as_it_is() -> None:
    made = compressed(recipe(INT8, "int8", rotation=Rotation()))
    model = RunningModel(made.source, StoredModel(made.values), FP32, reference())
    found = model.logits(tokens_of(4, 64)).astype(np.float64)
    assert divergence(truth(), found) < 1e-9
    norm = made.values.read("model.layers.0.input_layernorm.weight")
    np.testing.assert_array_equal(norm, 1)


def test_a_rotation_at_run_time_is_an_op_of_the_graph() -> None:
    turned = Rotation(residual=False, heads=False, online=("*down_proj*",))
    made = compressed(recipe(INT8, "int8", "awq", rotation=turned))
    plain = FP32.model_copy(update={"rotation": turned})
    model = RunningModel(made.source, StoredModel(made.values), plain, reference())
    found = model.logits(tokens_of(4, 64)).astype(np.float64)
    assert divergence(truth(), found) < 1e-9
    assert loss(made) < 0.01
    graph = annotate(load("tiny").graph(GraphRequest("prefill", 1, 16)), made.recipe)
    turns = [op for op in graph.ops if op.kind == "hadamard"]
    assert len(turns) == 4
    # 384 is 32 times Paley's 12: five butterflies and eleven sums.
    assert vector_work(graph, turns[0]) == {"add": 16 * 16 * 384, "mul": 16 * 384}
    run = Simulator(load_arch("edge_npu"), "analytical").run(graph, "test")
    names = [name for row in run.layers for name in (row.name, *row.fused)]
    assert turns[0].name in names
    missing = Rotation(online=("*dwn_proj*",))
    with pytest.raises(RecipeError, match=r"rotation.online: .*near misses: .*down_proj"):
        compressed(recipe(INT8, "int8", rotation=missing))


def test_rotation_recovers_from_planted_outliers() -> None:
    source = outlying()
    for weight, activation in ((INT8, "int8"), (INT4, "int4")):
        lost = loss(compressed(recipe(weight, activation), source))
        kept = loss(compressed(recipe(weight, activation, rotation=Rotation()), source))
        assert kept < 0.05 * lost


@pytest.mark.parametrize("name", ["w4a16_mxfp4", "w4a16_nvfp4"])
def test_blocks_of_a_plain_checkpoint_are_those_of_rtn(name: str) -> None:
    wanted = load_recipe(name).model_copy(update={"calibration": SMALL})
    chip = numerics_of(load_arch("edge_npu"), ideal=True)
    plain = RunningModel(load("tiny"), StoredModel(values()), wanted, chip)
    tokens = tokens_of(2, 32)
    np.testing.assert_array_equal(logits(compressed(wanted), tokens), plain.logits(tokens))


def test_values_of_methods_need_a_compressed_checkpoint() -> None:
    with pytest.raises(RecipeError, match="gptq changes weights, and this model's are as they"):
        simulate("edge_npu", "tiny", "w4a8_int4_g32_gptq", numerics="fast", problems=1)
