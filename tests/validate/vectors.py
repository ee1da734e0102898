"""Edits of vectors that tests make."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

#: An output of every set that ships.
OUTPUTS = {
    "int8": "c1__sums", "int4": "c2__sums", "sparse24_int8": "c1__keep", "bf16": "tiny__sums",
    "fp8": "fp8_e4m3_normal__sums", "attention": "c0__out", "vector": "silu__y",
    "quantize": "fp8_e4m3_fp16__codes", "rounding": "fp16__y",
}  # fmt: skip


def change(path: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    """Edit the arrays of a file."""
    with np.load(path) as data:
        arrays = {name: data[name] for name in data.files}
    edit(arrays)
    np.savez(path, **arrays)


def flip(path: Path, array: str, place: int | None = None) -> list[int]:
    """Flip the last bit of an element, of the middle one if none is said; return its place."""
    with np.load(path) as data:
        shape = data[array].shape
        at = data[array].size // 2 if place is None else place

    def edit(arrays: dict[str, Any]) -> None:
        arrays[array].reshape(-1)[at : at + 1].view(np.uint8)[0] ^= 1

    change(path, edit)
    return [int(i) for i in np.unravel_index(at, shape)]
