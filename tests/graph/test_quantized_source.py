"""MODEL arguments that are folders in codes: what they give, and what is wrong with bad ones."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="the torch extra is not installed")
pytest.importorskip("transformers", reason="the torch extra is not installed")

from accelsim.compress.export.contents import CodedTensor, Content, PlainTensor
from accelsim.compress.export.write import write_checkpoint
from accelsim.errors import CheckpointError, RecipeError
from accelsim.graph.checkpoint import Checkpoint, Entry, read_checkpoint
from accelsim.graph.quantized.raw import read_raw
from accelsim.graph.quantized.scheme import Scheme
from accelsim.graph.quantized.view import CodedEntry
from accelsim.graph.source import open_model
from accelsim.recipe.stored import stored_recipe
from tests.compress.export_support import LLAMA, config_of, model, shapes
from tests.graph.quantized_support import gptq, write
from tests.support import Cli

Q = "model.layers.0.self_attn.q_proj"


def folder_of(tmp_path: Path, case: str = "int4_group") -> Path:
    return write_checkpoint(tmp_path / "m", model(case).items(), LLAMA)


def tensors_of(folder: Path) -> dict[str, Any]:
    found: Checkpoint | None = read_checkpoint(folder)
    assert found is not None
    return {name: read_raw(name, entry).values for name, entry in found.items()}


def rewritten(
    folder: Path, change: Callable[[dict[str, Any]], None], config: dict[str, Any] | None = None
) -> Path:
    """Change a folder's tensors, or keys of its quantization_config."""
    tensors = tensors_of(folder)
    change(tensors)
    write(folder / "model.safetensors", tensors)
    whole = config_of(folder)
    whole["quantization_config"].update(config or {})
    (folder / "config.json").write_text(json.dumps(whole))
    return folder


