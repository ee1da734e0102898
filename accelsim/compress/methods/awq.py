"""AWQ: scales that keep the channels with large inputs precise (Lin et al., arXiv 2306.00978)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from accelsim.compress.methods.choose import find_codes
from accelsim.recipe.schema import Rule

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Reader = tuple[Float32, Rule | None]


def awq_factors(x: Float32, readers: Sequence[Reader], candidates: int) -> Float64:
    """Return what activations are divided by, and columns of weights multiplied with.

    Of ``mean|X_j|^a``, ``a`` from 0 to 1, those with the least squared error of the products'
    results when their weights are rounded to nearest.

    Args:
        x: rows of the activations ``[rows, k]``.
        readers: the weights ``[n, k]`` of all products that read them, each with its rule; None: it
            is not coded.
        candidates: how many ``a`` are tried.
    """
    means = np.abs(x).mean(axis=0, dtype=np.float64)
    best, least = np.ones(x.shape[1]), np.inf
    for power in np.linspace(0.0, 1.0, candidates):
        factors = _candidate(means, float(power))
        error = sum(_error(x, w, rule, factors) for w, rule in readers if rule is not None)
        if error < least:
            best, least = factors, error
    return best


def _candidate(means: Float64, power: float) -> Float64:
    """Scales around 1, so that neither side leaves its range."""
    raised = np.where(means > 0, means, 1.0) ** power
    raised = np.maximum(raised, 1e-4)
    return np.asarray(raised / np.sqrt(raised.max() * raised.min()))


def _error(x: Float32, w: Float32, rule: Rule, factors: Float64) -> float:
    scaled = (w * factors).astype(np.float32)
    plain = rule.model_copy(update={"method": tuple(s for s in rule.method if s.stage == "clip")})
    made = find_codes(scaled, plain, None).numbers / factors
    return float(np.square(x @ (made - w).T.astype(np.float32), dtype=np.float64).sum())
