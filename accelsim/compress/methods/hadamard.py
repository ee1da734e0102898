"""Rotations by Hadamard matrices, as edits of weights (QuaRot, Ashkboos et al., arXiv 2404.00456).

Large values of a few channels are spread over all of them, and the product stays the same.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from accelsim.errors import RecipeError
from accelsim_kernels.hadamard import hadamard, hadamard_base

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
    def plain(cls, size: int) -> Rotation:
        """Return the rotation without signs, as a chip does it at run time.

        Raises:
            RecipeError: there is no matrix of that order.
        """
        try:
            hadamard_base(size)
        except ValueError as error:
            raise RecipeError(f"a rotation of {size} values: {error}") from None
        return cls(np.ones(size))

    @classmethod
    def drawn(cls, size: int, seed: int) -> Rotation:
        """Return a rotation with random signs.

        Raises:
            RecipeError: there is no matrix of that order.
        """
        bits = random.Random(f"{seed}:{size}").getrandbits(size)
        signs = np.array([1.0 if bits >> i & 1 else -1.0 for i in range(size)])
        return cls(cls.plain(size).signs * signs)

    def apply(self, x: npt.NDArray[Any], axis: int) -> Float64:
        """Return numbers rotated along an axis, whose length is a multiple of n."""
        size = len(self.signs)
        moved = np.moveaxis(x, axis, -1).astype(np.float64)
        parts = moved.reshape(*moved.shape[:-1], -1, size) * self.signs
        back: Float64 = np.moveaxis(hadamard(parts).reshape(moved.shape), -1, axis)
        return back


@dataclass(frozen=True)
class Rotate:
    """Rotates a weight along one axis."""

    axis: int
    rotation: Rotation

    def apply(self, w: Float32) -> Float32:
        """Return the rotated weight."""
        return self.rotation.apply(w, self.axis).astype(np.float32)
