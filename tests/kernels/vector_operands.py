"""Operands of the vectors that ship: seeded, and hard on what computes with them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tests.kernels import naive
from tests.kernels.support import numbers

Array = npt.NDArray[Any]

#: Ties and ends: of bfloat16 and binary16, of E4M3, of E5M2, then subnormal ones of each.
EDGES = (
    1 + 2.0**-8, 1 + 3 * 2.0**-8, 1 + 2.0**-11, 65519, 65520, 3.389e38, 3.4e38,
    448, 464, 465, 480, 1.0625, 1.1875, 57344, 61439, 61440, 65504, 1.125, 1.375,
    2.0**-9, 2.0**-10, 3 * 2.0**-10, 2.0**-16, 2.0**-17, 3 * 2.0**-17, 2.0**-24, 2.0**-25,
    3 * 2.0**-25, 2.0**-133, 2.0**-134, 3 * 2.0**-134, 1e-40, 2.0**-149, 0.0, np.inf, np.nan,
)  # fmt: skip


@dataclass(frozen=True)
class Attention:
    """One case: sizes, and which keys a query sees."""

    heads: int
    groups: int
    queries: int
    keys: int
    causal: bool = True
    window: int = 0
    softcap: float = 0.0
    mask: str = ""


ATTENTIONS = (
    Attention(2, 1, 4, 4),
    Attention(2, 1, 2, 5, causal=False, mask="shown"),
    Attention(4, 2, 6, 9, window=3),
    Attention(1, 1, 3, 7, softcap=2.0),
    Attention(2, 2, 3, 3, causal=False, mask="added"),
    Attention(2, 1, 1, 11),
)


def b32(values: Any) -> Array:
    return np.asarray(values, np.float32).view(np.uint32)


def b16(values: Any) -> Array:
    return (b32(values) >> 16).astype(np.uint16)


def rounded_bf16(values: Any) -> Array:
    given = np.asarray(values, np.float32)
    flat = [naive.rounded(x, "bf16") for x in given.ravel().tolist()]
    return np.array(flat, np.float32).reshape(given.shape)


def bf16(seed: int, *shape: int, spread: int = 6) -> Array:
    return rounded_bf16(numbers(seed, *shape, spread=spread))


def categories(seed: int, m: int, n: int, k: int) -> Mapping[str, tuple[Array, Array]]:
    """Operands of products that a sum finds hard."""
    right = bf16(seed + 53, n, k)
    halved, twice = bf16(seed + 1, m, k), right.copy()
    # What the first half adds up, the second half takes off: what stays is what rounding left.
    half = k // 2
    halved[:, half : 2 * half], twice[:, half : 2 * half] = -halved[:, :half], right[:, :half]
    tiny = rounded_bf16(bf16(seed + 2, m, k) * np.float32(2.0**-120))
    sparse = np.where(np.random.default_rng(seed).random((m, k)) < 0.7, 0, bf16(seed + 3, m, k))
    zeros = np.where(np.random.default_rng(seed).random((m, k)) < 0.5, 0.0, -0.0)
    return {
        "normal": (bf16(seed + 4, m, k), right),
        "mixed": (bf16(seed, m, k, spread=30), right),
        "cancel": (halved, twice),
        "tiny": (tiny, right),
        "sparse": (sparse.astype(np.float32), right),
        "zeros": (zeros.astype(np.float32), right),
    }


def fp8_operands(largest: int, fraction: int) -> Mapping[str, tuple[Array, Array]]:
    """Codes of FP8 products that a sum finds hard."""
    rng = np.random.default_rng(3)

    def drawn(top: int, rows: int, k: int) -> Array:
        signs = rng.integers(0, 2, (rows, k)) << 7
        return (rng.integers(0, top + 1, (rows, k)) | signs).astype(np.uint8)

    halved, twice = drawn(largest, 3, 32), drawn(largest, 4, 32)
    halved[:, 16:], twice[:, 16:] = halved[:, :16] ^ 0x80, twice[:, :16]
    return {
        "normal": (drawn(largest, 5, 33), drawn(largest, 7, 33)),
        "cancel": (halved, twice),
        "subnormal": (drawn((1 << fraction) - 1, 3, 20), drawn((1 << fraction) - 1, 4, 20)),
        "largest": (np.full((2, 40), largest, np.uint8), drawn(0, 3, 40) | np.uint8(largest)),
        "zeros": (drawn(0, 2, 20), drawn(largest, 3, 20)),
    }
