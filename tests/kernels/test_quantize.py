"""Scales, codes and rescaling against the rules in fractions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accelsim_kernels.cast import decode_fp8
from accelsim_kernels.quantize import absmax, dequantize, quantize, quantize_weight, rescale, scales
from tests.kernels import naive
from tests.kernels.support import SEEDS, codes, numbers, same

FORMATS = ("int8", "int4", "fp8_e4m3", "fp8_e5m2")


@pytest.mark.parametrize("fmt", FORMATS)
@given(seed=SEEDS, rows=st.integers(1, 5), k=st.integers(1, 40))
def test_codes_and_scales(fmt: str, seed: int, rows: int, k: int) -> None:
    x = numbers(seed, rows, k, spread=30)
    largest = absmax(x)
    assert same(largest, np.abs(x).max(axis=1))
    for scale_format in ("fp32", "fp16", "bf16"):
        steps = scales(largest, fmt, scale_format)
        assert same(steps, [naive.scale(v, fmt, scale_format) for v in largest.tolist()])
        found = quantize(x, steps, fmt)
        plain = decode_fp8(found, fmt) if fmt.startswith("fp8") else found.astype(np.float32)
        wanted = [
            [naive.quantize(v, step, fmt) for v in row]
            for row, step in zip(x.tolist(), steps.tolist(), strict=True)
        ]
        assert np.array_equal(plain, np.array(wanted, np.float32))
        back = dequantize(found, steps, fmt)
        assert same(back + 0.0, (plain * steps[:, None]) + 0.0)


@pytest.mark.parametrize("fmt", ["int8", "int4"])
def test_every_tie_and_what_lies_beside(fmt: str) -> None:
    halves = (np.arange(-300, 301) / 2).astype(np.float32)
    beside = [np.nextafter(halves, np.float32(edge)) for edge in (-np.inf, np.inf)]
    points = np.concatenate([halves, *beside])
    wanted = [naive.quantize(v, 1.0, fmt) for v in points.tolist()]
    assert np.array_equal(quantize(points[None], np.ones(1, np.float32), fmt)[0], wanted)


def test_what_is_no_number_or_too_large_has_a_code() -> None:
    x = np.array([[np.nan, np.inf, -np.inf, 3e38] * 20], np.float32)
    one = np.ones(1, np.float32)
    assert quantize(x, one, "int8").tolist() == [[-127, 127, -127, 127] * 20]
    assert quantize(x, one, "fp8_e4m3").tolist() == [[0x7F, 0x7E, 0xFE, 0x7E] * 20]


@given(SEEDS, st.integers(1, 4), st.integers(1, 50), st.integers(1, 20))
def test_groups_have_scales_of_their_own(seed: int, n: int, k: int, group: int) -> None:
    w = numbers(seed, n, k)
    found, steps = quantize_weight(w, "int4", group, "fp16")
    assert steps.shape == (n, -(-k // group))
    for number in range(steps.shape[1]):
        part = np.ascontiguousarray(w[:, number * group : (number + 1) * group])
        alone, step = quantize_weight(part, "int4", 0, "fp16")
        assert np.array_equal(found[:, number * group : (number + 1) * group], alone)
        assert same(steps[:, number], step[:, 0])


@given(SEEDS, st.integers(1, 5), st.integers(1, 20))
def test_sums_are_rescaled_step_by_step(seed: int, m: int, n: int) -> None:
    sums = np.random.default_rng(seed).integers(-(2**31), 2**31, (m, n)).astype(np.int32)
    rows, columns, bias = np.abs(numbers(seed, m)), np.abs(numbers(seed + 1, n)), numbers(seed, n)
    for fmt in ("fp32", "bf16", "fp16"):
        wanted = [
            [
                naive.rescale(float(total), row, column, shift, fmt)
                for total, column, shift in zip(line, columns.tolist(), bias.tolist(), strict=True)
            ]
            for line, row in zip(sums.tolist(), rows.tolist(), strict=True)
        ]
        assert same(rescale(sums, rows, columns, bias, fmt) + 0.0, np.array(wanted) + 0.0)


def test_without_columns_and_bias_nothing_happens_to_a_sum() -> None:
    sums = np.array([[-0.0, 1.5, -2.0]], np.float32)
    one = np.ones(1, np.float32)
    assert same(rescale(sums, one, None, None, "fp32"), sums)


def test_extremes() -> None:
    tiny = np.array([0.0, 1e-45, 3e38], np.float32)
    assert scales(tiny, "int8", "fp32").tolist() == [1.0, 2.0**-126, pytest.approx(3e38 / 127)]
    assert scales(tiny, "int8", "fp16").tolist() == [1.0, 2.0**-14, 65504.0]
    for odd in (np.nan, -np.nan):
        assert np.isnan(absmax(np.array([[1.0, odd, np.inf, 2.0]], np.float32)))[0]
    assert absmax(np.array([[-np.inf, 2.0], [-0.0, 0.0]], np.float32)).tolist() == [np.inf, 0.0]
    assert absmax(np.zeros((2, 0), np.float32)).tolist() == [0.0, 0.0]


def test_what_does_not_fit_is_named() -> None:
    x = np.zeros((2, 3), np.float32)
    with pytest.raises(ValueError, match=r"scales has the shape \(3,\), \(2,\) is needed"):
        quantize(x, np.ones(3, np.float32), "int8")
    with pytest.raises(ValueError, match="scales holds a number that is not positive"):
        quantize(x, np.array([1.0, 0.0], np.float32), "int8")
    with pytest.raises(ValueError, match="format is 'int16'"):
        quantize(x, np.ones(2, np.float32), "int16")
    with pytest.raises(ValueError, match="format is 'int8'; fp32, bf16, fp16 are allowed"):
        scales(np.ones(2, np.float32), "int8", "int8")
    with pytest.raises(ValueError, match="group is -1"):
        quantize_weight(x, "int8", -1, "fp32")
    with pytest.raises(ValueError, match="sums is float64, float32 is needed"):
        rescale(np.zeros((1, 1)), np.ones(1, np.float32), None, None, "bf16")
    assert codes(0, 1, 1).shape == (1, 1)
