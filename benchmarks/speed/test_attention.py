"""Attention in several arithmetics on one thread, beside torch's in binary32."""

from __future__ import annotations

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from accelsim_kernels.attention import attention
from benchmarks.speed.conftest import Table
from benchmarks.speed.peers import RUNS, best_ms

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.usefixtures("one_thread")

RNG = np.random.default_rng(0)
#: Heads, queries, keys, depth, causal.
SHAPES = {"prefill": (2, 1024, 1024, 128, True), "square": (2, 1024, 1024, 128, False)}
#: The time of a preset as a multiple of that of the whole row.
GOALS = {
    "whole_row": 1.1, "online_128": 1.2, "online_64": 1.3, "flash_attention_2": 1.3,
    "flash_attention_4": 1.2, "npu_table": 1.2, "npu_fp16": 1.5,
}  # fmt: skip


@pytest.mark.parametrize("preset", sorted(GOALS))
@pytest.mark.parametrize("shape", sorted(SHAPES))
def test_attention(table: Table, benchmark: BenchmarkFixture, shape: str, preset: str) -> None:
    heads, queries, keys, depth, causal = SHAPES[shape]
    q = RNG.standard_normal((1, heads, queries, depth), np.float32)
    k, v = (RNG.standard_normal((1, heads, keys, depth), np.float32) for _ in range(2))

    def ours(name: str) -> object:
        return attention(q, k, v, name, causal=causal, probabilities="bf16", format="bf16")

    theirs = [torch.from_numpy(x) for x in (q, k, v)]
    peer = best_ms(
        lambda: torch.nn.functional.scaled_dot_product_attention(*theirs, is_causal=causal)
    )
    whole = best_ms(lambda: ours("whole_row"))
    benchmark.pedantic(lambda: ours(preset), rounds=RUNS, warmup_rounds=2)
    mine = benchmark.stats.stats.min * 1e3
    macs = 2 * heads * queries * keys * depth * (0.5 if causal else 1.0)
    what = f"attention {preset}, {shape}, {macs / mine / 1e6:.0f} GMAC/s"
    what += f" (torch fp32: {macs / peer / 1e6:.0f})"
    table.add(what, mine, GOALS[preset] * whole, whole, "ms")
