"""Energy and area of a chip, worked out again from the counters and the table."""

from __future__ import annotations

import pytest

from accelsim.graph.single import single_graph
from accelsim.sim.energy import EnergyModel
from accelsim.sim.result import LayerResult
from accelsim.sim.simulate import Simulator
from accelsim.spec.energy import load_energy_table
from accelsim.spec.load import load_arch


def gemm(m: int, n: int, k: int, dtype: str = "int8", chip: str = "edge_npu") -> LayerResult:
    graph = single_graph("gemm", dtype, {"M": m, "N": n, "K": k})
    return Simulator(load_arch(chip), "tile").run(graph, dtype).layers[0]


def test_dram_energy_is_bytes_times_the_figure() -> None:
    row = gemm(256, 256, 256)
    per_bit = load_energy_table().dram_pj_per_bit("lpddr5")
    assert row.energy_by_part["dram"].typical == pytest.approx(
        8 * row.dram_bytes * per_bit.typical, rel=1e-3
    )
    # Operands in and a bf16 result out, each once: 64 KiB + 64 KiB + 128 KiB.
    assert row.dram_bytes == 256 * 256 * 4


def test_a_mac_is_its_logic_and_the_registers_it_clocks() -> None:
    table, arch = load_energy_table(), load_arch("edge_npu")
    mode = arch.arrays[0].mode("int8", "int8")
    assert mode is not None
    by_hand = table.mac_pj("int8", "int8", "int32", 7).typical
    by_hand += (8 + 8 + 32) * table.register_pj_per_bit(7).typical
    assert EnergyModel.of(arch).mac_pj(mode).typical == pytest.approx(by_hand)
    row = gemm(512, 512, 512)
    array = row.energy_by_part["array"].typical
    # Partial sums in accumulator memory come on top.
    assert by_hand * 512**3 <= array <= 2 * by_hand * 512**3


def test_bytes_per_level_by_hand() -> None:
    """64^3 on a 64x64 array: operands in and read, result written and stored, at least once."""
    row = gemm(64, 64, 64)
    operands, result = 2 * 64 * 64, 2 * 64 * 64
    assert row.bytes_by_level["dram"] == operands + result
    least = 2 * operands + 2 * result
    # The plan may cut the product into tiles and then reads an operand once more from the level.
    assert least <= row.bytes_by_level["scratchpad"] <= least + operands


def test_parts_sum_to_the_row_and_leakage_is_power_times_time() -> None:
    row = gemm(128, 512, 256)
    total = sum(part.typical for part in row.energy_by_part.values())
    assert row.energy_pj.typical == pytest.approx(total)
    watts = EnergyModel.of(load_arch("edge_npu")).leakage_w.typical
    assert row.energy_by_part["leakage"].typical == pytest.approx(watts * row.duration_ps)


def test_conversions_in_the_drain_cost_energy_but_no_vector_time() -> None:
    inside = gemm(256, 256, 256)
    arch = load_arch("edge_npu", ["conversions.rescale=vector"])
    graph = single_graph("gemm", "int8", {"M": 256, "N": 256, "K": 256})
    outside = Simulator(arch, "tile").run(graph, "int8").layers[0]
    assert inside.energy_by_part["vector"] == outside.energy_by_part["vector"]
    assert inside.duration_ps < outside.duration_ps


def test_area_grows_with_what_is_built() -> None:
    base = EnergyModel.of(load_arch("edge_npu"))
    for override, part in (
        ("arrays.0.count=2", "array"),
        ("memories.0.size_bytes=8 MiB", "scratchpad"),
        ("vector.lanes=128", "vector"),
        ("dram.channels=8", "dram_phy"),
    ):
        bigger = EnergyModel.of(load_arch("edge_npu", [override]))
        assert bigger.area_by_part[part].typical > base.area_by_part[part].typical
        assert bigger.area_mm2.typical > base.area_mm2.typical
