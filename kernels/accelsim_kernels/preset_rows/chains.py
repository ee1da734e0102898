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
    Arithmetic(
        name="fp64_chain",
        unit="chain",
        accumulator="fp64",
        spill="fp64",
        chunk=1,
        fraction_bits=52,
        alignment="nearest_even",
        order="chain",
        source="a column of fused multiply-adds in IEEE 754 binary64, K ascending",
        operands=("fp64",),
    ),
    Arithmetic(
        name="systolic_128_bf16",
        unit="chain",
        accumulator="fp32",
        spill="fp32",
        chunk=1,
        fraction_bits=23,
        alignment="nearest_even",
        order="chain",
        source="an assumption: columns of 128 that begin at zero, added up in FP32 below the "
        "array; BF16 products and FP32 sums as in the Cloud TPU documentation, which does not "
        "give their order",
        operands=("bf16",),
        promotion=128,
    ),
    Arithmetic(
        name="systolic_16_fp16",
        unit="chain",
        accumulator="fp16",
        spill="fp16",
        chunk=1,
        fraction_bits=10,
        alignment="nearest_even",
        order="chain",
        source="an assumption: columns of 16 in FP16, whose partial sums are fed back",
        operands=("fp16",),
        kept_bits=10,
        depth=16,
    ),
)
