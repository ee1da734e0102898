"""Readable twins of integer inference: Python integers and fractions, one number at a time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np

INT32 = 1 << 32


def wrap(x: int, bits: int = 32) -> int:
    """Return x modulo 2^bits, signed."""
    return (x + (1 << (bits - 1))) % (1 << bits) - (1 << (bits - 1))


def half_away(x: Fraction) -> int:
    return int(math.copysign(math.floor(abs(x) + Fraction(1, 2)), x))


def half_up(x: Fraction) -> int:
    return math.floor(x + Fraction(1, 2))


def high_product(a: int, b: int) -> int:
    """VQRDMULH: nudge by sign, truncating division, saturation of -1 times -1."""
    if a == b == -(2**31):
        return 2**31 - 1
    product = a * b
    nudged = product + (2**30 if product >= 0 else 1 - 2**30)
    return int(math.copysign(abs(nudged) // 2**31, nudged)) if nudged else 0


def divide_by_power(x: int, shift: int) -> int:
    mask = (1 << shift) - 1
    threshold = (mask >> 1) + (1 if x < 0 else 0)
    return (x >> shift) + (1 if x & mask > threshold else 0)


def multiplier(factor: float, most: int) -> tuple[int, int]:
    """TensorFlow Lite's QuantizeMultiplier."""
    if factor == 0:
        return 0, 0
    fraction, shift = math.frexp(factor)
    fixed = half_away(Fraction(fraction) * 2**31)
    if fixed == 2**31:
        fixed, shift = fixed // 2, shift + 1
    if shift < -31:
        return 0, 0
    return (2**31 - 1, most) if shift > most else (fixed, shift)


def scaled(rule: str, x: int, m: int, shift: int, factor: float) -> int:
    """Return one sum times its factor, before the zero point."""
    if rule in ("tflite", "gemmlowp"):
        return divide_by_power(high_product(wrap(x << max(shift, 0)), m), max(-shift, 0))
    if rule in ("tflite_single", "tosa"):
        return wrap(half_up(Fraction(x * m, 1 << (31 - shift))))
    if rule == "tosa_double":
        total = 31 - shift
        nudge = 0 if total <= 31 else (2**30 if x >= 0 else -(2**30))
        return wrap((x * m + (1 << (total - 1)) + nudge) >> total)
    if rule == "tflite_int16":
        short = (m + 2**15) >> 16 if m < 0x7FFF0000 else 0x7FFF
        return wrap(half_up(Fraction(x * short, 1 << (15 - shift))))
    if rule == "litert":
        return min(max(half_away(Fraction(float(x) * factor)), -(2**31)), 2**31 - 1)
    product = np.float32(np.float32(x) * np.float32(factor))  # onnxruntime
    return 2**40 * int(np.sign(product)) if np.isinf(product) else round(Fraction(float(product)))


def requantized(rule: str, x: int, factor: float, zero: int, low: int, high: int) -> int:
    most = {"tflite_single": 30, "tflite_int16": 7, "tosa": 29, "tosa_double": 29}.get(rule, 31)
    found = scaled(rule, x, *multiplier(factor, most), factor)
    moved = found + zero if rule == "onnxruntime" else wrap(found + zero)
    return min(max(moved, low), high)


def conv2d(
    x: np.ndarray, w: np.ndarray, stride: tuple[int, int], dilation: tuple[int, int],
    pads: tuple[tuple[int, int], tuple[int, int]], groups: int, x_zero: int,
    w_zero: Sequence[int],
) -> list[list[list[list[int]]]]:  # fmt: skip
    """Return a convolution NHWC by OHWI, tap by tap."""
    each = len(w) // groups
    rows, columns = (
        (x.shape[1 + i] + sum(pads[i]) - (w.shape[1 + i] - 1) * dilation[i] - 1) // stride[i] + 1
        for i in range(2)
    )

    def one(image: int, row: int, column: int, o: int) -> int:
        total = 0
        for i in range(w.shape[1]):
            for j in range(w.shape[2]):
                y = row * stride[0] - pads[0][0] + i * dilation[0]
                z = column * stride[1] - pads[1][0] + j * dilation[1]
                if 0 <= y < x.shape[1] and 0 <= z < x.shape[2]:
                    for c in range(w.shape[3]):
                        code = int(x[image, y, z, o // each * w.shape[3] + c])
                        total += (code - x_zero) * (int(w[o, i, j, c]) - w_zero[o])
        return wrap(total)

    return [
        [[[one(b, r, c, o) for o in range(len(w))] for c in range(columns)] for r in range(rows)]
        for b in range(len(x))
    ]


def fixed_exp(x: int, integer_bits: int) -> int:
    """exp of a raw number that is not positive, Q0.31 (gemmlowp, exp_on_negative_values)."""
    if x == 0:
        return 2**31 - 1
    quarter = 1 << (29 - integer_bits)
    part = x % quarter - quarter
    near = (part << integer_bits) + 2**28
    square = high_product(near, near)
    fourth = divide_by_power(high_product(square, square), 2)
    tail = high_product(fourth + high_product(square, near), 715827883) + square
    found = 1895147668 + high_product(1895147668, near + divide_by_power(tail, 1))
    for power in range(-2, integer_bits):
        if (part - x) >> (31 - integer_bits + power) & 1:
            whole = Fraction(math.exp(-(2.0**power))) * 2**31
            found = high_product(found, round(whole))
    return found


def fixed_reciprocal(x: int) -> int:
    half = (x + 2**31 - 1 + 1) // 2
    found = 1515870810 + high_product(half, -1010580540)
    for _ in range(3):
        step = high_product(found, 2**29 - high_product(half, found)) * 4
        found += min(max(step, -(2**31)), 2**31 - 1)
    return min(found * 2, 2**31 - 1)


def fixed_logistic(x: int) -> int:
    if x == 0:
        return 2**30
    above = fixed_reciprocal(fixed_exp(-abs(x), 4))
    return above if x > 0 else 2**31 - 1 - above


def kept(scores: Sequence[float], n: int) -> list[bool]:
    """Return which of a group are kept: the largest, the lower index among equals."""
    order = sorted(range(len(scores)), key=lambda i: (-scores[i], i))
    return [i in order[:n] for i in range(len(scores))]


def compressed(
    codes: Sequence[int], keep: Sequence[bool], n: int, m: int
) -> tuple[list[int], list[int]]:
    """Return the kept values of a row and the bytes of their places."""
    width = max((m - 1).bit_length(), 1)
    values, bits = [], ""
    for start in range(0, len(codes), m):
        places = [i for i in range(m) if keep[start + i]]
        free = [i for i in range(m) if i not in places]
        for place in sorted(places + free[: n - len(places)]):
            values.append(codes[start + place])
            bits = format(place, f"0{width}b") + bits
    whole = int(bits or "0", 2)
    return values, list(whole.to_bytes(-(-len(bits) // 8), "little"))
