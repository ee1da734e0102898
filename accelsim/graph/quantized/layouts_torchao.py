"""How torchao keeps its tensor subclasses in safetensors: parts of ``weight`` beside each other.

Sources: torchao 0.18, ``prototype/safetensors`` (names and metadata), ``quantize_/workflows`` and
``prototype/mx_formats``. Scales of MX and NVFP4 may lie in blocks for cuBLAS ("swizzled":
cuBLAS 12.9, "1D block scaling factors layout").
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from accelsim.errors import CheckpointError
from accelsim.graph.quantized import packing
from accelsim.graph.quantized.coded import CodedWeight
from accelsim.graph.quantized.layout import (
    Layout,
    Parts,
    Sizes,
    exponents_of,
    integers,
    matrix,
    scales_of,
)
from accelsim.graph.quantized.raw import numbers
from accelsim.graph.quantized.scheme import Scheme

Array = npt.NDArray[Any]

QDATA, SCALE, ZERO_POINT = "_weight_qdata", "_weight_scale", "_weight_zero_point"
TENSOR_SCALE = "_weight_per_tensor_scale"
#: Rows and columns of a block of swizzled scales; it lies as 32 rows of four times four.
_ROWS, _COLUMNS = 128, 4


def from_blocks(found: Array, rows: int, columns: int) -> Array:
    """Return ``[rows, columns]`` of scales that lie in blocks of 128 by 4.

    Raises:
        ValueError: their number is not that of the blocks.
    """
    down, across = -(-rows // _ROWS), -(-columns // _COLUMNS)
    blocks = found.reshape(down, across, 32, 4, _COLUMNS)
    # In a block, row r of 128 lies at [r % 32, r // 32].
    whole = blocks.transpose(0, 3, 2, 1, 4).reshape(down * _ROWS, across * _COLUMNS)
    return np.ascontiguousarray(whole[:rows, :columns])


def _read_integers(module: str, parts: Parts, scheme: Scheme) -> CodedWeight:
    codes = integers(f"{module}.{QDATA}", parts[QDATA], ("I8",))
    scales, fmt = scales_of(module, parts, SCALE)
    points = None
    if ZERO_POINT in parts:
        raw = integers(f"{module}.{ZERO_POINT}", parts[ZERO_POINT], ("I8", "I32", "I64"))
        points = matrix(ZERO_POINT, raw).astype(np.int16) if raw.any() else None
    return CodedWeight(scheme.format, codes, scales, fmt, scheme.group, scheme.rows, points)


def _read_float8(module: str, parts: Parts, scheme: Scheme) -> CodedWeight:
    kind = "F8_E4M3" if scheme.format == "fp8_e4m3" else "F8_E5M2"
    codes = integers(f"{module}.{QDATA}", parts[QDATA], (kind,))
    scales, fmt = scales_of(module, parts, SCALE)
    return CodedWeight(scheme.format, codes, scales, fmt, scheme.group, scheme.rows)


def _block_codes(module: str, parts: Parts, scheme: Scheme) -> Array:
    if scheme.format != "fp4_e2m1":
        return integers(f"{module}.{QDATA}", parts[QDATA], ("F8_E4M3", "F8_E5M2"))
    packed = integers(f"{module}.{QDATA}", parts[QDATA], ("U8",))
    return packing.unpack_bits(packed, 4, packed.shape[1] * 2)


def _in_order(module: str, scales: Array, codes: Array, scheme: Scheme) -> Array:
    if not scheme.layout.endswith("swizzled"):
        return scales
    shape = codes.shape[0], -(-codes.shape[1] // scheme.group)
    try:
        return from_blocks(scales, *shape)
    except ValueError:
        raise CheckpointError(
            f"{module}.{SCALE}: {scales.size} scales in blocks of 128 by 4 do not cover "
            f"{list(shape)}"
        ) from None


def _read_mx(module: str, parts: Parts, scheme: Scheme) -> CodedWeight:
    codes = _block_codes(module, parts, scheme)
    scales = _in_order(module, exponents_of(module, parts, SCALE), codes, scheme)
    return CodedWeight(scheme.format, codes, scales, "e8m0", scheme.group)


def _read_nvfp4(module: str, parts: Parts, scheme: Scheme) -> CodedWeight:
    codes = _block_codes(module, parts, scheme)
    found, fmt = scales_of(module, parts, SCALE)
    whole = None
    if TENSOR_SCALE in parts:
        whole = numbers(f"{module}.{TENSOR_SCALE}", parts[TENSOR_SCALE]).reshape(-1)[0]
    return CodedWeight(
        scheme.format, codes, _in_order(module, found, codes, scheme), fmt, scheme.group,
        global_scale=whole, divides=False,
    )  # fmt: skip


def _shape(parts: Sizes, scheme: Scheme) -> tuple[int, ...]:
    n, k = parts[QDATA]
    return n, k


def _packed_shape(parts: Sizes, scheme: Scheme) -> tuple[int, ...]:
    n, k = parts[QDATA]
    return n, k * (2 if scheme.format == "fp4_e2m1" else 1)


_MX = Layout((QDATA, SCALE), (), _read_mx, _packed_shape)
_NVFP4 = Layout((QDATA, SCALE), (TENSOR_SCALE,), _read_nvfp4, _packed_shape)
TORCHAO_LAYOUTS = {
    "torchao-int": Layout((QDATA, SCALE), (ZERO_POINT,), _read_integers, _shape),
    "torchao-float8": Layout((QDATA, SCALE), (), _read_float8, _shape),
    "torchao-mx": _MX,
    "torchao-mx-swizzled": _MX,
    "torchao-nvfp4": _NVFP4,
    "torchao-nvfp4-swizzled": _NVFP4,
}
