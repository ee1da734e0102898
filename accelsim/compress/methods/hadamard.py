"""Hadamard rotations: large values of a few channels are spread over all of them.

QuaRot (Ashkboos et al., arXiv 2404.00456). A matrix of order n is Sylvester's of the power of two
in n, times one of Paley's (J. Math. Phys. 12, 1933) for the rest.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from accelsim.errors import RecipeError

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Rotation:
    """``x -> x diag(signs) H / sqrt(n)`` along runs of n values.

    Attributes:
        signs: 1 or -1, ``[n]``.
    """

    signs: Float64

    @classmethod
    def drawn(cls, size: int, seed: int) -> Rotation:
        """Return a rotation with random signs.

        Raises:
            RecipeError: there is no matrix of that order.
        """
        base_of(size)
        return cls(np.random.default_rng([seed, size]).choice([-1.0, 1.0], size))

    def apply(self, x: npt.NDArray[Any], axis: int) -> Float64:
        """Return numbers rotated along an axis, whose length is a multiple of n."""
        size = len(self.signs)
        moved = np.moveaxis(x, axis, -1).astype(np.float64)
        parts = moved.reshape(*moved.shape[:-1], -1, size) * self.signs
        turned = _transform(parts) / np.sqrt(size)
        back: Float64 = np.moveaxis(turned.reshape(moved.shape), -1, axis)
        return back


@dataclass(frozen=True)
class Rotate:
    """Rotates a weight along one axis."""

    axis: int
    rotation: Rotation

    def apply(self, w: Float32) -> Float32:
        """Return the rotated weight."""
        return self.rotation.apply(w, self.axis).astype(np.float32)


def _transform(x: Float64) -> Float64:
    """Return ``x H`` along the last axis, which is the order of H."""
    size = x.shape[-1]
    base = base_of(size)
    found = x.reshape(*x.shape[:-1], len(base), size // len(base))
    length = 1
    while length < found.shape[-1]:
        pairs = found.reshape(*found.shape[:-1], -1, 2, length)
        total, rest = pairs[..., 0, :] + pairs[..., 1, :], pairs[..., 0, :] - pairs[..., 1, :]
        found = np.stack([total, rest], axis=-2).reshape(found.shape)
        length *= 2
    mixed: Float64 = np.einsum("...ij,ik->...kj", found, base)
    return mixed.reshape(x.shape)


@cache
def base_of(size: int) -> Float64:
    """Return the smallest of Paley's matrices whose order times a power of two is ``size``.

    Raises:
        RecipeError: there is none.
    """
    order = size & -size
    rest = size // order
    while rest <= size:
        found = _paley(rest)
        if found is not None:
            return found
        rest *= 2
    raise RecipeError(f"no Hadamard matrix of order {size} is known here: it cannot be rotated")


def _paley(order: int) -> Float64 | None:
    if order == 1:
        return np.ones((1, 1))
    if order % 4:
        return None
    if _is_prime(order - 1) and (order - 1) % 4 == 3:
        q = order - 1
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
