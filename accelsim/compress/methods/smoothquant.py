"""SmoothQuant: ranges of activations move into weights (Xiao et al., arXiv 2211.10438, eq. 4)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]


def smooth_factors(inputs: Float32, weights: Sequence[Float32], alpha: float) -> Float64:
    """Return what activations are divided by, and columns of weights multiplied with.

    ``max|X_j|^alpha / max|W_j|^(1 - alpha)``; 1 where either is 0.

    Args:
        inputs: the largest magnitude of each column of the activations, ``[k]``.
        weights: ``[n, k]`` of all products that read them.
        alpha: 0: all of the range stays in the activations, 1: all moves.
    """
    columns = np.maximum.reduce([np.abs(w).max(axis=0) for w in weights]).astype(np.float64)
    wide = inputs.astype(np.float64)
    known = (wide > 0) & (columns > 0)
    found = np.ones(len(wide))
    found[known] = wide[known] ** alpha / columns[known] ** (1.0 - alpha)
    return found
