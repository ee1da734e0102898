"""Numbers of bits, bits of numbers, and which bits are NaN."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from accelsim_kernels.formats import format_of

Array = npt.NDArray[Any]

#: Formats as the makers of vectors spell them.
SPELLED = {
    "e4m3fn": "fp8_e4m3", "e4m3": "fp8_e4m3", "e5m2": "fp8_e5m2", "e4m3fnuz": "fp8_e4m3fnuz",
    "e5m2fnuz": "fp8_e5m2fnuz", "e3m2": "fp6_e3m2", "e3m2fn": "fp6_e3m2", "e2m3": "fp6_e2m3",
    "e2m3fn": "fp6_e2m3", "e2m1": "fp4_e2m1", "e2m1fn": "fp4_e2m1", "e8m0fnu": "e8m0",
    "bfloat16": "bf16", "float16": "fp16", "f16": "fp16", "f32": "fp32", "float32": "fp32",
    "f64": "fp64", "float64": "fp64",
}  # fmt: skip


def numbers(stored: Array) -> Array:
    """Return float32 numbers of their bits: binary32 in uint32, bfloat16 in uint16.

    Raises:
        ValueError: an array of another type.
    """
    if stored.dtype == np.uint16:
        stored = stored.astype(np.uint32) << np.uint32(16)
    if stored.dtype not in (np.uint32, np.float32):
        raise ValueError(f"numbers stand as bits, in uint32 or uint16, not in {stored.dtype}")
    return stored.view(np.float32)


def bits32(values: Array) -> Array:
    """Return binary32 bits."""
    return np.ascontiguousarray(values, np.float32).view(np.uint32)


def bits16(values: Array) -> Array:
    """Return bfloat16 bits of numbers that are bfloat16."""
    return (bits32(values) >> np.uint32(16)).astype(np.uint16)


def bits_fp16(values: Array) -> Array:
    """Return binary16 bits of numbers that are binary16."""
    with np.errstate(invalid="ignore"):  # a signalling NaN is turned into a quiet one
        return values.astype(np.float16).view(np.uint16)


def nans(codes: Array, name: str) -> npt.NDArray[np.bool_]:
    """Tell which codes of a format are NaN; of what is no float none is.

    ``bits`` is the IEEE 754 format as wide as the codes.
    """
    if name == "bits":
        return np.asarray(np.isnan(codes.view(f"f{codes.itemsize}")))
    try:
        facts = format_of(SPELLED.get(name, name))
    except ValueError:
        return np.zeros(codes.shape, np.bool_)
    wide = codes.astype(np.int64)
    sign = 1 << (facts.bits - 1) if facts.signed else 0
    magnitude = wide & ((1 << facts.bits) - 1) & ~sign
    if facts.specials == "ieee":
        return np.asarray(magnitude > ((1 << facts.exponent_bits) - 1) << facts.mantissa_bits)
    if facts.specials == "fn":
        return np.asarray(magnitude == ((1 << facts.bits) - 1) & ~sign)
    if facts.specials == "fnuz":
        return np.asarray(wide == sign)
    return np.zeros(codes.shape, np.bool_)
