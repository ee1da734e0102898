"""A small run, built by hand, and the shapes that pictures and pages must cope with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from tests.report.valued import valued

Run = dict[str, Any]
MakeRun = Callable[..., Run]
MakeLayer = Callable[..., dict[str, Any]]

PEAK = 4.096e12
DRAM = 51.2e9


def corners(value: float) -> dict[str, float]:
    return {"low": value * 0.6, "typical": value, "high": value * 1.7}


def layer(name: str, macs: int = 8_000_000, cycles: int = 3000, **given: Any) -> dict[str, Any]:
    """One row: the rest of ``cycles`` that neither computing nor a stall takes waits for DRAM."""
    compute = given.pop("compute_cycles", macs // 4096)
    stalls = {"dram": 0, "sram": 0, "vector": 40, "fill_drain": 30, "overhead": 100}
    stalls["dram"] = cycles - compute - 170
    energy = given.pop("energy_typical_pj", cycles * 500.0)
    moved = given.pop("dram_bytes", 20_000)
    row = {
        "name": name,
        "op": "matmul" if macs else "norm+quantize",
        "shape": {"batch": 1, "m": 128, "n": 256, "k": 512},
        "formats": {"activation": "int8", "weight": "int8", "output": "bf16"},
        "repeats": 1,
        "macs": macs,
        "executed_macs": macs,
        "cycles": cycles,
        "compute_cycles": compute,
        "stalls": stalls,
        "bound_by": "compute" if macs else "vector",
        "dram_bytes": moved,
        "sram_bytes": 10 * moved,
        "energy_pj": corners(energy),
        "utilization": macs / 4096 / cycles,
        "bytes_by_level": {"scratchpad": 10 * moved, "dram": moved},
        "energy_by_part": {
            part: corners(energy * share)
            for part, share in (("array", 0.4), ("scratchpad", 0.25), ("dram", 0.35))
        },
        "peak_macs_per_s": PEAK,
        "nest": "for n in 2:\n  for k in 4:\n    array 16x16",
        "fused": [],
    }
    return {**row, **given}


def totals(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Add up the rows."""
    cycles = sum(row["cycles"] for row in rows)
    energy = sum(row["energy_pj"]["typical"] for row in rows)
    macs = sum(row["executed_macs"] for row in rows)
    return {
        "cycles": cycles,
        "seconds": cycles / 1e9,
        "macs": sum(row["macs"] for row in rows),
        "executed_macs": macs,
        "energy_pj": corners(energy),
        "area_mm2": corners(12.0),
        "power_w": energy * 1e-12 / (cycles / 1e9),
        "dram_bytes": sum(row["dram_bytes"] for row in rows),
        "utilization": macs / 4096 / cycles,
        "bound_by": "compute",
        "tokens_per_second": 128 / (cycles / 1e9),
        "energy_per_token_j": corners(energy * 1e-12 / 128),
        "energy_by_part": {
            part: corners(energy * share)
            for part, share in (("array", 0.4), ("scratchpad", 0.25), ("dram", 0.35))
        },
        "area_by_part": {"array": corners(4.0), "scratchpad": corners(6.0), "vector": corners(2.0)},
    }


def run(layers: Sequence[dict[str, Any]] | None = None, **given: Any) -> Run:
    """A run of these layers, one after the other at 1 GHz, with totals that add up."""
    rows, start = [], 0
    for one in layers if layers is not None else default_layers():
        duration = one["cycles"] * 1000
        rows.append({**one, "start_ps": start, "duration_ps": duration})
        start += duration
    base = {
        "schema_version": 1,
        "id": "0123456789abcdef",
        "arch": "edge_npu",
        "model": "small-lm",
        "recipe": "w8a8_int8",
        "fidelity": "tile",
        "phase": "prefill",
        "validation": "unvalidated",
        "sizes": {"batch": 1, "seq_len": 128, "context_len": 128},
        "totals": {**totals(rows), **given.pop("totals", {})},
        "chip": {
            "clock_hz": 1e9,
            "peaks": [{"activation": "int8", "weight": "int8", "macs_per_s": PEAK}],
            "dram_bytes_per_s": DRAM,
            "dram_sustained_bytes_per_s": 0.8 * DRAM,
            "levels": [
                {"name": "scratchpad", "size_bytes": 1 << 20, "bandwidth_bytes_per_s": 2.56e11}
            ],
        },
        "notes": ["Energy of the vector unit is estimated."],
        "layers": rows,
    }
    return {**base, **given}


def default_layers() -> list[dict[str, Any]]:
    """Two equal blocks of three ops: groups of two layers each."""
    return [
        one
        for block in range(2)
        for one in (
            layer(f"model.layers.{block}.self_attn.q_proj.linear"),
            layer(f"model.layers.{block}.mlp.up_proj.linear", 16_000_000, 5000, dram_bytes=30_000),
            layer(f"model.layers.{block}.norm", 0, 500, compute_cycles=300),
        )
    ]


def many_layers(count: int) -> list[dict[str, Any]]:
    """Groups that all differ, with names as long as modules nest, under four kinds of bounds."""
    layers = []
    for i in range(count):
        macs, moved = 8_000_000 + 400_000 * (i % 9), 3_000 * (1 + (i * i) % 23) ** 2
        busy = max(macs / 4096 * (1 if i % 3 else 1.2), moved / 40.96)
        precise = {"activation": "bf16", "weight": "bf16", "output": "bf16"}
        small = {"activation": "fp8_e4m3", "weight": "int4", "output": "bf16"}
        layers.append(
            layer(
                f"model.language_model.layers.{i}.block_sparse_moe.experts.{i}"
                f".feed_forward_{i % 7}.gate_and_up_projection.linear",
                macs,
                int(busy) + 200 + 40_000 // (i + 1) + 17 * i,
                dram_bytes=moved,
                bound_by=("compute", "dram", "sram", "overhead")[i % 4],
                formats=small if i % 3 else precise,
                peak_macs_per_s=PEAK if i % 3 else PEAK * 0.9,
            )
        )
    return layers


@pytest.fixture(scope="session")
def make_layer() -> MakeLayer:
    return layer


@pytest.fixture(scope="session")
def make_run() -> MakeRun:
    return run


@pytest.fixture(scope="session")
def small_run() -> Run:
    """Six layers in three groups; treat as read-only."""
    return run()


@pytest.fixture(scope="session")
def crowded_run() -> Run:
    """Thirty groups with long names; treat as read-only."""
    return run(many_layers(30))


@pytest.fixture(scope="session")
def valued_run() -> Run:
    """The small run with values in the chip's arithmetic and a task; treat as read-only."""
    return valued(run())
