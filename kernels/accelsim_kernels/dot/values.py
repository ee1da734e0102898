"""Numbers of operands, and codes of sums."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from accelsim_kernels.codec import decode
from accelsim_kernels.formats import NumberFormat

Array = npt.NDArray[Any]

#: Formats of sums, and the bits of what they hold where a sum is no number.
NANS = {
    "fp16": 0x7FFF, "bf16": 0x7FFF, "tf32": 0x7FFFFFFF, "fp32": 0x7FFFFFFF, "fp64": (1 << 63) - 1,
}  # fmt: skip


def numbers(codes: Array, fmt: NumberFormat) -> Array:
    """Return the numbers of codes: float64 of FP64, float32 of every narrower format."""
    if fmt.name == "fp32":  # the bits of the numbers
        return codes.view(np.float32)
    return decode(codes, fmt.name, np.float64 if fmt.name == "fp64" else np.float32)


def codes_of(values: Array, fmt: str, keep_nans: bool = False) -> Array:
    """Return the codes of float32 or float64 numbers that a format of sums holds exactly.

    Args:
        values: numbers.
        fmt: a format of sums.
        keep_nans: a NaN keeps the bits that the processor gave it, instead of those of ``NANS``.
    """
    with np.errstate(invalid="ignore"):
        if fmt == "fp64":
            found: Array = values.astype(np.float64, copy=False).view(np.uint64)
        elif fmt == "fp16":
            found = values.astype(np.float16).view(np.uint16)
        else:
            found = values.astype(np.float32, copy=False).view(np.uint32)
    if fmt == "bf16":
        found = (found >> np.uint32(16)).astype(np.uint16)
    if not keep_nans:
        wrong = np.isnan(values)
        if wrong.any():
            found[wrong] = NANS[fmt]
    return found
