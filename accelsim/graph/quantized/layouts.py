"""How compressed-tensors, GPTQ, AWQ and torchao keep codes and scales: one table, both ways.

Sources: compressed-tensors 0.20, ``compressors/*``; AutoGPTQ 0.7 and GPTQModel, ``qlinear``;
AutoAWQ 0.2, ``packing_utils``; torchao 0.18, ``prototype/safetensors`` and ``quantize_/workflows``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from accelsim.errors import CheckpointError
from accelsim.graph.quantized import packing
from accelsim.graph.quantized.coded import CodedWeight, bits_of_codes
from accelsim.graph.quantized.layout import (
    Layout,
    Parts,
    Sizes,
    exponents_of,
    integers,
    matrix,
    scales_of,
)
from accelsim.graph.quantized.layouts_gptq import GPTQ_LAYOUTS
from accelsim.graph.quantized.layouts_torchao import TORCHAO_LAYOUTS
from accelsim.graph.quantized.raw import Raw, numbers, stored
from accelsim.graph.quantized.scheme import Scheme

Array = npt.NDArray[Any]

_FLOAT_TYPES = {"fp8_e4m3": "F8_E4M3", "fp8_e5m2": "F8_E5M2"}


# ---- compressed-tensors: one code per element


def _read_plain(module: str, parts: Parts, scheme: Scheme) -> CodedWeight:
    kind = "I8" if scheme.format.startswith("int") else _FLOAT_TYPES[scheme.format]
    codes = integers(f"{module}.weight", parts["weight"], (kind,))
    scales, fmt = scales_of(module, parts, "weight_scale")
    points = _points(module, parts)
    return CodedWeight(scheme.format, codes, scales, fmt, scheme.group, scheme.rows, points)


def _points(module: str, parts: Parts) -> Array | None:
    if "weight_zero_point" not in parts:
        return None
    raw = parts["weight_zero_point"]
    if raw.kind.startswith("F8"):  # of symmetric floats, always zero
        return None
    name = f"{module}.weight_zero_point"
    return matrix(name, integers(name, raw, ("I8", "I32", "I64"))).astype(np.int16)


def _write_plain(module: str, weight: CodedWeight) -> dict[str, Raw]:
    kind = "I8" if weight.is_integer else _FLOAT_TYPES[weight.format]
    found = {"weight": Raw(kind, weight.codes), "weight_scale": _scale_parts(module, weight)}
    if weight.zero_points is not None:
        found["weight_zero_point"] = Raw("I8", weight.zero_points.astype(np.int8))
    return found


def _scale_parts(module: str, weight: CodedWeight) -> Raw:
    raw = stored(f"{module}.weight_scale", weight.scales, weight.scale_format)
    # A tensor's one scale is a vector of one.
    return Raw(raw.kind, raw.values.reshape(1)) if weight.rows == 0 and not weight.group else raw


# ---- compressed-tensors: codes in 32-bit words along k, zero points along n


def _read_packed(module: str, parts: Parts, scheme: Scheme) -> CodedWeight:
    bits = bits_of_codes(scheme.format)
    words = integers(f"{module}.weight_packed", parts["weight_packed"], ("I32",))
    shape = tuple(int(size) for size in parts["weight_shape"].values.reshape(-1))
    if words.ndim != 2 or len(shape) != 2 or words.shape != (shape[0], -(-shape[1] * bits // 32)):
        raise CheckpointError(
            f"{module}.weight_packed: is {list(words.shape)}; {bits}-bit codes of a weight "
            f"{list(shape)} take {list(shape[:1])} rows of {-(-shape[-1] * bits // 32)} words"
        )
    codes = packing.signed(packing.unpack_bits(packing.as_bytes(words), bits, shape[1]), bits)
    scales, fmt = scales_of(module, parts, "weight_scale")
    points = None
    if not scheme.symmetric:
        packed = integers(f"{module}.weight_zero_point", parts["weight_zero_point"], ("I32",))
        rows = packing.unpack_bits(packing.as_bytes(packed.T), bits, len(scales))
        points = packing.signed(rows, bits).T.astype(np.int16)
    groups = None
    if "weight_g_idx" in parts:
        groups = integers(f"{module}.weight_g_idx", parts["weight_g_idx"], ("I32", "I64"))
    return CodedWeight(
        scheme.format, codes, scales, fmt, scheme.group, scheme.rows,
        None if points is None else np.ascontiguousarray(points),
        group_of=None if groups is None or groups.min() < 0 else groups.astype(np.int32),
    )  # fmt: skip


def _write_packed(module: str, weight: CodedWeight) -> dict[str, Raw]:
    bits = weight.bits
    packed = packing.as_words(packing.pack_bits(packing.unsigned(weight.codes, bits), bits))
    found = {
        "weight_packed": Raw("I32", packed),
        "weight_scale": _scale_parts(module, weight),
        "weight_shape": Raw("I64", np.array(weight.shape, np.int64)),
    }
    if weight.zero_points is not None:
        rows = packing.unsigned(np.ascontiguousarray(weight.zero_points.T), bits)
        words = packing.as_words(packing.pack_bits(rows, bits))
        found["weight_zero_point"] = Raw("I32", np.ascontiguousarray(words.T))
    return found


# ---- compressed-tensors: MX and NVFP4


def _block_codes(module: str, parts: Parts, bits: int) -> Array:
    packed = integers(f"{module}.weight_packed", parts["weight_packed"], ("U8",))
    if packed.ndim != 2 or packed.shape[1] * 8 % bits:
        raise CheckpointError(
            f"{module}.weight_packed: is {list(packed.shape)}, whole codes of "
            f"{bits} bits are needed"
        )
    return packing.unpack_bits(packed, bits, packed.shape[1] * 8 // bits)


def _read_mx(module: str, parts: Parts, scheme: Scheme) -> CodedWeight:
    if scheme.format in _FLOAT_TYPES:
        kinds = (_FLOAT_TYPES[scheme.format],)
        codes = integers(f"{module}.weight", parts["weight"], kinds)
    else:
        codes = _block_codes(module, parts, bits_of_codes(scheme.format))
    scales = exponents_of(module, parts, "weight_scale")
    return CodedWeight(scheme.format, codes, scales, "e8m0", scheme.group)


def _write_mx(module: str, weight: CodedWeight) -> dict[str, Raw]:
    scale = stored(f"{module}.weight_scale", weight.scales, "e8m0")
    found = {"weight_scale": Raw("U8", scale.values)}
    if weight.format in _FLOAT_TYPES:
        return {"weight": Raw(_FLOAT_TYPES[weight.format], weight.codes), **found}
    return {"weight_packed": Raw("U8", packing.pack_bits(weight.codes, weight.bits, 8)), **found}


def _read_nvfp4(module: str, parts: Parts, scheme: Scheme) -> CodedWeight:
    codes = _block_codes(module, parts, 4)
    scales, fmt = scales_of(module, parts, "weight_scale")
    name = f"{module}.weight_global_scale"
    whole = numbers(name, parts["weight_global_scale"]).reshape(-1)
    if whole.size != 1 or not whole[0] > 0:
        raise CheckpointError(f"{name}: one positive number is needed, {whole.tolist()} is there")
    return CodedWeight(scheme.format, codes, scales, fmt, scheme.group, global_scale=whole[0])


def _write_nvfp4(module: str, weight: CodedWeight) -> dict[str, Raw]:
    whole = weight.global_scale
    if whole is None or not weight.divides:
        raise CheckpointError(
            f"{module}: compressed-tensors divides the scales of NVFP4 by a number of the tensor; "
            "global_scale with divides=True is needed"
        )
    return {
        "weight_packed": Raw("U8", packing.pack_bits(weight.codes, 4, 8)),
        "weight_scale": stored(f"{module}.weight_scale", weight.scales, "ue4m3"),
        "weight_global_scale": Raw("F32", np.array([whole], np.float32)),
    }


# ---- compressed-tensors before 0.12: two of four codes, and a bit for each place


def _read_sparse(module: str, parts: Parts, scheme: Scheme) -> CodedWeight:
    kind = "I8" if scheme.format.startswith("int") else _FLOAT_TYPES[scheme.format]
    kept = integers(f"{module}.compressed", parts["compressed"], (kind,))
    masks = integers(f"{module}.bitmask", parts["bitmask"], ("U8",))
    n, k = (int(size) for size in parts["shape"].values.reshape(-1))
    if masks.shape != (n, -(-k // 8)) or kept.shape != (n, k // 2):
        raise CheckpointError(
            f"{module}: a weight {[n, k]} keeps {[n, k // 2]} codes and {[n, -(-k // 8)]} bytes of "
            f"places; {list(kept.shape)} and {list(masks.shape)} are there"
        )
    places = np.unpackbits(masks, axis=1, count=k, bitorder="little").astype(bool)
    if (places.reshape(n, -1, 4).sum(-1) != 2).any():
        raise CheckpointError(f"{module}.bitmask: not two of each four places are kept")
    codes = np.zeros((n, k), kept.dtype)
    codes[places] = kept.reshape(-1)
    scales, fmt = scales_of(module, parts, "weight_scale")
    points = _points(module, parts)
    if points is not None and not points.any():
        points = None
    return CodedWeight(scheme.format, codes, scales, fmt, scheme.group, scheme.rows, points)


def _plain_shape(parts: Sizes, scheme: Scheme) -> tuple[int, ...]:
    return parts["weight"]


def _block_shape(parts: Sizes, scheme: Scheme) -> tuple[int, ...]:
    n, size = parts["weight_packed"]
    return n, size * 8 // bits_of_codes(scheme.format)


def _sparse_shape(parts: Sizes, scheme: Scheme) -> tuple[int, ...]:
    n, size = parts["compressed"]
    return n, size * 2


_PLAIN = Layout(
    ("weight", "weight_scale"), ("weight_zero_point",), _read_plain, _plain_shape, _write_plain
)
_MX_PACKED = Layout(("weight_packed", "weight_scale"), (), _read_mx, _block_shape, _write_mx)
#: Names of formats of compressed-tensors as its configurations spell them; then the others'.
LAYOUTS: dict[str, Layout] = {
    "int-quantized": _PLAIN,
    "float-quantized": _PLAIN,
    "naive-quantized": _PLAIN,
    "pack-quantized": Layout(
        ("weight_packed", "weight_scale", "weight_shape"), ("weight_zero_point", "weight_g_idx"),
        _read_packed, lambda parts, scheme: (), _write_packed,
    ),
    "mxfp4-pack-quantized": _MX_PACKED,
    "mxfp6-pack-quantized": _MX_PACKED,
    "mxfp8-quantized": Layout(
        ("weight", "weight_scale"), (), _read_mx, _plain_shape, _write_mx
    ),
    "nvfp4-pack-quantized": Layout(
        ("weight_packed", "weight_scale", "weight_global_scale"), (), _read_nvfp4, _block_shape,
        _write_nvfp4,
    ),
    "sparse-24-bitmask": Layout(
        ("compressed", "bitmask", "shape", "weight_scale"), ("weight_zero_point",), _read_sparse,
        _sparse_shape,
    ),
    **GPTQ_LAYOUTS,
    **TORCHAO_LAYOUTS,
}  # fmt: skip