def test_a_gptq_folder_is_a_model(tmp_path: Path) -> None:
    """Of the same name as transformers' own layout: X.qweight in the place of X.weight."""
    rng = np.random.default_rng(0)
    tensors: dict[str, Any] = {}
    wanted: dict[str, Any] = {}
    for name, shape, coded in shapes():
        if not coded:
            tensors[name] = rng.normal(0, 0.1, shape).astype(np.float16)
            continue
        n, k = shape
        codes = rng.integers(0, 16, (k, n))
        zeros, scales = np.full((k // 32, n), 8), rng.uniform(0.01, 0.02, (k // 32, n))
        group_of = rng.permutation(np.arange(k) // 32)
        module = name.removesuffix(".weight")
        for local, value in gptq(codes, zeros, scales, 4, group_of, 1).items():
            tensors[f"{module}.{local}"] = value
        steps = scales.astype(np.float16).astype(np.float32)[group_of]
        wanted[name] = ((codes - 8).astype(np.float32) * steps).T
    write(tmp_path / "model.safetensors", tensors)
    config = {
        **LLAMA,
        "dtype": "float16",
        "quantization_config": {
            "quant_method": "gptq", "bits": 4, "group_size": 32, "desc_act": True, "sym": True
        },
    }  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps(config))
    source: Any = open_model(str(tmp_path))
    for name, values in wanted.items():
        assert np.array_equal(source.values.read(name), values), name
    recipe = stored_recipe(source)
    assert recipe is not None and recipe.name == "w_int4_g32"
    # Older tools wrote the same into a file of its own.
    (tmp_path / "quantize_config.json").write_text(json.dumps(config.pop("quantization_config")))
    (tmp_path / "config.json").write_text(json.dumps(config))
    again: Any = open_model(str(tmp_path))
    assert stored_recipe(again) == recipe
    (tmp_path / "quantize_config.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"quantize_config.json: cannot be read as JSON"):
        open_model(str(tmp_path))
    assert (recipe.rules[0].weight.format, recipe.rules[0].activation.format) == ("int4", "bf16")


def drop(*names: str) -> Callable[[dict[str, Any]], None]:
    def change(tensors: dict[str, Any]) -> None:
        for name in names:
            del tensors[name]

    return change


def put(name: str, value: Any) -> Callable[[dict[str, Any]], None]:
    return lambda tensors: tensors.update({name: value})


def nothing(tensors: dict[str, Any]) -> None:
    """Leave the tensors as they are."""


BAD: dict[str, tuple[Callable[[dict[str, Any]], None], dict[str, Any], str]] = {
    "scale": (drop(f"{Q}.weight_scale"), {}, f"{Q} is pack-quantized and lacks weight_scale"),
    "module": (
        drop(f"{Q}.weight_packed", f"{Q}.weight_scale"), {},
        "not of this config: 1 missing: model.layers.0.self_attn.q_proj.weight; 1 not of",
    ),
    "input": (
        nothing, {"config_groups": {"g": {
            "targets": ["Linear"],
            "weights": {"num_bits": 4, "type": "int", "strategy": "group", "group_size": 32},
            "input_activations": {"num_bits": 8, "type": "int", "strategy": "tensor"},
        }}},
        f"{Q} is pack-quantized and lacks input_scale",
    ),
    "no activations": (
        put(f"{Q}.input_scale", np.ones(1, np.float32)), {}, f"1 not of the model: {Q}.input_scale"
    ),
    "plain": (drop("model.norm.weight"), {}, "1 missing: model.norm.weight"),
    "extra": (put("x.weight", np.zeros(3, np.float32)), {}, "1 not of the model: x.weight"),
    "shape": (
        put(f"{Q}.weight_shape", np.array([64, 48])), {},
        r"misshapen: model.layers.0.self_attn.q_proj.weight \[64, 48\] instead of \[64, 64\]",
    ),
    "ignored": (nothing, {"ignore": [Q]}, f"{Q} has codes in the file, and no group"),
    "method": (nothing, {"quant_method": "hqq"}, "quant_method: is 'hqq'; known are compressed"),
    "format": (nothing, {"format": "x"}, "format: is 'x'; known are int-quantized"),
    "groups": (nothing, {"config_groups": 3}, "config_groups: is 3; a mapping is needed"),
    "transforms": (nothing, {"transform_config": {"a": 1}}, "transform_config: is set"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_what_is_wrong_with_a_folder(case: str, tmp_path: Path) -> None:
    change, config, said = BAD[case]
    folder = rewritten(folder_of(tmp_path), change, config)
    with pytest.raises(CheckpointError, match=said):
        open_model(str(folder))


def test_values_that_are_not_finite_are_found_when_they_are_read(tmp_path: Path) -> None:
    scales = np.full((64, 2), np.inf, np.float32)
    folder = rewritten(folder_of(tmp_path), put(f"{Q}.weight_scale", scales))
    source: Any = open_model(str(folder))
    with pytest.raises(CheckpointError, match="128 scales of 128 are NaN or infinite"):
        source.values.read(f"{Q}.weight")


def test_pickles_are_refused(tmp_path: Path) -> None:
    folder = folder_of(tmp_path)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match="pickled weights are not read"):
        open_model(str(folder))


def test_formats_without_a_chip_say_so(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, "mxfp4")
    with pytest.raises(RecipeError, match="activations in groups of 32 are not simulated"):
        stored_recipe(open_model(str(folder)))


def test_groups_that_no_recipe_says_are_refused(tmp_path: Path) -> None:
    """A configuration may hold what recipes do not: here groups of 8192 along k."""
    scheme = Scheme("pack-quantized", "int4", 8192)
    part = Entry("F32", (1, 2), tmp_path / "m.safetensors")
    entry = CodedEntry("I32", (1, 16384), part.file, 0, "m", scheme, {"weight_scale": part})
    values = SimpleNamespace(entries={"m.weight": entry}, folder=tmp_path)
    with pytest.raises(RecipeError, match=r"m.weight: is read, and not simulated: .*4096"):
        stored_recipe(SimpleNamespace(values=values))


def test_the_recipe_that_compress_left_comes_first(tmp_path: Path) -> None:
    tensors: dict[str, Content] = model("int8_channel")
    text = b"schema_version: 1\nname: mine\nstorage: fp32\n"
    folder = write_checkpoint(
        tmp_path / "m", tensors.items(), LLAMA, files={"recipe.yaml": text}
    )  # fmt: skip
    found = stored_recipe(open_model(str(folder)))
    assert found is not None and (found.name, found.storage) == ("mine", "fp32")


def test_a_plain_folder_has_no_recipe(tmp_path: Path) -> None:
    tensors = {
        name: PlainTensor(c.weight.numbers()) if isinstance(c, CodedTensor) else c
        for name, c in model("int8_channel").items()
    }
    folder = write_checkpoint(tmp_path / "m", tensors.items(), LLAMA)
    assert stored_recipe(open_model(str(folder))) is None


def test_the_command_line_says_it_in_one_line(tmp_path: Path, cli: Cli) -> None:
    folder = rewritten(folder_of(tmp_path), nothing, {"quant_method": "hqq"})
    found = cli("simulate", "edge_npu", str(folder))
    assert found.code == 2
    assert "quantization_config.quant_method: is 'hqq'; known are" in found.err.replace("\n", "")
