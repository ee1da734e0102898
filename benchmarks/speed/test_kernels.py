"""The kernels that compute values, beside torch on one thread in the same run.

Figures are milliseconds for a product of 1024 x 1024 x 1024, or for a million numbers; the limit is
torch's own time for the nearest thing that it does.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from accelsim_kernels.attention import attention
from accelsim_kernels.cast import encode_fp8
from accelsim_kernels.integer import PackedInt4, PackedInt8, matmul_int4, matmul_int8, pack_int4
from accelsim_kernels.quantize import absmax, quantize, scales
from accelsim_kernels.rounding import round_to
from accelsim_kernels.sparse import compress_2to4, matmul_2to4, prune_2to4
from benchmarks.speed.conftest import Table
from benchmarks.speed.peers import compared

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.usefixtures("one_thread")

SIDE, MILLION = 1024, 1 << 20
RNG = np.random.default_rng(0)
A = RNG.integers(-127, 128, (SIDE, SIDE)).astype(np.int8)
B = RNG.integers(-127, 128, (SIDE, SIDE)).astype(np.int8)
X = RNG.standard_normal((1024, MILLION // 1024)).astype(np.float32)


def int_mm() -> Callable[[], object]:
    left, right = torch.from_numpy(A), torch.from_numpy(np.ascontiguousarray(B.T))
    return lambda: torch._int_mm(left, right)


def test_int8(table: Table, benchmark: BenchmarkFixture) -> None:
    packed = PackedInt8.of(B)
    compared(
        table,
        benchmark,
        "INT8 1024^3 (torch._int_mm)",
        lambda: matmul_int8(A, packed),
        int_mm(),
        1.5,
    )


def test_int8_portable(table: Table, benchmark: BenchmarkFixture) -> None:
    packed = PackedInt8.of(B)
    compared(
        table, benchmark, "INT8 1024^3, portable (torch._int_mm)",
        lambda: matmul_int8(A, packed, "portable"), int_mm(), 15.0,
    )  # fmt: skip


@pytest.mark.parametrize(("group", "goal"), [(32, 2.5), (64, 2.0), (128, 1.7)])
def test_int4(table: Table, benchmark: BenchmarkFixture, group: int, goal: float) -> None:
    codes = np.clip(B, -8, 7)
    packed = PackedInt4.of(pack_int4(codes), SIDE, group)
    steps = RNG.random((SIDE, SIDE // group)).astype(np.float32)
    compared(
        table, benchmark, f"INT4 in groups of {group}, 1024^3 (torch._int_mm)",
        lambda: matmul_int4(A, packed, steps, group), int_mm(), goal,
    )  # fmt: skip


def test_sparse(table: Table, benchmark: BenchmarkFixture) -> None:
    kept = np.where(prune_2to4(B.astype(np.float32)), B, 0).astype(np.int8)
    values, indices = compress_2to4(kept)
    packed = PackedInt8.of(kept)
    compared(
        table, benchmark, "2:4 INT8 1024^3, decompression included (our dense INT8)",
        lambda: matmul_2to4(A, values, indices), lambda: matmul_int8(A, packed), 1.6,
    )  # fmt: skip


@pytest.mark.parametrize("fmt", ["bf16", "fp16"])
def test_rounding(table: Table, benchmark: BenchmarkFixture, fmt: str) -> None:
    given, dtype = torch.from_numpy(X), {"bf16": torch.bfloat16, "fp16": torch.float16}[fmt]
    compared(
        table, benchmark, f"rounding to {fmt}, a million (torch, there and back)",
        lambda: round_to(X, fmt), lambda: given.to(dtype).float(), 6.0,
    )  # fmt: skip


def test_fp8(table: Table, benchmark: BenchmarkFixture) -> None:
    given = torch.from_numpy(X)
    compared(
        table, benchmark, "FP8 E4M3 codes, a million (torch)",
        lambda: encode_fp8(X, "fp8_e4m3"), lambda: given.to(torch.float8_e4m3fn), 6.0,
    )  # fmt: skip


def test_quantize(table: Table, benchmark: BenchmarkFixture) -> None:
    given = torch.from_numpy(X)

    def theirs() -> object:
        step = given.abs().amax(1, keepdim=True) / 127
        return (given / step).round().clamp(-127, 127).to(torch.int8)

    compared(
        table, benchmark, "INT8 codes with a scale per row, a million (torch, eager)",
        lambda: quantize(X, scales(absmax(X), "int8", "fp32"), "int8"), theirs, 1.0,
    )  # fmt: skip


def test_attention(table: Table, benchmark: BenchmarkFixture) -> None:
    q, k, v = (RNG.standard_normal((1, h, 512, 32)).astype(np.float32) for h in (4, 2, 2))
    given = [torch.from_numpy(x) for x in (q, k, v)]

    def theirs() -> object:
        return torch.nn.functional.scaled_dot_product_attention(
            *given, is_causal=True, enable_gqa=True
        )

    compared(
        table, benchmark, "attention, 4 heads, 512 causal tokens (torch fp32)",
        lambda: attention(
            q, k, v, scale=0.17, causal=True, probabilities="bf16", format="bf16"
        ),
        theirs, 15.0,
    )  # fmt: skip
