"""Numbers as codes, and back: plain formats travel as float32."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def bits_of(numbers: Array, fmt: str) -> Array:
    """Return the codes of float32 numbers that are numbers of a plain format."""
    if fmt == "fp32":
        return np.ascontiguousarray(numbers, np.float32).view(np.uint32)
    if fmt == "fp16":
        return numbers.astype(np.float16).view(np.uint16)
    return (np.ascontiguousarray(numbers, np.float32).view(np.uint32) >> np.uint32(16)).astype(
        np.uint16
    )


def numbers_of(bits: Array, fmt: str) -> Array:
    """Return what a unit leaves behind as float32 numbers; whole numbers as they are."""
    if fmt == "fp16":
        return bits.view(np.float16).astype(np.float32)
    if fmt == "bf16":
        return (bits.astype(np.uint32) << np.uint32(16)).view(np.float32)
    return bits.view(np.float32) if fmt in ("fp32", "tf32") else bits
