"""Full products of tensor cores, bit for bit, beside mmasim running the same instruction."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from accelsim_kernels import PRESETS
from accelsim_kernels.product import matmul

#: Preset, shape, goal in GMAC/s per core.
CASES = (
    ("hopper_fp8", (1024, 1024, 1024), 10.0),
    ("hopper_fp8", (4096, 4096, 256), 10.0),
    ("ampere_fp16", (1024, 1024, 1024), 4.0),
    ("ampere_bf16", (1024, 1024, 1024), 4.0),
    ("hopper_fp16", (1024, 1024, 1024), 4.0),
    ("blackwell_fp8", (1024, 1024, 1024), 4.0),
    ("blackwell_mxfp8", (1024, 1024, 1024), 4.0),
    ("blackwell_mxfp4", (1024, 1024, 1024), 5.0),
    ("blackwell_nvfp4", (1024, 1024, 1024), 5.0),
)
#: The oracle's class, generation and instruction, for a tile of 64 rows and 128 columns.
ORACLE = {
    "hopper_fp8": ("WGMMA", "Hopper", "m64n128k32.f32.e4m3.e4m3"),
    "ampere_fp16": ("MMA", "Ampere", "m16n8k16.f32.f16.f16.f32"),
}


def _operand(name: str, rng: np.random.Generator, rows: int, depth: int) -> Any:
    """Return codes as layers have them: near one, both signs."""
    fmt = PRESETS[name].operands[0]
    if "mxfp4" in name or "nvfp4" in name:
        return rng.integers(0, 16, (rows, depth), np.uint8)
    x = rng.standard_normal((rows, depth)).astype(np.float32)
    if fmt == "fp8_e4m3":
        from accelsim_kernels import encode_fp8

        return encode_fp8(x, fmt)
    return x.astype(np.float16) if fmt == "fp16" else (x.view(np.uint32) >> 16).astype(np.uint16)


def _scales(name: str, rng: np.random.Generator, rows: int, depth: int) -> Any:
    made = PRESETS[name]
    low, high = (40, 72) if made.scale == "ue4m3" else (120, 130)
    return rng.integers(low, high, (rows, depth // made.block), np.uint8)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0]}-{'x'.join(map(str, case[1]))}")
def test_product(case: tuple[str, tuple[int, int, int], float], benchmark: Any) -> None:
    name, (m, n, k), goal = case
    rng = np.random.default_rng(0)
    a, b = _operand(name, rng, m, k), _operand(name, rng, n, k)
    more = {}
    if PRESETS[name].scale:
        more = {"a_scales": _scales(name, rng, m, k), "b_scales": _scales(name, rng, n, k)}
    benchmark.extra_info.update(gmac=m * n * k / 1e9, goal_gmac_per_second=goal)
    benchmark.pedantic(matmul, (a, b, name), more, rounds=5, warmup_rounds=1)


@pytest.mark.parametrize("name", ORACLE)
def test_oracle(name: str, benchmark: Any) -> None:
    nv = pytest.importorskip("mmasim.nv_ptx")
    torch = pytest.importorskip("torch")
    kind, generation, text = ORACLE[name]
    instruction = getattr(nv, kind)(generation, text)
    m, n, k = instruction.m, instruction.n, instruction.k
    a, b = (torch.randn(rows, k).to(instruction.a_type) for rows in (m, n))
    c = torch.zeros((m, n), dtype=instruction.c_type)
    benchmark.extra_info.update(gmac=m * n * k / 1e9)
    benchmark.pedantic(instruction, (a, b.T, c), rounds=5, warmup_rounds=1)
