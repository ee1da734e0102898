"""Integer codes of binary32 numbers with a scale and a zero point, as the libraries make them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from accelsim_kernels.arrays import array
from accelsim_kernels.fused import divide32
from accelsim_kernels.jit import leaf

Codes = npt.NDArray[Any]
Float32 = npt.NDArray[np.float32]

#: Format → lowest and highest code, and the type of its array.
RANGES: Mapping[str, tuple[int, int, Any]] = {
    "int4": (-8, 7, np.int8), "uint4": (0, 15, np.uint8), "int8": (-128, 127, np.int8),
    "uint8": (0, 255, np.uint8), "int16": (-(2**15), 2**15 - 1, np.int16),
    "uint16": (0, 2**16 - 1, np.uint16), "int32": (-(2**31), 2**31 - 1, np.int32),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class FloatRule:
    """How a number becomes a code.

    Attributes:
        name: of the rule.
        divided: ``x / scale``, else ``x * (1 / scale)``, in binary32; ties to even follow.
        lowest_nan: NaN becomes the lowest code, else the code of zero.
        source: who states it.
    """

    name: str
    divided: bool
    lowest_nan: bool
    source: str


FLOAT_RULES: Mapping[str, FloatRule] = {
    rule.name: rule
    for rule in (
        FloatRule("onnxruntime", True, True, "ONNX Runtime, QuantizeLinear, MlasQuantizeLinear"),
        FloatRule("torch", False, True, "torch 2.13, quantize_per_tensor"),
    )
}


@leaf
def _affine(
    x: Float32, scale: np.float32, divided: bool, zero: int, low: int, high: int, nan: int,
    out: Codes,
) -> None:  # fmt: skip
    inverse = divide32(np.float32(1), scale)
    for i in range(x.size):
        scaled = divide32(x[i], scale) if divided else np.float32(x[i] * inverse)
        # Whole numbers of binary32 and the zero point are exact in binary64.
        moved = np.rint(np.float64(scaled)) + zero
        if moved != moved:
            out[i] = nan
        else:
            out[i] = np.int64(min(max(moved, np.float64(low)), np.float64(high)))


def quantize_linear(
    x: npt.ArrayLike, scale: float, zero_point: int, format: str, rule: str = "onnxruntime"
) -> Codes:
    """Return ``clamp(round(x / scale) + zero_point)``, ties to even.

    Args:
        x: float32.
        scale: rounded to binary32, positive and finite.
        zero_point: code of zero.
        format: a name of ``RANGES``; four bits stand in a byte each.
        rule: a name of ``FLOAT_RULES``.

    Raises:
        ValueError: another type, a name that is none, or a scale or zero point out of range.
    """
    given = np.atleast_1d(array("x", x, np.float32))
    if rule not in FLOAT_RULES or format not in RANGES:
        raise ValueError(
            f"rule is {rule!r} and format {format!r}; {', '.join(FLOAT_RULES)} and "
            f"{', '.join(RANGES)} are allowed"
        )
    low, high, kind = RANGES[format]
    step = np.float32(scale)
    if not (step > 0 and np.isfinite(step)):
        raise ValueError(f"scale is {scale}; a positive, finite number is needed")
    if not low <= zero_point <= high:
        raise ValueError(f"zero_point is {zero_point}; {format} holds {low} to {high}")
    how, out = FLOAT_RULES[rule], np.empty(given.shape, kind)
    nan = low if how.lowest_nan else zero_point
    _affine(given.reshape(-1), step, how.divided, zero_point, low, high, nan, out.reshape(-1))
    return out.reshape(np.shape(x))


def dynamic_quantize(x: npt.ArrayLike) -> tuple[npt.NDArray[np.uint8], np.float32, np.uint8]:
    """Return uint8 codes, scale and zero point of float32 numbers: ONNX DynamicQuantizeLinear.

    The range takes in zero; ``scale = (max - min) / 255``, 1 where that is 0; the zero point is
    ``-min / scale``, ties to even; all in binary32 (ONNX Runtime, GetQuantizationParameter).

    Raises:
        ValueError: another type, no numbers, or some that are not finite.
    """
    given = array("x", x, np.float32)
    if not given.size or not np.isfinite(given).all():
        raise ValueError("x is empty or holds a number that is not finite, so it has no range")
    least, most = min(given.min(), np.float32(0)), max(given.max(), np.float32(0))
    scale = np.float32(1) if least == most else np.float32((most - least) / np.float32(255))
    zero = np.clip(np.rint(np.float32(0) - least / scale), 0, 255).astype(np.uint8)
    return quantize_linear(given, float(scale), int(zero), "uint8"), scale, zero
