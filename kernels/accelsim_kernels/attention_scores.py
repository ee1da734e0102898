"""Scores of attention on the way to their exponents: who sees which keys, scale, cap and masks."""

from __future__ import annotations

from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from accelsim_kernels.functions import tanh64
from accelsim_kernels.fused import divide32
from accelsim_kernels.jit import part

Float32 = npt.NDArray[np.float32]
Bool = npt.NDArray[np.bool_]
Mask = TypeVar("Mask", Bool, Float32)
#: Batch, head, query.
Place = tuple[int, int, int]
#: First key, and the one behind the last.
Span = tuple[int, int]

#: Keys of a tile of scores.
TILE = 64


class Rules(NamedTuple):
    """What every query follows; ``result`` is a format by its number in ``PLAIN``."""

    scale: np.float32
    cap: np.float32
    causal: bool
    window: int
    result: int


class Masks(NamedTuple):
    """``[B or 1, H or 1, S or 1, T or 0]``: keys that are shown, and numbers that are added.

    Minus infinity, added, hides a key.
    """

    shown: Bool
    added: Float32


@part
def copy(source: Float32, target: Float32) -> None:
    """Fill the upper left. Assigned as a slice, Numba would compile its error message too."""
    for row in range(source.shape[0]):
        for column in range(source.shape[1]):
            target[row, column] = source[row, column]


@part
def clear(target: Float32) -> None:
    """Fill with zeros."""
    for row in range(target.shape[0]):
        for column in range(target.shape[1]):
            target[row, column] = np.float32(0)


@part
def turn_keys(k: Float32, panels: Float32) -> None:
    """Write keys as panels ``[panel * depth, 64]``."""
    keys, depth = k.shape
    for j in range(keys):
        top = j // TILE * depth
        for d in range(depth):
            panels[top + d, j % TILE] = k[j, d]


@part
def limits(i: int, queries: int, keys: int, rules: Rules) -> tuple[int, int]:
    """Return the first key that a query may see and the one behind the last."""
    if not rules.causal:
        return 0, keys
    behind = min(keys, max(0, keys - queries + i + 1))
    return max(0, behind - rules.window) if rules.window > 0 else 0, behind


@part
def _line(mask: Mask, place: Place) -> Place:
    """Return which row of a mask belongs to a query."""
    b, h, i, _ = mask.shape
    return min(place[0], b - 1), min(place[1], h - 1), min(place[2], i - 1)


@part
def see(place: Place, span: tuple[int, int], masks: Masks, seen: Bool) -> None:
    """Write which keys a query sees."""
    for j in range(seen.size):
        seen[j] = span[0] <= j < span[1]
    if masks.shown.shape[3] > 0:
        shown = masks.shown[_line(masks.shown, place)]
        for j in range(seen.size):
            seen[j] &= shown[j]
    if masks.added.shape[3] > 0:
        added = masks.added[_line(masks.added, place)]
        for j in range(seen.size):
            seen[j] &= added[j] != np.float32(-np.inf)


@part
def bend(scores: Float32, place: Place, rules: Rules, added: Float32) -> None:
    """Scale, cap and shift the scores of a query."""
    for j in range(scores.size):
        scores[j] = scores[j] * rules.scale
    if rules.cap > np.float32(0):
        for j in range(scores.size):
            bent = np.float32(tanh64(np.float64(divide32(scores[j], rules.cap))))
            scores[j] = rules.cap * bent
    if added.shape[3] > 0:
        line = added[_line(added, place)]
        for j in range(line.size):
            scores[j] = scores[j] + line[j]
