"""Serial chains of fused multiply-adds."""

from __future__ import annotations

from accelsim_kernels.arithmetic import Arithmetic

ROWS = (
    Arithmetic(
        name="fp32_chain",
        unit="chain",
        accumulator="fp32",
        spill="fp32",
        chunk=1,
        fraction_bits=23,
        alignment="nearest_even",
        order="chain",
        source="a column of fused multiply-adds in IEEE 754 binary32, K ascending",
    ),
)
