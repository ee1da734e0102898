"""Integer units."""

from __future__ import annotations

from dataclasses import replace

from accelsim_kernels.arithmetic import Arithmetic

_EXACT = Arithmetic(
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
)

ROWS = (
    _EXACT,
    replace(
        _EXACT,
        name="int32_saturating",
        order="chain",
        overflow="saturate",
        chunk=4,
        source="an assumption: clamped after every dot product of four, as DP4A with saturation",
    ),
    replace(
        _EXACT,
        name="int64_int16",
        accumulator="int64",
        spill="int64",
        source="TFLite int16 activations: products of int16 and int8 in 64 bits",
        operands=("int16", "int8"),
    ),
)
