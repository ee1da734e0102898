"""The chain of fused multiply-adds: every product of FP8 numbers, and every way to cut a matrix."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accelsim_kernels.cast import decode_fp8
from accelsim_kernels.matmul import PackedChain, matmul_chain, matmul_fp64
from accelsim_kernels.rounding import round_to
from tests.kernels import naive, naive_float
from tests.kernels.support import SEEDS, numbers, same


def test_every_pair_of_fp8_codes() -> None:
    every = decode_fp8(np.arange(256, dtype=np.uint8), "fp8_e4m3")
    real = every[np.isfinite(every)][:, None]
    wanted = real.astype(np.float64) @ real.T.astype(np.float64)
    assert np.array_equal(matmul_chain(real, real), wanted.astype(np.float32))


@settings(max_examples=25)
@given(SEEDS, st.integers(1, 9), st.integers(1, 70), st.integers(1, 24), st.integers(0, 60))
def test_sums_are_rounded_step_by_step(seed: int, m: int, n: int, k: int, spread: int) -> None:
    a, b = numbers(seed, m, k, spread=spread), numbers(seed + 1, n, k, spread=spread)
    assert same(matmul_chain(a, b), naive.matmul_chain(a.tolist(), b.tolist()))


@settings(max_examples=10)
@given(SEEDS, st.integers(1, 5), st.integers(1, 20), st.integers(1, 40))
def test_bf16_operands(seed: int, m: int, n: int, k: int) -> None:
    a, b = (round_to(numbers(seed + i, s, k), "bf16") for i, s in enumerate((m, n)))
    assert same(matmul_chain(a, b), naive.matmul_chain(a.tolist(), b.tolist()))


def test_cancellation_depends_on_the_order() -> None:
    a = np.array([[2.0**24, 1.0, -(2.0**24)]], np.float32)
    ones = np.ones((1, 3), np.float32)
    assert matmul_chain(a, ones)[0, 0] == 0.0
    assert matmul_chain(a[:, ::-1], ones)[0, 0] == 1.0
    assert matmul_chain(a[:, [0, 2, 1]], ones)[0, 0] == 1.0


@pytest.mark.parametrize("threads", ["1", "2", "5"])
def test_no_cut_changes_a_bit(threads: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACCELSIM_THREADS", threads)
    a, b = numbers(1, 517, 131), numbers(2, 133, 131)
    whole, packed = matmul_chain(a, b), PackedChain.of(b)
    assert same(matmul_chain(a, packed), whole)
    assert same(whole[:3, :70], naive.matmul_chain(a[:3].tolist(), b[:70].tolist()))
    for rows in (slice(0, 1), slice(3, 100), slice(200, 517)):
        assert same(matmul_chain(a[rows], packed), whole[rows])
    for columns in (slice(0, 1), slice(60, 70), slice(64, 133)):
        assert same(matmul_chain(a, b[columns]), whole[:, columns])


def test_infinities_and_no_numbers_follow_ieee() -> None:
    a = np.array([[np.inf, 1.0], [np.nan, 1.0], [3e38, 3e38]], np.float32)
    b = np.array([[1.0, 1.0], [0.0, 1.0], [3e38, -3e38]], np.float32)
    found = matmul_chain(a, b)
    assert found[0, 0] == np.inf
    assert np.isnan(found[0, 1])
    assert np.isnan(found[1]).all()
    assert np.isnan(found[2, 2]) or found[2, 2] == np.inf


@settings(max_examples=15)
@given(SEEDS, st.integers(1, 13), st.integers(1, 70), st.integers(1, 12))
def test_the_yardstick_is_a_chain_in_binary64(seed: int, m: int, n: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = (rng.standard_normal((s, k)) * 2.0 ** rng.integers(-40, 40, (s, k)) for s in (m, n))
    wanted = naive_float.matmul_fp64(a.tolist(), b.tolist())
    assert np.array_equal(matmul_fp64(a, b).view(np.int64), np.array(wanted).view(np.int64))


@pytest.mark.parametrize("threads", ["1", "2", "5"])
def test_no_cut_changes_a_bit_of_the_yardstick(
    threads: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACCELSIM_THREADS", threads)
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((331, 77)), rng.standard_normal((101, 77))
    whole = matmul_fp64(a, b)
    assert np.allclose(whole, a @ b.T, rtol=1e-12, atol=1e-12)
    for rows in (slice(0, 1), slice(3, 100), slice(200, 331)):
        for columns in (slice(0, 101), slice(31, 34)):
            assert np.array_equal(matmul_fp64(a[rows], b[columns]), whole[rows, columns])
    assert np.array_equal(matmul_fp64(a.T.copy().T, b), whole)


def test_what_does_not_fit_is_named() -> None:
    a = np.zeros((2, 8), np.float32)
    with pytest.raises(ValueError, match="a has K=8, b has K=7: they do not multiply"):
        matmul_chain(a, np.zeros((2, 7), np.float32))
    with pytest.raises(ValueError, match="b is float64, float32 is needed"):
        matmul_chain(a, np.zeros((2, 8)))
    with pytest.raises(ValueError, match="a has K=8, b has K=7"):
        matmul_fp64(np.zeros((2, 8)), np.zeros((2, 7)))
    for m, n, k in ((0, 3, 4), (3, 0, 4), (3, 4, 0)):
        found = matmul_chain(np.zeros((m, k), np.float32), np.zeros((n, k), np.float32))
        for sums in (found, matmul_fp64(np.zeros((m, k)), np.zeros((n, k)))):
            assert sums.shape == (m, n)
            assert not sums.any()
