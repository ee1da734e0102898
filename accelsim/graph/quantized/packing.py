"""Codes in words without gaps, and the orders in which checkpoints keep them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
UInt8 = npt.NDArray[np.uint8]

#: Order of the eight nibbles of a word of AutoAWQ's GEMM layout: column 0 lies in nibble 0, column
#: 2 in nibble 1 and so on (AutoAWQ, ``awq/utils/packing_utils.py``).
AWQ_ORDER = (0, 2, 4, 6, 1, 3, 5, 7)


def pack_bits(codes: UInt8, bits: int, unit: int = 32) -> UInt8:
    """Return unsigned codes ``[rows, k]`` as bytes ``[rows, bytes]``, the first in the lowest bits.

    Args:
        codes: numbers below ``2 ** bits``.
        bits: of a code; codes may lie across two bytes.
        unit: bits that a row is filled up to, with zeros.
    """
    rows, k = codes.shape
    size = -(-k * bits // unit) * (unit // 8)
    if bits == 8:
        packed = np.zeros((rows, size), np.uint8)
        packed[:, :k] = codes
        return packed
    if bits == 4:
        pairs = np.zeros((rows, size * 2), np.uint8)
        pairs[:, :k] = codes
        both: UInt8 = pairs[:, ::2] | pairs[:, 1::2] << np.uint8(4)
        return both
    # Eight codes take `bits` whole bytes: the word of a run of eight is cut into them.
    padded = np.zeros((rows, -(-k // 8) * 8), np.uint8)
    padded[:, :k] = codes
    runs = padded.reshape(rows, -1, 8).astype(np.uint64)
    words = np.zeros(runs.shape[:2], np.uint64)
    for i in range(8):
        words |= runs[:, :, i] << np.uint64(i * bits)
    cut = words[:, :, None] >> (np.arange(bits, dtype=np.uint64) * np.uint64(8))
    whole = (cut & np.uint64(255)).astype(np.uint8).reshape(rows, -1)
    packed = np.zeros((rows, size), np.uint8)
    count = min(size, whole.shape[1])
    packed[:, :count] = whole[:, :count]
    return packed


def unpack_bits(packed: UInt8, bits: int, k: int) -> UInt8:
    """Return the first ``k`` codes of each row of bytes that ``pack_bits`` made."""
    rows = packed.shape[0]
    if bits == 8:
        return np.ascontiguousarray(packed[:, :k])
    if bits == 4:
        both = np.empty((rows, packed.shape[1], 2), np.uint8)
        np.bitwise_and(packed, 15, out=both[:, :, 0])
        np.right_shift(packed, 4, out=both[:, :, 1])
        return np.ascontiguousarray(both.reshape(rows, -1)[:, :k])
    runs = -(-k // 8)
    padded = np.zeros((rows, runs * bits), np.uint8)
    count = min(packed.shape[1], runs * bits)
    padded[:, :count] = packed[:, :count]
    parts = padded.reshape(rows, runs, bits).astype(np.uint64)
    words = np.zeros((rows, runs), np.uint64)
    for i in range(bits):
        words |= parts[:, :, i] << np.uint64(8 * i)
    cut = words[:, :, None] >> (np.arange(8, dtype=np.uint64) * np.uint64(bits))
    codes = (cut & np.uint64((1 << bits) - 1)).astype(np.uint8).reshape(rows, -1)
    return np.ascontiguousarray(codes[:, :k])


def as_words(packed: UInt8) -> npt.NDArray[np.int32]:
    """Return bytes ``[rows, 4 words]`` as little-endian int32 ``[rows, words]``."""
    return np.ascontiguousarray(packed).view("<i4")


def as_bytes(words: Array) -> UInt8:
    """Return int32 ``[rows, words]`` as little-endian bytes."""
    return np.ascontiguousarray(words).astype("<i4", copy=False).view(np.uint8)


def signed(codes: UInt8, bits: int) -> npt.NDArray[np.int8]:
    """Return unsigned codes as numbers around zero: ``code - 2 ** (bits - 1)``."""
    return (codes.astype(np.int16) - (1 << (bits - 1))).astype(np.int8)


def unsigned(codes: Array, bits: int) -> UInt8:
    """Undo ``signed``."""
    return (codes.astype(np.int16) + (1 << (bits - 1))).astype(np.uint8)


def from_awq_order(codes: UInt8) -> UInt8:
    """Return columns in their own order, eight by eight."""
    runs = codes.reshape(len(codes), -1, 8)
    found = np.empty_like(runs)
    found[:, :, list(AWQ_ORDER)] = runs
    return found.reshape(codes.shape)
