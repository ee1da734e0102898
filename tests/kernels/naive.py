"""Readable twins of the kernels: Python's integers, fractions and floats, one element at a time.

They are written from the rules that the kernels' docstrings state, and share nothing with them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction

Row = Sequence[float]
Rows = Sequence[Row]
Codes = Sequence[Sequence[int]]

#: Fraction bits, smallest exponent of a normal number, largest number.
FORMATS = {
    "fp32": (23, -126, Fraction(2**24 - 1) * Fraction(2) ** 104),
    "bf16": (7, -126, Fraction(2**8 - 1) * Fraction(2) ** 120),
    "fp16": (10, -14, Fraction(65504)),
    "fp8_e4m3": (3, -6, Fraction(448)),
    "fp8_e5m2": (2, -14, Fraction(57344)),
}
QMAX = {"int8": 127, "int4": 7, "fp8_e4m3": 448, "fp8_e5m2": 57344}


def round_half_even(value: Fraction) -> int:
    """Round to an integer, ties to even."""
    return round(value)


def round_fraction(value: Fraction, fmt: str, saturate: bool = False) -> float:
    """Round a number to a format: nearest, ties to even; too large is infinite, or the largest."""
    fraction, lowest, largest = FORMATS[fmt]
    if value == 0:
        return 0.0
    magnitude = abs(value)
    exponent = magnitude.numerator.bit_length() - magnitude.denominator.bit_length()
    if Fraction(2) ** exponent > magnitude:
        exponent -= 1
    step = Fraction(2) ** (max(exponent, lowest) - fraction)
    made = round_half_even(magnitude / step) * step
    beyond = float(largest) if saturate else math.inf
    result = beyond if made > largest else float(made)
    return -result if value < 0 else result


def rounded(value: float, fmt: str, saturate: bool = False) -> float:
    """Round a float, which may be no number, infinite, or a zero with a sign."""
    if math.isnan(value):
        return value
    if math.isinf(value):
        return math.copysign(float(FORMATS[fmt][2]), value) if saturate else value
    if value == 0.0:
        return value
    return math.copysign(round_fraction(Fraction(value), fmt, saturate), value)


def f32(value: float) -> float:
    """Round to binary32."""
    return rounded(value, "fp32")


def fma(a: float, b: float, c: float) -> float:
    """``a * b + c`` in binary32 with one rounding; finite operands."""
    exact = Fraction(a) * Fraction(b) + Fraction(c)
    if exact == 0:  # signs of zeros are those of binary64, where it is exact too
        return a * b + c
    return round_fraction(exact, "fp32")


def matmul_chain(a: Rows, b: Rows) -> list[list[float]]:
    """Sums of fused multiply-adds, K ascending."""
    found = []
    for x in a:
        row = []
        for y in b:
            total = 0.0
            for p, q in zip(x, y, strict=True):
                total = fma(p, q, total)
            row.append(total)
        found.append(row)
    return found


def matmul_int(a: Codes, b: Codes) -> list[list[int]]:
    """Exact sums."""
    return [[sum(p * q for p, q in zip(x, y, strict=True)) for y in b] for x in a]


def matmul_int4(a: Codes, b: Codes, scales: Rows, group: int) -> list[list[float]]:
    """Exact sums of groups, rounded to binary32, times their scales, one after the other."""
    found = []
    for x in a:
        row = []
        for y, steps in zip(b, scales, strict=True):
            total = 0.0
            for number, scale in enumerate(steps):
                part = slice(number * group, (number + 1) * group)
                whole = sum(p * q for p, q in zip(x[part], y[part], strict=True))
                total = fma(f32(float(whole)), scale, total)
            row.append(total)
        found.append(row)
    return found


def prune_2to4(row: Row) -> list[bool]:
    """The two largest magnitudes of every four, the earlier of equal ones."""
    keep = [False] * len(row)
    for start in range(0, len(row), 4):
        order = sorted(range(start, start + 4), key=lambda i: (-abs(row[i]), i))
        for place in order[:2]:
            keep[place] = True
    return keep


def compress_2to4(row: Sequence[int]) -> tuple[list[int], list[int]]:
    """Kept codes and bytes of places."""
    values, places = [], []
    for start in range(0, len(row), 4):
        kept = [i for i in range(4) if row[start + i] != 0]
        free = [i for i in range(4) if i not in kept]
        kept = sorted(kept + free[: 2 - len(kept)])
        values += [row[start + i] for i in kept]
        places += kept
    packed = [
        sum(place << (2 * i) for i, place in enumerate(places[at : at + 4]))
        for at in range(0, len(places), 4)
    ]
    return values, packed


def scale(absmax: float, fmt: str, scale_format: str) -> float:
    """The scale of a row from its largest magnitude."""
    if absmax == 0.0:
        return 1.0
    _, lowest, largest = FORMATS[scale_format]
    found = rounded(f32(absmax / QMAX[fmt]), scale_format)
    return min(max(found, 2.0**lowest), float(largest))


def quantize(x: float, step: float, fmt: str) -> float:
    """The code of a number, for FP8 the number that the code stands for."""
    scaled = f32(x * f32(1.0 / step))
    if fmt.startswith("fp8"):
        return rounded(scaled, fmt, saturate=True)
    return float(min(max(round(scaled), -QMAX[fmt]), QMAX[fmt]))


def rescale(total: float, row: float, column: float, bias: float, fmt: str) -> float:
    """A sum times its scales plus the bias."""
    return rounded(f32(f32(f32(f32(total) * column) * row) + bias), fmt)


def exp(x: float) -> float:
    """e^x in binary64: 2^n times the series of the rest."""
    x = min(max(x, -700.0), 700.0)
    n = round(x * 1.4426950408889634)
    r = (x - n * 6.93147180369123816490e-01) - n * 1.90821492927058770002e-10
    total = 1.0 / math.factorial(13)
    for k in range(12, -1, -1):
        total = total * r + 1.0 / math.factorial(k)
    return total * 2.0**n


def sigmoid(x: float) -> float:
    """1 / (1 + e^-x)."""
    return 1.0 / (1.0 + exp(-x))


def tanh(x: float) -> float:
    """The series near zero, one minus an exponential elsewhere."""
    if abs(x) < 1e-3:
        square = x * x
        return x + x * square * (square * (2.0 / 15.0) - 1.0 / 3.0)
    tail = 1.0 - 2.0 / (exp(2.0 * abs(x)) + 1.0)
    return tail if x > 0 else -tail


ACTIVATIONS: dict[str, Callable[[float], float]] = {
    "relu": lambda x: x if x > 0.0 else 0.0,
    "relu6": lambda x: min(max(x, 0.0), 6.0),
    "gelu_tanh": lambda x: 0.5 * x * (1.0 + tanh(0.7978845608028654 * (x + 0.044715 * x * x * x))),
    "quick_gelu": lambda x: x * sigmoid(1.702 * x),
    "silu": lambda x: x * sigmoid(x),
    "sigmoid": sigmoid,
    "tanh": tanh,
    "hardswish": lambda x: x * (min(max(x + 3.0, 0.0), 6.0) / 6.0),
    "hardsigmoid": lambda x: min(max(x + 3.0, 0.0), 6.0) / 6.0,
    "softplus": lambda x: max(x, 0.0) + math.log1p(exp(-abs(x))),
    "exp": exp,
}


def activation(x: float, fn: str, fmt: str) -> float:
    """Binary64, rounded to binary32, rounded to the format."""
    return rounded(f32(ACTIVATIONS[fn](x)), fmt)


def softmax(row: Row, fmt: str) -> list[float]:
    """Exponentials and their sum in binary32."""
    largest = max(row)
    weights = [f32(exp(f32(x - largest))) for x in row]
    total = 0.0
    for weight in weights:
        total = f32(total + weight)
    return [rounded(f32(weight / total), fmt) for weight in weights]


def lane_sum(row: Row, lanes: int) -> float:
    """Partial sums by lanes, folded by halves."""
    partial = [0.0] * lanes
    for i, x in enumerate(row):
        partial[i % lanes] = f32(partial[i % lanes] + x)
    while len(partial) > 1:
        half = (len(partial) + 1) // 2
        for i in range(len(partial) - half):
            partial[i] = f32(partial[i] + partial[i + half])
        partial = partial[:half]
    return partial[0]


def norm(
    row: Row, weight: Row, bias: Row | None, eps: float, lanes: int, fmt: str, centred: bool
) -> list[float]:
    """RMS norm, or with ``centred`` layer norm, every step in binary32."""
    n = float(len(row))
    centre = f32(lane_sum(row, lanes) / n) if centred else 0.0
    off = [f32(x - centre) for x in row]
    mean = f32(lane_sum([f32(x * x) for x in off], lanes) / n)
    # A root of a binary32 number by way of binary64 is rounded right (S. A. Figueroa, 1995).
    inverse = f32(1.0 / f32(math.sqrt(f32(mean + f32(eps)))))
    made = [f32(f32(x * inverse) * w) for x, w in zip(off, weight, strict=True)]
    if bias is not None:
        made = [f32(x + b) for x, b in zip(made, bias, strict=True)]
    return [rounded(x, fmt) for x in made]


def attend(
    q: Row, keys: Rows, values: Rows, seen: Sequence[bool], added: Row,
    numbers: tuple[float, float], formats: tuple[str, str],
) -> list[float]:  # fmt: skip
    """One query: scores, softmax and mix over the keys that are seen, in ascending order."""
    factor, cap = (f32(number) for number in numbers)
    scores = []
    for key, extra in zip(keys, added, strict=True):
        total = 0.0
        for x, y in zip(q, key, strict=True):
            total = fma(x, y, total)
        total = f32(total * factor)
        if cap > 0.0:
            total = f32(cap * f32(tanh(f32(total / cap))))
        scores.append(f32(total + extra))
    shown = [j for j, visible in enumerate(seen) if visible and added[j] != -math.inf]
    width = len(values[0])
    if not shown:
        return [0.0] * width
    largest = max(scores[j] for j in shown)
    total, out = 0.0, [0.0] * width
    for j in shown:
        weight = f32(exp(f32(scores[j] - largest)))
        total = f32(total + weight)
        p = rounded(weight, formats[0])
        out = [fma(p, v, o) for v, o in zip(values[j], out, strict=True)]
    return [rounded(f32(o / total), formats[1]) for o in out]
