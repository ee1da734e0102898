"""Sums of a matrix unit as far as each step of K, from the arrays of one category."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from accelsim_kernels.presets import PRESETS
from accelsim_kernels.product import matmul

Array = npt.NDArray[Any]


def accumulators(arrays: Mapping[str, Array], entry: Mapping[str, Any]) -> Array:
    """Return what the sums are after each step, ``[steps, m, n]``.

    The entry after step s is the result of the first ``(s + 1) * step`` products.

    Args:
        arrays: operands by role.
        entry: what the index says about the category: ``preset``, ``a_format``, ``b_format`` and
            ``step``.
    """
    k, step = arrays["a"].shape[1], int(entry["step"])
    return np.stack([product(arrays, entry, min(k, at + step)) for at in range(0, k, step)])


def product(arrays: Mapping[str, Array], entry: Mapping[str, Any], k: int) -> Array:
    """Return the result of the first k products."""
    rule = PRESETS[entry["preset"]]
    scaled = {
        role: arrays[role][:, : -(-k // rule.block)]
        for role in ("a_scales", "b_scales")
        if role in arrays
    }
    return matmul(
        arrays["a"][:, :k], arrays["b"][:, :k], rule, arrays["c"],
        a_format=entry["a_format"], b_format=entry["b_format"], **scaled,
    )  # fmt: skip
