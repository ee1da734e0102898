"""How a matrix unit adds up one dot product, as data."""

from __future__ import annotations

from dataclasses import dataclass

from accelsim_kernels.formats import FORMATS

#: The kinds of unit; each has one kernel, whose parameters are the fields of ``Arithmetic``.
#:
#: - ``integer``: exact sums, which wrap or saturate in the accumulator.
#: - ``chain``: fused multiply-adds one after the other.
#: - ``aligned``: the products of a chunk and the accumulator are cut to a common exponent.
#: - ``grouped``: as ``aligned``, over exact sums of groups that share a pair of scales.
#: - ``exact_sum``: the products of a chunk and the accumulator, summed exactly, rounded once.
#: - ``flushed_pairs``: products and sums in pairs, each rounded; subnormal numbers are zero.
#: - ``floored``: aligned sums of a chunk, then floored to the exponent of the accumulator.
#: - ``floored_halves``: the same of even and odd places apart.
UNITS = (
    "integer", "chain", "aligned", "grouped", "exact_sum", "flushed_pairs", "floored",
    "floored_halves",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """How a matrix unit adds up one dot product.

    Attributes:
        name: the preset's name.
        unit: one of ``UNITS``.
        accumulator: format of the running sum inside the unit.
        spill: format in which a partial sum leaves the unit between two tiles of K, and in which
            the result leaves it.
        chunk: products that are added before the accumulator is rounded; 1 is a serial chain,
            0 means that the sum is exact and the chunk does not matter.
        fraction_bits: fraction bits kept when the products of a chunk are aligned; 0 where the sum
            is exact.
        alignment: ``exact``, ``truncate`` or ``nearest_even`` at that alignment.
        order: ``chain`` (K ascending, one accumulator) or ``any`` where the sum is exact.
        source: who states it.
        operands: formats that either operand may have; empty: whatever the accumulator holds.
        rounding: of the accumulator: ``nearest_even`` or ``toward_zero``.
        kept_bits: fraction bits of the accumulator that are kept; the others are zero.
        zero_exponent: exponent that a term of value zero counts with.
        step: K of one instruction; K that it does not divide is padded with zeros. 0: any K.
        block: products along K that share a scale; 0: none do.
        scale: format of those scales; empty: none.
        group: products that are summed exactly before their scale is applied; 0: none.
        promotion: K after which the accumulator is added to a sum in FP32 and begins again; 0:
            never.
        split: parts of K that are summed apart, each from zero, and then added in FP32, ascending.
        depth: K after which a partial sum is rounded to ``spill``; 0: never before the end.
        overflow: of integers: ``wrap`` or ``saturate``.
    """

    name: str
    unit: str
    accumulator: str
    spill: str
    chunk: int
    fraction_bits: int
    alignment: str
    order: str
    source: str
    operands: tuple[str, ...] = ()
    rounding: str = "nearest_even"
    kept_bits: int = 23
    zero_exponent: int = 0
    step: int = 0
    block: int = 0
    scale: str = ""
    group: int = 0
    promotion: int = 0
    split: int = 1
    depth: int = 0
    overflow: str = "wrap"

    @property
    def accumulator_bits(self) -> int:
        """Storage of one partial sum."""
        return FORMATS[self.spill].bits
