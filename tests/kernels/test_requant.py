"""Requantization: every rule against integers, layers against sums, and LiteRT's own kernels."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accelsim_kernels.integer import (
    PackedInt4,
    PackedInt8,
    matmul_int4,
    matmul_int8,
    pack_int4,
)
from accelsim_kernels.requant import (
    RULES,
    SINGLE,
    Requantization,
    activation_range,
    factors,
    quantize_multiplier,
    requantize,
)
from accelsim_kernels.requant_float import RANGES, dynamic_quantize, quantize_linear
from accelsim_kernels.requant_linear import linear_int8, linear_sums, matmul_int16
from tests.kernels import naive, naive_integer
from tests.kernels.litert import LITERT, Tensor, run
from tests.kernels.support import SEEDS, codes, numbers, same

SUMS = st.one_of(
    st.integers(-(2**31), 2**31 - 1), st.integers(-3000, 3000),
    st.sampled_from([-(2**31), 2**31 - 1, 2**30, -(2**30), 0, 1, -1]),
)  # fmt: skip
FACTORS = st.one_of(
    st.floats(2.0**-40, 2.0**12), st.integers(-34, 8).map(lambda e: 2.0**e), st.just(0.0)
)


@pytest.mark.parametrize("rule", RULES)
@given(st.lists(SUMS, min_size=1, max_size=20), FACTORS, st.integers(-128, 127))
def test_rules_are_those_of_the_twin(rule: str, sums: list[int], factor: float, zero: int) -> None:
    if rule == "onnxruntime":
        factor = float(np.float32(factor))
    by = Requantization.of(rule, factor, zero, "int8", -100, 120)
    found = requantize(np.array(sums, np.int32)[:, None], by)[:, 0]
    twin = [naive_integer.requantized(rule, x, factor, zero, -100, 120) for x in sums]
    assert found.tolist() == twin


@given(st.lists(st.integers(-(2**47), 2**47), min_size=1), st.floats(2.0**-30, 2.0**-12))
def test_sums_of_64_bits(sums: list[int], factor: float) -> None:
    for rule in ("tflite_int16", "litert"):
        by = Requantization.of(rule, factor, 0, "int16")
        found = requantize(np.array(sums, np.int64)[:, None], by)[:, 0]
        low, high = -(2**15), 2**15 - 1
        twin = [naive_integer.requantized(rule, x, factor, 0, low, high) for x in sums]
        assert found.tolist() == twin


@given(FACTORS)
def test_multipliers(factor: float) -> None:
    for most in (31, 30, 7):
        found = quantize_multiplier(factor, most)
        assert tuple(int(x) for x in found) == naive_integer.multiplier(factor, most)


def test_a_left_shift_wraps_as_in_litert() -> None:
    """QUANTIZE of int32 at the ends of the range: ``x << 1`` leaves int32."""
    by = Requantization.of("tflite", 1.0, 0, "int8")
    assert requantize(np.array([[2**31 - 1], [-(2**31)], [2**30]], np.int32), by).tolist() == [
        [-1], [0], [-128],
    ]  # fmt: skip


@given(SEEDS, st.integers(1, 9), st.integers(1, 140), st.integers(1, 70), st.booleans())
def test_layers_with_zero_points(seed: int, m: int, n: int, k: int, unsigned: bool) -> None:
    rng = np.random.default_rng(seed)
    kind: Any = np.uint8 if unsigned else np.int8
    a, b = (codes(seed + i, size, k).view(kind) for i, size in enumerate((m, n)))
    span = np.iinfo(kind)
    a_zero, b_zero = int(rng.integers(span.min, span.max + 1)), rng.integers(0, 100, n)
    bias = rng.integers(-(10**6), 10**6, n).astype(np.int32)
    wide = (x.astype(np.int64) for x in (a, b))
    left, right = next(wide) - a_zero, next(wide) - b_zero[:, None]
    sums = linear_sums(a, b, a_zero, b_zero, bias)
    assert np.array_equal(sums, np.array(naive.matmul_int(left.tolist(), right.tolist())) + bias)
    by = Requantization.of("tflite", rng.random(n) * 1e-2, 3, "uint8", 2, 250)
    for path in ("auto", "portable"):
        assert np.array_equal(
            linear_int8(a, b, by, a_zero, b_zero, bias, path), requantize(sums, by)
        )


@pytest.mark.parametrize("rule", RULES)
def test_blocks_and_threads_have_no_influence(rule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = codes(1, 403, 700), codes(2, 200, 700)
    by = Requantization.of(rule, np.linspace(1e-5, 1e-3, 200), -4)
    wanted = requantize(matmul_int8(a, b), by)
    for threads in ("1", "2"):
        monkeypatch.setenv("ACCELSIM_THREADS", threads)
        assert np.array_equal(linear_int8(a, PackedInt8.of(b), by), wanted)


@given(SEEDS, st.integers(0, 5), st.integers(0, 5), st.integers(0, 600))
def test_products_of_16_bits(seed: int, m: int, n: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    a = rng.integers(-(2**15), 2**15, (m, k)).astype(np.int16)
    b, bias = codes(seed, n, k), rng.integers(-(2**40), 2**40, n)
    wanted = a.astype(np.int64) @ b.astype(np.int64).T + bias
    assert np.array_equal(matmul_int16(a, b, bias), wanted)
    assert np.array_equal(matmul_int16(np.full((1, k), -(2**15), np.int16), b[:1])[0],
                          -(2**15) * b[:1].astype(np.int64).sum(1))  # fmt: skip


@given(SEEDS, st.integers(1, 8), st.integers(1, 70), st.integers(1, 60), st.integers(1, 40))
def test_groups_of_int4_with_zero_points(seed: int, m: int, n: int, k: int, group: int) -> None:
    a, b = codes(seed, m, k), codes(seed + 1, n, k, low=-8, high=7)
    groups, zero = -(-k // group), int(codes(seed + 4, 1)[0])
    zeros, steps = codes(seed + 2, n, groups, low=-8, high=7), numbers(seed + 3, n, groups)
    left = a.astype(np.int64) - zero
    right = b.astype(np.int64) - np.repeat(zeros, group, axis=1)[:, :k]
    wanted = naive.matmul_int4(left.tolist(), right.tolist(), steps.tolist(), group)
    packed = PackedInt4.of(pack_int4(b), k, group, zeros)
    for path in ("auto", "portable"):
        assert same(matmul_int4(a, packed, steps, group, path, zero), wanted)


def test_empty_layers() -> None:
    by = Requantization.of("tflite", 0.5, 3)
    assert linear_int8(np.zeros((0, 4), np.int8), np.zeros((3, 4), np.int8), by).shape == (0, 3)
    assert linear_int8(np.zeros((2, 4), np.int8), np.zeros((0, 4), np.int8), by).shape == (2, 0)
    none = np.zeros((2, 0), np.int8)
    assert linear_int8(none, none, by, bias=np.array([2, -2], np.int32)).tolist() == [[4, 2]] * 2
    assert linear_sums(none, none, 5, 3, np.array([2, -2], np.int32)).tolist() == [[2, -2]] * 2


@pytest.mark.parametrize("rule", ["onnxruntime", "torch"])
@pytest.mark.parametrize("format", RANGES)
def test_codes_of_numbers(rule: str, format: str) -> None:
    low, high, _ = RANGES[format]
    steps = np.arange(-70000, 70000, 7).astype(np.float32) / np.float32(8)
    x = np.concatenate([steps, np.array([np.inf, -np.inf, np.nan, -0.0, 3e9, -3e9], np.float32)])
    step, zero = np.float32(0.37), min(3, high)
    found = quantize_linear(x, 0.37, zero, format, rule)
    with np.errstate(invalid="ignore"):
        near = np.rint(x / step if rule == "onnxruntime" else x * (np.float32(1) / step))
    wanted = np.clip(near.astype(np.float64) + zero, low, high)
    wanted[np.isnan(wanted)] = low
    assert np.array_equal(found, wanted)


def test_dynamic_codes_hold_zero() -> None:
    found, scale, zero = dynamic_quantize(np.array([[1.0, 2.55]], np.float32))
    assert int(zero) == 0 and found.tolist() == [[100, 255]] and scale == np.float32(2.55) / 255
    assert dynamic_quantize(np.zeros(3, np.float32))[1] == 1


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: Requantization.of("tf", 1.0), "rule is 'tf'"),
        (lambda: Requantization.of("tflite", -1.0), "negative or not finite"),
        (lambda: Requantization.of("tflite", np.nan), "negative or not finite"),
        (lambda: Requantization.of("tflite", 1.0, 200), "zero_point is 200; -128 to 127"),
        (lambda: Requantization.of("tflite", 1.0, 0, "int3"), "format is 'int3'"),
        (lambda: Requantization.of("tflite", 1.0, 0, "int8", 5, 4), "low is 5, above high"),
        (lambda: Requantization.of("onnxruntime", 1.0, 0, "int32"), "no codes"),
        (lambda: Requantization.fixed("tflite", 2**31, 0), "multiplier is 2147483648"),
        (lambda: Requantization.fixed("tflite", -1, 0), "multiplier is -1"),
        (lambda: Requantization.fixed("tflite", 1, -32), "shift is -32; -31 to 31"),
        (lambda: Requantization.fixed("tflite", [1, 2], 0), "vectors of one length"),
        (lambda: requantize(np.zeros((1, 3), np.int32), Requantization.of("tosa", [1.0, 2.0])),
         "2 factors for 3 columns"),
        (lambda: requantize(np.zeros(3, np.int64), Requantization.of("tflite", 1.0)), "int64"),
        (lambda: linear_sums(codes(1, 2, 3), codes(1, 2, 4)), "do not multiply"),
        (lambda: linear_sums(codes(1, 2, 3), codes(1, 2, 3), 128), "a_zero holds 128"),
        (lambda: linear_sums(codes(1, 2, 3), codes(1, 2, 3), 0, [1, 2, 3]), "b_zero is int64"),
        (lambda: linear_sums(codes(1, 2, 3).astype(np.int16), codes(1, 2, 3)), "a is int16"),
        (lambda: PackedInt4.of(np.zeros((3, 4), np.uint8), 8, 4, np.full((3, 2), 8, np.int8)),
         r"zeros has the shape \(3, 2\); \(3, 2\) of -8 to 7"),
        (lambda: matmul_int4(codes(1, 2, 8), np.zeros((3, 4), np.uint8),
                             np.zeros((3, 1), np.float32), 8, a_zero=128), "a_zero is 128"),
        (lambda: quantize_linear(np.zeros(3, np.float32), 0.0, 0, "int8"), "scale is 0.0"),
        (lambda: quantize_linear(np.zeros(3, np.float32), 1.0, 8, "int4"), "zero_point is 8"),
        (lambda: dynamic_quantize(np.array([np.nan], np.float32)), "not finite"),
        (lambda: activation_range("tanh", 1.0, 0), "activation is 'tanh'"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_named(make: Any, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        make()


def test_activation_ranges() -> None:
    assert activation_range("relu6", 0.05, -20) == (-20, 100)
    assert activation_range("relu_n1_to_1", 0.1, 125) == (115, 127)
    assert activation_range("none", 0.1, 0, "int16") == (-(2**15), 2**15 - 1)


def test_factors_are_those_of_the_library() -> None:
    x, w, y = 0.1, np.array([0.3, 0.7], np.float32), 0.9
    single = np.float32(x) * w / np.float32(y)
    assert factors(x, w, y, "onnxruntime").tolist() == single.astype(np.float64).tolist()
    wide = np.float64(np.float32(x)) * w.astype(np.float64) / np.float64(np.float32(y))
    assert factors(x, w, y, "tflite").tolist() == wide.tolist()


@pytest.mark.skipif(sys.platform != "linux", reason="LiteRT is built for Linux")
@pytest.mark.parametrize(("kind", "bias"), [("int8", "int32"), ("int16", "int64")])
@pytest.mark.parametrize("channels", [1, 24])
def test_fully_connected_of_litert(kind: str, bias: str, channels: int) -> None:
    schema = pytest.importorskip(LITERT, reason="LiteRT is not installed")
    rng = np.random.default_rng(channels)
    span, wide = np.iinfo(kind), kind == "int16"
    x = rng.integers(span.min, span.max + 1, (40, 64)).astype(kind)
    w = codes(1, 24, 64, low=-127)
    added = rng.integers(-(10**5), 10**5, 24).astype(bias)
    scales = (rng.random(channels) * 0.02 + 1e-3).astype(np.float32)
    x_zero, y_zero = (0, 0) if wide else (17, -5)
    y_scale = float(np.float32(0.5 if wide else 0.02))
    found = run(
        schema.BuiltinOperator.FULLY_CONNECTED, 12, schema.BuiltinOptions.FullyConnectedOptions, {},
        [
            Tensor(x.shape, kind, (0.01,), x_zero), Tensor(w.shape, "int8", tuple(scales), 0, w),
            Tensor(added.shape, bias, tuple(0.01 * scales), 0, added),
            Tensor((40, 24), kind, (y_scale,), y_zero),
        ],
        x,
    )  # fmt: skip
    by = Requantization.of("litert", factors(0.01, scales, y_scale, "litert"), y_zero, kind)
    if wide:
        assert np.array_equal(found, requantize(matmul_int16(x, w, added), by))
    else:
        assert np.array_equal(found, linear_int8(x, w, by, x_zero, bias=added))


def test_rules_say_where_they_come_from() -> None:
    assert all(rule.source for rule in RULES.values())
    assert {rule.bits for rule in RULES.values() if rule.path == SINGLE} == {15, 31}
