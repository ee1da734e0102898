"""Integer units."""

from __future__ import annotations

from accelsim_kernels.arithmetic import Arithmetic

ROWS = (
    Arithmetic(
        name="int32_exact",
        unit="integer",
        accumulator="int32",
        spill="int32",
        chunk=0,
        fraction_bits=0,
        alignment="exact",
        order="any",
        source="integer sums are exact while K * max|a| * max|b| < 2^31",
        operands=("int8", "int4", "int2"),
    ),
)
