"""The chip clock by clock: schedules by hand, what holds for all of them, and the tile engine."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accelsim.errors import InputError
from accelsim.jit import Floats, Ints
from accelsim.mapping._core.steps import W_ARRAY
from accelsim.mapping.plan import Plan, Steps
from accelsim.mapping.search import plan
from accelsim.mapping.workload import GemmWorkload, StreamWorkload
from accelsim.sim._core import cycle_state as cs
from accelsim.sim.cycle import Chip, clocked_work, run_plan
from accelsim.sim.memory import SteadyDram, SteadyMemory
from accelsim.sim.memory import dram_of as memory_of
from accelsim.sim.outcome import time_plan
from accelsim.sim.tiled import sampled
from accelsim.spec.arch import ArchSpec
from accelsim.spec.load import load_arch

CHIPS = {name: load_arch(name, ()) for name in ("edge_npu", "cloud_npu", "tpu_v4")}


def dram_of(chip: ArchSpec) -> SteadyDram:
    latency = round(1e12 * chip.dram.latency_s)
    return SteadyDram(chip.dram.sustained_bytes_per_s, latency, chip.dram.access_bytes)


def product(chip: ArchSpec, m: int, n: int, k: int) -> Plan:
    name, bits = ("bf16", 16) if chip.name == "tpu_v4" else ("int8", 8)
    workload = GemmWorkload(
        1, m, n, k, name, name, m * k * bits, n * k * bits, m * n * bits, 0, bits, False, False,
        0, (),
    )  # fmt: skip
    return plan(workload, chip, "product")


def test_one_tile_by_hand() -> None:
    # 64 x 64 x 16 at 1 GHz: dispatch 1000, setup 50, then 2 KiB at 40.96 B/clock (50 clocks) and
    # 100 of latency; 16 to synchronize, 64 on the array, and 190 to drain less the 48 that its
    # stream of 16 is shorter than 64; then 50 to set the store of 4 KiB up, 100 to move it and 100
    # of latency.
    chip = CHIPS["edge_npu"]
    found = product(chip, 64, 64, 16)
    assert found.steps.work.shape[0] == 1
    done = run_plan(found, dram_of(chip).memory())
    dram, port, lanes, drain, overhead = done.stalls
    assert (overhead, drain) == (1000 + 16, 190 - 48)
    # The last of the load may come in the clock in which the array starts to read.
    assert port + lanes <= 1
    assert dram == pytest.approx(50 + 50 + 100 + 50 + 100 + 100, abs=6)
    assert done.end == 1000 + 16 + 64 + port + lanes + 190 - 48 + dram


def test_a_memory_that_answers_later_costs_exactly_that() -> None:
    chip = CHIPS["edge_npu"]
    found = product(chip, 64, 64, 16)
    near = run_plan(found, SteadyMemory(4e10, 100_000)).end
    far = run_plan(found, SteadyMemory(4e10, 200_000)).end
    # The load and the store each wait 100 clocks longer.
    assert far - near == 200


class Recorder(SteadyMemory):
    """Remembers what it was sent."""

    def __init__(self) -> None:
        super().__init__(4e10, 100_000)
        self.order: list[int] = []
        self.times: list[float] = []

    def send(self, which: Ints, at_ps: Floats) -> None:
        self.order += which.tolist()
        self.times += at_ps.tolist()
        super().send(which, at_ps)


sizes = st.integers(8, 400)


@given(st.sampled_from(sorted(CHIPS)), sizes, sizes, sizes)
@settings(max_examples=60, deadline=None)
def test_every_clock_has_a_cause_and_every_bit_arrives(name: str, m: int, n: int, k: int) -> None:
    found, memory = product(CHIPS[name], m, n, k), Recorder()
    done = run_plan(found, memory)
    compute = int(done.units[cs.U_COMPUTE])
    assert compute == found.steps.work[:, W_ARRAY].sum()
    assert compute + sum(done.stalls) == done.end
    assert sorted(memory.order) == list(range(done.requests.shape[1]))
    assert memory.times == sorted(memory.times)
    moved = done.requests[cs.R_BITS].sum()
    assert moved == found.steps.bits[-1].sum()
    arrived = done.tiles[cs.T_ARRIVED].sum(axis=2)
    np.testing.assert_array_equal(arrived, found.steps.bits.sum(axis=2))


def errors(name: str, count: int, seed: int) -> Floats:
    """Return how far the tile engine lies from the clocks, in percent, on random small products."""
    chip, rng = CHIPS[name], np.random.default_rng(seed)
    found = []
    for _ in range(count):
        m, n, k = (int(2 ** rng.uniform(3, 9)) for _ in range(3))
        one = product(chip, m, n, k)
        clocked = run_plan(one, dram_of(chip).memory())
        tile = time_plan(one, "tile", dram_of(chip))
        found.append(100 * (tile.end_ps / (clocked.end * clocked.ps_per_cycle) - 1))
    return np.array(found)


@pytest.mark.parametrize("name", sorted(CHIPS))
def test_the_tile_engine_agrees(name: str) -> None:
    found = errors(name, 40, seed=4)
    assert np.abs(found).mean() < 1.0
    assert np.abs(found).max() < 5.0


def test_a_planted_cycle_is_seen() -> None:
    chip = CHIPS["edge_npu"]
    found = product(chip, 200, 64, 64)
    work = found.steps.work.copy()
    work[0, W_ARRAY] += 1
    steps = Steps(found.steps.bits, work, found.steps.drain_cycles, on_array=True)
    wrong = replace(found, steps=steps)
    # The clocked array counts for itself.
    assert (clocked_work(wrong)[:, W_ARRAY] == found.steps.work[:, W_ARRAY]).all()
    assert clocked_work(wrong)[0, W_ARRAY] == work[0, W_ARRAY] - 1


def test_rows_that_fill_a_part_of_a_request_cost_a_whole_one() -> None:
    chip = CHIPS["edge_npu"]
    found = product(chip, 64, 64, 64)
    whole, _ = sampled(found, dram_of(chip))
    each = 1e12 / (8 * chip.dram.sustained_bytes_per_s)
    np.testing.assert_allclose(whole, each)
    # The level holds neither operand whole: rows of a tile are a part of a row of 500 bytes.
    cut = product(load_arch("edge_npu", ("memories.0.size_bytes=4 KiB",)), 12, 12, 500)
    (a, w, _, _), _ = sampled(cut, dram_of(chip))
    assert a > 1.1 * each
    assert w == pytest.approx(each, rel=0.1)


def test_plain_movement_takes_no_array_cycles() -> None:
    moved = StreamWorkload(8 * 4096, 8 * 4096, 4, ())
    found = plan(moved, CHIPS["edge_npu"], "copy")
    done = run_plan(found, dram_of(CHIPS["edge_npu"]).memory())
    assert done.units[cs.U_COMPUTE] == 0
    assert done.end == 1000 + sum(done.stalls) - 1000


def test_large_ops_are_refused() -> None:
    chip = CHIPS["edge_npu"]
    with pytest.raises(InputError, match="too large for --fidelity cycle"):
        time_plan(product(chip, 8192, 8192, 8192), "cycle", dram_of(chip))


def test_two_runs_are_the_same() -> None:
    found = product(CHIPS["tpu_v4"], 100, 300, 200)
    first, second = Chip(found, 64), Chip(found, 64)
    np.testing.assert_array_equal(first.requests, second.requests)


def test_a_standard_that_is_not_known_can_be_given_by_its_bandwidth() -> None:
    with pytest.raises(
        InputError, match=r"dram.standard: unknown DRAM standard 'gddr6'.*sustained"
    ):
        memory_of(load_arch("edge_npu", ("dram.standard=gddr6",)))
    with pytest.raises(InputError, match="unknown address mapping 'rorx'"):
        memory_of(load_arch("edge_npu", ("dram.mapping=rorx",)))
    steady = memory_of(load_arch("edge_npu", ("dram.standard=lpddr5", "dram.timing=sustained")))
    assert isinstance(steady, SteadyDram)
    assert steady.request_bytes == 32


def test_a_dram_that_is_asked_in_turns_is_measured_at_the_times_of_the_run() -> None:
    chip = CHIPS["edge_npu"]
    dram = memory_of(chip)
    # Vector work on 16-bit values: as much is stored as is loaded, a tile of each in turns.
    work = (("add", 1 << 15), ("mul", 1 << 15))
    found = plan(StreamWorkload(1 << 19, 1 << 19, 64, work), chip, "vector")
    rates, pace = sampled(found, dram)
    each = 8 * rates[0] * dram.request_bytes
    assert pace.apart_ps < each < 1.2 * pace.request_ps
    # Loads alone need no turns, whatever the pauses.
    alone = plan(StreamWorkload(1 << 19, 0, 64, work), chip, "reads")
    rates, pace = sampled(alone, dram)
    assert 8 * rates[0] * dram.request_bytes == pytest.approx(pace.apart_ps)


def test_a_steady_memory_answers_as_its_queue_says() -> None:
    chip = CHIPS["edge_npu"]
    dram, memory = dram_of(chip), dram_of(chip).memory()
    at = np.array([0.0, 0.0, 500.0, 9000.0, 9000.0])
    memory.send(np.arange(at.size), at)
    _, times = memory.answers(1e9)
    np.testing.assert_allclose(dram.answered(np.zeros(at.size, np.int64), at), times)
