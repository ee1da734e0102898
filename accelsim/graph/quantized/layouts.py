"""How compressed-tensors, GPTQ, AWQ and torchao keep codes and scales: one table, both ways.

Sources: compressed-tensors 0.20, ``compressors/*``; AutoGPTQ 0.7 and GPTQModel, ``qlinear``;
AutoAWQ 0.2, ``packing_utils``; torchao 0.18, ``prototype/safetensors`` and ``quantize_/workflows``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from accelsim.errors import CheckpointError
from accelsim.graph.quantized import packing
from accelsim.graph.quantized.coded import CodedWeight, bits_of_codes
from accelsim.graph.quantized.raw import Raw, numbers, stored
from accelsim.graph.quantized.scheme import Scheme

Array = npt.NDArray[Any]
#: Tensors of one module by their local names.
Parts = Mapping[str, Raw]

_FLOAT_TYPES = {"fp8_e4m3": "F8_E4M3", "fp8_e5m2": "F8_E5M2"}


@dataclass(frozen=True)
class Layout:
    """How a file keeps the weight of a module.

    Attributes:
        needed: local names of its tensors.
        optional: those that some schemes have.
        read: codes and scales from them; the first argument is the module's name, for messages.
        write: them from codes and scales; None: the layout is only read.
    """

    needed: tuple[str, ...]
    optional: tuple[str, ...]
    read: Callable[[str, Parts, Scheme], CodedWeight]
    write: Callable[[str, CodedWeight], dict[str, Raw]] | None = None


def _integers(name: str, raw: Raw, kinds: tuple[str, ...]) -> Array:
    if raw.kind not in kinds:
        raise CheckpointError(f"{name}: is stored as {raw.kind}; {' or '.join(kinds)} is needed")
    return raw.values


def _matrix(name: str, values: Array) -> Array:
    """Scales of a tensor, [] or [1], and of a channel, [n], as [row blocks, groups]."""
    if values.ndim > 2:
        raise CheckpointError(f"{name}: is {list(values.shape)}; a vector or matrix is needed")
    return values.reshape(1, 1) if values.ndim == 0 else values.reshape(len(values), -1)


def _scales(module: str, parts: Parts, local: str = "weight_scale") -> tuple[Array, str]:
    raw = parts[local]
    name = f"{module}.{local}"
    found = _matrix(name, numbers(name, raw))
    formats = {"F32": "fp32", "F16": "fp16", "BF16": "bf16", "F8_E4M3": "ue4m3", "F8_E8M0": "e8m0"}
    return found, formats[raw.kind]


# ---- compressed-tensors: one code per element


def _read_plain(module: str, parts: Parts, scheme: Scheme) -> CodedWeight:
    kind = "I8" if scheme.format.startswith("int") else _FLOAT_TYPES[scheme.format]
    codes = _integers(f"{module}.weight", parts["weight"], (kind,))
    scales, fmt = _scales(module, parts)
    points = _points(module, parts)
    return CodedWeight(scheme.format, codes, scales, fmt, scheme.group, scheme.rows, points)


def _points(module: str, parts: Parts) -> Array | None:
    if "weight_zero_point" not in parts:
        return None
    raw = parts["weight_zero_point"]
    if raw.kind.startswith("F8"):  # of symmetric floats, always zero
        return None
    name = f"{module}.weight_zero_point"
    return _matrix(name, _integers(name, raw, ("I8", "I32", "I64"))).astype(np.int16)


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
    words = _integers(f"{module}.weight_packed", parts["weight_packed"], ("I32",))
    shape = tuple(int(size) for size in parts["weight_shape"].values.reshape(-1))
    if words.ndim != 2 or len(shape) != 2 or words.shape != (shape[0], -(-shape[1] * bits // 32)):
        raise CheckpointError(
            f"{module}.weight_packed: is {list(words.shape)}; {bits}-bit codes of a weight "
            f"{list(shape)} take {list(shape[:1])} rows of {-(-shape[-1] * bits // 32)} words"
        )
    codes = packing.signed(packing.unpack_bits(packing.as_bytes(words), bits, shape[1]), bits)
    scales, fmt = _scales(module, parts)
    points = None
    if not scheme.symmetric:
        packed = _integers(f"{module}.weight_zero_point", parts["weight_zero_point"], ("I32",))
        rows = packing.unpack_bits(packing.as_bytes(packed.T), bits, len(scales))
        points = packing.signed(rows, bits).T.astype(np.int16)
    return CodedWeight(
        scheme.format, codes, scales, fmt, scheme.group, scheme.rows,
        None if points is None else np.ascontiguousarray(points),
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
    packed = _integers(f"{module}.weight_packed", parts["weight_packed"], ("U8",))
    if packed.ndim != 2 or packed.shape[1] * 8 % bits:
        raise CheckpointError(
            f"{module}.weight_packed: is {list(packed.shape)}, whole codes of "
            f"{bits} bits are needed"
        )
    return packing.unpack_bits(packed, bits, packed.shape[1] * 8 // bits)


def _exponents(module: str, parts: Parts) -> Array:
    """Powers of two as bytes, whichever type they are given."""
    raw = parts["weight_scale"]
    name = f"{module}.weight_scale"
    codes = _integers(name, raw, ("U8", "F8_E8M0"))
    return _matrix(name, numbers(name, Raw("F8_E8M0", codes)))


def _read_mx(module: str, parts: Parts, scheme: Scheme) -> CodedWeight:
    if scheme.format in _FLOAT_TYPES:
        kinds = (_FLOAT_TYPES[scheme.format],)
        codes = _integers(f"{module}.weight", parts["weight"], kinds)
    else:
        codes = _block_codes(module, parts, bits_of_codes(scheme.format))
    scales = _exponents(module, parts)
    return CodedWeight(scheme.format, codes, scales, "e8m0", scheme.group)


def _write_mx(module: str, weight: CodedWeight) -> dict[str, Raw]:
    scale = stored(f"{module}.weight_scale", weight.scales, "e8m0")
    found = {"weight_scale": Raw("U8", scale.values)}
    if weight.format in _FLOAT_TYPES:
        return {"weight": Raw(_FLOAT_TYPES[weight.format], weight.codes), **found}
    return {"weight_packed": Raw("U8", packing.pack_bits(weight.codes, weight.bits, 8)), **found}


def _read_nvfp4(module: str, parts: Parts, scheme: Scheme) -> CodedWeight:
    codes = _block_codes(module, parts, 4)
    scales, fmt = _scales(module, parts)
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


_PLAIN = Layout(("weight", "weight_scale"), ("weight_zero_point",), _read_plain, _write_plain)
_MX_PACKED = Layout(("weight_packed", "weight_scale"), (), _read_mx, _write_mx)
#: Names of formats of compressed-tensors, as its configurations spell them.
LAYOUTS: dict[str, Layout] = {
    "int-quantized": _PLAIN,
    "float-quantized": _PLAIN,
    "naive-quantized": _PLAIN,
    "pack-quantized": Layout(
        ("weight_packed", "weight_scale", "weight_shape"), ("weight_zero_point",),
        _read_packed, _write_packed,
    ),
    "mxfp4-pack-quantized": _MX_PACKED,
    "mxfp6-pack-quantized": _MX_PACKED,
    "mxfp8-quantized": Layout(("weight", "weight_scale"), (), _read_mx, _write_mx),
    "nvfp4-pack-quantized": Layout(
        ("weight_packed", "weight_scale", "weight_global_scale"), (), _read_nvfp4, _write_nvfp4
    ),
}  # fmt: skip
