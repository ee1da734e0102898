"""Full products of AMD's matrix units and of serial sums, bit for bit; one beside mmasim."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from accelsim_kernels.codec import encode
from accelsim_kernels.matmul import matmul_chain
from accelsim_kernels.presets import PRESETS
from accelsim_kernels.product import matmul

#: Preset, size of a cube, goal in GMAC/s per core (0: none stated).
CASES = (
    ("cdna3_fp8", 1024, 2.0),
    ("cdna3_fp16", 512, 0.0),
    ("cdna3_bf16", 512, 0.0),
    ("cdna2_fp16", 512, 0.0),
    ("cdna1_fp16", 512, 0.0),
    ("systolic_16_fp16", 256, 0.0),
)


def _operand(name: str, size: int, seed: int) -> Any:
    x = np.random.default_rng(seed).standard_normal((size, size)).astype(np.float32)
    return encode(x, PRESETS[name].operands[0])


@pytest.mark.parametrize("case", CASES, ids=lambda case: case[0])
def test_product(case: tuple[str, int, float], benchmark: Any) -> None:
    name, size, goal = case
    a, b = _operand(name, size, 0), _operand(name, size, 1)
    benchmark.extra_info.update(gmac=size**3 / 1e9, goal_gmac_per_second=goal)
    benchmark.pedantic(matmul, (a, b, name), rounds=5, warmup_rounds=1)


def test_mmasim(benchmark: Any) -> None:
    torch = pytest.importorskip("torch", reason="mmasim needs torch")
    amd = pytest.importorskip("mmasim.amd", reason="mmasim, the peer, is not installed")
    torch.set_num_threads(1)
    peer = amd.MFMA("CDNA3", "f32_32x32x16_fp8_fp8")
    codes = _operand("cdna3_fp8", 128, 0)
    a = torch.from_numpy(codes[:, : peer.k].view(np.int8)).view(peer.a_type)

    def run() -> Any:
        return peer(a, a.T, torch.zeros(len(codes), len(codes)))

    benchmark.extra_info.update(gmac=len(codes) ** 2 * peer.k / 1e9)
    found = benchmark.pedantic(run, rounds=5, warmup_rounds=1).numpy().view(np.uint32)
    ours = matmul(codes[:, : peer.k], codes[:, : peer.k], "cdna3_fp8")
    assert np.array_equal(found, ours)


@pytest.mark.parametrize("name", ["matmul_chain", "fp32_chain"])
def test_fp32_chain(name: str, benchmark: Any) -> None:
    x = np.random.default_rng(0).standard_normal((1024, 1024)).astype(np.float32)
    run = (lambda: matmul_chain(x, x)) if name == "matmul_chain" else (lambda: matmul(x, x, name))
    benchmark.extra_info.update(gmac=1024**3 / 1e9)
    benchmark.pedantic(run, rounds=5, warmup_rounds=1)
