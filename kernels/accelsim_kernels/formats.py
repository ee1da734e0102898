"""The table of number formats. Neither numba nor numpy is imported here."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType

#: What the codes at the ends stand for.
#:
#: - ``none``: every code is a finite number.
#: - ``ieee``: the highest exponent holds infinity (fraction 0) and NaN.
#: - ``fn``: no infinity; all ones, without the sign, is NaN.
#: - ``fnuz``: no infinity and no minus zero; the code of minus zero is NaN.
#: - ``p3109_finite``: NaN as for ``fnuz``; unsigned formats hold it at their last code.
#: - ``p3109_extended``: the same, and the largest codes are infinities.
SPECIALS = ("none", "ieee", "fn", "fnuz", "p3109_finite", "p3109_extended")


@dataclass(frozen=True, slots=True)
class NumberFormat:
    """Facts of one format.

    Attributes:
        name: the one spelling used in chips, recipes and results.
        kind: ``int`` (two's complement), ``uint`` or ``float``.
        bits: storage width.
        exponent_bits: width of the exponent field; 0 for integers.
        mantissa_bits: explicit fraction bits; of integers, the places behind the binary point.
        source: the standard that defines it.
        bias: exponent bias; 0 for integers.
        specials: one of ``SPECIALS``.
        signed: whether the first bit is a sign.
        sign_ignored: the first bit is a sign that units do not look at; numbers have none.
    """

    name: str
    kind: str
    bits: int
    exponent_bits: int = 0
    mantissa_bits: int = 0
    source: str = "two's complement"
    bias: int = 0
    specials: str = "none"
    signed: bool = True
    sign_ignored: bool = False

    @property
    def is_float(self) -> bool:
        """Whether values carry their own exponent."""
        return self.kind == "float"

    @property
    def least_exponent(self) -> int:
        """Exponent of subnormal numbers and of the smallest normal one."""
        return 1 - self.bias

    @property
    def unused_bits(self) -> int:
        """Low bits of the storage that carry nothing; 13 of tf32."""
        used = self.signed + self.exponent_bits + self.mantissa_bits
        return self.bits - used if self.is_float else 0

    @property
    def magnitude_bits(self) -> int:
        """Bits of a code without its sign and without unused bits."""
        return self.bits - self.signed - self.unused_bits

    @property
    def has_zero(self) -> bool:
        """Whether a code stands for zero: E8M0 holds powers of two alone."""
        return self.name != "e8m0"

    @property
    def has_minus_zero(self) -> bool:
        """Whether a code stands for -0."""
        signed = self.is_float and self.signed and not self.sign_ignored
        return signed and self.specials in ("none", "ieee", "fn")

    @property
    def infinity_code(self) -> int | None:
        """Code of infinity, unused bits left out; None: there is none."""
        if self.specials == "ieee":
            return ((1 << self.exponent_bits) - 1) << self.mantissa_bits
        if self.specials == "p3109_extended":
            return (1 << self.magnitude_bits) - (1 if self.signed else 2)
        return None

    @property
    def nan_code(self) -> int | None:
        """Code of a quiet NaN, unused bits left out; None: there is none."""
        last = (1 << self.magnitude_bits) - 1
        if self.specials == "none":
            return None
        if self.specials in ("ieee", "fn"):
            # The quiet bit alone: the canonical NaN of RISC-V and Arm.
            quiet = 1 << max(self.mantissa_bits - 1, 0)
            return last if self.infinity_code is None else self.infinity_code | quiet
        return last + 1 if self.signed else last

    @property
    def largest_code(self) -> int:
        """Code of the largest finite number, unused bits left out."""
        last = (1 << self.magnitude_bits) - 1
        if self.infinity_code is not None:
            return self.infinity_code - 1
        return last if self.specials == "none" or (self.nan_code or 0) > last else last - 1

    @property
    def largest_exponent(self) -> int:
        """Exponent of the largest finite number, ``emax`` of the OCP MX specification."""
        if not self.is_float:
            return self.magnitude_bits - 1 - self.mantissa_bits
        field, fraction = divmod(self.largest_code, 1 << self.mantissa_bits)
        if field == 0 and self.has_zero:
            return self.least_exponent - self.mantissa_bits + fraction.bit_length() - 1
        return field - self.bias


_IEEE = "IEEE 754-2019"
_OCP8 = "OCP 8-bit Floating Point Specification 1.0 (2023)"
_MX = "OCP Microscaling Formats (MX) Specification 1.0 (2023)"
_FNUZ = "8-bit Numerical Formats for Deep Neural Networks (arXiv 2206.02915); AMD CDNA3 ISA"
_ML_DTYPES = "ml_dtypes 0.6, float8_e4m3b11fnuz, float8_e4m3, float8_e3m4"
_P3109 = "IEEE P3109, interim report"
_BINARY = "unsigned binary"

_ROWS = (
    NumberFormat("int2", "int", 2),
    NumberFormat("int4", "int", 4),
    NumberFormat("int8", "int", 8),
    NumberFormat("int16", "int", 16),
    NumberFormat("int32", "int", 32),
    NumberFormat("int64", "int", 64),
    NumberFormat("bool", "uint", 8, source="one byte per truth value, as torch stores it"),
    NumberFormat("uint2", "uint", 2, source=_BINARY, signed=False),
    NumberFormat("uint4", "uint", 4, source=_BINARY, signed=False),
    NumberFormat("uint8", "uint", 8, source=_BINARY, signed=False),
    NumberFormat("uint16", "uint", 16, source=_BINARY, signed=False),
    NumberFormat("mxint8", "int", 8, 0, 6, _MX),
    NumberFormat("fp4_e2m1", "float", 4, 2, 1, _MX, 1, "none"),
    NumberFormat("fp6_e2m3", "float", 6, 2, 3, _MX, 1, "none"),
    NumberFormat("fp6_e3m2", "float", 6, 3, 2, _MX, 3, "none"),
    NumberFormat("fp8_e4m3", "float", 8, 4, 3, _OCP8, 7, "fn"),
    NumberFormat("fp8_e5m2", "float", 8, 5, 2, _OCP8, 15, "ieee"),
    NumberFormat("fp8_e4m3fnuz", "float", 8, 4, 3, _FNUZ, 8, "fnuz"),
    NumberFormat("fp8_e5m2fnuz", "float", 8, 5, 2, _FNUZ, 16, "fnuz"),
    NumberFormat("fp8_e4m3b11fnuz", "float", 8, 4, 3, _ML_DTYPES, 11, "fnuz"),
    NumberFormat("fp8_e4m3ieee", "float", 8, 4, 3, _ML_DTYPES, 7, "ieee"),
    NumberFormat("fp8_e3m4ieee", "float", 8, 3, 4, _ML_DTYPES, 3, "ieee"),
    NumberFormat("e8m0", "float", 8, 8, 0, _MX, 127, "fn", signed=False),
    NumberFormat(
        "ue4m3", "float", 8, 4, 3, "PTX ISA 8.7, ue4m3: E4M3 whose sign bit is ignored", 7, "fn",
        sign_ignored=True,
    ),
    NumberFormat("fp16", "float", 16, 5, 10, _IEEE, 15, "ieee"),
    NumberFormat("bf16", "float", 16, 8, 7, "the upper half of IEEE 754 binary32", 127, "ieee"),
    NumberFormat(
        "tf32", "float", 32, 8, 10, "PTX ISA 8.7, tf32: binary32 of which 19 bits count", 127,
        "ieee",
    ),
    NumberFormat("fp32", "float", 32, 8, 23, _IEEE, 127, "ieee"),
    NumberFormat("fp64", "float", 64, 11, 52, _IEEE, 1023, "ieee"),
)  # fmt: skip

#: Every named format. ``format_of`` also knows the P3109 family.
FORMATS = MappingProxyType({row.name: row for row in _ROWS})

_ACCUMULATOR = re.compile(r"int[1-9][0-9]?")
_P3109_NAME = re.compile(r"p3109_k([2-8])p([1-8])([su])([fe])")


@cache
def format_of(name: str) -> NumberFormat:
    """Return a format by name.

    That is one of ``FORMATS``, ``p3109_k{bits}p{precision}{s|u}{f|e}``, or ``int{bits}`` of an
    accumulator, 8 to 64 bits wide.

    Raises:
        ValueError: none of them.
    """
    if name in FORMATS:
        return FORMATS[name]
    if _ACCUMULATOR.fullmatch(name) and 8 <= int(name[3:]) <= 64:
        return NumberFormat(name, "int", int(name[3:]))
    parts = _P3109_NAME.fullmatch(name)
    if parts is None:
        raise ValueError(f"format is {name!r}; allowed are {', '.join(FORMATS)}, p3109_k8p3se, ...")
    bits, precision, signed = int(parts[1]), int(parts[2]), parts[3] == "s"
    exponent_bits = bits - precision + (0 if signed else 1)
    if precision > bits - signed or exponent_bits < 0:
        raise ValueError(f"format is {name!r}: {bits} bits cannot hold a precision of {precision}")
    # Unsigned formats of the same width have twice the exponents, and so twice the bias.
    bias = 2 ** (exponent_bits - 1) if exponent_bits else 0
    extended = parts[4] == "e"
    return NumberFormat(
        name, "float", bits, exponent_bits, precision - 1, _P3109, bias,
        "p3109_extended" if extended else "p3109_finite", signed,
    )  # fmt: skip
