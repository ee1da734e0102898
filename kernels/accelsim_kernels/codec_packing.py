"""Codes below 8 bits in bytes, without gaps: the first code in the lowest bits of the first byte.

So two 4-bit codes share a byte, low nibble first (as torch and ONNX have it), four 6-bit codes take
three bytes (PTX ISA 8.7, packed ``.b6x16``), four 2-bit codes one.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from accelsim_kernels.arrays import array
from accelsim_kernels.formats import NumberFormat, format_of
from accelsim_kernels.jit import leaf

UInt8 = npt.NDArray[np.uint8]


@leaf
def _pack(codes: UInt8, bits: int, packed: UInt8) -> None:
    mask = (1 << bits) - 1
    for row in range(codes.shape[0]):
        held, count, place = 0, 0, 0
        for i in range(codes.shape[1]):
            held |= (np.int64(codes[row, i]) & mask) << count
            count += bits
            if count >= 8:
                packed[row, place] = np.uint8(held & 255)
                held >>= 8
                count -= 8
                place += 1
        if count > 0:
            packed[row, place] = np.uint8(held)


@leaf
def _unpack(packed: UInt8, bits: int, codes: UInt8) -> None:
    mask = (1 << bits) - 1
    last = packed.shape[1] - 1
    for row in range(codes.shape[0]):
        for i in range(codes.shape[1]):
            place, shift = (i * bits) >> 3, (i * bits) & 7
            held = np.int64(packed[row, place])
            held |= np.int64(packed[row, min(place + 1, last)]) << 8
            codes[row, i] = np.uint8((held >> shift) & mask)


def _narrow(format: str) -> NumberFormat:
    fmt = format_of(format)
    if fmt.bits > 8:
        raise ValueError(f"format is {format!r} of {fmt.bits} bits; up to 8 bits are packed")
    return fmt


def _rows(given: npt.NDArray[Any]) -> npt.NDArray[Any]:
    length = given.shape[-1]
    return given.reshape(given.size // length if length else 0, length)


def pack_codes(codes: npt.ArrayLike, format: str) -> UInt8:
    """Return codes ``[..., n]`` packed along the last axis, ``[..., ceil(n * bits / 8)]``.

    Bits above the format's are not looked at; bits behind the last code are 0.

    Raises:
        ValueError: another type than uint8, no axis, or a format of more than 8 bits.
    """
    fmt, given = _narrow(format), array("codes", codes, np.uint8)
    if given.ndim == 0:
        raise ValueError("codes is a single code, at least one axis is needed")
    packed = np.zeros((*given.shape[:-1], -(-given.shape[-1] * fmt.bits // 8)), np.uint8)
    if packed.size:
        _pack(_rows(given), fmt.bits, _rows(packed))
    return packed


def unpack_codes(packed: npt.ArrayLike, format: str, count: int) -> UInt8:
    """Return ``[..., count]`` codes of ``pack_codes``.

    Raises:
        ValueError: another type than uint8, a format of more than 8 bits, or a last axis that
            does not hold ``count`` codes.
    """
    fmt, given = _narrow(format), array("packed", packed, np.uint8)
    needed = -(-count * fmt.bits // 8)
    if count < 0 or given.ndim == 0 or given.shape[-1] != needed:
        raise ValueError(
            f"packed has the shape {given.shape}; {count} codes of {fmt.bits} bits take {needed} "
            "bytes along the last axis"
        )
    codes = np.empty((*given.shape[:-1], count), np.uint8)
    if codes.size:
        _unpack(_rows(given), fmt.bits, _rows(codes))
    return codes
