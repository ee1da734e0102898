"""2:4: which weights are kept, how they are stored, and products equal to dense ones."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accelsim_kernels.integer import matmul_int8
from accelsim_kernels.sparse import (
    compress_2to4,
    decompress_2to4,
    matmul_2to4,
    pack_2to4,
    prune_2to4,
)
from tests.kernels import naive
from tests.kernels.support import SEEDS, codes, numbers


def test_every_order_of_four_magnitudes() -> None:
    rows = np.array(list(product((0.0, 1.0, -1.0, 2.0, -3.0), repeat=4)), np.float32)
    assert np.array_equal(prune_2to4(rows), [naive.prune_2to4(row) for row in rows.tolist()])


@given(SEEDS, st.integers(1, 6), st.integers(1, 8))
def test_pruned_weights_compress_and_come_back(seed: int, n: int, eights: int) -> None:
    keep = prune_2to4(numbers(seed, n, 8 * eights))
    assert (keep.reshape(n, -1, 4).sum(-1) == 2).all()
    pruned = np.where(keep, codes(seed + 1, n, 8 * eights), 0).astype(np.int8)
    values, places = compress_2to4(pruned)
    assert np.array_equal(decompress_2to4(values, places), pruned)
    twins = [naive.compress_2to4(row) for row in pruned.tolist()]
    assert np.array_equal(values, [twin[0] for twin in twins])
    assert np.array_equal(places, [twin[1] for twin in twins])


@given(SEEDS, st.integers(1, 9), st.integers(1, 70), st.integers(1, 6))
def test_products_are_those_of_the_dense_weights(seed: int, m: int, n: int, eights: int) -> None:
    k = 8 * eights
    a = codes(seed, m, k)
    w = np.where(prune_2to4(numbers(seed, n, k)), codes(seed + 1, n, k), 0).astype(np.int8)
    found = matmul_2to4(a, *compress_2to4(w))
    assert np.array_equal(matmul_2to4(a, pack_2to4(*compress_2to4(w))), found)
    assert np.array_equal(found, naive.matmul_int(a.tolist(), w.tolist()))
    assert np.array_equal(found, matmul_int8(a, w))


def test_what_is_not_2to4_is_named() -> None:
    dense = np.zeros((3, 16), np.int8)
    dense[2, 8:11] = 1
    with pytest.raises(ValueError, match=r"codes\[2, 8:12\] holds more than 2 codes"):
        compress_2to4(dense)
    with pytest.raises(ValueError, match="w has K=6; a multiple of 4 is needed"):
        prune_2to4(np.zeros((1, 6), np.float32))
    with pytest.raises(ValueError, match="codes has K=4; a multiple of 8 is needed"):
        compress_2to4(np.zeros((1, 4), np.int8))
    with pytest.raises(ValueError, match=r"indices has the shape \(1, 2\), \(1, 1\) is needed"):
        decompress_2to4(np.zeros((1, 4), np.int8), np.zeros((1, 2), np.uint8))
    with pytest.raises(ValueError, match=r"w\[0, 2\] is NaN"):
        prune_2to4(np.array([[1, 2, np.nan, 4]], np.float32))


@pytest.mark.parametrize("pair", range(16))
def test_places_ascend(pair: int) -> None:
    places = np.array([[0b01000100, 0b0100 | (pair << 4)]], np.uint8)
    values = np.arange(1, 9).astype(np.int8)[None]
    first, second = pair & 3, pair >> 2
    if first < second:
        found = decompress_2to4(values, places)[0, 12:]
        assert {i: int(x) for i, x in enumerate(found) if x} == {first: 7, second: 8}
    else:
        with pytest.raises(ValueError, match="indices of row 0, columns 12 to 15, do not ascend"):
            decompress_2to4(values, places)


def test_packed_values_hold_their_places() -> None:
    a, w = codes(1, 2, 8), np.zeros((3, 8), np.int8)
    values, places = compress_2to4(w)
    with pytest.raises(ValueError, match="indices are given beside packed values"):
        matmul_2to4(a, pack_2to4(values, places), places)
    with pytest.raises(ValueError, match="indices is None"):
        matmul_2to4(a, values)
