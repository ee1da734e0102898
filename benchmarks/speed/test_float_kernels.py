"""Floating-point kernels on one thread, beside torch or NumPy and beside what the machine can do.

The limit of a product is two fused multiply-adds of 64 bytes per cycle, at the clock that a chain
of dependent ones shows (four cycles each on the processors that have such vectors).
"""

from __future__ import annotations

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from accelsim_kernels.fused import fma64
from accelsim_kernels.jit import leaf
from accelsim_kernels.matmul import PackedChain, matmul_chain, matmul_fp64
from accelsim_kernels.nonlinear import activation, softmax
from accelsim_kernels.normalize import layer_norm, rms_norm
from benchmarks.speed.conftest import Table
from benchmarks.speed.peers import RUNS, best_ms, compared

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.usefixtures("one_thread")

RNG = np.random.default_rng(0)
X = RNG.standard_normal((1024, 1024)).astype(np.float32)
#: Bytes that both multiply-add units take in per cycle, and cycles of a dependent one.
WIDTH, LATENCY = 128, 4


@leaf
def _dependent(start: float, factor: float, count: int) -> float:
    total = start
    for _ in range(count):
        total = fma64(total, factor, start)
    return total


def product_limit_ms(macs: int, size: int) -> float:
    """Return the least time of multiply-adds of numbers of ``size`` bytes."""
    count = 1_000_000
    cycles_per_ms = LATENCY * count / best_ms(lambda: _dependent(0.5, 0.5, count))
    return macs / (WIDTH / size) / cycles_per_ms


@pytest.mark.parametrize(
    ("m", "n", "k"), [(512, 512, 512), (512, 128, 128), (512, 384, 128), (64, 384, 128)]
)
def test_chain(table: Table, benchmark: BenchmarkFixture, m: int, n: int, k: int) -> None:
    a, packed = X[:m, :k].copy(), PackedChain.of(X[:n, :k].copy())
    benchmark.pedantic(lambda: matmul_chain(a, packed), rounds=RUNS, warmup_rounds=2)
    mine, macs = benchmark.stats.stats.min * 1e3, m * n * k
    what = f"FP32 chain {m} x {n} x {k}, {macs / mine / 1e6:.0f} GMAC/s (multiply-add units)"
    table.add(what, mine, macs / 25e6, product_limit_ms(macs, 4), "ms")


def test_yardstick(table: Table, benchmark: BenchmarkFixture) -> None:
    a = X[:512, :512].astype(np.float64)
    benchmark.pedantic(lambda: matmul_fp64(a, a), rounds=RUNS, warmup_rounds=2)
    mine, macs = benchmark.stats.stats.min * 1e3, 512**3
    what = f"FP64 chain 512^3, {macs / mine / 1e6:.0f} GMAC/s (multiply-add units)"
    table.add(what, mine, macs / 12e6, product_limit_ms(macs, 8), "ms")


@pytest.mark.parametrize("fn", ["gelu", "silu", "sigmoid", "tanh"])
def test_activation(table: Table, benchmark: BenchmarkFixture, fn: str) -> None:
    given, theirs = torch.from_numpy(X), getattr(torch.nn.functional, fn)
    compared(
        table, benchmark, f"{fn} in binary64, a million (torch in binary32)",
        lambda: activation(X, fn, "bf16"), lambda: theirs(given), 10.0,
    )  # fmt: skip


def test_softmax(table: Table, benchmark: BenchmarkFixture) -> None:
    given = torch.from_numpy(X)
    compared(
        table, benchmark, "softmax, a million (torch in binary32)",
        lambda: softmax(X, "bf16"), lambda: given.softmax(1), 10.0,
    )  # fmt: skip


def test_norms(table: Table, benchmark: BenchmarkFixture) -> None:
    given, weight, shape = torch.from_numpy(X), X[0].copy(), (X.shape[1],)
    scale = torch.from_numpy(weight)

    def ours() -> None:
        rms_norm(X, weight, 1e-5, 64, "bf16")
        layer_norm(X, weight, weight, 1e-5, 64, "bf16")

    def theirs() -> None:
        torch.nn.functional.rms_norm(given, shape, scale, 1e-5)
        torch.nn.functional.layer_norm(given, shape, scale, scale, 1e-5)

    compared(table, benchmark, "RMS and layer norm, a million (torch)", ours, theirs, 5.0)
