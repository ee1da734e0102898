"""Block formats: codes that share a scale along rows, and how the scale is found: one table each.

MX: a power of two per block (OCP Microscaling Formats 1.0, 5.2 and 6.3). NVFP4: an E4M3 number per
block, and one binary32 number per tensor above it (NVIDIA, cuDNN "block scaling"; torchao 0.18).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from accelsim_kernels.arrays import array, matrix
from accelsim_kernels.block_lanes import scale_rows
from accelsim_kernels.codec import decode, encode32, numbers_of
from accelsim_kernels.codec_rules import ROUNDINGS, rule_of
from accelsim_kernels.formats import format_of
from accelsim_kernels.jit import rows_in_threads

Float32 = npt.NDArray[np.float32]
UInt8 = npt.NDArray[np.uint8]
UInt32 = npt.NDArray[np.uint32]
Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class BlockFormat:
    """A format of codes that share a scale.

    Attributes:
        name: the one spelling.
        element: format of the codes.
        scale: format of the scales.
        block: codes that share one.
        source: the standard that defines it.
    """

    name: str
    element: str
    scale: str
    block: int
    source: str


_MX, _NVFP4 = "OCP Microscaling Formats (MX) 1.0, 5.2", "NVIDIA NVFP4; PTX ISA 8.7, mxf4nvf4"
_ROWS = (
    BlockFormat("mxfp8_e4m3", "fp8_e4m3", "e8m0", 32, _MX),
    BlockFormat("mxfp8_e5m2", "fp8_e5m2", "e8m0", 32, _MX),
    BlockFormat("mxfp6_e3m2", "fp6_e3m2", "e8m0", 32, _MX),
    BlockFormat("mxfp6_e2m3", "fp6_e2m3", "e8m0", 32, _MX),
    BlockFormat("mxfp4_e2m1", "fp4_e2m1", "e8m0", 32, _MX),
    BlockFormat("mxint8", "mxint8", "e8m0", 32, _MX),
    BlockFormat("nvfp4", "fp4_e2m1", "ue4m3", 16, _NVFP4),
)
#: Every block format.
BLOCK_FORMATS = {row.name: row for row in _ROWS}


@dataclass(frozen=True, slots=True)
class ScaleRule:
    """How the scale of a block follows from the largest magnitude in it.

    Powers of two: ``2^(floor(log2(m)) - emax)`` or ``2^ceil(log2(m / largest))``.

    Attributes:
        scales: formats of scales that it gives.
        divided: m is divided by the element's largest number, in binary32; else ``emax``, the
            exponent of that number, is taken off.
        rounded: the fraction of m is rounded to the element's first, half upward.
        up: what is no power of two goes to the next one.
        lossy: the logarithm is itself a binary32 number, which next to a power of two is whole.
        least: factor of the elements where the scale is the smallest one, as a power of two.
        source: who states it.
    """

    scales: str
    divided: bool = False
    rounded: bool = False
    up: bool = False
    lossy: bool = False
    least: int = 127
    source: str = ""


_OCP, _TORCHAO = "OCP MX 1.0, 6.3", "torchao 0.18, to_mx"
SCALE_RULES = {
    "floor": ScaleRule("e8m0", source=_OCP),
    "even": ScaleRule("e8m0", rounded=True, source="torchao 0.18, ScaleCalculationMode.EVEN"),
    "ceil": ScaleRule("e8m0", up=True, source="torchao 0.18, ScaleCalculationMode.CEIL"),
    "rceil": ScaleRule("e8m0", divided=True, up=True, source="PTX ISA 8.7, cvt.rp.ue8m0x2"),
    "absmax": ScaleRule("ue4m3", divided=True, source="torchao 0.18, nvfp4_quantize"),
    # The scale 2^-127 is below its normal numbers, so torchao divides by 2^-126, or by 1.
    "torchao_floor": ScaleRule("e8m0", least=126, source=_TORCHAO),
    "torchao_even": ScaleRule("e8m0", rounded=True, least=126, source=_TORCHAO),
    "torchao_ceil": ScaleRule("e8m0", up=True, least=126, source=_TORCHAO),
    "torchao_rceil": ScaleRule(
        "e8m0", divided=True, up=True, lossy=True, least=0, source=_TORCHAO
    ),
    "torchao_absmax": ScaleRule("ue4m3", divided=True, source=_TORCHAO),
}  # fmt: skip

#: Bits of the NaN that torchao's elements become where their scale is NaN.
_SCALE_NAN = {"e8m0": 0x7FC00000, "ue4m3": 0x7FF00000}
#: Elements that are scaled before they are rounded: they stay in the cache. And worth a thread.
_CHUNK, _THREAD = 1 << 15, 1 << 18


class Blocks(NamedTuple):
    """Quantized rows.

    Attributes:
        codes: uint8 ``[rows, k]``, one to a byte.
        scales: uint8 codes ``[rows, ceil(k / block)]``.
    """

    codes: UInt8
    scales: UInt8


def block_format(name: str) -> BlockFormat:
    """Return a block format by name.

    Raises:
        ValueError: there is none of that name.
    """
    if name not in BLOCK_FORMATS:
        raise ValueError(f"format is {name!r}; {', '.join(BLOCK_FORMATS)} are allowed")
    return BLOCK_FORMATS[name]


def quantize_blocks(
    x: npt.ArrayLike,
    format: str,
    scale_rule: str = "",
    rounding: str = "nearest_even",
    *,
    block: int = 0,
    tensor_scale: float = 1.0,
) -> Blocks:
    """Return codes and scales of rows.

    The last block of a row may be shorter. Elements are multiplied by the reciprocal of their
    scale in binary32 (of ``nvfp4``: by ``(1 / tensor_scale) / scale``) and rounded once more to a
    code, saturating. A block that holds NaN has the scale NaN. Zeros alone have the smallest scale.

    Args:
        x: float32 ``[rows, k]``.
        format: one of ``BLOCK_FORMATS``.
        scale_rule: one of ``SCALE_RULES``; empty: ``floor``, or ``absmax`` for ``nvfp4``.
        rounding: of the elements: one of ``ROUNDINGS`` that draws no bits.
        block: elements that share a scale; 0: as many as the format says.
        tensor_scale: what all scales of ``nvfp4`` are divided by, positive.

    Raises:
        ValueError: another type, shape, name or block, or a tensor scale that does not fit.
    """
    fmt, rows = block_format(format), matrix("x", x, np.float32)
    name = scale_rule or ("floor" if fmt.scale == "e8m0" else "absmax")
    if name not in SCALE_RULES or SCALE_RULES[name].scales != fmt.scale:
        known = ", ".join(k for k, rule in SCALE_RULES.items() if rule.scales == fmt.scale)
        raise ValueError(f"scale_rule is {name!r}; {format} takes {known}")
    if rounding not in ROUNDINGS or ROUNDINGS[rounding].random:
        known = ", ".join(k for k, how in ROUNDINGS.items() if not how.random)
        raise ValueError(f"rounding is {rounding!r}; {known} are allowed")
    size, (m, k) = _size(block, fmt), rows.shape
    floats = np.array([_largest(fmt.element), _tensor_scale(tensor_scale, fmt)], np.float32)
    whole, ceilings = _facts(format, name), _thresholds(SCALE_RULES[name].lossy)
    nan = torchao_nan(_SCALE_NAN[fmt.scale], fmt.element) if name.startswith("torchao") else None
    rule = rule_of(fmt.element, rounding, "saturate", 0, False, nan, False)
    codes = np.empty((m, k), np.uint8)
    scales = np.empty((m, -(-k // size)), np.uint8)
    values = numbers_of("fp8_e4m3").astype(np.float32)

    def run(first: int, last: int) -> None:
        step = max(1, _CHUNK // k)
        scaled = np.empty(step * k, np.float32)
        for row in range(first, last, step):
            end = min(row + step, last)
            flat = rows[row:end].reshape(-1)
            part = scaled[: flat.size]
            scale_rows(
                flat, k, size, whole, floats, ceilings, values, scales[row:end].reshape(-1), part
            )
            encode32(part.view(np.uint32), rule, codes[row:end].reshape(-1))

    if codes.size:
        rows_in_threads(run, m, max(1, _THREAD // k))
    if nan is not None and not SCALE_RULES[name].divided and (scales == 255).any():
        _keep_nans(rows, fmt.element, codes)
    return Blocks(codes, scales)


def _keep_nans(x: Float32, format: str, codes: UInt8) -> None:
    """Write the codes that torchao makes of NaNs whose bits arrive at the rounding."""
    places = np.isnan(x)
    bits = x.view(np.uint32)[places] | np.uint32(1 << 22)
    codes[places] = [torchao_nan(int(each), format) for each in bits]


def _size(block: int, fmt: BlockFormat) -> int:
    if block < 0:
        raise ValueError(f"block is {block}; 0 or a positive number is needed")
    return block or fmt.block


def _tensor_scale(value: float, fmt: BlockFormat) -> float:
    if not (value > 0 and np.isfinite(value)):
        raise ValueError(f"tensor_scale is {value}, a positive number is needed")
    if value != 1.0 and fmt.scale == "e8m0":
        raise ValueError(f"tensor_scale is {value}, but {fmt.name} has scales of blocks alone")
    return value


@cache
def _facts(format: str, scale_rule: str) -> UInt32:
    """Return what ``scale_rows`` is told about scales."""
    fmt, rule = BLOCK_FORMATS[format], SCALE_RULES[scale_rule]
    element = format_of(fmt.element)
    half = 1 << (22 - element.mantissa_bits) if rule.rounded else 0
    whole = (
        fmt.scale == "ue4m3", rule.divided, rule.up, element.largest_exponent, half,
        (rule.least + 127) << 23,
    )  # fmt: skip
    return np.array([int(fact) for fact in whole], np.uint32)


def _largest(format: str) -> float:
    return float(numbers_of(format)[format_of(format).largest_code])


@cache
def _thresholds(lossy: bool) -> UInt32:
    """Return the largest fraction that does not go up to the next power of two, by exponent field.

    A binary32 logarithm of numbers just above a power of two is the whole one below.
    """
    found = np.zeros(256, np.uint32)
    found[0] = 1 << 22  # 2^-127
    if lossy:
        steps = np.arange(128, dtype=np.uint32)
        bits = (np.arange(255, dtype=np.uint32) << 23)[:, None] + found[:255, None] + steps
        logarithm = np.log2(bits.view(np.float32).astype(np.float64)).astype(np.float32)
        whole = np.arange(255, dtype=np.float32)[:, None] - 127
        found[:255] += ((logarithm <= whole).sum(axis=1) - 1).astype(np.uint32)
    return found


def torchao_nan(bits: int, format: str) -> int | None:
    """Return the code that torchao's rounding makes of the bits of a NaN; None: NaN.

    In a format without NaN they are rounded as those of a number.
    """
    element = format_of(format)
    if element.nan_code is not None:
        return None
    magnitude, drop = bits & 0x7FFFFFFF, 23 - element.mantissa_bits
    rounded = (magnitude + (1 << (drop - 1)) - 1 + (magnitude >> drop & 1)) >> drop
    sign = (bits >> 31) << (element.bits - 1)
    return (rounded - ((127 - element.bias) << element.mantissa_bits)) & 0xFF | sign


def dequantize_blocks(
    codes: npt.ArrayLike,
    scales: npt.ArrayLike,
    format: str,
    *,
    block: int = 0,
    tensor_scale: float = 1.0,
    dtype: Any = np.float32,
) -> Array:
    """Return ``code * (scale * tensor_scale)`` of codes ``[rows, k]``, rounded to the type.

    Args:
        codes: uint8 ``[rows, k]``, one to a byte.
        scales: uint8 codes ``[rows, ceil(k / block)]``.
        format: one of ``BLOCK_FORMATS``.
        block: elements that share a scale; 0: as many as the format says.
        tensor_scale: as it was given to ``quantize_blocks``.
        dtype: float32 or float64, in which all is computed.

    Raises:
        ValueError: another type, shape, name or block.
    """
    fmt, given = block_format(format), matrix("codes", codes, np.uint8)
    size, (m, k) = _size(block, fmt), given.shape
    steps = array("scales", scales, np.uint8)
    if steps.shape != (m, -(-k // size)):
        raise ValueError(f"scales has the shape {steps.shape}, ({m}, {-(-k // size)}) is needed")
    numbers = decode(given, fmt.element, dtype)
    factors = decode(steps, fmt.scale, dtype) * numbers.dtype.type(_tensor_scale(tensor_scale, fmt))
    found: Array = numbers * np.repeat(factors, size, axis=1)[:, :k]
    return found


def tensor_scale(x: npt.ArrayLike) -> float:
    """Return the scale above the scales of NVFP4: largest magnitude / (448 * 6), in binary32.

    A tensor of zeros has 1.

    Raises:
        ValueError: another type than float32.
    """
    given = array("x", x, np.float32)
    most = np.abs(given).max(initial=np.float32(0))
    return float(most / np.float32(448.0 * 6.0)) or 1.0
