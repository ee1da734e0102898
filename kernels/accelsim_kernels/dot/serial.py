"""Serial sums: chains of fused multiply-adds, and chunks that are summed exactly and rounded once.

With accumulator c and the products of a chunk, ``c = round(c + p_0 + ... + p_(chunk-1))`` with one
rounding of the exact sum, chunks in order of K; a chunk of 1 is a fused multiply-add, as in a
column of a systolic array. The accumulator is rounded to ``kept_bits`` fraction bits and to the
exponents of its format: nearest, ties to even, or toward zero. Subnormal numbers are kept, and what
is too large is infinite in either rounding. After ``depth`` products, where the partial sum leaves
one array for the next, and at the end, it is rounded to the format ``spill``: nearest, ties to
even. C enters the first sum as it is. A chunk ends where K or a depth ends.

A sum that is no number is 0x7FFFFFFF or 0x7FFF; in binary64 it has the bits that the processor's
fused multiply-add gives it (x86: those of the operand that is no number, else 0xFFF8 and zeros).
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from accelsim_kernels.chains import chain4
from accelsim_kernels.dot.serial_exact import error_of, exact_total, odd, to_format
from accelsim_kernels.dot.serial_tiles import (
    BLOCK,
    COLUMNS,
    in_threads,
    panels_of,
    read_tile,
    write_tile,
)
from accelsim_kernels.dot.units import Product
from accelsim_kernels.dot.values import codes_of, numbers
from accelsim_kernels.formats import NumberFormat, format_of
from accelsim_kernels.fused import choose64
from accelsim_kernels.jit import kernel, part
from accelsim_kernels.matmul import matmul_chain
from accelsim_kernels.tile import ROWS

Float64 = npt.NDArray[np.float64]
Array = npt.NDArray[Any]
Floats = TypeVar("Floats", npt.NDArray[np.float32], npt.NDArray[np.float64])

#: Columns of a panel of fused multiply-adds, by bytes of an element.
_WIDTHS = {4: 64, 8: 32}
#: Accumulators that the processor adds into itself.
_NATIVE = {"fp32": np.float32, "fp64": np.float64}
#: Kept bits from which on all are kept: the default of ``Arithmetic``.
_ALL = 23


class Rounding(NamedTuple):
    """A format of sums, as ``to_format`` takes it."""

    kept: int
    least: int
    most: int
    to_zero: bool

    @classmethod
    def of(cls, fmt: NumberFormat, kept: int = 52, to_zero: bool = False) -> Rounding:
        """Return a format with its own fraction bits, or fewer."""
        most = (1 << fmt.exponent_bits) - 2 - fmt.bias
        return cls(min(kept, fmt.mantissa_bits), fmt.least_exponent, most, to_zero)


@part
def _fused(a: Floats, top: int, panel: Floats, depth: int, spill: Rounding, sums: Floats) -> None:
    """Run six rows of one panel over all of K."""
    k = a.shape[1]
    for start in range(0, k, depth):
        chain4(sums, 0, a, top, start, panel, start, 0, min(depth, k - start))
        if spill.kept < (23 if sums.itemsize == 4 else 52):
            for i in range(ROWS):
                for j in range(sums.shape[1]):
                    one = np.float64(sums[i, j])
                    sums[i, j] = to_format(one, spill.kept, spill.least, spill.most, False)


@kernel
def _chain(
    a: Floats, panels: Floats, depth: int, spill: Rounding, out: Floats, first: int, last: int
) -> None:
    k, width = a.shape[1], panels.shape[2]
    full = last - (last - first) % ROWS
    rest = np.zeros((ROWS, k), a.dtype)
    for i in range(last - full):
        for j in range(k):
            rest[i, j] = a[full + i, j]
    sums = np.zeros((ROWS, width), a.dtype)
    for block in range(first, last, BLOCK):
        for panel in range(panels.shape[0]):
            for top in range(block, min(last, block + BLOCK), ROWS):
                read_tile(out, top, panel * width, sums)
                if top < full:
                    _fused(a, top, panels[panel], depth, spill, sums)
                else:
                    _fused(rest, 0, panels[panel], depth, spill, sums)
                write_tile(sums, min(ROWS, last - top), out, top, panel * width)


class _Room(NamedTuple):
    """Room of one row: where sums began, what they lack, how often, and the terms of one sum."""

    starts: Float64
    lows: Float64
    misses: npt.NDArray[np.int64]
    terms: Float64
    parts: Float64


@part
def _exact(a: Array, b: Array, j: int, room: _Room) -> np.float64:
    """Return the exact sum of a chunk for one column, rounded to odd."""
    room.terms[0] = room.starts[j]
    for k in range(a.size):
        room.terms[k + 1] = np.float64(a[k]) * np.float64(b[k, j])
    return exact_total(room.terms[: a.size + 1], room.parts)


@part
def _fma(a: np.float64, b: Array, rule: Rounding, acc: Float64) -> None:
    """Add one product to the accumulators of 64 columns."""
    for j in range(COLUMNS):
        product = a * np.float64(b[j])
        total = acc[j] + product
        whole = odd(total, error_of(acc[j], product, total))
        acc[j] = to_format(whole, rule.kept, rule.least, rule.most, rule.to_zero)


@part
def _chunk(a: Array, b: Array, rule: Rounding, room: _Room, acc: Float64) -> None:
    """Add one chunk to the accumulators of 64 columns."""
    if a.size == 1:
        _fma(np.float64(a[0]), b[0], rule, acc)
        return
    starts, lows, misses = room.starts, room.lows, room.misses
    for j in range(COLUMNS):
        starts[j], lows[j], misses[j] = acc[j], 0.0, 0
    for k in range(a.size):
        one = np.float64(a[k])
        for j in range(COLUMNS):
            product = one * np.float64(b[k, j])
            total = acc[j] + product
            error = error_of(acc[j], product, total)
            error = choose64(error == error, error, 0.0)  # of infinities it is NaN
            acc[j] = total
            lows[j] += error
            misses[j] += np.int64(error != 0.0)
    many = np.int64(0)
    for j in range(COLUMNS):
        total = acc[j] + lows[j]
        acc[j] = odd(total, error_of(acc[j], lows[j], total))
        many = max(many, misses[j])
    if many > 1:
        for j in range(COLUMNS):
            if misses[j] > 1 and np.isfinite(acc[j]):
                acc[j] = _exact(a, b, j, room)
    for j in range(COLUMNS):
        acc[j] = to_format(acc[j], rule.kept, rule.least, rule.most, rule.to_zero)


@part
def _spilled(rule: Rounding, acc: Float64) -> None:
    """Round the accumulators of 64 columns to the format in which they leave the array."""
    for j in range(COLUMNS):
        acc[j] = to_format(acc[j], rule.kept, rule.least, rule.most, False)


@kernel
def _rounded(
    a: Array, panels: Array, cut: tuple[int, int], rules: tuple[Rounding, Rounding],
    out: Float64, first: int, last: int,
) -> None:  # fmt: skip
    k, (chunk, depth), (rule, spill) = a.shape[1], cut, rules
    acc = np.zeros((BLOCK, COLUMNS), np.float64)
    room = _Room(
        np.zeros(COLUMNS, np.float64), np.zeros(COLUMNS, np.float64),
        np.zeros(COLUMNS, np.int64), np.zeros(chunk + 1, np.float64),
        np.zeros(chunk + 1, np.float64),
    )  # fmt: skip
    for block in range(first, last, BLOCK):
        rows = min(BLOCK, last - block)
        for panel in range(panels.shape[0]):
            read_tile(out, block, panel * COLUMNS, acc)
            start = 0
            while start < k:
                edge = min(k, start - start % depth + depth)
                stop = min(edge, start + chunk)
                for i in range(rows):
                    _chunk(a[block + i, start:stop], panels[panel, start:stop], rule, room, acc[i])
                    if stop == edge:
                        _spilled(spill, acc[i])
                start = stop
            write_tile(acc, rows, out, block, panel * COLUMNS)


def run_chain(product: Product) -> None:
    """Run serial sums into ``product.out``; also what CDNA1 calls an exact sum."""
    rule = product.arithmetic
    accumulator, spill = format_of(rule.accumulator), format_of(rule.spill)
    a, b = numbers(product.a, product.a_format), numbers(product.b, product.b_format)
    c = numbers(product.out, product.c_format)
    depth, chunk = rule.depth or a.shape[1], max(1, rule.chunk)
    kept = rule.kept_bits if rule.kept_bits < _ALL else accumulator.mantissa_bits
    mine = Rounding.of(accumulator, kept, rule.rounding == "toward_zero")
    rules = (mine, Rounding.of(spill))
    if chunk == 1 and mine == Rounding.of(accumulator) and accumulator.name in _NATIVE:
        kind = _NATIVE[accumulator.name]
        plain = accumulator.name == spill.name == "fp32" and depth >= a.shape[1]
        if plain and not product.out.any():
            found = matmul_chain(a, b)
        else:
            found = _native(a, b, c, depth, rules[1], kind)
        product.out[...] = codes_of(found, spill.name, keep_nans=spill.name == "fp64")
    else:
        found = _slow(a, b, c, (chunk, depth), rules)
        product.out[...] = codes_of(found, spill.name)


def run_exact_sum(product: Product) -> None:
    """The same: the products of a chunk and c are summed exactly and rounded once."""
    run_chain(product)


def _native(a: Array, b: Array, c: Array, depth: int, spill: Rounding, kind: Any) -> Array:
    """Run fused multiply-adds of the processor, binary32 or binary64."""
    width = _WIDTHS[np.dtype(kind).itemsize]
    panels = panels_of(b.astype(kind, copy=False), width)
    rows, out = np.require(a, kind, ["C", "W"]), c.astype(kind)
    in_threads(
        lambda first, last: _chain(rows, panels, depth, spill, out, first, last), out, b.shape[1]
    )
    return out


def _slow(
    a: Array, b: Array, c: Array, cut: tuple[int, int], rules: tuple[Rounding, Rounding]
) -> Float64:
    panels, rows = panels_of(b), np.require(a, None, ["C", "W"])
    with np.errstate(invalid="ignore"):  # a signalling NaN becomes a quiet one
        out = c.astype(np.float64)
    in_threads(
        lambda first, last: _rounded(rows, panels, cut, rules, out, first, last), out, b.shape[1]
    )
    return out
