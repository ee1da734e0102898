"""Inputs of kernel tests, and comparison bit by bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st

Float32 = npt.NDArray[np.float32]

SEEDS = st.integers(0, 2**32 - 1)


def bits(x: npt.ArrayLike) -> npt.NDArray[Any]:
    """Return the bits of float32 numbers, every NaN the same."""
    given = np.asarray(x, np.float32)
    return np.where(np.isnan(given), np.uint32(0x7FC00000), given.view(np.uint32))


def same(found: npt.ArrayLike, wanted: npt.ArrayLike) -> bool:
    """Tell whether all bits are equal, signs of zeros included."""
    return np.shape(found) == np.shape(wanted) and np.array_equal(bits(found), bits(wanted))


def numbers(seed: int, *shape: int, spread: int = 6) -> Float32:
    """Return numbers of mixed magnitude, some of them zero."""
    rng = np.random.default_rng(seed)
    made = rng.standard_normal(shape) * 2.0 ** rng.integers(-spread, spread + 1, shape)
    return np.where(rng.random(shape) < 0.05, 0.0, made).astype(np.float32)


def codes(seed: int, *shape: int, low: int = -128, high: int = 127) -> npt.NDArray[np.int8]:
    """Return integer codes."""
    return np.random.default_rng(seed).integers(low, high + 1, shape).astype(np.int8)
