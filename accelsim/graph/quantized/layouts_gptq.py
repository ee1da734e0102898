"""How GPTQ and AWQ keep codes: words along k, or interleaved nibbles along n; zero points apart.

Sources: AutoGPTQ 0.7 ``qlinear_cuda_old.py``, GPTQModel 1.x (``gptq_v2``), AutoAWQ 0.2
``modules/linear/gemm.py``. Weights lie as ``[k, n]``; scales and zero points as ``[groups, n]``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from accelsim.errors import CheckpointError
from accelsim.graph.quantized import packing
from accelsim.graph.quantized.coded import CodedWeight, bits_of_codes
from accelsim.graph.quantized.layout import Layout, Parts, Sizes, integers, scales_of
from accelsim.graph.quantized.scheme import Scheme

Array = npt.NDArray[Any]


def read_gptq(module: str, parts: Parts, scheme: Scheme) -> CodedWeight:
    """Return codes and scales of GPTQ; ``gptq`` keeps each zero point less one, ``gptq_v2`` not."""
    bits = bits_of_codes(scheme.format)
    words = integers(f"{module}.qweight", parts["qweight"], ("I32", "U32"))
    scales, fmt = scales_of(module, parts, "scales")
    groups, n = scales.shape
    k = words.shape[0] * 32 // bits
    columns = packing.unpack_bits(packing.as_bytes(words.T), bits, k)
    zeros = integers(f"{module}.qzeros", parts["qzeros"], ("I32", "U32"))
    if zeros.shape != (groups, -(-n * bits // 32)) or words.shape[1] != n:
        raise CheckpointError(
            f"{module}: qweight {list(words.shape)}, qzeros {list(zeros.shape)} and scales "
            f"{list(scales.shape)} do not belong together at {bits} bits"
        )
    stored = packing.unpack_bits(packing.as_bytes(zeros), bits, n).astype(np.int16)
    half = 1 << (bits - 1)
    points = stored + (1 if scheme.layout == "gptq" else 0) - half
    return CodedWeight(
        scheme.format, packing.signed(columns, bits), np.ascontiguousarray(scales.T), fmt,
        scheme.group, zero_points=_unless_zero(points.T), group_of=_group_of(module, parts, scheme),
    )  # fmt: skip


def _unless_zero(points: Array) -> Array | None:
    return np.ascontiguousarray(points, np.int16) if points.any() else None


def _group_of(module: str, parts: Parts, scheme: Scheme) -> Array | None:
    """Groups of the columns where they are not in order (``desc_act``)."""
    if "g_idx" not in parts:
        return None
    found = integers(f"{module}.g_idx", parts["g_idx"], ("I32", "I64")).astype(np.int32)
    plain = np.arange(found.size, dtype=np.int32) // (scheme.group or max(found.size, 1))
    return None if np.array_equal(found, plain) else found


def _gptq_shape(parts: Sizes, scheme: Scheme) -> tuple[int, ...]:
    rows, n = parts["qweight"]
    return n, rows * 32 // bits_of_codes(scheme.format)


def read_awq(module: str, parts: Parts, scheme: Scheme) -> CodedWeight:
    """Return codes and scales of AWQ's GEMM layout."""
    words = integers(f"{module}.qweight", parts["qweight"], ("I32", "U32"))
    scales, fmt = scales_of(module, parts, "scales")
    groups, n = scales.shape
    if words.shape[1] * 8 != n:
        raise CheckpointError(
            f"{module}: qweight {list(words.shape)} holds {words.shape[1] * 8} columns, scales "
            f"{list(scales.shape)} have {n}"
        )
    codes = _nibbles(words, n)
    points = None
    if "qzeros" in parts:
        zeros = integers(f"{module}.qzeros", parts["qzeros"], ("I32", "U32"))
        if zeros.shape != (groups, words.shape[1]):
            raise CheckpointError(
                f"{module}.qzeros: is {list(zeros.shape)}; {[groups, words.shape[1]]} is needed"
            )
        points = _unless_zero(packing.signed(_nibbles(zeros, n), 4).T)
    return CodedWeight(
        scheme.format, np.ascontiguousarray(packing.signed(codes, 4).T),
        np.ascontiguousarray(scales.T), fmt, scheme.group, zero_points=points,
    )  # fmt: skip


def _nibbles(words: Array, n: int) -> npt.NDArray[np.uint8]:
    return packing.from_awq_order(packing.unpack_bits(packing.as_bytes(words), 4, n))


def _awq_shape(parts: Sizes, scheme: Scheme) -> tuple[int, ...]:
    k, words = parts["qweight"]
    return words * 8, k


_GPTQ = Layout(("qweight", "qzeros", "scales"), ("g_idx",), read_gptq, _gptq_shape)
GPTQ_LAYOUTS = {
    "gptq": _GPTQ,
    "gptq_v2": _GPTQ,
    "awq": Layout(("qweight", "scales"), ("qzeros",), read_awq, _awq_shape),
}
