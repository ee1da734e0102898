"""Readable twin of blocked attention: one query at a time, in fractions."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Sequence
from fractions import Fraction

from accelsim_kernels.attention_arithmetic import AttentionArithmetic
from tests.kernels.naive import Row, Rows, exp, f32, fma, rounded, tanh

LN2, LOG2E = math.log(2.0), 1.0 / math.log(2.0)
CUBIC = (0.077119089663028717041015625, 0.227564394474029541015625, 0.695146143436431884765625, 1.0)
LARGEST = {"int8": 127, "fp8_e4m3": 448, "fp8_e5m2": 57344}
#: Running maximum, sum of probabilities, sum of values.
State = tuple[float, float, list[float]]


def cubic(x: float) -> float:
    x = min(max(x, -127.0), 127.0)
    whole = math.floor(x)
    rest, total = f32(x - whole), CUBIC[0]
    for c in CUBIC[1:]:
        total = fma(total, rest, c)
    (bits,) = struct.unpack("<I", struct.pack("<f", total))
    return float(struct.unpack("<f", struct.pack("<I", (bits + (whole << 23)) & 0xFFFFFFFF))[0])


def table(x: float) -> float:
    x = min(max(x, -127.0), 127.0)
    whole: int = math.floor(x)
    if whole < -126:
        return 0.0
    rest = int(Fraction(f32(x - whole)) * 65536)
    place = min(rest // 1024, 63)
    left, right = (round(2.0 ** (i / 64) * 32768) for i in (place, place + 1))
    entry = left + (right - left) * (rest - 1024 * place) // 1024
    return math.ldexp(entry, whole - 15)


POWERS: dict[str, Callable[[float], float]] = {
    "exp": lambda x: f32(exp(x)),
    "exp2": lambda x: f32(exp(x * LN2)),
    "exp2_cubic": cubic,
    "exp2_table": table,
    "exp2_fp16": lambda x: rounded(f32(exp(rounded(x, "fp16") * LN2)), "fp16"),
}


class Twin:
    """Attention of one query at a time.

    Args:
        how: the arithmetic.
        scale: of the scores.
        cap: of the scores; 0: none.
        added: numbers added to the scores, or None.
        formats: of the values' storage, and of the result.
    """

    def __init__(
        self, how: AttentionArithmetic, scale: float, cap: float, added: Row | None,
        formats: tuple[str, str],
    ) -> None:  # fmt: skip
        self.how, self.scale, self.cap, self.added = how, f32(scale), f32(cap), added
        self.stored = formats[0] if how.probabilities == "storage" else how.probabilities
        self.result = formats[1]
        self.raw = how.exponent == "folded" and not cap and added is None
        self.factor = f32(self.scale * LOG2E) if self.raw else f32(LOG2E)
        self.natural = how.exponential == "exp"

    def power(self, x: float) -> float:
        return POWERS[self.how.exponential](x)

    def score(self, q: Row, key: Row, j: int) -> float:
        total = 0.0
        for x, y in zip(q, key, strict=True):
            total = fma(x, y, total)
        total = rounded(total, self.how.scores)
        if not self.raw:
            total = f32(total * self.scale)
        if self.cap > 0.0:
            total = f32(self.cap * f32(tanh(f32(total / self.cap))))
        return total if self.added is None else f32(total + self.added[j])

    def exponent(self, s: float, m: float) -> float:
        if self.how.exponent == "folded":
            return fma(s, self.factor, -f32(m * self.factor))
        return f32(s - m) if self.natural else f32(f32(s - m) * self.factor)

    def probability(self, p: float) -> float:
        p = f32(p * f32(self.how.probability_scale))
        if self.stored == "int8":
            return float(min(round(p), 127))
        return rounded(p, self.stored, saturate=self.stored in LARGEST)

    def block(self, scores: dict[int, float], values: Rows, state: State | None) -> State:
        """One block of keys that are seen."""
        m, total, out = state or (max(scores.values()), 0.0, [0.0] * len(values[0]))
        factor, largest = 1.0, max(scores.values())
        if largest > m:
            step = f32(f32(m - largest) * (1.0 if self.natural else self.factor))
            if not (self.how.rescale_above > 0.0 and step >= -self.how.rescale_above):
                factor, m = self.power(step), largest
        total, begin = f32(total * factor), [0.0] * len(out)
        if self.how.carry == "continued":
            begin = [f32(o * factor) for o in out]
        for j in sorted(scores):
            p = self.power(self.exponent(scores[j], m))
            entered = self.probability(p)
            total = f32(total + (entered if self.how.sums == "rounded" else p))
            begin = [fma(entered, v, o) for v, o in zip(values[j], begin, strict=True)]
        if self.how.carry == "added":
            begin = [fma(o, factor, b) for o, b in zip(out, begin, strict=True)]
        return m, total, [rounded(o, self.how.accumulator) for o in begin]

    def divided(self, total: float, out: Row) -> list[float]:
        if self.how.sums == "unrounded":
            out = [f32(o * f32(1 / self.how.probability_scale)) for o in out]
        if self.how.normalize == "reciprocal":
            return [f32(o * f32(1.0 / total)) for o in out]
        return [f32(o / total) for o in out]

    def part(self, scores: dict[int, float], values: Rows) -> State | None:
        """The keys of one part, block by block: maximum, sum, sums of values."""
        size = self.how.block or len(values)
        numbers = sorted({j // size for j in scores}, reverse=self.how.order == "descending")
        state = None
        for n in numbers:
            state = self.block({j: s for j, s in scores.items() if j // size == n}, values, state)
        return state

    def relative(self, x: float) -> float:
        return self.power(x if self.natural else f32(x * f32(LOG2E)))

    def merged(self, parts: Sequence[tuple[float, list[float]]]) -> list[float]:
        """Results of parts by the logarithms of their sums."""
        if self.how.merge == "pairwise":
            log, out = parts[0]
            for other, more in parts[1:]:
                m = max(log, other)
                a, b = self.relative(f32(log - m)), self.relative(f32(other - m))
                whole = f32(a + b)
                a, b = f32(a / whole), f32(b / whole)
                out = [fma(y, b, f32(x * a)) for x, y in zip(out, more, strict=True)]
                log = f32(m + f32(math.log(whole)))
            return out
        m, total = max(log for log, _ in parts), 0.0
        for log, _ in parts:
            total = f32(total + self.relative(f32(log - m)))
        whole, out = f32(m + f32(math.log(total))), [0.0] * len(parts[0][1])
        for log, more in parts:
            weight = self.relative(f32(log - whole))
            out = [fma(weight, y, x) for x, y in zip(out, more, strict=True)]
        return out

    def part_size(self, behind: int) -> int:
        if self.how.split_keys:
            return self.how.split_keys
        if self.how.splits == 1:
            return max(1, behind)
        return max(1, math.ceil(math.ceil(behind / self.how.block) / self.how.splits)) * (
            self.how.block
        )

    def attend(self, q: Row, keys: Rows, values: Rows, seen: Sequence[bool], behind: int) -> Row:
        """One query, which causality lets see keys before ``behind``, and a mask those of them."""
        scores = {j: self.score(q, keys[j], j) for j, shown in enumerate(seen) if shown}
        if not scores:
            return [0.0] * len(values[0])
        size, parts = self.part_size(behind), []
        for n in sorted({j // size for j in scores}):
            state = self.part({j: s for j, s in scores.items() if j // size == n}, values)
            if state is not None:
                m, total, out = state
                log = f32(f32(m * (self.scale if self.raw else 1.0)) + f32(math.log(total)))
                parts.append((log, self.divided(total, out)))
        out = self.merged(parts) if self.how.splits_keys else parts[0][1]
        return [rounded(o, self.result) for o in out]
