"""Requantization: from exact integer sums to codes of the next layer, one table of rules.

A real factor ``s_x s_w / s_y`` becomes a multiplier and a shift, or stays a binary32 or binary64
number. Four paths serve every rule; what differs is data.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from accelsim_kernels.arrays import array
from accelsim_kernels.fused import float_of
from accelsim_kernels.jit import inner, leaf

Codes = npt.NDArray[Any]
Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]

#: Paths: two roundings, one rounding, a product in binary32, a product in binary64.
DOUBLE, SINGLE, FLOAT, REAL = 0, 1, 2, 3
#: Added and taken off again, it rounds to a whole number, ties to even: its last bit is worth one.
_ROUNDER = np.float32(1.5 * 2.0**23)

#: Codes → type of their array.
TYPES: Mapping[str, Any] = {
    "int8": np.int8, "uint8": np.uint8, "int16": np.int16, "uint16": np.uint16, "int32": np.int32,
}  # fmt: skip
#: Types that kernels are compiled for: a code and its bits are the same thing.
_SIGNED = {"uint8": np.int8, "uint16": np.int16}


@dataclass(frozen=True, slots=True)
class Rule:
    """How a sum is multiplied by a real factor.

    Attributes:
        name: of the rule.
        path: ``DOUBLE``: ``x << max(shift, 0)`` in int32, which wraps; the high half of twice the
            product with the multiplier, half up; shifted right by ``max(-shift, 0)``, half away
            from zero. ``SINGLE``: ``(x m + 2^(t - 1)) >> t``, ``t = bits - shift``, in int64,
            which wraps. ``FLOAT``: ``float32(x) * float32(factor)``, clamped, ties to even.
        bits: fraction bits of the multiplier: 31, or 15 where its high half alone is used.
        nudged: ``SINGLE`` moves away from zero by 2^30 before shifts of more than 31.
        most_shift: larger shifts saturate when the multiplier is made.
        source: who states it.
    """

    name: str
    path: int
    bits: int
    source: str
    nudged: bool = False
    most_shift: int = 31


#: TensorFlow Lite's reference kernels.
_TFLITE = "TensorFlow Lite, kernels/internal/common.cc, MultiplyByQuantizedMultiplier"
_TOSA = "TOSA specification, apply_scale_32 (recalled)"
RULES: Mapping[str, Rule] = {
    rule.name: rule
    for rule in (
        Rule("tflite", DOUBLE, 31, _TFLITE),
        Rule("tflite_single", SINGLE, 31, f"{_TFLITE}, TFLITE_SINGLE_ROUNDING", most_shift=30),
        Rule("tflite_int16", SINGLE, 15, f"{_TFLITE}, 64-bit accumulators", most_shift=7),
        Rule(
            "litert", REAL, 0, "LiteRT 2.3, reference FullyConnected, and ConvPerChannel of int16"
        ),
        Rule("gemmlowp", DOUBLE, 31, "gemmlowp, OutputStageScaleInt32ByFixedPointAndExponent"),
        Rule("tosa", SINGLE, 31, _TOSA, most_shift=29),
        Rule("tosa_double", SINGLE, 31, f"{_TOSA}, double_round", nudged=True, most_shift=29),
        Rule("onnxruntime", FLOAT, 0, "ONNX Runtime, MLAS, MlasRequantizeOutput"),
    )
}


def rule_of(name: str) -> Rule:
    """Return a rule.

    Raises:
        ValueError: no rule has the name.
    """
    if name not in RULES:
        raise ValueError(f"rule is {name!r}; {', '.join(RULES)} are allowed")
    return RULES[name]


def quantize_multiplier(factors: npt.ArrayLike, most_shift: int = 31) -> tuple[Int32, Int32]:
    """Return multipliers in [2^30, 2^31) and shifts of real factors: ``m 2^(shift - 31)``.

    ``frexp`` of the binary64 factor, the fraction times 2^31 rounded half away from zero
    (TensorFlow Lite, quantization_util.cc, QuantizeMultiplier). Factors below 2^-32 become 0;
    shifts above ``most_shift`` become ``most_shift`` with the largest multiplier.

    Raises:
        ValueError: a factor that is negative or not finite.
    """
    given = np.asarray(factors, np.float64)
    if not (np.isfinite(given) & (given >= 0)).all():
        raise ValueError("factors holds a number that is negative or not finite")
    fraction, shift = np.frexp(given)
    fixed = np.floor(fraction * 2.0**31 + 0.5).astype(np.int64)
    full = fixed == 1 << 31
    fixed, shift = np.where(full, fixed >> 1, fixed), shift + full
    fixed, shift = np.where(shift < -31, 0, fixed), np.where(shift < -31, 0, shift)
    fixed = np.where(shift > most_shift, (1 << 31) - 1, fixed)
    return fixed.astype(np.int32), np.minimum(shift, most_shift).astype(np.int32)


def factors(
    x_scale: npt.ArrayLike, w_scale: npt.ArrayLike, y_scale: npt.ArrayLike, rule: str
) -> Float64:
    """Return the real factors ``s_x s_w / s_y`` of binary32 scales, as the rule's library does.

    ONNX Runtime computes in binary32, all others in binary64: the products of scales of one tensor
    that TensorFlow Lite once took in binary32 are no longer used where weights are int8.

    Raises:
        ValueError: no rule has the name.
    """
    x, w, y = (np.asarray(scale, np.float32) for scale in (x_scale, w_scale, y_scale))
    if rule_of(rule).path == FLOAT:
        return np.asarray(x * w / y, np.float64)
    return np.asarray(np.float64(x) * np.float64(w) / np.float64(y))


@dataclass(frozen=True)
class Requantization:
    """What turns the sums of a layer into codes.

    Attributes:
        rule: how sums are multiplied.
        table: multiplier, left shift and right shift of each column ``[3, n]`` or ``[3, 1]``; for
            the path ``SINGLE`` the right shift is the whole one, for ``FLOAT`` the multiplier is
            the factor's bits.
        scales: the factors ``[n]`` or ``[1]``, rounded to binary32 for the path ``FLOAT``.
        limits: path, whether nudged, zero point, lowest and highest code.
        format: of the codes.
    """

    rule: Rule
    table: Int32
    scales: Float64
    limits: Int32
    format: str

    @classmethod
    def of(
        cls, rule: str, factors: npt.ArrayLike, zero_point: int = 0, format: str = "int8",
        low: int | None = None, high: int | None = None,
    ) -> Requantization:  # fmt: skip
        """Return the requantization by real factors, one for all columns or one each.

        Args:
            rule: a name of ``RULES``.
            factors: finite and not negative.
            zero_point: code of zero.
            format: ``int8``, ``uint8``, ``int16``, ``uint16`` or ``int32``.
            low: lowest code of the activation; the format's where None.
            high: highest code.

        Raises:
            ValueError: a name that is none, factors that are no vector, negative or not finite, or
                codes outside the format.
        """
        chosen = rule_of(rule)
        real = np.atleast_1d(np.asarray(factors, np.float64))
        multiplier, shift = quantize_multiplier(real, chosen.most_shift)
        return cls.fixed(rule, multiplier, shift, zero_point, format, low, high, real)

    @classmethod
    def fixed(
        cls, rule: str, multiplier: npt.ArrayLike, shift: npt.ArrayLike, zero_point: int = 0,
        format: str = "int8", low: int | None = None, high: int | None = None,
        factors: npt.ArrayLike | None = None,
    ) -> Requantization:  # fmt: skip
        """Return the requantization by multipliers and shifts; positive shifts enlarge.

        Raises:
            ValueError: as ``of``, or a shift outside -31 to the rule's largest.
        """
        chosen = rule_of(rule)
        m, by = (np.atleast_1d(np.asarray(x)).astype(np.int64) for x in (multiplier, shift))
        if m.ndim != 1 or m.shape != by.shape:
            raise ValueError(f"multiplier and shift have the shapes {m.shape} and {by.shape}; "
                             "vectors of one length are needed")  # fmt: skip
        _within("multiplier", m, 0, 2**31 - 1)
        _within("shift", by, -31, chosen.most_shift)
        if chosen.path == SINGLE:
            half = np.where(m < 0x7FFF0000, (m + (1 << 15)) >> 16, 0x7FFF)
            table = np.stack([m if chosen.bits == 31 else half, 0 * by, chosen.bits - by])
        else:
            table = np.stack([m, np.maximum(by, 0), np.maximum(-by, 0)])
        scales = m * 2.0 ** (by - 31.0) if factors is None else np.asarray(factors, np.float64)
        if chosen.path == FLOAT:
            with np.errstate(over="ignore"):
                single = scales.astype(np.float32)
            scales, table[0] = single.astype(np.float64), single.view(np.int32)
        limits = _limits(chosen, zero_point, format, low, high)
        return cls(chosen, table.astype(np.int32), scales, limits, format)

    def columns(self, n: int) -> tuple[Int32, Float64]:
        """Return the table and the factors of ``n`` columns.

        Raises:
            ValueError: they are for another number.
        """
        if self.scales.size not in (1, n):
            raise ValueError(f"the requantization has {self.scales.size} factors for {n} columns")
        table = np.broadcast_to(self.table, (3, n)).copy()
        return table, np.broadcast_to(self.scales, (n,)).copy()

    def empty(self, *shape: int) -> Codes:
        """Return room for codes."""
        return np.empty(shape, TYPES[self.format])

    def cells(self, codes: Codes) -> Codes:
        """Return codes as the type that kernels write."""
        return codes.view(_SIGNED.get(self.format, codes.dtype))


def _within(name: str, values: npt.NDArray[np.int64], low: int, high: int) -> None:
    wrong = values[(values < low) | (values > high)]
    if wrong.size:
        raise ValueError(f"{name} is {wrong.flat[0]}; {low} to {high} is allowed")


def _limits(rule: Rule, zero_point: int, format: str, low: int | None, high: int | None) -> Int32:
    if format not in TYPES:
        raise ValueError(f"format is {format!r}; {', '.join(TYPES)} are allowed")
    if rule.path == FLOAT and format == "int32":
        raise ValueError(f"format is 'int32', which the rule {rule.name} has no codes in")
    kind = np.iinfo(TYPES[format])
    lowest, highest = (kind.min if low is None else low), (kind.max if high is None else high)
    for name, value in (("zero_point", zero_point), ("low", lowest), ("high", highest)):
        _within(name, np.array([value], np.int64), int(kind.min), int(kind.max))
    if lowest > highest:
        raise ValueError(f"low is {lowest}, above high, which is {highest}")
    return np.array([rule.path, rule.nudged, zero_point, lowest, highest], np.int32)


def activation_range(
    activation: str, scale: float, zero_point: int, format: str = "int8"
) -> tuple[int, int]:
    """Return the lowest and highest code of a fused activation (TensorFlow Lite, kernel_util.cc).

    Args:
        activation: ``none``, ``relu``, ``relu6`` or ``relu_n1_to_1``.
        scale: binary32 scale of the codes.
        zero_point: code of zero.
        format: of the codes.

    Raises:
        ValueError: an activation, scale or format that is none.
    """
    edges: dict[str, tuple[float | None, float | None]] = {
        "none": (None, None), "relu": (0.0, None), "relu6": (0.0, 6.0),
        "relu_n1_to_1": (-1.0, 1.0),
    }  # fmt: skip
    if activation not in edges or format not in TYPES or not scale > 0:
        raise ValueError(
            f"activation is {activation!r}, scale {scale}, format {format!r}; a positive scale, "
            f"one of {', '.join(edges)} and of {', '.join(TYPES)} are allowed"
        )
    kind = np.iinfo(TYPES[format])

    def code(edge: float | None, otherwise: int) -> int:
        if edge is None:
            return otherwise
        steps = np.float32(edge) / np.float32(scale)
        away = int(np.copysign(np.floor(np.abs(np.float64(steps)) + 0.5), steps))
        return min(max(zero_point + away, int(kind.min)), int(kind.max))

    low, high = edges[activation]
    return code(low, int(kind.min)), code(high, int(kind.max))


@inner
def _doubled(x: int, multiplier: int, left: int, right: int) -> np.int32:
    wide = np.int64(np.int32(x << left)) * np.int64(multiplier)
    # Truncation with a nudge that follows the sign is the floor after half; -1 * -1 saturates.
    high = min((wide + (1 << 30)) >> 31, 2147483647)
    half = (1 << right) >> 1
    down = np.int64(1) if high < 0 and right > 0 else np.int64(0)
    return np.int32((high + half - down) >> right)


@inner
def _once(x: int, multiplier: int, shift: int, nudge: int) -> np.int32:
    half = np.int64(1) << np.int64(shift - 1)
    if shift > 31:
        half += nudge if x >= 0 else -nudge
    return np.int32((np.int64(x) * np.int64(multiplier) + half) >> np.int64(shift))


@inner
def _away(x: float) -> np.int32:
    """Round half away from zero, and stay in int32."""
    size = abs(x)
    whole = np.floor(size)
    whole += 1.0 if size - whole >= 0.5 else 0.0
    return np.int32(min(max(whole if x >= 0 else -whole, -2147483648.0), 2147483647.0))


@inner
def requantize_row(
    sums: Codes, table: Int32, scales: Float64, limits: Int32, edge: int, out: Codes
) -> None:
    """Turn sums into codes; ``edge`` is the column of the first one."""
    zero, low, high = limits[2], limits[3], limits[4]
    if limits[0] == DOUBLE:
        for j in range(out.size):
            column = edge + j
            found = _doubled(sums[j], table[0, column], table[1, column], table[2, column])
            moved = np.int32(found + zero)
            out[j] = min(max(moved, low), high)
    elif limits[0] == SINGLE:
        nudge = np.int64(limits[1]) << 30
        for j in range(out.size):
            found = _once(sums[j], table[0, edge + j], table[2, edge + j], nudge)
            moved = np.int32(found + zero)
            out[j] = min(max(moved, low), high)
    elif limits[0] == REAL:
        for j in range(out.size):
            found = _away(np.float64(sums[j]) * scales[edge + j])
            moved = np.int32(found + zero)
            out[j] = min(max(moved, low), high)
    else:
        least, most = np.float32(low - zero), np.float32(high - zero)
        for j in range(out.size):
            scaled = np.float32(np.float32(sums[j]) * float_of(np.uint32(table[0, edge + j])))
            bounded = min(max(scaled, least), most)
            out[j] = np.int32((bounded + _ROUNDER) - _ROUNDER) + zero


@leaf
def _requantize(sums: Codes, table: Int32, scales: Float64, limits: Int32, out: Codes) -> None:
    for row in range(sums.shape[0]):
        requantize_row(sums[row], table, scales, limits, 0, out[row])


def requantize(sums: npt.ArrayLike, by: Requantization) -> Codes:
    """Return the codes of sums, of their shape; factors belong to the last axis.

    Args:
        sums: int32, or int64 for rules of the paths ``SINGLE`` and ``REAL``.
        by: the rule with its factors, zero point and range.

    Raises:
        ValueError: another type, or another number of columns.
    """
    given = np.asarray(sums)
    wide = given.dtype == np.int64 and by.rule.path in (SINGLE, REAL)
    given = np.atleast_1d(array("sums", given, np.int64 if wide else np.int32))
    table, scales = by.columns(given.shape[-1])
    out = by.empty(*given.shape)
    if out.size:
        flat = (-1, given.shape[-1])
        _requantize(given.reshape(flat), table, scales, by.limits, by.cells(out).reshape(flat))
    return out.reshape(np.shape(sums))
