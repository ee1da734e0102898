from __future__ import annotations

import math

import numpy as np
import pytest

from accelsim_kernels.hadamard import hadamard, hadamard_base

ORDERS = (1, 2, 4, 8, 12, 20, 24, 28, 36, 40, 44, 48, 60, 76, 96, 108)


def naive(row: list[float]) -> list[float]:
    """Each output by itself: signs by the parity of common bits, and Paley's matrix."""
    size = len(row)
    base = hadamard_base(size)
    even = size // len(base)
    found = []
    for out in range(size):
        terms = [
            base[i // even, out // even] * (-1) ** (i % even & out % even).bit_count() * row[i]
            for i in range(size)
        ]
        found.append(math.fsum(terms) / math.sqrt(size))
    return found


@pytest.mark.parametrize("size", ORDERS)
def test_the_matrix_has_plus_and_minus_one_and_is_orthogonal(size: int) -> None:
    matrix = hadamard(np.eye(size)) * np.sqrt(size)
    np.testing.assert_allclose(np.abs(matrix), 1, atol=1e-12)
    np.testing.assert_allclose(matrix @ matrix.T, size * np.eye(size), atol=1e-10)


@pytest.mark.parametrize("size", ORDERS)
def test_rows_as_the_twin_has_them(size: int) -> None:
    rows = np.random.default_rng(size).standard_normal((3, size))
    wanted = [naive(row.tolist()) for row in rows]
    np.testing.assert_allclose(hadamard(rows), wanted, rtol=1e-12, atol=1e-12)
    single = hadamard(rows.astype(np.float32))
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, wanted, rtol=1e-5, atol=1e-5)


def test_what_cannot_be_transformed_is_refused() -> None:
    with pytest.raises(ValueError, match="size is 6; no Hadamard matrix"):
        hadamard(np.zeros((2, 6)))
    with pytest.raises(ValueError, match="size is 0"):
        hadamard(np.zeros((2, 0)))
    with pytest.raises(ValueError, match="x is int64"):
        hadamard(np.zeros(4, np.int64))
