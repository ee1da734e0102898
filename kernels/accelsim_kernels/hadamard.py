"""Hadamard transforms along rows: what is large in one place is spread over all of them.

A matrix of order n is Sylvester's of a power of two times one of Paley's (J. Math. Phys. 12, 1933).
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Float64 = npt.NDArray[np.float64]


def hadamard(x: npt.ArrayLike) -> Array:
    """Return ``x H / sqrt(n)`` along the last axis, whose length is n.

    In the type of x: butterflies of neighbours first, then of neighbours' neighbours, and so on;
    then the sums of Paley's matrix, ascending; then one product with ``1 / sqrt(n)``.

    Args:
        x: float32 or float64 ``[..., n]``.

    Raises:
        ValueError: another type, or no matrix of that order is known.
    """
    given = np.asarray(x)
    if given.dtype not in (np.float32, np.float64) or given.ndim == 0:
        raise ValueError(f"x is {given.dtype} {given.shape}, float32 or float64 rows are needed")
    size = given.shape[-1]
    base = hadamard_base(size)
    found = given.reshape(*given.shape[:-1], len(base), size // len(base))
    length = 1
    while length < found.shape[-1]:
        pairs = found.reshape(*found.shape[:-1], -1, 2, length)
        first, second = pairs[..., 0, :], pairs[..., 1, :]
        found = np.stack([first + second, first - second], axis=-2).reshape(found.shape)
        length *= 2
    if len(base) > 1:
        mixed = base[0, :, None].astype(given.dtype) * found[..., :1, :]
        for i in range(1, len(base)):
            mixed = mixed + base[i, :, None].astype(given.dtype) * found[..., i : i + 1, :]
        found = mixed
    factor = given.dtype.type(1.0 / np.sqrt(size))
    out: Array = found.reshape(given.shape) * factor
    return out


@cache
def hadamard_base(size: int) -> Float64:
    """Return the smallest of Paley's matrices whose order times a power of two is ``size``.

    Raises:
        ValueError: there is none.
    """
    order = size & -size if size > 0 else 1
    rest = size // order
    while 0 < rest <= size:
        found = _paley(rest)
        if found is not None:
            return found
        rest *= 2
    raise ValueError(f"size is {size}; no Hadamard matrix of that order is known here")


def _paley(order: int) -> Float64 | None:
    if order == 1:
        return np.ones((1, 1))
    if order % 4:
        return None
    q = order - 1
    if _is_prime(q) and q % 4 == 3:
        core = np.zeros((order, order))
        core[0, 1:], core[1:, 0] = 1, -1
        core[1:, 1:] = _residues(q)
        return core + np.eye(order)
    q = order // 2 - 1
    if _is_prime(q) and q % 4 == 1:
        core = np.zeros((q + 1, q + 1))
        core[0, 1:] = core[1:, 0] = 1
        core[1:, 1:] = _residues(q)
        return np.kron(core, [[1, 1], [1, -1]]) + np.kron(np.eye(q + 1), [[1, -1], [-1, -1]])
    return None


def _residues(q: int) -> Float64:
    """Return Jacobsthal's matrix: 1 where the difference is a square modulo a prime, else -1."""
    character = -np.ones(q)
    character[[i * i % q for i in range(1, q)]] = 1
    character[0] = 0
    index = np.arange(q)
    return np.asarray(character[(index[:, None] - index[None, :]) % q])


def _is_prime(number: int) -> bool:
    return number > 1 and all(number % i for i in range(2, int(number**0.5) + 1))
