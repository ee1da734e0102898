"""The tile engine: small schedules worked out by hand, and what holds for every schedule."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from accelsim.jit import Ints
from accelsim.mapping._core import layout as at
from accelsim.mapping._core.steps import W_ARRAY, W_SIZE, W_VECTOR
from accelsim.sim._core import engine, queues

PS = 1000.0  # per cycle
Schedule = tuple[Ints, list[int], list[int], int, int]


def run(  # noqa: PLR0913 (one name per thing that a test can set)
    bits: Ints,
    array_cycles: Sequence[int],
    vector_cycles: Sequence[int] | None = None,
    rate: Sequence[float] = (1.0,),
    setup: int = 0,
    buffers: int = 2,
    burst: int = 10**9,
    overhead: int = 0,
    tile: int = 0,
    drain: int = 0,
    engines: int = 8,
) -> tuple[Ints, Ints, Ints]:
    """Simulate with ``rate`` ps per bit and link; returns result, transfers and unit times."""
    bits = np.asarray(bits, np.int64)
    work = np.zeros((bits.shape[2], W_SIZE), np.int64)
    work[:, W_ARRAY] = array_cycles
    work[:, W_VECTOR] = 0 if vector_cycles is None else np.asarray(vector_cycles) * 1000
    lane = np.zeros((bits.shape[0], queues.LANE_RING + engines), np.int64)
    lane[:, queues.LANE_SETUP], lane[:, queues.LANE_BUFFERS] = setup, buffers
    lane[:, queues.LANE_STORE_SETUP] = setup
    lane[:, queues.LANE_BURST] = burst
    parameters = np.array([overhead, tile, drain, 2], np.int64)
    rates, levels = np.zeros(at.R_SIZE), np.zeros((at.MAX_LEVELS, at.L_SIZE), np.int64)
    rates[at.R_PS_PER_CYCLE] = PS
    per_bit = np.zeros((2, bits.shape[0], queues.QUEUES))
    per_bit[queues.LINK] = np.array(rate)[:, None]
    result, spans, steps, _ = engine.run(bits, work, lane, per_bit, parameters, levels, rates)
    return result, spans, steps


def one_link(loads: Sequence[int], stores: Sequence[int]) -> Ints:
    bits = np.zeros((1, 4, len(loads)), np.int64)
    bits[0, 0], bits[0, 3] = loads, stores
    return bits


def test_loads_hide_behind_computation() -> None:
    # Loads take 500 ps each, steps 1000 ps: only the first load is seen.
    result, _, steps = run(one_link([500] * 4, [0] * 4), [1] * 4)
    assert result[engine.RES_END] == 500 + 4 * 1000
    assert steps[queues.ARRAY_START].tolist() == [500, 1500, 2500, 3500]
    assert result[engine.RES_STALL0 + engine.CAUSE_DRAM] == 500


def test_computation_hides_behind_loads() -> None:
    # Loads take 3000 ps: the array waits for each; the last step ends 1000 ps after the last load.
    result, _, _ = run(one_link([3000] * 4, [0] * 4), [1] * 4)
    assert result[engine.RES_END] == 4 * 3000 + 1000
    assert result[engine.RES_LINK0] == 12000


def test_one_buffer_forbids_overlap() -> None:
    result, _, _ = run(one_link([500] * 4, [0] * 4), [1] * 4, buffers=1)
    assert result[engine.RES_END] == 4 * 1500


def test_setup_is_hidden_by_running_ahead_and_seen_once() -> None:
    result, _, _ = run(one_link([500] * 4, [0] * 4), [1] * 4, setup=200)
    assert result[engine.RES_END] == 200 + 500 + 4 * 1000


def test_one_engine_pays_setup_for_every_transfer() -> None:
    # A transfer is issued when the one before it has ended: 4 x (2000 + 500), then the last step.
    result, _, _ = run(one_link([500] * 4, [0] * 4), [1] * 4, setup=2000, engines=1)
    assert result[engine.RES_END] == 4 * 2500 + 1000


def test_stores_share_the_link_with_loads() -> None:
    # Each step loads and stores 800 ps worth: the link is busy 1600 ps per step of 1000 ps.
    result, _, _ = run(one_link([800] * 5, [800] * 5), [1] * 5)
    assert result[engine.RES_LINK0] == 5 * 1600
    assert result[engine.RES_END] >= 5 * 1600


def test_the_vector_unit_holds_back_the_array() -> None:
    # Vector work of 3 cycles per output: two outputs may wait, then the array does.
    result, _, _ = run(one_link([1] * 6, [1] * 6), [1] * 6, [3] * 6)
    assert result[engine.RES_VECTOR] == 6 * 3000
    assert result[engine.RES_END] >= 1000 + 6 * 3000
    assert result[engine.RES_STALL0 + engine.CAUSE_VECTOR] > 0


def test_pieces_of_a_late_tile_do_not_delay_one_that_is_needed_now() -> None:
    # W's second tile (1500 ps) is needed at step 3, A's tiles every step; A goes first.
    bits = np.zeros((1, 4, 4), np.int64)
    bits[0, 0] = 500
    bits[0, 1, 0], bits[0, 1, 3] = 500, 1500
    shared, _, _ = run(bits, [1] * 4, burst=100)
    blocked, _, _ = run(bits, [1] * 4, burst=10**9)
    # 1000 ps of loads before the first step, then everything hides.
    assert shared[engine.RES_END] == 1000 + 4 * 1000
    # In one piece, W's tile occupies the link from 1500 to 3000 and A's third tile comes 500 late.
    assert blocked[engine.RES_END] == 1000 + 4 * 1000 + 500


def test_a_tile_is_passed_on_while_it_arrives() -> None:
    # One outer tile of 8000 bits feeds four inner tiles of 2000: the first is passed on at 2000.
    bits = np.zeros((2, 4, 4), np.int64)
    bits[0, 0], bits[1, 0, 0] = 2000, 8000
    result, spans, _ = run(bits, [1] * 4, rate=(0.1, 1.0), burst=1000)
    assert spans[queues.START, 0, 0, 0] == 2000
    assert result[engine.RES_END] == 8000 + 200 + 1000


def test_dispatch_tiles_and_drain_are_counted_by_cause() -> None:
    result, _, _ = run(one_link([100] * 3, [0, 0, 100]), [1] * 3, overhead=700, tile=50, drain=300)
    stalls = result[engine.RES_STALL0 : engine.RES_LINK0]
    assert stalls[engine.CAUSE_OVERHEAD] == 700 + 3 * 50
    assert stalls[engine.CAUSE_FILL] == 300
    assert result[engine.RES_END] == 700 + 100 + 3 * 1050 + 300 + 100


steps_of = st.integers(1, 12)


@st.composite
def schedules(draw: st.DrawFn) -> Schedule:
    links, count = draw(st.integers(1, 3)), draw(steps_of)
    amount = st.integers(1, 4000)
    bits = np.zeros((links, 4, count), np.int64)
    for queue in range(4):
        tiles = draw(st.lists(st.booleans(), min_size=count, max_size=count))
        tiles[0] = tiles[0] or queue == 0
        for step, moves in enumerate(tiles):
            if moves:
                bits[:, queue, step] = draw(amount)
    cycles = draw(st.lists(st.integers(0, 5), min_size=count, max_size=count))
    vector = draw(st.lists(st.integers(0, 5), min_size=count, max_size=count))
    return bits, cycles, vector, draw(st.integers(1, 3)), draw(st.sampled_from([64, 1000, 10**9]))


@settings(max_examples=200)
@given(schedules())
def test_every_schedule_respects_its_resources(schedule: Schedule) -> None:
    bits, cycles, vector, buffers, burst = schedule
    links = bits.shape[0]
    rate = (0.5, 1.0, 2.0)[:links]
    result, spans, steps = run(bits, cycles, vector, rate, 30, buffers, burst, 500, 10, 40)
    end = result[engine.RES_END]
    stalls = result[engine.RES_STALL0 : engine.RES_LINK0]
    assert (stalls >= 0).all()
    assert result[engine.RES_ARRAY] + stalls.sum() == end
    assert end >= 500 + sum(cycles) * PS
    assert end >= 500 + result[engine.RES_VECTOR]
    for link in range(links):
        assert result[engine.RES_LINK0 + link] >= bits[link].sum() * rate[link]
        assert end >= 500 + result[engine.RES_LINK0 + link]
    # No step starts before its operands have arrived, and none before the one before it ended.
    for queue in range(3):
        arrived = np.flatnonzero(bits[0, queue])
        ends = spans[queues.END, 0, queue, : arrived.size]
        assert (steps[queues.ARRAY_START, arrived] >= ends).all()
    assert (steps[queues.ARRAY_START, 1:] >= steps[queues.ARRAY_END, :-1]).all()
    assert spans[queues.END].max(initial=0) <= end


@settings(max_examples=100)
@given(schedules())
def test_a_faster_link_is_at_most_a_percent_slower(schedule: Schedule) -> None:
    bits, cycles, vector, buffers, burst = schedule
    rate = np.array((0.5, 1.0, 2.0)[: bits.shape[0]])
    slow, _, _ = run(bits, cycles, vector, tuple(rate), 30, buffers, burst)
    fast, _, _ = run(bits, cycles, vector, tuple(rate / 2), 30, buffers, burst)
    # Greedy arbitration may lose a piece's time here and there, never more than that.
    piece = min(burst, int(bits.max())) * rate.max()
    assert fast[engine.RES_END] <= 1.01 * slow[engine.RES_END] + piece
