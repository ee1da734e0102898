"""Matrix units of AMD's CDNA generations."""

from __future__ import annotations

from dataclasses import replace

from accelsim_kernels.arithmetic import Arithmetic

_SOURCE = "arXiv 2511.10909; mmasim 2.1.1"
_NEAREST = "nearest_even"
_FP8 = ("fp8_e4m3fnuz", "fp8_e5m2fnuz")


def _row(name: str, unit: str, operands: tuple[str, ...], chunk: int, bits: int) -> Arithmetic:
    """Return a row that adds up in FP32."""
    alignment = "exact" if bits == 0 else "truncate" if unit.startswith("floored") else _NEAREST
    return Arithmetic(
        name=name, unit=unit, accumulator="fp32", spill="fp32", chunk=chunk, fraction_bits=bits,
        alignment=alignment, order="chain", source=_SOURCE, operands=operands,
    )  # fmt: skip


def _chain(name: str, fmt: str) -> Arithmetic:
    return Arithmetic(
        name=name, unit="chain", accumulator=fmt, spill=fmt, chunk=1,
        fraction_bits=23 if fmt == "fp32" else 52, alignment=_NEAREST, order="chain",
        source=_SOURCE, operands=(fmt,),
    )  # fmt: skip


ROWS = (
    _row("cdna1_fp16", "exact_sum", ("fp16",), 4, 0),
    _row("cdna1_bf16", "exact_sum", ("bf16",), 2, 0),
    _chain("cdna1_fp32", "fp32"),
    # K of the longest instruction: shorter ones can differ in the sign of a zero.
    replace(_row("cdna2_fp16", "flushed_pairs", ("fp16",), 4, 23), step=16),
    replace(_row("cdna2_bf16", "flushed_pairs", ("bf16",), 2, 23), step=8),
    replace(_row("cdna2_bf16_1k", "flushed_pairs", ("bf16",), 4, 23), step=16),
    _chain("cdna2_fp32", "fp32"),
    _chain("cdna2_fp64", "fp64"),
    _row("cdna3_fp16", "floored", ("fp16",), 8, 24),
    _row("cdna3_bf16", "floored", ("bf16",), 8, 24),
    _row("cdna3_xf32", "floored", ("tf32",), 4, 24),
    _row("cdna3_fp8", "floored_halves", _FP8, 16, 24),
    _chain("cdna3_fp32", "fp32"),
    _chain("cdna3_fp64", "fp64"),
)
