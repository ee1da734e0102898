"""Codes and scales of torchao's and compressed-tensors' own tensors, equal in every element."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the torch extra is not installed")

from accelsim.graph.checkpoint import read_checkpoint
from accelsim.graph.quantized.coded import CodedWeight
from accelsim.graph.quantized.view import CodedEntry, coded_view
from accelsim_kernels.rounding import round_to
from tests.graph.quantized_support import awq, write

N, K = 160, 192


def read(folder: Path, config: dict[str, Any], name: str = "0.weight") -> CodedWeight:
    found = read_checkpoint(folder)
    assert found is not None
    entry = coded_view(found, config, "config.json: quantization_config")[name]
    assert isinstance(entry, CodedEntry)
    assert entry.shape == (N, K)
    return entry.read()


def torchao_configs() -> dict[str, Any]:
    from torchao.prototype import mx_formats as mx
    from torchao.quantization import (
        Float8WeightOnlyConfig,
        Int8DynamicActivationInt8WeightConfig,
        Int8DynamicActivationIntxWeightConfig,
        Int8WeightOnlyConfig,
        IntxWeightOnlyConfig,
        MappingType,
        PerGroup,
    )
    from torchao.quantization.quantize_.common import KernelPreference

    emulated, fp4 = KernelPreference.EMULATED, torch.float4_e2m1fn_x2
    return {
        "int8": Int8WeightOnlyConfig(),
        "int8_dynamic": Int8DynamicActivationInt8WeightConfig(),
        "int4_group": IntxWeightOnlyConfig(weight_dtype=torch.int4, granularity=PerGroup(32)),
        "int3_asymmetric": IntxWeightOnlyConfig(
            weight_dtype=torch.int3, granularity=PerGroup(64), mapping_type=MappingType.ASYMMETRIC
        ),
        "int4_dynamic": Int8DynamicActivationIntxWeightConfig(
            weight_dtype=torch.int4, weight_granularity=PerGroup(32)
        ),
        "fp8": Float8WeightOnlyConfig(),
        "mxfp8": mx.MXDynamicActivationMXWeightConfig(kernel_preference=emulated),
        "mxfp4": mx.MXDynamicActivationMXWeightConfig(
            activation_dtype=fp4, weight_dtype=fp4, kernel_preference=emulated
        ),
        "nvfp4": mx.NVFP4WeightOnlyConfig(),
    }


NAMES = (
    "int8", "int8_dynamic", "int4_group", "int3_asymmetric", "int4_dynamic", "fp8", "mxfp8",
    "mxfp4", "nvfp4",
)  # fmt: skip


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", NAMES)
def test_torchao(name: str, tmp_path: Path) -> None:
    pytest.importorskip("torchao", reason="torchao is not installed")
    from safetensors.torch import save_file
    from torchao.prototype.safetensors.safetensors_support import flatten_tensor_state_dict
    from torchao.quantization import quantize_

    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(K, N, bias=False).to(torch.bfloat16))
    quantize_(model, torchao_configs()[name])
    tensor = model[0].weight
    tensors, metadata = flatten_tensor_state_dict(model.state_dict())
    save_file(tensors, tmp_path / "model.safetensors", metadata)
    found = read(tmp_path, {"quant_method": "torchao"})
    wanted = tensor.dequantize().float().numpy()
    assert np.array_equal(round_to(found.numbers(), "bf16").view(np.uint32), wanted.view(np.uint32))
    if tensor.qdata.dtype == torch.int8:
        assert np.array_equal(found.codes, tensor.qdata.numpy())
        assert np.array_equal(found.scales, tensor.scale.float().numpy())
    elif tensor.qdata.dtype == torch.float8_e4m3fn:
        assert np.array_equal(found.codes, tensor.qdata.view(torch.uint8).numpy())


def test_awq_as_compressed_tensors_converts_it(tmp_path: Path) -> None:
    converters = pytest.importorskip(
        "compressed_tensors.entrypoints.convert.converters",
        reason="the compress extra is not installed",
    )
    rng = np.random.default_rng(0)
    codes, zeros = rng.integers(0, 16, (K, N)), rng.integers(0, 16, (K // 32, N))
    parts = awq(codes, zeros, rng.uniform(0.01, 0.1, (K // 32, N)))
    original, converted = tmp_path / "awq", tmp_path / "ct"
    original.mkdir()
    converted.mkdir()
    tensors = {f"0.{local}": value for local, value in parts.items()}
    write(original / "model.safetensors", tensors)
    found = read(original, {"quant_method": "awq", "bits": 4, "group_size": 32})

    converter = converters.AutoAWQConverter(group_size=32, ignore=())
    theirs = converter.process({n: torch.from_numpy(v) for n, v in tensors.items()})
    write(converted / "model.safetensors", {n: t.numpy() for n, t in theirs.items()})
    config = converter._build_quant_config().to_dict()
    same = read(converted, config)
    assert np.array_equal(found.codes, same.codes)
    assert np.array_equal(found.scales, same.scales)
    assert found.zero_points is not None and same.zero_points is not None
    assert np.array_equal(found.zero_points, same.zero_points)
    assert np.array_equal(found.numbers(), same.numbers())


@pytest.mark.parametrize("bits", range(1, 9))
@pytest.mark.parametrize("symmetric", [True, False])
def test_packed_by_compressed_tensors(bits: int, symmetric: bool, tmp_path: Path) -> None:
    """The library packs random numbers; its codes, read here, stand for its numbers."""
    compressors = pytest.importorskip(
        "compressed_tensors.compressors", reason="the compress extra is not installed"
    )
    library = pytest.importorskip("compressed_tensors.quantization", reason="as above")

    torch.manual_seed(bits)
    half = 1 << (bits - 1)
    args = library.QuantizationArgs(
        num_bits=bits, group_size=32, strategy="group", symmetric=symmetric
    )
    scheme = library.QuantizationScheme(targets=["Linear"], weights=args)
    shape = (N, K // 32)
    state = {
        "weight": torch.randn(N, K),
        "weight_scale": torch.rand(shape) * 4 / half + 1e-3,
        "weight_zero_point": torch.randint(-half, half, shape, dtype=torch.int8),
    }
    if symmetric:
        state["weight_zero_point"].zero_()
    packer = compressors.BaseCompressor.get_value_from_registry("pack-quantized")
    packed = packer.compress(state, scheme)
    write(tmp_path / "model.safetensors", {f"0.{n}": t.numpy() for n, t in packed.items()})
    config = {
        "quant_method": "compressed-tensors", "format": "pack-quantized",
        "config_groups": {"group_0": scheme.model_dump(mode="json")},
    }  # fmt: skip
    found = read(tmp_path, config)
    wanted = packer.decompress(packed, scheme)["weight"].numpy()
    assert np.array_equal(found.numbers(), wanted)
