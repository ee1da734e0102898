"""Casts and block quantizers of a million numbers on one thread, beside the libraries.

The peer of a cast is ml_dtypes, which rounds to nearest alone; of other roundings gfloat; of block
formats torchao. The goals are absolute: 600 million numbers a second cast, 300 million quantized.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from accelsim_kernels.affine import choose_parameters, quantize_affine
from accelsim_kernels.blocks import quantize_blocks
from accelsim_kernels.codec import encode
from accelsim_kernels.microxcaling import quantize_mx
from benchmarks.speed.conftest import Table
from benchmarks.speed.peers import RUNS, best_ms

pytestmark = pytest.mark.usefixtures("one_thread")

X = np.random.default_rng(0).standard_normal((1024, 1024)).astype(np.float32) * np.float32(4)
BITS = np.random.default_rng(1).integers(0, 256, X.shape, dtype=np.uint8)
CAST, QUANTIZED = 600e6, 300e6

ML_DTYPES = {
    "fp8_e4m3": "float8_e4m3fn", "fp8_e5m2": "float8_e5m2", "fp6_e3m2": "float6_e3m2fn",
    "fp6_e2m3": "float6_e2m3fn", "fp4_e2m1": "float4_e2m1fn", "bf16": "bfloat16",
}  # fmt: skip
MX = {"mxfp8_e4m3": "float8_e4m3fn", "mxfp8_e5m2": "float8_e5m2", "mxfp4_e2m1": "float4_e2m1fn_x2"}


def _row(
    table: Table, benchmark: BenchmarkFixture, what: str, rate: float,
    ours: Callable[[], object], theirs: Callable[[], object],
) -> None:  # fmt: skip
    """Add a row: our best time, the time at the goal's rate, and the peer's best time."""
    benchmark.pedantic(ours, rounds=RUNS, warmup_rounds=2)
    stats = benchmark.stats.stats
    best, median = (X.size / seconds / 1e6 for seconds in (stats.min, stats.median))
    table.add(
        f"{what}: {best:.0f} Melem/s, median {median:.0f}",
        stats.min * 1e3, X.size / rate * 1e3, best_ms(theirs), "ms",
    )  # fmt: skip


@pytest.mark.parametrize("name", ML_DTYPES)
def test_nearest(table: Table, benchmark: BenchmarkFixture, name: str) -> None:
    kind = getattr(pytest.importorskip("ml_dtypes"), ML_DTYPES[name])
    ours, theirs = lambda: encode(X, name), lambda: X.astype(kind)
    _row(table, benchmark, f"cast to {name} (ml_dtypes)", CAST, ours, theirs)


def _gfloat(rounding: str) -> Callable[[], object]:
    gfloat = pytest.importorskip("gfloat")
    info = pytest.importorskip("gfloat.formats").format_info_ocp_e4m3
    few, bits = X[:64].astype(np.float64), BITS[:64]
    more: dict[str, Any] = {"srbits": bits, "srnumbits": 8} if rounding == "Stochastic" else {}
    mode = gfloat.RoundMode[rounding]

    def run() -> None:
        for _ in range(16):  # a million, in parts that stay in the cache
            gfloat.encode_ndarray(info, gfloat.round_ndarray(info, few, mode, True, **more))

    return run


@pytest.mark.parametrize(
    ("rounding", "mode"), [("up", "TowardPositive"), ("stochastic", "Stochastic")]
)
def test_other_roundings(
    table: Table, benchmark: BenchmarkFixture, rounding: str, mode: str
) -> None:
    more: dict[str, Any] = {"bits": BITS, "bit_count": 8} if rounding == "stochastic" else {}
    _row(
        table, benchmark, f"cast to fp8_e4m3, {rounding} (gfloat)", CAST,
        lambda: encode(X, "fp8_e4m3", rounding, **more), _gfloat(mode),
    )  # fmt: skip


@pytest.mark.parametrize("name", MX)
def test_mx(table: Table, benchmark: BenchmarkFixture, name: str) -> None:
    torch = pytest.importorskip("torch")
    mx = pytest.importorskip("torchao.prototype.mx_formats.mx_tensor")
    given, kind = torch.from_numpy(X), getattr(torch, MX[name])
    _row(
        table, benchmark, f"{name} with codes (torchao)", QUANTIZED,
        lambda: quantize_blocks(X, name), lambda: mx.to_mx(given, kind, 32),
    )  # fmt: skip


def test_nvfp4(table: Table, benchmark: BenchmarkFixture) -> None:
    torch = pytest.importorskip("torch")
    nvfp4 = pytest.importorskip("torchao.prototype.mx_formats.nvfp4_tensor")
    given = torch.from_numpy(X)
    _row(
        table, benchmark, "nvfp4 with codes (torchao)", QUANTIZED,
        lambda: quantize_blocks(X, "nvfp4"), lambda: nvfp4.nvfp4_quantize(given),
    )  # fmt: skip


def test_affine(table: Table, benchmark: BenchmarkFixture) -> None:
    torch = pytest.importorskip("torch")
    ao = pytest.importorskip("torchao.quantization.quant_primitives")
    given, block, kind = torch.from_numpy(X), (1, 32), torch.int8

    def theirs() -> None:
        found = ao.choose_qparams_affine(given, ao.MappingType.ASYMMETRIC, block, kind, -8, 7)
        ao.quantize_affine(given, block, *found, kind, -8, 7)

    def ours() -> None:
        quantize_affine(X, *choose_parameters(X, "int4", group=32), "int4", group=32)

    _row(table, benchmark, "int4 in groups of 32 with zero points (torchao)", 100e6, ours, theirs)


def test_in_binary32(table: Table, benchmark: BenchmarkFixture) -> None:
    """Beside our own codes: microxcaling itself is not on the package index."""
    _row(
        table, benchmark, "microxcaling's fp8_e4m3 in binary32 (our codes)", 39e6,
        lambda: quantize_mx(X, "fp8_e4m3"), lambda: quantize_blocks(X, "mxfp8_e4m3"),
    )  # fmt: skip
