"""Confidence intervals of shares, and of the difference of two shares over the same cases."""

from __future__ import annotations

import math
from collections.abc import Sequence

#: Two-sided 95 % quantile of the normal distribution.
Z = 1.959963984540054


def wilson(successes: int, n: int) -> tuple[float, float]:
    """Return the 95 % interval of a share (E. B. Wilson, JASA 22, 1927)."""
    if n == 0:
        return (0.0, 1.0)
    share, z2 = successes / n, Z * Z
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = Z * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    return (max(0.0, centre - half), min(1.0, centre + half))


def paired_difference(
    first: Sequence[bool], second: Sequence[bool]
) -> tuple[float, tuple[float, float]]:
    """Return the share of ``first`` less that of ``second``, case by case, with 95 % interval.

    The interval is Wald's with half a case added to each cell of the table (A. Agresti, Y. Min,
    Statistics in Medicine 24, 2005).
    """
    n = len(first)
    gained = sum(a and not b for a, b in zip(first, second, strict=True))
    lost = sum(b and not a for a, b in zip(first, second, strict=True))
    if n == 0:
        return 0.0, (-1.0, 1.0)
    centre = (gained - lost) / (n + 2)
    spread = (gained + lost + 1) - (gained - lost) ** 2 / (n + 2)
    half = Z * math.sqrt(max(spread, 0.0)) / (n + 2)
    return (gained - lost) / n, (max(-1.0, centre - half), min(1.0, centre + half))
