"""Tensor cores of NVIDIA: aligned sums, scaled by blocks, scaled by groups.

A preset stands for one kind of instruction; the serial steps inside an instruction are its chunks.
A name that ends in ``_f16`` has an accumulator in FP16; ``_k4``, ``_k8``, ``_k16`` are instructions
that are shorter than a chunk of their generation.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from accelsim_kernels.arithmetic import Arithmetic

_SOURCE = "mmasim 2.1.1; arXiv 2511.10909"
_FP8 = ("fp8_e4m3", "fp8_e5m2")
_FP8_6_4 = (*_FP8, "fp6_e3m2", "fp6_e2m3", "fp4_e2m1")


@dataclass(frozen=True)
class _Generation:
    """What the instructions of a generation share.

    Attributes:
        name: of the generation.
        below: how far the exponent of zero lies below the least of the accumulator.
        fraction_bits: kept when terms are aligned.
        chunk: products of 16-bit numbers that are added at once.
    """

    name: str
    below: int
    fraction_bits: int
    chunk: int

    def rows(
        self, kind: str, operands: tuple[str, ...], step: int, bits: int = 16,
        narrow: bool = False, half: bool = False,
    ) -> tuple[Arithmetic, ...]:  # fmt: skip
        """Return the row of a kind of operands, and the one with an accumulator in FP16.

        Args:
            kind: second part of the name.
            operands: formats.
            step: K of an instruction.
            bits: of an operand: a chunk has as many bytes for all of them.
            narrow: whether 13 fraction bits are kept, of terms and of the accumulator.
            half: whether there is one with an accumulator in FP16.
        """
        row = Arithmetic(
            name=f"{self.name}_{kind}",
            unit="aligned",
            accumulator="fp32",
            spill="fp32",
            chunk=min(self.chunk * 16 // bits, step),
            fraction_bits=13 if narrow else self.fraction_bits,
            alignment="truncate",
            order="chain",
            source=_SOURCE,
            operands=operands,
            rounding="toward_zero",
            kept_bits=13 if narrow else 23,
            zero_exponent=-126 - self.below,
            step=step,
        )
        return (row, *([self._half(row)] if half else []))

    def _half(self, row: Arithmetic) -> Arithmetic:
        return replace(
            row, name=f"{row.name}_f16", accumulator="fp16", spill="fp16",
            rounding="nearest_even", kept_bits=10, zero_exponent=-14 - self.below,
        )  # fmt: skip

    def wide(self) -> tuple[Arithmetic, ...]:
        """Return the rows of 16 and 19 bits that every generation since Ampere has."""
        rows = (
            *self.rows("fp16", ("fp16",), 16, half=True),
            *self.rows("bf16", ("bf16",), 16),
            *self.rows("tf32", ("tf32",), 8, bits=32),
        )
        if self.chunk <= 8:
            return rows
        return (
            *rows,
            *self.rows("fp16_k8", ("fp16",), 8, half=True),
            *self.rows("bf16_k8", ("bf16",), 8),
            *self.rows("tf32_k4", ("tf32",), 4, bits=32),
        )

    def scaled(self) -> tuple[Arithmetic, ...]:
        """Return the rows whose operands carry a scale per block of K."""
        (aligned,) = self.rows("mxfp8", _FP8_6_4, 32, bits=8)
        grouped = replace(
            aligned, name=f"{self.name}_mxfp4", unit="grouped", operands=("fp4_e2m1",), chunk=64,
            step=64, group=16, fraction_bits=35, zero_exponent=-139, block=32, scale="e8m0",
        )  # fmt: skip
        return (
            replace(aligned, block=32, scale="e8m0"),
            grouped,
            replace(grouped, name=f"{self.name}_mxfp4_block16", block=16),
            replace(grouped, name=f"{self.name}_nvfp4", block=16, scale="ue4m3"),
        )


_VOLTA = _Generation("volta", 5, 23, 4)
_TURING = _Generation("turing", 6, 24, 8)
_AMPERE = _Generation("ampere", 6, 24, 8)
_ADA = _Generation("ada", 6, 24, 8)
_HOPPER = _Generation("hopper", 7, 25, 16)
_BLACKWELL = _Generation("blackwell", 7, 25, 16)
_RTX_BLACKWELL = _Generation("rtx_blackwell", 7, 25, 16)

_HOPPER_FP8 = _HOPPER.rows("fp8", _FP8, 32, bits=8, narrow=True, half=True)

ROWS = (
    *_VOLTA.rows("fp16", ("fp16",), 4, half=True),
    *_TURING.rows("fp16", ("fp16",), 8, half=True),
    *_AMPERE.wide(),
    *_ADA.wide(),
    *_ADA.rows("fp8", _FP8, 32, bits=8, narrow=True, half=True),
    *_HOPPER.wide(),
    *_HOPPER_FP8,
    # DeepGEMM, kernel of sm90: four instructions, then an addition on the CUDA cores.
    replace(
        _HOPPER_FP8[0], name="hopper_fp8_promoted", promotion=128,
        source=f"{_SOURCE}; deepseek-ai/DeepGEMM, BLOCK_K = 128",
    ),
    *_BLACKWELL.wide(),
    *_BLACKWELL.rows("fp8", _FP8_6_4, 32, bits=8, half=True),
    *_BLACKWELL.scaled(),
    *_RTX_BLACKWELL.wide(),
    *_RTX_BLACKWELL.rows("fp8", _FP8_6_4, 32, bits=8, half=True),
    *_RTX_BLACKWELL.rows("fp8_k16", _FP8, 16, bits=8, half=True),
    *_RTX_BLACKWELL.scaled(),
)  # fmt: skip
