"""N:M: what is kept, how it is stored, and torch's own layout."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accelsim_kernels.matmul import matmul_chain
from accelsim_kernels.nm import compress_nm, expand_nm, keep_nm, prune_compress_2to4
from accelsim_kernels.sparse import compress_2to4, prune_2to4
from accelsim_kernels.sparse_torch import (
    from_semi_structured,
    prune_tiles,
    reordered,
    to_semi_structured,
)
from tests.kernels import naive_integer
from tests.kernels.support import SEEDS, codes, numbers, same

PATTERNS = [(2, 4), (4, 8), (1, 4), (1, 2), (2, 5), (3, 3), (1, 1), (16, 32)]


@pytest.mark.parametrize(("n", "m"), PATTERNS)
@given(SEEDS, st.integers(0, 4), st.integers(0, 5), st.sampled_from(["int8", "float16", "float32"]))
def test_what_is_kept_comes_back(n: int, m: int, seed: int, rows: int, groups: int, t: str) -> None:
    scores = np.round(numbers(seed, rows, groups * m))
    dense = codes(seed, rows, groups * m).astype(t)
    keep = keep_nm(scores, n, m)
    twin = [
        [one for i in range(0, len(row), m) for one in naive_integer.kept(row[i : i + m], n)]
        for row in scores.tolist()
    ]
    assert keep.tolist() == twin
    values, places = compress_nm(dense, n, m, keep)
    assert np.array_equal(expand_nm(values, places, n, m), np.where(keep, dense, 0))
    assert np.array_equal(expand_nm(values, places, n, m, 1, 3), np.where(keep, dense, 0)[1:3])
    for row in range(rows):
        found = naive_integer.compressed(dense[row].tolist(), twin[row], n, m)
        assert (values[row].tolist(), places[row].tolist()) == found


@given(SEEDS, st.integers(1, 5), st.integers(1, 6))
def test_zeros_need_not_be_kept(seed: int, rows: int, eights: int) -> None:
    dense = np.where(prune_2to4(numbers(seed, rows, 8 * eights)), codes(seed, rows, 8 * eights), 0)
    dense = (dense * (codes(seed + 1, *dense.shape) > 0)).astype(np.int8)
    for found, wanted in zip(compress_nm(dense, 2, 4), compress_2to4(dense), strict=True):
        assert np.array_equal(found, wanted)


def test_one_pass_keeps_what_two_do() -> None:
    rows = np.array(list(product((0.0, -0.0, 1.0, -1.0, 2.0, -np.inf), repeat=4)), np.float32)
    w = np.tile(rows, (1, 4))
    values, places = prune_compress_2to4(w)
    wanted, where = compress_nm(w, 2, 4, prune_2to4(w))
    assert same(values, wanted) and np.array_equal(places, where)
    w[7, 3] = np.nan
    with pytest.raises(ValueError, match="w has a NaN in row 7"):
        prune_compress_2to4(w)


def test_a_sparse_product_in_a_float_arithmetic() -> None:
    """Rows are expanded a tile at a time; K goes on in its order."""
    a, w = numbers(1, 5, 32), numbers(2, 24, 32)
    values, places = prune_compress_2to4(w)
    dense = np.where(prune_2to4(w), w, np.float32(0))
    tiles = [expand_nm(values, places, 2, 4, i, i + 8) for i in range(0, 24, 8)]
    found = np.hstack([matmul_chain(a, tile) for tile in tiles])
    assert same(found, matmul_chain(a, dense))


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: keep_nm(np.zeros((2, 6)), 2, 4), "K is 6; a multiple of 4"),
        (lambda: keep_nm(np.zeros((2, 8)), 5, 4), "n is 5 and m is 4"),
        (lambda: keep_nm(np.zeros((2, 8)), 0, 4), "n is 0"),
        (lambda: keep_nm(np.zeros((2, 64)), 2, 64), "m is 64"),
        (lambda: keep_nm(np.full((1, 4), np.nan), 2, 4), r"scores\[0, 0\] is NaN"),
        (lambda: keep_nm(np.zeros(4), 2, 4), "a matrix of numbers"),
        (lambda: compress_nm(np.ones((1, 8), np.int8), 2, 4), r"codes\[0, 0:4\] keeps more than 2"),
        (lambda: compress_nm(np.ones((1, 8)), 2, 4), "codes is float64"),
        (lambda: compress_nm(codes(1, 1, 8), 2, 4, np.ones((1, 4))), "keep has the shape"),
        (lambda: expand_nm(codes(1, 1, 4), np.zeros((1, 1), np.uint8), 2, 4), "do not ascend"),
        (lambda: expand_nm(codes(1, 1, 3), np.zeros((1, 1), np.uint8), 2, 4), "values has 3"),
        (lambda: expand_nm(codes(1, 1, 4), np.zeros((1, 2), np.uint8), 2, 4), "places is uint8"),
        (lambda: prune_compress_2to4(np.zeros((1, 8), np.float32)), "multiple of 16"),
        (lambda: to_semi_structured(np.ones((32, 64), np.int8)), r"dense\[0, 0:4\] holds more"),
        (lambda: to_semi_structured(np.ones((32, 48), np.int8)), "multiple of 64"),
        (lambda: to_semi_structured(np.zeros((17, 64), np.int8)), "17 rows"),
        (lambda: to_semi_structured(np.zeros((32, 64), np.float32)), "dense is float32"),
        (lambda: from_semi_structured(codes(1, 32, 32), np.zeros((32, 2))), "meta is float64"),
        (lambda: reordered(32, 2, 4), "size is 4"),
        (lambda: prune_tiles(np.zeros((3, 4), np.float32)), "multiples of 4"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_named(make: Any, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        make()


@pytest.mark.parametrize("kind", [np.int8, np.float16])
def test_semi_structured_tensors_of_torch(kind: Any) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    name = "torch.sparse._semi_structured_conversions"
    theirs = pytest.importorskip(name, reason="this torch has no such tensors")
    fours = np.array(list(product((0, 3, -5), repeat=4)), kind)
    fours = fours[(fours != 0).sum(1) <= 2]
    rng = np.random.default_rng(0)
    dense = fours[rng.integers(0, len(fours), 64 * 32)].reshape(64, 128)
    values, meta = to_semi_structured(dense)
    wanted = theirs.sparse_semi_structured_from_dense_cutlass(torch.from_numpy(dense))
    assert np.array_equal(values, wanted[0].numpy()) and np.array_equal(meta, wanted[1].numpy())
    assert np.array_equal(from_semi_structured(values, meta), dense)


def test_tiles_of_torch() -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    name = "torch.sparse._semi_structured_conversions"
    theirs = pytest.importorskip(name, reason="this torch has no such tensors")
    w = np.random.default_rng(0).integers(-4, 5, (32, 24)).astype(np.float32)
    wanted = theirs._sparse_semi_structured_tile(torch.from_numpy(w.copy())).numpy()
    assert np.array_equal(prune_tiles(w, signed=True), wanted)
    kept = (prune_tiles(w + 0.5) != 0).reshape(8, 4, 6, 4)
    assert kept.sum(1).max() == kept.sum(3).max() == 2
