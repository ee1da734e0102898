"""Checkpoints as their publishers describe them, packed bit by bit in Python."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
KINDS = {
    "int8": "I8", "uint8": "U8", "int32": "I32", "int64": "I64", "float16": "F16",
    "float32": "F32", "uint16": "BF16",
}  # fmt: skip


def write(
    path: Path,
    tensors: Mapping[str, Array],
    kinds: Mapping[str, str] | None = None,
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write a safetensors file; uint16 is BF16 unless ``kinds`` says otherwise."""
    header: dict[str, Any] = {"__metadata__": dict(metadata or {})}
    place = 0
    for name, value in tensors.items():
        kind = (kinds or {}).get(name, KINDS[value.dtype.name])
        header[name] = {
            "dtype": kind, "shape": value.shape, "data_offsets": [place, place + value.nbytes]
        }  # fmt: skip
        place += value.nbytes
    text = json.dumps(header).encode()
    body = b"".join(np.ascontiguousarray(value).tobytes() for value in tensors.values())
    path.write_bytes(len(text).to_bytes(8, "little") + text + body)


def words(codes: Sequence[int], bits: int) -> list[int]:
    """Codes one after the other as the bits of one long number, in 32-bit words."""
    whole = sum(int(code) << (i * bits) for i, code in enumerate(codes))
    count = -(-len(codes) * bits // 32)
    return [(whole >> (32 * i)) & 0xFFFFFFFF for i in range(count)]


def as_int32(rows: Sequence[Sequence[int]]) -> Array:
    return np.array(rows, np.uint32).view(np.int32)


def gptq(
    codes: Array, zeros: Array, scales: Array, bits: int, group_of: Array, version: int
) -> dict[str, Array]:
    """One module as AutoGPTQ packs it.

    Args:
        codes: unsigned ``[k, n]``.
        zeros: unsigned ``[groups, n]``; kept less one by version 1.
        scales: ``[groups, n]``.
        bits: of a code.
        group_of: ``[k]``.
        version: 1 or 2.
    """
    kept = zeros - (1 if version == 1 else 0)
    return {
        "qweight": as_int32([words(column, bits) for column in codes.T]).T.copy(),
        "qzeros": as_int32([words(row, bits) for row in kept]),
        "scales": scales.astype(np.float16),
        "g_idx": group_of.astype(np.int32),
    }


#: Which column of eight lies in each nibble of a word (AutoAWQ, ``order_map``).
AWQ = (0, 2, 4, 6, 1, 3, 5, 7)


def awq(codes: Array, zeros: Array, scales: Array) -> dict[str, Array]:
    """One module as AutoAWQ's GEMM packs it: unsigned ``[k, n]``, ``[groups, n]`` twice."""

    def packed(rows: Array) -> Array:
        return as_int32([
            [
                sum(int(row[first + column]) << (4 * i) for i, column in enumerate(AWQ))
                for first in range(0, len(row), 8)
            ]
            for row in rows
        ])  # fmt: skip

    return {
        "qweight": packed(codes), "qzeros": packed(zeros), "scales": scales.astype(np.float16)
    }  # fmt: skip


def expected(codes: Array, zeros: Array, scales: Array, group_of: Array) -> Array:
    """``(code - zero point) * scale`` of each element, ``[n, k]``, in exact integers first."""
    whole = codes.astype(np.int64) - zeros.astype(np.int64)[group_of]
    return (whole.astype(np.float32) * scales.astype(np.float32)[group_of]).T
