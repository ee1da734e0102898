"""Tiles of a result, and columns side by side: what the loops of several units share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from accelsim_kernels.jit import leaf, part, rows_in_threads

Array = npt.NDArray[Any]

#: Columns of a panel; rows whose accumulators stay in a core's cache while K runs.
COLUMNS, BLOCK = 64, 96
#: Products that are worth a thread: half a millisecond at 2 GMAC/s, several times the handing over.
_WORTH = 1 << 20


@part
def read_tile(out: Array, top: int, left: int, tile: Array) -> None:
    """Copy a part of a result into a tile, which may stick out of it."""
    for i in range(min(tile.shape[0], out.shape[0] - top)):
        for j in range(min(tile.shape[1], out.shape[1] - left)):
            tile[i, j] = out[top + i, left + j]


@part
def write_tile(tile: Array, rows: int, out: Array, top: int, left: int) -> None:
    """Copy the first rows of a tile into a result."""
    for i in range(rows):
        for j in range(min(tile.shape[1], out.shape[1] - left)):
            out[top + i, left + j] = tile[i, j]


@leaf
def _panels(b: Array, panels: Array) -> None:
    width = panels.shape[2]
    for j in range(b.shape[0]):
        for k in range(b.shape[1]):
            panels[j // width, k, j % width] = b[j, k]


def in_threads(run: Callable[[int, int], object], out: Array, k: int) -> None:
    """Call ``run(first, last)`` over the rows of a result of sums of K products."""
    rows_in_threads(run, len(out), -(-_WORTH // (out.shape[1] * k)))


def panels_of(b: Array, width: int = COLUMNS) -> Array:
    """Return ``[n, k]`` as ``[panel][k][column]``, filled with zeros to whole panels."""
    panels = np.zeros((-(-len(b) // width), b.shape[1], width), b.dtype)
    _panels(b, panels)
    return panels
