"""How a matrix unit adds up one dot product, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from accelsim_kernels.formats import FORMATS, format_of

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


#: What may be changed about a unit: field to its least and most, or to its values. A field that is
#: not listed has no meaning in a unit, or only one value.
KNOBS: Mapping[str, Mapping[str, tuple[int, int] | tuple[str, ...]]] = MappingProxyType(
    {
        "integer": {
            "accumulator": ("int8", "int16", "int32", "int64"),
            "spill": ("int8", "int16", "int32", "int64"), "chunk": (1, 4096),
            "depth": (0, 1 << 20), "overflow": ("wrap", "saturate"),
        },
        "chain": {
            "accumulator": ("fp16", "bf16", "tf32", "fp32", "fp64"),
            "spill": ("fp16", "bf16", "fp32", "fp64"), "chunk": (1, 4096), "kept_bits": (1, 52),
            "rounding": ("nearest_even", "toward_zero"), "depth": (0, 1 << 20),
        },
        "aligned": {
            "chunk": (1, 32), "fraction_bits": (1, 25), "kept_bits": (1, 23),
            "promotion": (0, 1 << 20),
        },
        "grouped": {"fraction_bits": (1, 35), "kept_bits": (1, 23), "promotion": (0, 1 << 20)},
        "exact_sum": {},
        "flushed_pairs": {},
        "floored": {"fraction_bits": (23, 25)},
        "floored_halves": {"fraction_bits": (23, 24)},
    }
)  # fmt: skip


def changed(base: Arithmetic, **changes: int | str) -> Arithmetic:
    """Return an arithmetic with changes that its unit has a meaning for; its name lists them.

    Raises:
        ValueError: a field that the unit does not have, or a value that it cannot take.
    """
    knobs = KNOBS[base.unit]
    for key, value in changes.items():
        if key not in knobs:
            can = f"it takes {', '.join(knobs)}" if knobs else "nothing about it can be changed"
            raise ValueError(f"{base.name} has no {key} to change; {can}")
        allowed = knobs[key]
        if isinstance(value, str):
            if value not in allowed:
                listed = ", ".join(str(one) for one in allowed)
                raise ValueError(f"{key} of {base.name} is {value!r}; allowed are {listed}")
        elif not int(allowed[0]) <= value <= int(allowed[1]):
            raise ValueError(
                f"{key} of {base.name} is {value}; allowed are {allowed[0]} to {allowed[1]}"
            )
    listed = ",".join(f"{key}={value}" for key, value in sorted(changes.items()))
    return replace(base, name=f"{base.name}[{listed}]" if changes else base.name, **changes)


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
        operands: formats that either operand may have; empty: every one whose numbers the
            accumulator holds, see ``takes``.
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
    def takes(self) -> tuple[str, ...]:
        """Formats that either operand may have, the usual one first."""
        if self.operands:
            return self.operands
        sums = format_of(self.accumulator)
        narrower = (
            row.name for row in FORMATS.values()
            if row.is_float and row.name != sums.name and row.mantissa_bits <= sums.mantissa_bits
            and row.exponent_bits <= sums.exponent_bits and row.signed
        )  # fmt: skip
        return (sums.name, *narrower)

    @property
    def accumulator_bits(self) -> int:
        """Storage of one partial sum."""
        return format_of(self.spill).bits
