"""Integer sums in accumulators of any width from 8 to 64 bits, which wrap or saturate.

Wrapping accumulators hold the sum modulo 2^width, whatever its order. Saturating ones hold
``acc = clamp(acc + p_0 + ... + p_(chunk-1))`` after every chunk of products, whose own sum is
exact; chunks ascend along K, and a chunk of 0 is all of K. After ``depth`` products, and at the
end, the partial sum is brought to the width of ``spill`` by the same rule.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import numpy.typing as npt

from accelsim_kernels.dot.serial_tiles import (
    BLOCK,
    COLUMNS,
    in_threads,
    panels_of,
    read_tile,
    write_tile,
)
from accelsim_kernels.dot.units import Product
from accelsim_kernels.integer import LONGEST, matmul_int8
from accelsim_kernels.jit import inner, kernel, part

Array = npt.NDArray[Any]
Int64 = npt.NDArray[np.int64]

#: Widths of accumulators.
NARROWEST, WIDEST = 8, 64


def width_of(fmt: str) -> int:
    """Return the bits of an accumulator ``int8`` to ``int64``; any width between has a name.

    Raises:
        ValueError: no such format.
    """
    bits = int(fmt[3:]) if re.fullmatch("int[1-9][0-9]?", fmt) else 0
    if not NARROWEST <= bits <= WIDEST:
        raise ValueError(f"accumulator is {fmt!r}; int{NARROWEST} to int{WIDEST} are allowed")
    return bits


@inner
def _clamped(total: np.int64, bits: int) -> np.int64:
    """Return the nearest number of a width."""
    high = np.int64((np.uint64(1) << np.uint64(bits - 1)) - np.uint64(1))
    return min(max(total, np.int64(-high - np.int64(1))), high)


@inner
def _added(acc: np.int64, more: np.int64, bits: int) -> np.int64:
    """Return a saturating sum."""
    total = np.int64(acc + more)
    if ((acc ^ total) & (more ^ total)) < np.int64(0):  # it left 64 bits
        total = np.int64((acc >> np.int64(63)) ^ np.int64(0x7FFFFFFFFFFFFFFF))
    return _clamped(total, bits)


@part
def _sums(a: Array, b: Array, sums: Int64) -> None:
    """Sum products of one row for 64 columns, modulo 2^64."""
    for j in range(COLUMNS):
        sums[j] = np.int64(0)
    for k in range(a.size):
        one = np.int32(a[k])
        for j in range(COLUMNS):
            sums[j] += np.int64(one) * np.int64(b[k, j])


@part
def _saturate(sums: Int64, bits: int, acc: Int64) -> None:
    for j in range(COLUMNS):
        acc[j] = _added(acc[j], sums[j], bits)


@kernel
def _saturated(
    a: Array, panels: Array, rule: tuple[int, int, int, int], out: Int64, first: int, last: int
) -> None:
    k, (chunk, depth, bits, spill) = a.shape[1], rule
    sums, nothing = np.zeros(COLUMNS, np.int64), np.zeros(COLUMNS, np.int64)
    acc = np.zeros((BLOCK, COLUMNS), np.int64)
    for block in range(first, last, BLOCK):
        rows = min(BLOCK, last - block)
        for panel in range(panels.shape[0]):
            read_tile(out, block, panel * COLUMNS, acc)
            start = 0
            while start < k:
                edge = min(k, start - start % depth + depth)
                stop = min(edge, start + chunk)
                for i in range(rows):
                    _sums(a[block + i, start:stop], panels[panel, start:stop], sums)
                    _saturate(sums, bits, acc[i])
                    if stop == edge:
                        _saturate(nothing, spill, acc[i])
                start = stop
            write_tile(acc, rows, out, block, panel * COLUMNS)


@kernel
def _modular(a: Array, panels: Array, out: Int64, first: int, last: int) -> None:
    sums = np.zeros(COLUMNS, np.int64)
    for panel in range(panels.shape[0]):
        left = panel * COLUMNS
        for row in range(first, last):
            _sums(a[row], panels[panel], sums)
            for j in range(min(COLUMNS, out.shape[1] - left)):
                out[row, left + j] += sums[j]


def run_integer(product: Product) -> None:
    """Run integer sums into ``product.out``.

    Raises:
        ValueError: operands that are not int8 or int16, or an accumulator without a width.
    """
    rule, out = product.arithmetic, product.out
    bits, spill = width_of(rule.accumulator), width_of(rule.spill)
    for name, codes in (("a", product.a), ("b", product.b)):
        if codes.dtype not in (np.int8, np.int16):
            raise ValueError(f"{name} is {codes.dtype}; int8 and int16 are allowed")
    if rule.overflow == "saturate":
        k = product.a.shape[1]
        cut = (rule.chunk or k, rule.depth or k, bits, spill)
        found = out.astype(np.int64)
        panels, rows = panels_of(product.b.astype(np.int16)), product.a.astype(np.int16)
        in_threads(
            lambda first, last: _saturated(rows, panels, cut, found, first, last),
            out,
            product.a.shape[1],
        )
    else:
        found = _wrapped(_exact(product), min(bits, spill))
    out[...] = found


def _exact(product: Product) -> Array:
    """Return c and the sums modulo 2^32, if that is enough, or modulo 2^64."""
    a, b, out = product.a, product.b, product.out
    found = out.astype(np.int32 if out.dtype == np.int32 else np.int64)
    if a.dtype == b.dtype == np.int8:
        for start in range(0, a.shape[1], LONGEST):
            part = slice(start, start + LONGEST)
            np.add(found, matmul_int8(a[:, part], b[:, part]), out=found)
        return found
    wide = found.astype(np.int64)
    panels, rows = panels_of(b.astype(np.int16)), a.astype(np.int16)
    in_threads(lambda first, last: _modular(rows, panels, wide, first, last), out, a.shape[1])
    return wide


def _wrapped(sums: Array, bits: int) -> Array:
    """Return the numbers of a width that are equal modulo 2^width."""
    kind = sums.dtype.type
    up = kind(8 * sums.itemsize - bits)
    return np.right_shift(np.left_shift(sums, up), up) if up else sums
