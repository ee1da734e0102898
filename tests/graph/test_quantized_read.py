"""GPTQ, AWQ and torchao checkpoints as codes and scales, against packing by hand."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from accelsim.errors import CheckpointError
from accelsim.graph.checkpoint import read_checkpoint
from accelsim.graph.quantized.coded import CODES, CodedWeight, numbers_of
from accelsim.graph.quantized.layouts_torchao import from_blocks
from accelsim.graph.quantized.packing import pack_bits, unpack_bits
from accelsim.graph.quantized.view import METHODS, CodedEntry, coded_view
from accelsim_kernels.codec import numbers_of as numbers_of_kernels
from tests.graph.quantized_support import awq, expected, gptq, words, write

K, N = 64, 32


def view(folder: Path, config: dict[str, Any]) -> CodedEntry:
    found = read_checkpoint(folder)
    assert found is not None
    entry = coded_view(found, config, "config.json: quantization_config")["m.weight"]
    assert isinstance(entry, CodedEntry)
    return entry


def module(folder: Path, parts: dict[str, npt.NDArray[Any]]) -> Path:
    write(folder / "model.safetensors", {f"m.{local}": value for local, value in parts.items()})
    return folder


def drawn(
    bits: int, groups: int, seed: int = 0
) -> tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]]:
    rng = np.random.default_rng(seed)
    most = 1 << bits
    return (
        rng.integers(0, most, (K, N)),
        rng.integers(1, most, (groups, N)),
        rng.uniform(0.01, 0.1, (groups, N)).astype(np.float16),
    )


@pytest.mark.parametrize("fmt", CODES)
def test_numbers_of_codes_are_those_of_the_kernels(fmt: str) -> None:
    assert np.array_equal(numbers_of(fmt), numbers_of_kernels(fmt).astype(np.float32), True)


@pytest.mark.parametrize("bits", range(1, 9))
@pytest.mark.parametrize("k", [1, 31, 32, 40, 97])
def test_packing_is_one_long_number(bits: int, k: int) -> None:
    codes = np.random.default_rng(k).integers(0, 1 << bits, (3, k)).astype(np.uint8)
    packed = pack_bits(codes, bits)
    assert np.array_equal(packed.view("<u4"), [words(list(row), bits) for row in codes])
    assert np.array_equal(unpack_bits(packed, bits, k), codes)


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("bits", [2, 3, 4, 8])
@pytest.mark.parametrize("order", ["rows", "act_order"])
def test_gptq(bits: int, version: int, order: str, tmp_path: Path) -> None:
    codes, zeros, scales = drawn(bits, K // 16)
    group_of = np.arange(K) // 16
    if order == "act_order":
        group_of = np.random.default_rng(1).permutation(group_of)
    folder = module(tmp_path, gptq(codes, zeros, scales, bits, group_of, version))
    config = {
        "quant_method": "gptq", "bits": bits, "group_size": 16, "sym": False,
        "desc_act": order == "act_order", "checkpoint_format": ("gptq", "gptq_v2")[version - 1],
    }  # fmt: skip
    found = view(folder, config).read()
    assert found.format == f"int{bits}" and found.scale_format == "fp16"
    assert (found.group_of is None) == (order == "rows")
    assert np.array_equal(found.codes.astype(int) + (1 << (bits - 1)), codes.T)
    assert np.array_equal(found.numbers(), expected(codes, zeros, scales, group_of))


def test_symmetric_gptq_has_no_zero_points(tmp_path: Path) -> None:
    codes, _, scales = drawn(4, 1)
    zeros = np.full((1, N), 8)
    folder = module(tmp_path, gptq(codes, zeros, scales, 4, np.zeros(K, int), 1))
    config = {"quant_method": "gptq", "bits": 4, "group_size": -1, "sym": True}
    found = view(folder, config).read()
    assert found.zero_points is None and found.group == 0
    assert np.array_equal(found.numbers(), expected(codes, zeros, scales, np.zeros(K, int)))


def test_settings_of_a_module_come_before_those_of_all(tmp_path: Path) -> None:
    codes, zeros, scales = drawn(8, K // 16)
    folder = module(tmp_path, gptq(codes, zeros, scales, 8, np.arange(K) // 16, 2))
    config = {
        "quant_method": "gptq", "bits": 4, "group_size": 16, "checkpoint_format": "gptq_v2",
        "dynamic": {"-:other": {}, "+:m$": {"bits": 8}},
    }  # fmt: skip
    assert view(folder, config).read().format == "int8"


def test_awq(tmp_path: Path) -> None:
    codes, zeros, scales = drawn(4, K // 16)
    folder = module(tmp_path, awq(codes, zeros, scales))
    config = {"quant_method": "awq", "bits": 4, "group_size": 16, "zero_point": True}
    found = view(folder, config).read()
    group_of = np.arange(K) // 16
    assert np.array_equal(found.codes.astype(int) + 8, codes.T)
    assert np.array_equal(found.numbers(), expected(codes, zeros, scales, group_of))


def test_codes_pruned_two_of_four(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    kept = np.array([rng.permutation([1, 1, 0, 0]) for _ in range(N * K // 4)], bool)
    kept = kept.reshape(N, K)
    codes = np.where(kept, rng.integers(1, 127, (N, K)), 0).astype(np.int8)
    scale = rng.uniform(0.1, 1, (N, 1)).astype(np.float32)
    module(
        tmp_path,
        {
            "shape": np.array([[N], [K]], np.int64),
            "compressed": codes[kept].reshape(N, K // 2),
            "bitmask": np.packbits(kept, axis=1, bitorder="little"),
            "weight_scale": scale,
        },
    )
    config = {
        "quant_method": "compressed-tensors", "format": "int-quantized",
        "config_groups": {"group_0": {
            "targets": ["Linear"],
            "weights": {"num_bits": 8, "type": "int", "strategy": "channel"},
        }},
        "sparsity_config": {
            "format": "sparse-24-bitmask", "sparsity_structure": "2:4", "targets": ["Linear"]
        },
    }  # fmt: skip
    entry = view(tmp_path, config)
    assert entry.shape == (N, K) and entry.scheme.sparsity == "2:4"
    assert np.array_equal(entry.read().codes, codes)
    assert np.array_equal(entry.read().numbers(), codes.astype(np.float32) * scale)


def test_scales_in_blocks_come_back_in_order() -> None:
    """The place of each scale as cuBLAS states it: r % 32 * 16 + r // 32 * 4 + c in a block."""
    rows, columns = 300, 10
    wanted = np.arange(rows * columns).reshape(rows, columns)
    down, across = -(-rows // 128), -(-columns // 4)
    flat = np.full(down * across * 512, -1)
    for r in range(rows):
        for c in range(columns):
            block = (r // 128) * across + c // 4
            flat[block * 512 + r % 32 * 16 + r % 128 // 32 * 4 + c % 4] = wanted[r, c]
    assert np.array_equal(from_blocks(flat, rows, columns), wanted)


def test_a_method_that_is_not_read_names_those_that_are(tmp_path: Path) -> None:
    module(tmp_path, {"qweight": np.zeros((8, 8), np.int32)})
    with pytest.raises(CheckpointError, match=f"'quip'; known are {', '.join(METHODS)}"):
        view(tmp_path, {"quant_method": "quip"})


GPTQ = {"quant_method": "gptq", "bits": 4, "group_size": 16}
BAD: dict[str, tuple[dict[str, Any], str]] = {
    "bits": ({**GPTQ, "bits": 5}, "quantization_config.bits: is 5; 2, 3, 4, 8 are read"),
    "group": ({**GPTQ, "group_size": "x"}, "group_size: is 'x'; a whole number"),
    "marlin": ({**GPTQ, "checkpoint_format": "marlin"}, "is 'marlin'; known are gptq, gptq_v2"),
    "gemv": ({"quant_method": "awq", "bits": 4, "version": "gemv"}, "version: is 'gemv'"),
    "no mapping": ({"quant_method": "compressed-tensors", "format": "int-quantized"}, "mapping"),
    "format": ({"quant_method": "compressed-tensors", "format": "marlin-24"}, "'marlin-24'"),
    "cache": (
        {"quant_method": "compressed-tensors", "kv_cache_scheme": {"num_bits": 8}},
        "kv_cache_scheme: is set, and is not read",
    ),
    "none of its": ({"quant_method": "torchao"}, "no tensor of the checkpoint is one of its"),
}


@pytest.mark.parametrize("case", BAD)
def test_settings_that_are_not_read(case: str, tmp_path: Path) -> None:
    codes, zeros, scales = drawn(4, K // 16)
    folder = module(tmp_path, gptq(codes, zeros, scales, 4, np.arange(K) // 16, 1))
    config, said = BAD[case]
    with pytest.raises(CheckpointError, match=said):
        view(folder, config)


def test_tensors_that_do_not_belong_together(tmp_path: Path) -> None:
    codes, zeros, scales = drawn(4, K // 16)
    parts = gptq(codes, zeros, scales, 4, np.arange(K) // 16, 1)
    with pytest.raises(CheckpointError, match="m is gptq and lacks scales"):
        view(module(tmp_path, {k: v for k, v in parts.items() if k != "scales"}), GPTQ)
    with pytest.raises(CheckpointError, match="do not belong together"):
        view(module(tmp_path, {**parts, "scales": parts["scales"][:2]}), GPTQ).read()
    with pytest.raises(CheckpointError, match="do not lie within 0 to 3"):
        view(module(tmp_path, {**parts, "g_idx": parts["g_idx"][::-1] + 1}), GPTQ).read()
    nan = parts["scales"].copy()
    nan[0, 0] = np.nan
    with pytest.raises(CheckpointError, match="1 scales of 128 are NaN or infinite"):
        view(module(tmp_path, {**parts, "scales": nan}), GPTQ).read()
    with pytest.raises(CheckpointError, match="qweight: is stored as I64"):
        view(module(tmp_path, {**parts, "qweight": parts["qweight"].astype(np.int64)}), GPTQ).read()


def test_codes_that_are_not_finite(tmp_path: Path) -> None:
    weight = CodedWeight("fp8_e4m3", np.full((2, 2), 0x7F, np.uint8), np.ones((2, 1), np.float32))
    with pytest.raises(CheckpointError, match="4 codes of 4 are NaN or infinite"):
        weight.check("w")


def test_torchao_says_what_it_is_in_its_header(tmp_path: Path) -> None:
    codes: npt.NDArray[Any] = np.zeros((8, 8), np.int8)
    parts = {"m._weight_qdata": codes, "m._weight_scale": np.ones((8, 1), np.float32)}
    path = tmp_path / "model.safetensors"
    write(path, parts)
    with pytest.raises(CheckpointError, match="its header does not say what it is"):
        view(tmp_path, {"quant_method": "torchao"})
    row = json.dumps({"_type": "Int4TilePackedTo4dTensor", "_data": {}})
    write(path, parts, metadata={"m.weight": row})
    with pytest.raises(CheckpointError, match="is a Int4TilePackedTo4dTensor of torchao"):
        view(tmp_path, {"quant_method": "torchao"})


#: What a key of a configuration is replaced by, one after the other.
JUNK: tuple[Any, ...] = (None, "x", -1, 0, [], {}, {"a": 1}, [1], True, 1.5, ["re:["], 10**9)


def keys_of(part: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    inner = part.items() if isinstance(part, dict) else ()
    for key, value in inner:
        yield from keys_of(value, (*path, key))


def with_junk(config: dict[str, Any], path: tuple[Any, ...], junk: Any) -> Any:
    if not path:
        return junk
    return {**config, path[0]: with_junk(config[path[0]], path[1:], junk)}


@pytest.mark.parametrize("junk", JUNK, ids=repr)
def test_any_key_may_be_wrong(junk: Any, tmp_path: Path) -> None:
    """Whatever a configuration holds, it is read or refused with a sentence."""
    codes, zeros, scales = drawn(4, K // 16)
    parts = gptq(codes, zeros, scales, 4, np.arange(K) // 16, 1)
    parts["weight_scale"] = np.ones((N, 1), np.float32)
    parts["weight"] = np.zeros((N, K), np.int8)
    folder = module(tmp_path, parts)
    weights = {"num_bits": 8, "type": "int", "strategy": "channel", "symmetric": True}
    group = {
        "targets": ["Linear"], "weights": weights, "format": "int-quantized",
        "input_activations": {**weights, "strategy": "token", "dynamic": True},
    }  # fmt: skip
    compressed = {
        "quant_method": "compressed-tensors", "format": "int-quantized", "ignore": ["lm_head"],
        "config_groups": {"group_0": group}, "quantization_status": "compressed",
        "sparsity_config": {"format": "dense", "sparsity_structure": "2:4", "targets": []},
    }  # fmt: skip
    for config in (compressed, {**GPTQ, "sym": True, "dynamic": {"+:m": {"bits": 4}}}):
        for path in keys_of(config):
            with contextlib.suppress(CheckpointError):
                view(folder, with_junk(config, path, junk)).read()


@pytest.mark.parametrize("seed", range(60))
def test_any_tensor_may_be_wrong(seed: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(seed)
    codes, zeros, scales = drawn(4, K // 16)
    parts = gptq(codes, zeros, scales, 4, np.arange(K) // 16, 1)
    local = str(rng.choice(sorted(parts)))
    value = parts[local]
    kind = rng.choice(np.array(["int8", "uint8", "int64", "float32"]))
    parts[local] = (
        value.reshape(-1), value[:-1], value[..., None], value[:0], value.astype(kind),
        np.ascontiguousarray(value.T), value[::-1] * 3,
    )[seed % 7]  # fmt: skip
    with contextlib.suppress(CheckpointError):
        view(module(tmp_path, parts), GPTQ).read().numbers()
