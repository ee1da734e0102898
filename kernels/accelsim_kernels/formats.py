"""The table of number formats. Neither numba nor numpy is imported here."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class NumberFormat:
    """Facts of one format.

    Attributes:
        name: the one spelling used in chips, recipes and results.
        kind: ``int`` (two's complement), ``uint`` or ``float``.
        bits: storage width.
        exponent_bits: width of the exponent field; 0 for integers.
        mantissa_bits: explicit fraction bits; 0 for integers.
        source: the standard that defines it.
    """

    name: str
    kind: str
    bits: int
    exponent_bits: int = 0
    mantissa_bits: int = 0
    source: str = "two's complement"

    @property
    def is_float(self) -> bool:
        """Whether values carry their own exponent."""
        return self.kind == "float"


_IEEE = "IEEE 754-2019"
_OCP8 = "OCP 8-bit Floating Point Specification 1.0 (2023)"

_ROWS = (
    NumberFormat("int2", "int", 2),
    NumberFormat("int4", "int", 4),
    NumberFormat("int8", "int", 8),
    NumberFormat("int16", "int", 16),
    NumberFormat("int32", "int", 32),
    NumberFormat("int64", "int", 64),
    NumberFormat("bool", "uint", 8, source="one byte per truth value, as torch stores it"),
    NumberFormat("uint8", "uint", 8, source="unsigned binary"),
    NumberFormat("fp8_e4m3", "float", 8, 4, 3, _OCP8),
    NumberFormat("fp8_e5m2", "float", 8, 5, 2, _OCP8),
    NumberFormat("fp16", "float", 16, 5, 10, _IEEE),
    NumberFormat("bf16", "float", 16, 8, 7, "the upper half of IEEE 754 binary32"),
    NumberFormat("fp32", "float", 32, 8, 23, _IEEE),
    NumberFormat("fp64", "float", 64, 11, 52, _IEEE),
)

#: Every format by name.
FORMATS = MappingProxyType({row.name: row for row in _ROWS})
