"""Integer products against Python's integers, every pair of codes, and every way to cut them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accelsim_kernels import integer
from accelsim_kernels.integer import (
    LONGEST,
    PackedInt4,
    PackedInt8,
    Path,
    matmul_int4,
    matmul_int8,
    pack_int4,
    unpack_int4,
)
from accelsim_kernels.tile import has_vnni
from tests.kernels import naive
from tests.kernels.support import SEEDS, codes, numbers, same

PATHS: list[Path] = ["portable", *(["vnni"] if has_vnni() else [])]  # type: ignore[list-item]  # both are paths
ALL = np.arange(-128, 128).astype(np.int8)


@pytest.mark.parametrize("path", PATHS)
def test_every_pair_of_int8_codes(path: Path) -> None:
    wanted = [[int(x) * int(y) for y in ALL] for x in ALL]
    assert np.array_equal(matmul_int8(ALL[:, None], ALL[:, None], path), wanted)


@pytest.mark.parametrize("path", PATHS)
def test_every_pair_of_int8_and_int4_codes(path: Path) -> None:
    weights = np.arange(-8, 8).astype(np.int8)[:, None]
    ones = np.ones((16, 1), np.float32)
    found = matmul_int4(ALL[:, None], pack_int4(weights), ones, 2, path)
    assert np.array_equal(found, [[float(int(x) * int(y)) for y in weights[:, 0]] for x in ALL])


@settings(max_examples=30)
@given(SEEDS, st.integers(1, 20), st.integers(1, 70), st.integers(1, 45))
def test_int8_is_exact(seed: int, m: int, n: int, k: int) -> None:
    a, b = codes(seed, m, k), codes(seed + 1, n, k)
    wanted = naive.matmul_int(a.tolist(), b.tolist())
    for path in PATHS:
        assert np.array_equal(matmul_int8(a, b, path), wanted)


@settings(max_examples=15)
@given(SEEDS, st.integers(1, 140), st.integers(1, 200), st.integers(1, 300))
def test_larger_ragged_shapes_are_exact(seed: int, m: int, n: int, k: int) -> None:
    a, b = codes(seed, m, k), codes(seed + 1, n, k)
    wanted = a.astype(np.int32) @ b.astype(np.int32).T
    for path in PATHS:
        assert np.array_equal(matmul_int8(a, b, path), wanted)


@settings(max_examples=25)
@given(SEEDS, st.integers(1, 8), st.integers(1, 66), st.integers(1, 80), st.integers(1, 40))
def test_int4_groups_are_summed_in_order(seed: int, m: int, n: int, k: int, group: int) -> None:
    a, b = codes(seed, m, k), codes(seed + 1, n, k, low=-8, high=7)
    steps = numbers(seed + 2, n, -(-k // group))
    wanted = naive.matmul_int4(a.tolist(), b.tolist(), steps.tolist(), group)
    for path in PATHS:
        assert same(matmul_int4(a, pack_int4(b), steps, group, path), wanted)


def test_sums_of_long_groups_are_rounded_to_float32() -> None:
    group = 20001
    a, b = np.full((2, 2 * group), -127, np.int8), np.full((2, 2 * group), -8, np.int8)
    a[1, group:], b[1, 7] = 127, 3
    first = 127 * 8 * (group - 1) - 127 * 3
    assert int(np.float32(first)) != first
    steps = numbers(3, 2, 2)
    wanted = naive.matmul_int4(a.tolist(), b.tolist(), steps.tolist(), group)
    for path in PATHS:
        assert same(matmul_int4(a, pack_int4(b), steps, group, path), wanted)


def test_the_largest_sums_stay_exact() -> None:
    a = np.full((1, LONGEST), -128, np.int8)
    for path in PATHS:
        assert matmul_int8(a, a, path)[0, 0] == 128 * 128 * LONGEST
        assert (
            matmul_int8(a, np.full((1, LONGEST), 127, np.int8), path)[0, 0] == -128 * 127 * LONGEST
        )
    with pytest.raises(ValueError, match=rf"K={LONGEST + 1}; sums stay in int32 up to K={LONGEST}"):
        matmul_int8(np.zeros((1, LONGEST + 1), np.int8), np.zeros((1, LONGEST + 1), np.int8))


@pytest.mark.parametrize("threads", ["1", "2", "5"])
def test_no_cut_changes_a_bit(threads: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACCELSIM_THREADS", threads)
    monkeypatch.setattr(integer, "_WORTH", 1)
    a, b, w = codes(1, 517, 131), codes(2, 133, 131), codes(3, 133, 131, low=-8, high=7)
    steps = numbers(4, 133, 5)
    whole, grouped = matmul_int8(a, b), matmul_int4(a, pack_int4(w), steps, 32)
    assert np.array_equal(whole, a.astype(np.int32) @ b.astype(np.int32).T)
    for rows in (slice(0, 1), slice(3, 100), slice(200, 517)):
        assert np.array_equal(matmul_int8(a[rows], b), whole[rows])
        assert same(matmul_int4(a[rows], pack_int4(w), steps, 32), grouped[rows])
    for columns in (slice(0, 1), slice(60, 70), slice(64, 133)):
        assert np.array_equal(matmul_int8(a, b[columns]), whole[:, columns])
        part = matmul_int4(a, pack_int4(w[columns]), steps[columns], 32)
        assert same(part, grouped[:, columns])


@pytest.mark.parametrize("m", [1, 5, 6, 7, 63, 130])
def test_columns_shared_out_change_no_bit(m: int, monkeypatch: pytest.MonkeyPatch) -> None:
    a, b, w = codes(1, m, 37), codes(2, 333, 37), codes(3, 333, 37, low=-8, high=7)
    steps = numbers(4, 333, 5)
    monkeypatch.setenv("ACCELSIM_THREADS", "1")
    alone = matmul_int8(a, b), matmul_int4(a, pack_int4(w), steps, 8)
    monkeypatch.setattr(integer, "_WORTH", 1)
    for threads in ("2", "3", "7"):
        monkeypatch.setenv("ACCELSIM_THREADS", threads)
        assert np.array_equal(matmul_int8(a, b), alone[0])
        assert same(matmul_int4(a, pack_int4(w), steps, 8), alone[1])


@pytest.mark.parametrize(("m", "n", "k"), [(1, 128, 128), (512, 128, 128), (64, 1024, 1024)])
def test_small_products_stay_in_one_thread(
    m: int, n: int, k: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Handing one over takes longer than computing it.
    monkeypatch.setenv("ACCELSIM_THREADS", "2")
    monkeypatch.setattr("accelsim_kernels.jit._pool", lambda count: pytest.fail("handed over"))
    matmul_int8(codes(1, m, k), codes(2, n, k))
    monkeypatch.setattr(integer, "_WORTH", 1)
    with pytest.raises(pytest.fail.Exception):
        matmul_int8(codes(1, m, k), codes(2, max(n, 128), k))


@pytest.mark.parametrize("m", [383, 384, 385, 773])
def test_blocks_of_rows_meet(m: int) -> None:
    a, b = codes(1, m, 21), codes(2, 67, 21)
    for path in PATHS:
        assert np.array_equal(matmul_int8(a, b, path), a.astype(np.int32) @ b.astype(np.int32).T)


@pytest.mark.parametrize(("n", "k"), [(1, 1), (65, 7), (640, 512)])
def test_panels_begin_with_a_cache_line(n: int, k: int) -> None:
    # Off it by 16 bytes, as NumPy allocates, products take up to a sixth longer.
    assert PackedInt8.of(codes(1, n, k)).panels.ctypes.data % 64 == 0


def test_the_processor_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    # The question takes LLVM thirty times as long as a small product.
    a = codes(1, 4, 16)
    wanted = matmul_int8(a, a)

    def refuse() -> None:
        raise AssertionError("asked again")

    monkeypatch.setattr("llvmlite.binding.get_host_cpu_features", refuse)
    assert np.array_equal(matmul_int8(a, a), wanted)


def test_torch_multiplies_alike() -> None:
    torch = pytest.importorskip("torch")
    a, b = codes(5, 64, 96), codes(6, 40, 96)
    wanted = torch._int_mm(torch.from_numpy(a), torch.from_numpy(b.T.copy())).numpy()
    assert np.array_equal(matmul_int8(a, PackedInt8.of(b)), wanted)


@given(SEEDS, st.integers(0, 9), st.integers(0, 33))
def test_packing_can_be_undone(seed: int, n: int, k: int) -> None:
    given_codes = codes(seed, n, k, low=-8, high=7)
    packed = pack_int4(given_codes)
    assert packed.shape == (n, -(-k // 2))
    assert np.array_equal(unpack_int4(packed, k), given_codes)


def test_a_code_outside_int4_is_named() -> None:
    with pytest.raises(ValueError, match=r"codes\[1, 2\] is 8; int4 holds -8 to 7"):
        pack_int4(np.array([[0, 0, 0], [7, -8, 8]], np.int8))


@pytest.mark.parametrize("shape", [(0, 5, 8), (5, 0, 8), (5, 3, 0)])
def test_empty_products(shape: tuple[int, int, int]) -> None:
    m, n, k = shape
    found = matmul_int8(np.zeros((m, k), np.int8), np.zeros((n, k), np.int8))
    assert found.shape == (m, n)
    assert not found.any()
    weights, steps = np.zeros((n, -(-k // 2)), np.uint8), np.zeros((n, -(-k // 4)), np.float32)
    grouped = matmul_int4(np.zeros((m, k), np.int8), weights, steps, 4)
    assert grouped.dtype == np.float32
    assert same(grouped, np.zeros((m, n), np.float32))


def test_strided_and_read_only_arrays() -> None:
    a, b = codes(1, 20, 64)[::2, ::2], codes(2, 9, 32)
    b.flags.writeable = False
    assert np.array_equal(matmul_int8(a, b), a.astype(np.int32) @ b.astype(np.int32).T)


def test_codes_may_begin_at_any_byte() -> None:
    raw = codes(1, 9 * 64 + 1)
    a, b = raw[1:].reshape(9, 64), codes(2, 9, 64)
    assert np.array_equal(matmul_int8(a, b), a.astype(np.int32) @ b.astype(np.int32).T)


def test_what_does_not_fit_is_named() -> None:
    a = np.zeros((2, 8), np.int8)
    with pytest.raises(ValueError, match="a has K=8, b has K=7"):
        matmul_int8(a, np.zeros((2, 7), np.int8))
    with pytest.raises(ValueError, match="a is float32, int8 is needed"):
        matmul_int8(a.astype(np.float32), a)
    with pytest.raises(ValueError, match=r"a has the shape \(8,\), a matrix is needed"):
        matmul_int8(a[0], a)
    with pytest.raises(ValueError, match="path is 'fast'; auto, vnni and portable"):
        matmul_int8(a, a, "fast")  # type: ignore[arg-type]  # what a user may write
    packed = pack_int4(a)
    with pytest.raises(ValueError, match=r"scales has the shape \(2, 3\), \(2, 2\) is needed"):
        matmul_int4(a, packed, np.ones((2, 3), np.float32), 4)
    with pytest.raises(ValueError, match="group is 0"):
        matmul_int4(a, packed, np.ones((2, 2), np.float32), 0)
    with pytest.raises(ValueError, match="b has K=8, group 4"):
        matmul_int4(a, PackedInt4.of(packed, 8, 4), np.ones((2, 1), np.float32), 8)
