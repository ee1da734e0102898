"""What is written is what compressed-tensors and transformers read, to the bit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("compressed_tensors", reason="the compress extra is not installed")
torch = pytest.importorskip("torch", reason="the torch extra is not installed")
transformers = pytest.importorskip("transformers", reason="the torch extra is not installed")

from accelsim.compress.export.contents import CodedTensor, Content, PlainTensor
from accelsim.compress.export.write import write_checkpoint
from accelsim.graph.checkpoint import read_checkpoint
from accelsim.graph.quantized.raw import read_raw
from accelsim_kernels.rounding import round_to
from tests.compress.export_support import CASES, LLAMA, config_of, model


def load(folder: Path, dtype: Any = torch.float32, **options: Any) -> Any:
    found, said = transformers.AutoModelForCausalLM.from_pretrained(
        folder, output_loading_info=True, local_files_only=True, dtype=dtype, **options
    )
    assert not said["missing_keys"] and not said["unexpected_keys"], said
    return found


def decompressed(folder: Path, dtype: Any = torch.float32) -> dict[str, Any]:
    module = load(folder, dtype)
    module.hf_quantizer.compressor.decompress_model(module)
    return {n: p.detach().float().numpy() for n, p in module.named_parameters()}


def expected(content: Content) -> Any:
    """Numbers that the codes stand for; of NVFP4 the library keeps BF16, whatever the model has."""
    if not isinstance(content, CodedTensor):
        return content.values  # type: ignore[union-attr]  # the model has no entries
    found = content.weight.numbers()
    return round_to(found, "bf16") if content.weight.scale_format == "ue4m3" else found


@pytest.mark.parametrize("case", CASES)
def test_transformers_dequantizes_to_the_same_bits(case: str, tmp_path: Path) -> None:
    tensors = model(case)
    write_checkpoint(tmp_path / "m", tensors.items(), LLAMA)
    found = decompressed(tmp_path / "m")
    for name, content in tensors.items():
        wanted = expected(content)
        assert np.array_equal(found[name].view(np.uint32), wanted.view(np.uint32)), name


@pytest.mark.filterwarnings("ignore:You passed `quantization_config`")
@pytest.mark.parametrize("case", ["int8_channel", "int4_group", "int3_group", "int4_channel_int4"])
def test_zero_points(case: str, tmp_path: Path) -> None:
    tensors = model(case, zero_points=True)
    write_checkpoint(tmp_path / "m", tensors.items(), LLAMA)
    # Where it keeps codes, transformers 5.23 expects packed zero points unpacked.
    options = transformers.CompressedTensorsConfig(dequantize=True)
    module = load(tmp_path / "m", quantization_config=options)
    for name, content in tensors.items():
        found = module.get_parameter(name).detach().numpy()
        assert np.array_equal(found, expected(content)), name


@pytest.mark.parametrize("case", ["int8_channel", "int4_group", "fp8_channel", "mxfp4", "nvfp4"])
def test_in_bfloat16_it_is_rounded_once(case: str, tmp_path: Path) -> None:
    """The library multiplies codes by scales in the model's type."""
    tensors = model(case, scale_format="bf16", storage="bf16")
    write_checkpoint(tmp_path / "m", tensors.items(), {**LLAMA, "dtype": "bfloat16"})
    found = decompressed(tmp_path / "m", torch.bfloat16)
    for name, content in tensors.items():
        wanted = round_to(expected(content), "bf16")
        assert np.array_equal(found[name].view(np.uint32), wanted.view(np.uint32)), name


@pytest.mark.parametrize("case", ["int8_channel", "int4_group"])
def test_scales_that_its_type_does_not_hold_are_rounded_by_transformers(
    case: str, tmp_path: Path
) -> None:
    """Why docs/checkpoints.md says to load in float32, or to choose scales in bfloat16."""
    tensors = model(case, storage="bf16")
    write_checkpoint(tmp_path / "m", tensors.items(), {**LLAMA, "dtype": "bfloat16"})
    found = decompressed(tmp_path / "m", "auto")
    for name, content in tensors.items():
        if isinstance(content, CodedTensor):
            rounded = replace(content.weight, scales=round_to(content.weight.scales, "bf16"))
            assert np.array_equal(found[name], round_to(rounded.numbers(), "bf16")), name
            assert not np.array_equal(found[name], expected(content))


def test_formats_side_by_side(tmp_path: Path) -> None:
    """Attention in FP8, the rest in INT4 without activations, one layer plain."""
    attention, rest, plain = model("fp8_channel"), model("int4_group", 1), model("int8_channel", 2)
    tensors = {}
    for name, content in rest.items():
        tensors[name] = attention[name] if "self_attn" in name else content
    name = "model.layers.1.mlp.up_proj.weight"
    coded = plain[name]
    assert isinstance(coded, CodedTensor)
    tensors[name] = PlainTensor(coded.weight.numbers())
    write_checkpoint(tmp_path / "m", tensors.items(), LLAMA)
    assert config_of(tmp_path / "m")["quantization_config"]["format"] == "mixed-precision"
    found = decompressed(tmp_path / "m")
    for name, content in tensors.items():
        assert np.array_equal(found[name], expected(content)), name


def test_what_the_library_saves_again_is_what_was_written(tmp_path: Path) -> None:
    tensors = model("int4_group")
    write_checkpoint(tmp_path / "m", tensors.items(), LLAMA)
    load(tmp_path / "m").save_pretrained(tmp_path / "again")
    ours, theirs = (read_checkpoint(tmp_path / name) for name in ("m", "again"))
    assert ours is not None and theirs is not None and set(ours) == set(theirs)
    for name, entry in ours.items():
        a, b = read_raw(name, entry), read_raw(name, theirs[name])
        assert a.kind == b.kind and np.array_equal(a.values, b.values), name
