"""Banks that belong to tensors: schedules by hand, bounds, and the three fidelities beside it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accelsim.errors import MappingError
from accelsim.jit import Floats, Ints
from accelsim.mapping._core import layout as at
from accelsim.mapping._core.steps import W_ARRAY, W_READ, W_READ_A, W_READ_W, W_SIZE
from accelsim.mapping.plan import Plan
from accelsim.mapping.search import plan
from accelsim.mapping.workload import AttentionWorkload, GemmWorkload, StreamWorkload, Workload
from accelsim.sim._core import engine, queues
from accelsim.sim.cycle import run_plan
from accelsim.sim.memory import SteadyDram
from accelsim.sim.outcome import time_plan
from accelsim.spec.arch import ArchSpec
from accelsim.spec.load import load_arch

CHIP = Path(__file__).parent / "chips" / "banked_npu.yaml"
BANKED = load_arch(str(CHIP))
PER_BUFFER = load_arch(
    str(CHIP), ("memories.0.banking=per_buffer", "memories.0.bandwidth_bytes_per_s=512 GB/s")
)
ONE_PORT = load_arch(
    str(CHIP),
    (
        "memories.0.banking=per_buffer", "memories.0.banks=[8,4,4]", "memories.0.ports=1",
        "memories.0.bandwidth_bytes_per_s=300 GB/s",
    ),
)  # fmt: skip
PS = 1000.0


def dram_of(chip: ArchSpec) -> SteadyDram:
    latency = round(1e12 * chip.dram.latency_s)
    return SteadyDram(chip.dram.sustained_bytes_per_s, latency, chip.dram.access_bytes)


def gemm(m: int, n: int, k: int) -> GemmWorkload:
    return GemmWorkload(
        1, m, n, k, "int8", "int8", 8 * m * k, 8 * n * k, 8 * m * n, 0, 8, False, False, 0, (),
    )  # fmt: skip


def product(chip: ArchSpec, m: int, n: int, k: int) -> Plan:
    return plan(gemm(m, n, k), chip, "product")


# --- the tile engine by hand -----------------------------------------------------------------


def tile_run(bits: Ints, work: Ints, banks: tuple[float, ...], apart: bool) -> tuple[Ints, Ints]:
    """Run one link of 1 ps a bit, in pieces of 500 bits, with banks of so many ps a bit."""
    lane = np.zeros((1, queues.LANE_RING + 8), np.int64)
    lane[:, queues.LANE_BUFFERS], lane[:, queues.LANE_BURST] = 2, 500
    lane[:, queues.LANE_APART] = apart
    rates = np.zeros(at.R_SIZE)
    rates[at.R_PS_PER_CYCLE] = PS
    rates[at.R_PORT_BANKS0 :][: at.BANK_GROUPS] = banks[:3]
    levels = np.zeros((at.MAX_LEVELS, at.L_SIZE), np.int64)
    levels[0, at.L_PORTS], levels[0, at.L_BANKING] = 2 if apart else 1, at.PER_TENSOR
    per_bit = np.ones((2, 1, queues.QUEUES))
    per_bit[queues.BANKS] = banks
    parameters = np.array([0, 0, 0, 2], np.int64)
    result, spans, _, _ = engine.run(bits, work, lane, per_bit, parameters, levels, rates)
    return result, spans[queues.END, 0]


def test_tensors_share_a_link_and_wait_for_their_own_banks() -> None:
    # Two pieces each. The link is free after 500 ps, the banks of a tensor after 2000.
    bits = np.zeros((1, 4, 1), np.int64)
    bits[0, :2, 0] = 1000
    work = np.zeros((1, W_SIZE), np.int64)
    work[0, W_ARRAY] = 1
    result, ends = tile_run(bits, work, (4.0, 4.0, 4.0, 4.0), apart=True)
    assert ends[:2, 0].tolist() == [4000, 4500]
    assert result[engine.RES_END] == 4500 + 1000
    assert result[engine.RES_LINK0] == 2000


@pytest.mark.parametrize(("apart", "end"), [(True, 2500), (False, 4000)])
def test_results_have_a_port_for_each_direction_or_one_for_both(apart: bool, end: int) -> None:
    # Step 1 loads 500 bits for its results while those of step 0 are stored; banks take 2000 ps.
    bits = np.zeros((1, 4, 2), np.int64)
    bits[0, 2, 1], bits[0, 3, 0] = 500, 500
    work = np.zeros((2, W_SIZE), np.int64)
    _, ends = tile_run(bits, work, (4.0, 4.0, 4.0, 4.0), apart)
    assert ends[2, 0] == 2000
    assert ends[3, 0] == end


def test_the_array_waits_while_dma_has_its_banks() -> None:
    # Both steps need a half of A's banks for 10 cycles; DMA of 1000 bits has them for 4000 ps
    # alone, so nothing is left meanwhile. Step 1 has no tile to load ahead of.
    bits = np.zeros((1, 4, 2), np.int64)
    bits[0, 0] = 1000
    work = np.zeros((2, W_SIZE), np.int64)
    work[:, W_ARRAY], work[:, W_READ], work[:, W_READ_A] = 10, 1250, 1250
    result, _ = tile_run(bits, work, (4.0, 4.0, 4.0, 4.0), apart=False)
    assert result[engine.RES_STALL0 + engine.CAUSE_SRAM] == 4000
    assert result[engine.RES_END] == 4000 + (10_000 + 4000) + 10_000
    # With a port for each direction they do not meet.
    result, _ = tile_run(bits, work, (4.0, 4.0, 4.0, 4.0), apart=True)
    assert result[engine.RES_STALL0 + engine.CAUSE_SRAM] == 0


# --- the clocked chip by hand ----------------------------------------------------------------


def test_one_tile_by_hand() -> None:
    # As in test_cycle.py, but results have one bank of 16: 16 B/clock. The 4 KiB that leave the
    # array in 64 cycles take 256 clocks, and so does their store, which took 100. To start a tile
    # takes 500, so that one is best.
    banks = ("memories.0.banking=per_tensor", "memories.0.banks=[8,7,1]")
    chip = load_arch("edge_npu", (*banks, "dispatch.tile_overhead_s=500 ns"))
    found = product(chip, 64, 64, 16)
    assert found.steps.work.shape[0] == 1
    done = run_plan(found, dram_of(chip).memory())
    dram, port, lanes, drain, overhead = done.stalls
    assert (overhead, drain) == (1000 + 500, 190 - 48)
    assert port == pytest.approx(256 - 64, abs=1)
    assert lanes <= 1
    assert dram == pytest.approx(50 + 50 + 100 + 50 + 256 + 100, abs=6)
    tile = time_plan(found, "tile", dram_of(chip))
    assert tile.end_ps == pytest.approx(1000 * done.end, rel=0.01)
    assert tile.stalls_ps["sram"] == 192_000


# --- the fidelities beside each other --------------------------------------------------------

sizes = st.integers(8, 400)


def workloads(count: int, seed: int) -> list[Workload]:
    """Random small ops: seven in ten products, then vector work and attention."""
    rng = np.random.default_rng(seed)

    def size(low: int, high: int) -> int:
        return int(2 ** rng.uniform(np.log2(low), np.log2(high)))

    found: list[Workload] = []
    for number in range(count):
        if number % 10 < 7:
            found.append(gemm(size(8, 512), size(8, 512), size(8, 512)))
        elif number % 10 < 9:
            elements = size(1 << 10, 1 << 17)
            work = (("add", elements), ("mul", elements))
            found.append(StreamWorkload(16 * elements, 16 * elements, 64, work))
        else:
            units, queries, keys = size(1, 8), size(16, 128), size(16, 256)
            scores = (("exp", units * queries * keys), ("sub", units * queries * keys))
            found.append(AttentionWorkload(
                units, 1, queries, keys, 64, 64, False, 0, "int8", "int8",
                8 * units * queries * 64, 0, 0, 1, scores, (("mul", units * queries * 64),),
            ))  # fmt: skip
    return found


def errors(chip: ArchSpec, count: int, seed: int) -> Floats:
    """Return how far the tile engine lies from the clocks, in percent."""
    found = []
    for workload in workloads(count, seed):
        one = plan(workload, chip, "op")
        clocked = run_plan(one, dram_of(chip).memory())
        tile = time_plan(one, "tile", dram_of(chip))
        found.append(100 * (tile.end_ps / (clocked.end * clocked.ps_per_cycle) - 1))
    return np.array(found)


@pytest.mark.parametrize(
    ("chip", "worst"),
    [(BANKED, 8.0), (PER_BUFFER, 8.0), (ONE_PORT, 10.0)],
    ids=["per_tensor", "per_buffer", "one_port"],
)
def test_the_tile_engine_agrees_with_the_clocks(chip: ArchSpec, worst: float) -> None:
    found = np.abs(errors(chip, 40, seed=7))
    assert found.mean() <= 3.0
    assert found.max() <= worst


@given(sizes, sizes, sizes)
@settings(max_examples=30, deadline=None)
def test_no_fidelity_is_below_what_banks_must_move(m: int, n: int, k: int) -> None:
    found = product(BANKED, m, n, k)
    work, memory = found.steps.work, BANKED.memories[0]
    first, second, _ = memory.tensor_bytes_per_s
    assert (work[:, W_READ_A] + work[:, W_READ_W] <= work[:, W_READ]).all()
    bounds = [
        work[:, W_READ_A].sum() / 8 / first,
        work[:, W_READ_W].sum() / 8 / second,
        found.traffic[-1] / 8 / BANKED.dram.bandwidth_bytes_per_s,
        m * n * k / BANKED.peak_macs_per_s("int8", "int8"),
    ]
    dram = dram_of(BANKED)
    for fidelity in ("analytical", "tile", "cycle"):
        assert time_plan(found, fidelity, dram).end_ps * 1e-12 >= max(bounds)


def wider(times: int) -> ArchSpec:
    """Return the chip with more banks of the same size and width."""
    banks = [6 * times, 6 * times, 4 * times]
    return load_arch(
        str(CHIP),
        (
            f"memories.0.instances={16 * times}",
            f"memories.0.banks={banks}",
            f"memories.0.size_bytes={64 * times} KiB",
            f"memories.0.bandwidth_bytes_per_s={256 * times} GB/s",
        ),
    )


@given(sizes, sizes, sizes)
@settings(max_examples=20, deadline=None)
def test_more_banks_are_never_slower(m: int, n: int, k: int) -> None:
    times = [product(wider(times), m, n, k).latency_ps for times in (1, 2, 4)]
    assert times == sorted(times, reverse=True)


@given(sizes, sizes, sizes)
@settings(max_examples=20, deadline=None)
def test_banks_that_are_wide_enough_do_not_matter(m: int, n: int, k: int) -> None:
    # Every tensor's own banks are as fast and as large as the whole level of the other chip is.
    fast = load_arch(
        str(CHIP),
        ("memories.0.bandwidth_bytes_per_s=8 TB/s", "memories.0.size_bytes=64 MiB"),
    )
    shared = load_arch("edge_npu", ("memories.0.bandwidth_bytes_per_s=2 TB/s",))
    assert product(fast, m, n, k).latency_ps <= product(shared, m, n, k).latency_ps


def test_banks_that_are_too_small_are_named() -> None:
    chip = load_arch(
        str(CHIP), ("memories.0.size_bytes=4 KiB", "memories.0.banks=[1,14,1]",
                    "memories.0.bandwidth_bytes_per_s=2 TB/s"),
    )  # fmt: skip
    with pytest.raises(MappingError, match=r"bytes of the banks of results with 2 buffers, they"):
        plan(gemm(64, 64, 64), chip, "product")
    with pytest.raises(MappingError, match=r"does not fit the banks of level 'scratchpad'"):
        plan(StreamWorkload(8 * 900, 8 * 900, 1, (("add", 900),)), chip, "add")
