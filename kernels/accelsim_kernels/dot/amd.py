"""Units of AMD's CDNA generations: who computes each."""

from __future__ import annotations

from accelsim_kernels.dot.amd_floored import Floored, floored
from accelsim_kernels.dot.amd_pairs import flushed_pairs
from accelsim_kernels.dot.serial import run_exact_sum
from accelsim_kernels.dot.units import Product
from accelsim_kernels.dot.values import codes_of, numbers

__all__ = ["run_exact_sum", "run_floored", "run_floored_halves", "run_flushed_pairs"]

#: Fewest fraction bits: those of an accumulator in FP32.
_FEWEST = 23


def run_flushed_pairs(product: Product) -> None:
    """CDNA2; K is filled with zeros to whole groups of 2 or 4.

    Raises:
        ValueError: another group, or an instruction that no whole number of groups fills.
    """
    rule = product.arithmetic
    if rule.chunk not in (2, 4):
        raise ValueError(f"chunk is {rule.chunk}; {rule.unit} takes 2 or 4")
    if rule.step % rule.chunk:
        raise ValueError(f"step is {rule.step}; {rule.unit} takes multiples of its chunk")
    least = (product.a_format.least_exponent, product.b_format.least_exponent)
    a, b = numbers(product.a, product.a_format), numbers(product.b, product.b_format)
    c = numbers(product.out, product.c_format)
    product.out[...] = codes_of(flushed_pairs(a, b, c, least, rule.chunk, rule.step), rule.spill)


def run_floored(product: Product) -> None:
    """CDNA3 FP16, BF16, XF32; K is filled with zeros to whole chunks."""
    _run_floored(product, 1)


def run_floored_halves(product: Product) -> None:
    """CDNA3 FP8; K is filled with zeros to whole chunks."""
    _run_floored(product, 2)


def _run_floored(product: Product, halves: int) -> None:
    rule, formats = product.arithmetic, (product.a_format, product.b_format)
    # Products are below 4, c is below 2, and their sum stays within 32 bits.
    most = (rule.chunk * 4 + 2) << rule.fraction_bits
    if rule.chunk < 1 or not rule.fraction_bits >= _FEWEST or most > 1 << 31:
        raise ValueError(
            f"chunk is {rule.chunk}, fraction_bits is {rule.fraction_bits}; {rule.unit} takes "
            f"{_FEWEST} bits or more, with (4 chunk + 2) 2^bits up to 2^31"
        )
    unit = Floored(rule.chunk, halves, rule.fraction_bits)
    a, b = numbers(product.a, formats[0]), numbers(product.b, formats[1])
    c = numbers(product.out, product.c_format)
    least = (formats[0].least_exponent, formats[1].least_exponent)
    product.out[...] = codes_of(floored(a, b, c, least, unit), rule.spill)
