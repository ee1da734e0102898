"""A weight as codes and scales, wherever a checkpoint keeps them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from accelsim.errors import CheckpointError
from accelsim_kernels.formats import FORMATS, format_of

Array = npt.NDArray[Any]
Float32 = npt.NDArray[np.float32]

#: Widths of integer codes; those without a name among the formats are read and written too.
WIDTHS = range(1, 9)
#: Float formats of codes.
CODES = ("fp8_e4m3", "fp8_e5m2", "fp6_e2m3", "fp4_e2m1")
#: Formats of scales: plain numbers, MX's powers of two, NVFP4's E4M3.
SCALE_FORMATS = ("fp32", "fp16", "bf16", "e8m0", "ue4m3")


@dataclass(frozen=True)
class CodedWeight:
    """A weight ``[n, k]`` of n outputs: each number is ``(code - zero point) * scale``.

    Attributes:
        format: ``int1`` to ``int8``, ``fp8_e4m3``, ``fp8_e5m2``, ``fp6_e2m3`` or ``fp4_e2m1``.
        codes: ``[n, k]``, one to an element: int8 numbers, or uint8 bit patterns of a float.
        scales: float32 ``[row blocks, groups]``, numbers of ``scale_format``.
        scale_format: one of ``SCALE_FORMATS``.
        group: the run of k that shares a scale, the last one may be shorter; 0: all of k.
        rows: outputs that share a scale: 1, a block's height, or 0 for all.
        zero_points: int16 ``[row blocks, groups]`` in the codes' own range; None: zero.
        global_scale: a factor of the whole tensor; its scales are divided by it, as
            compressed-tensors has it, or multiplied with it, as torchao does.
        divides: which of the two.
        group_of: int32 ``[k]``, the group of each column; None: ``column // group``.
    """

    format: str
    codes: Array
    scales: Float32
    scale_format: str = "fp32"
    group: int = 0
    rows: int = 1
    zero_points: npt.NDArray[np.int16] | None = None
    global_scale: np.float32 | None = None
    divides: bool = True
    group_of: npt.NDArray[np.int32] | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """Outputs and inputs."""
        n, k = self.codes.shape
        return n, k

    @property
    def is_integer(self) -> bool:
        """Whether codes are whole numbers."""
        return self.format.startswith("int")

    @property
    def bits(self) -> int:
        """Width of a code."""
        return bits_of_codes(self.format)

    @property
    def has_zero_points(self) -> bool:
        """Whether any zero point is not zero."""
        return self.zero_points is not None and bool(self.zero_points.any())

    def factors(self) -> Float32:
        """Return what codes are multiplied with, ``[row blocks, groups]``, in binary32."""
        if self.global_scale is None:
            return self.scales
        whole = np.float32(self.global_scale)
        return self.scales / whole if self.divides else self.scales * whole

    def numbers(self) -> Float32:
        """Return the weight ``[n, k]``: each step rounded to binary32."""
        factors, points = self.by_row()
        if self.is_integer:
            found = self.codes.astype(np.float32)
        else:
            found = numbers_of(self.format)[self.codes]
        if points is not None:
            self._apply(np.subtract, found, points.astype(np.float32))
        self._apply(np.multiply, found, factors)
        return found

    def _apply(self, step: np.ufunc, found: Float32, by_group: Float32) -> None:
        """Combine each number with that of its row and group, in place."""
        n, k = self.shape
        if self.group_of is not None:
            step(found, by_group[:, self.group_of], out=found)
        elif k % (self.group or k):
            step(found, np.repeat(by_group, self.group, axis=1)[:, :k], out=found)
        else:
            runs = found.reshape(n, by_group.shape[1], -1)
            step(runs, by_group[:, :, None], out=runs)

    def by_row(self) -> tuple[Float32, npt.NDArray[np.int16] | None]:
        """Return factors and zero points ``[n, groups]``: blocks of rows, each row its own."""
        n, points = self.shape[0], self.zero_points
        tall = self.rows or n
        factors = np.repeat(self.factors(), tall, axis=0)[:n]
        return factors, None if points is None else np.repeat(points, tall, axis=0)[:n]

    def check(self, name: str) -> None:
        """Check that codes, scales and zero points belong together.

        Raises:
            CheckpointError: shapes, types, widths or scales that do not fit, by the weight's name.
        """
        if self.codes.ndim != 2:
            raise CheckpointError(f"{name}: codes are {list(self.codes.shape)}; [n, k] is needed")
        wanted = np.int8 if self.is_integer else np.uint8
        if self.codes.dtype != wanted:
            raise CheckpointError(
                f"{name}: codes of {self.format} are {self.codes.dtype}; {wanted.__name__} is "
                "needed"
            )
        if self.scale_format not in SCALE_FORMATS:
            raise CheckpointError(
                f"{name}: scales are {self.scale_format!r}; {', '.join(SCALE_FORMATS)} are allowed"
            )
        self._check_shapes(name)
        self._check_codes(name)
        self._check_scales(name)

    def _check_shapes(self, name: str) -> None:
        shape = self.scale_shape()
        if self.scales.shape != shape or self.scales.dtype != np.float32:
            raise CheckpointError(
                f"{name}: scales are {self.scales.dtype} {list(self.scales.shape)}; codes "
                f"{list(self.shape)} in groups of {self.group or 'a row'} need float32 "
                f"{list(shape)}"
            )
        points = self.zero_points
        if points is not None and (points.shape != shape or not self.is_integer):
            raise CheckpointError(
                f"{name}: zero points are {list(points.shape)} of {self.format} codes; integers "
                f"with {list(shape)} are needed"
            )
        groups = self.group_of
        if groups is not None and (
            groups.shape != (self.shape[1],) or groups.min() < 0 or groups.max() >= shape[1]
        ):
            raise CheckpointError(
                f"{name}: the groups of its columns do not lie within 0 to {shape[1] - 1}"
            )

    def scale_shape(self) -> tuple[int, int]:
        """Return the shape that scales must have."""
        n, k = self.shape
        return -(-n // (self.rows or max(n, 1))), -(-k // (self.group or max(k, 1)))

    def _check_codes(self, name: str) -> None:
        half = 1 << (self.bits - 1)
        low, high = (-half, half - 1) if self.is_integer else (0, 2 * half - 1)
        if self.codes.size and (self.codes.min() < low or self.codes.max() > high):
            raise CheckpointError(
                f"{name}: codes from {self.codes.min()} to {self.codes.max()}; {self.format} "
                f"allows {low} to {high}"
            )
        if self.is_integer or self.bits < 8:
            return
        finite = np.isfinite(numbers_of(self.format))
        if not finite[self.codes].all():
            wrong = int((~finite[self.codes]).sum())
            raise CheckpointError(
                f"{name}: {wrong:,} codes of {self.codes.size:,} are NaN or infinite; weights must "
                "be finite"
            )

    def _check_scales(self, name: str) -> None:
        with np.errstate(all="ignore"):
            factors = self.factors()
        if not np.isfinite(factors).all():
            wrong = int((~np.isfinite(factors)).sum())
            raise CheckpointError(
                f"{name}: {wrong:,} scales of {factors.size:,} are NaN or infinite; weights must "
                "be finite"
            )
        largest = float(np.abs(factors).max(initial=0)) * self._largest_code()
        if largest > float(np.finfo(np.float32).max):
            raise CheckpointError(
                f"{name}: codes times scales reach {largest:.3g}, which no binary32 number is"
            )

    def _largest_code(self) -> float:
        if not self.is_integer:
            table = numbers_of(self.format)
            return float(table[np.isfinite(table)].max())
        half = 1 << (self.bits - 1)
        return half if self.zero_points is None else float(half + np.abs(self.zero_points).max())


def bits_of_codes(fmt: str) -> int:
    """Return the width of a format of codes.

    Raises:
        CheckpointError: there is none of that name with up to 8 bits.
    """
    if fmt.startswith("int") and fmt[3:].isdecimal() and int(fmt[3:]) in WIDTHS:
        return int(fmt[3:])
    if fmt in CODES:
        return FORMATS[fmt].bits
    raise CheckpointError(
        f"weights have no codes of {fmt!r}; int1 to int8 and {', '.join(CODES)} are allowed"
    )


@cache
def numbers_of(fmt: str) -> Float32:
    """Return the number of each code of OCP's and IEEE's float formats of up to 8 bits."""
    facts = format_of(fmt)
    fraction = facts.mantissa_bits

    def number(code: int) -> float:
        signed = facts.signed and not facts.sign_ignored
        sign = -1.0 if signed and code >> (facts.bits - 1) else 1.0
        code &= (1 << facts.magnitude_bits) - 1
        if code > facts.largest_code:
            return sign * math.inf if code == facts.infinity_code else math.nan
        field, rest = code >> fraction, code & ((1 << fraction) - 1)
        if field == 0 and facts.has_zero:
            return sign * math.ldexp(rest, facts.least_exponent - fraction)
        return sign * math.ldexp((1 << fraction) + rest, field - facts.bias - fraction)

    found = np.array([number(code) for code in range(1 << facts.bits)], np.float32)
    found.flags.writeable = False
    return found
