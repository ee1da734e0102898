"""Integer layers and sparsity, beside torch or our own plain product on one thread of one run.

Figures are milliseconds for 1024 x 1024 x 1024, or for four million weights.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from accelsim_kernels.conv import conv2d_int8
from accelsim_kernels.integer import PackedInt8, matmul_int8
from accelsim_kernels.nm import prune_compress_2to4
from accelsim_kernels.requant import RULES, Requantization
from accelsim_kernels.requant_linear import linear_int8
from benchmarks.speed.conftest import Table
from benchmarks.speed.peers import compared

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.usefixtures("one_thread")

SIDE = 1024
RNG = np.random.default_rng(0)
A, B = (RNG.integers(-128, 128, (SIDE, SIDE)).astype(np.int8) for _ in range(2))
BIAS = RNG.integers(-(10**6), 10**6, SIDE).astype(np.int32)
W = RNG.standard_normal((SIDE, 4 * SIDE)).astype(np.float32)


def product() -> Callable[[], object]:
    packed = PackedInt8.of(B)
    return lambda: matmul_int8(A, packed)


@pytest.mark.parametrize("rule", [rule for rule in RULES if rule != "gemmlowp"])
def test_requantized(table: Table, benchmark: BenchmarkFixture, rule: str) -> None:
    packed, by = PackedInt8.of(B), Requantization.of(rule, RNG.random(SIDE) * 1e-3, 3)
    compared(
        table, benchmark, f"INT8 layer 1024^3, {rule} (our sums alone)",
        lambda: linear_int8(A, packed, by, 5, bias=BIAS), product(), 1.1,
    )  # fmt: skip


def test_zero_points_of_weights(table: Table, benchmark: BenchmarkFixture) -> None:
    packed, by = PackedInt8.of(B), Requantization.of("tflite", RNG.random(SIDE) * 1e-3, 3)
    compared(
        table, benchmark, "INT8 layer 1024^3 with zero points of both (our sums alone)",
        lambda: linear_int8(A, packed, by, 5, 3, BIAS), product(), 1.3,
    )  # fmt: skip


def test_conv(table: Table, benchmark: BenchmarkFixture) -> None:
    x = RNG.integers(-128, 128, (1, 56, 56, 64)).astype(np.int8)
    w = RNG.integers(-128, 128, (64, 3, 3, 64)).astype(np.int8)
    by = Requantization.of("tflite", RNG.random(64) * 1e-3, 3)
    wide = torch.from_numpy(x.astype(np.float32).transpose(0, 3, 1, 2).copy())
    taps = torch.from_numpy(w.astype(np.float32).transpose(0, 3, 1, 2).copy())
    compared(
        table, benchmark, "INT8 conv 3x3, 56 x 56, 64 to 64, requantized (torch fp32)",
        lambda: conv2d_int8(x, w, by, padding="same", x_zero=5),
        lambda: torch.nn.functional.conv2d(wide, taps, padding=1), 1.0,
    )  # fmt: skip


def test_prune_and_compress(table: Table, benchmark: BenchmarkFixture) -> None:
    given = torch.from_numpy(W)

    def theirs() -> object:
        fours = given.abs().view(SIDE, -1, 4)
        keep = torch.zeros_like(fours, dtype=torch.bool)
        return given * keep.scatter_(-1, fours.topk(2, -1).indices, True).view(SIDE, -1)

    compared(
        table, benchmark, "2:4 prune, compress and places, 4M (torch, prune by topk alone)",
        lambda: prune_compress_2to4(W), theirs, 0.33,
    )  # fmt: skip
