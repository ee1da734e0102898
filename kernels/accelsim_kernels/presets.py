"""The arithmetic of a matrix unit as data, and the named presets.

Neither numba nor numpy is imported here: a hardware description validates its arithmetic against
this table without starting a compiler.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

from accelsim_kernels.formats import FORMATS


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """How a matrix unit adds up one dot product.

    Attributes:
        name: the preset's name.
        accumulator: format of the running sum inside the unit.
        spill: format in which a partial sum leaves the unit between two tiles of K.
        chunk: products that are added before the accumulator is rounded; 1 is a serial chain,
            0 means that the sum is exact and the chunk does not matter.
        fraction_bits: fraction bits kept when the products of a chunk are aligned; 0 where the sum
            is exact.
        alignment: ``exact``, ``truncate`` or ``nearest_even`` at that alignment.
        order: ``chain`` (K ascending, one accumulator) or ``any`` where the sum is exact.
        source: who states it.
    """

    name: str
    accumulator: str
    spill: str
    chunk: int
    fraction_bits: int
    alignment: str
    order: str
    source: str

    @property
    def accumulator_bits(self) -> int:
        """Storage of one partial sum."""
        return FORMATS[self.spill].bits


_ROWS = (
    Arithmetic(
        name="int32_exact",
        accumulator="int32",
        spill="int32",
        chunk=0,
        fraction_bits=0,
        alignment="exact",
        order="any",
        source="integer sums are exact while K * max|a| * max|b| < 2^31",
    ),
    Arithmetic(
        name="fp32_chain",
        accumulator="fp32",
        spill="fp32",
        chunk=1,
        fraction_bits=23,
        alignment="nearest_even",
        order="chain",
        source="a column of fused multiply-adds in IEEE 754 binary32, K ascending",
    ),
)

#: Every preset by name.
PRESETS = MappingProxyType({row.name: row for row in _ROWS})
