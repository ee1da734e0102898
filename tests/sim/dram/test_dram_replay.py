"""Runs worked out by hand, closed forms, pausing and going on, and logs that keep all timings."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accelsim.errors import RunError
from accelsim.sim._core import dram_state as s
from accelsim.sim.dram.bandwidth import Pattern, effective_bandwidth, sustained_share
from accelsim.sim.dram.check import violations
from accelsim.sim.dram.replay import replay
from accelsim.sim.dram.stream import WRITE, Stream, Words
from accelsim.sim.dram.system import DramSystem
from accelsim.validate.traces import random, sequential, sequential_mix, strided

DDR4 = DramSystem.from_standard("ddr4", mapping="rochrababgco")
T = DDR4.timing
ROW, BANK, GROUP = 1 << 17, 1 << 15, 1 << 13  # one further, in the mapping of DDR4


def words(*addresses: int) -> Words:
    return np.array(addresses, np.uint64)


def issued(system: DramSystem, trace: Words, command: int) -> list[int]:
    log = replay(system, trace, log=1000).stream.commands()
    return [int(clock) for clock, kind, _, _ in log if kind == command]


@pytest.mark.parametrize(
    ("trace", "command", "gap"),
    [
        ((0, 64), s.RD, T.tCCD_L),
        ((0, GROUP), s.RD, T.tRRD_S),  # both rows are opened first
        ((0, BANK), s.ACT, T.tRRD_L),
        ((0, GROUP), s.ACT, T.tRRD_S),
        ((0, ROW), s.ACT, T.tRC),
    ],
)
def test_two_commands_are_as_far_apart_as_their_timing(
    trace: tuple[int, ...], command: int, gap: int
) -> None:
    clocks = issued(DDR4, words(*trace), command)
    assert clocks[1] - clocks[0] == gap


def test_an_idle_read_takes_opening_reading_and_the_burst() -> None:
    # Accepted behind clock 0, in its queue at 1, opened at 2; ends are seen one clock later.
    found = replay(DDR4, words(0))
    assert found.cycles == 2 + T.tRCD + T.CL + T.burst + 1
    flat = DramSystem.from_standard("ddr4", profile="ramulator2")
    assert replay(flat, words(0)).cycles == T.tRCD + T.CL + T.burst + 1


def test_four_activations_fill_a_window() -> None:
    wide = replace(DDR4, timing=replace(T, tFAW=60))
    clocks = issued(wide, words(0, GROUP, 2 * GROUP, 3 * GROUP, BANK), s.ACT)
    assert clocks[4] - clocks[0] == 60


def test_a_read_after_a_write_to_its_address_needs_no_memory() -> None:
    found = replay(DDR4, words(WRITE | 64, 64))
    assert found.counts.reads == 0
    assert found.latency.most == 2


def test_reads_of_one_address_share_an_access() -> None:
    found = replay(DDR4, words(64, 64, 64))
    assert (found.counts.reads, found.reads) == (1, 3)
    assert len(set(found.stream.ends().tolist())) == 1


@pytest.mark.parametrize(
    ("trace", "clocks_per_request"),
    [(random(8000, 64, 1), T.tFAW / 4), (strided(2000, 64, 1 << 20), T.tRC)],
)
def test_throughput_is_that_of_the_closed_forms(trace: Words, clocks_per_request: float) -> None:
    found = replay(DDR4, trace)
    expected = len(trace) * clocks_per_request / (1 - T.tRFC / T.tREFI)
    assert found.cycles == pytest.approx(expected, rel=0.03)


@pytest.mark.parametrize("profile", ["dramsim3", "ramulator2"])
@settings(max_examples=15, deadline=None)
@given(cuts=st.lists(st.integers(1, 9000), max_size=8), seed=st.integers(0, 99))
def test_pausing_changes_nothing(profile: str, cuts: list[int], seed: int) -> None:
    system = DramSystem.from_standard("lpddr5", profile=profile)
    trace = random(700, system.request_bytes, seed, 40, span=1 << 18)
    whole = replay(system, trace)
    stream = Stream(system, len(trace))
    stream.push(trace)
    for cut in sorted(cuts):
        if cut < whole.cycles:
            assert stream.advance(cut) == cut
    assert stream.advance() == whole.cycles
    assert np.array_equal(stream.times, whole.stream.times)
    assert np.array_equal(stream.chan, whole.stream.chan)


def test_requests_pushed_on_the_way_are_as_if_they_were_there_from_the_start() -> None:
    trace, arrival = sequential_mix(300, 64, 1, 30), np.arange(300) * 11
    whole = replay(DDR4, trace, arrival=arrival)
    stream = Stream(DDR4, 300)
    for first in range(0, 300, 50):
        part = slice(first, first + 50)
        assert stream.push(trace[part], arrival[part]) == range(first, first + 50)
        stream.advance(int(arrival[part][-1]))
    assert stream.advance() == whole.cycles
    assert np.array_equal(stream.ends(), whole.stream.ends())
    with pytest.raises(RunError, match="300 requests was given 301"):
        stream.push(words(0))


def test_an_unfinished_request_has_no_end() -> None:
    stream = Stream(DDR4, 2)
    stream.push(words(0, 64))
    stream.advance(5)
    assert (stream.ends() < 0).all()


@pytest.mark.parametrize("profile", ["dramsim3", "ramulator2"])
@pytest.mark.parametrize("standard", ["ddr4", "ddr5", "lpddr4", "lpddr5", "hbm2-2000", "hbm3"])
def test_no_command_comes_too_early(standard: str, profile: str) -> None:
    system = DramSystem.from_standard(standard, profile=profile)
    for trace in (
        random(600, system.request_bytes, 3, 40, span=1 << 24),
        sequential_mix(600, system.request_bytes, 1, 50),
    ):
        found = replay(system, trace, log=10_000, width=4)
        log = found.stream.commands()
        assert len(log) > 500
        assert list(violations(system, log)) == []


def test_the_check_sees_one_clock() -> None:
    log = replay(DDR4, words(0, ROW), log=100).stream.commands().copy()
    for place in range(1, len(log)):
        early = log.copy()
        early[place:, 0] -= 1
        assert list(violations(DDR4, early)), place


def test_closed_pages_and_banks_refreshed_one_by_one() -> None:
    trace = random(3000, 64, 1)
    for change in ({"page": "close"}, {"refresh": "per-bank"}):
        system = replace(DDR4, controller=replace(DDR4.controller, **change))  # type: ignore[arg-type]
        found = replay(system, trace, log=20_000)
        assert found.stream.ends().min() >= 0
        if "page" in change:
            assert list(violations(system, found.stream.commands())) == []


def test_energy_is_that_of_the_currents() -> None:
    found = replay(DDR4, sequential(1000, 64))
    assert found.energy is not None
    assert found.energy.read == pytest.approx(1000 * 1.2 * (168 - 52) * 4 * 0.625 * 8 * 1e-3)
    parts = found.energy.activate + found.energy.read + found.energy.refresh
    assert found.energy.total == pytest.approx(parts + found.energy.background)
    mobile = replay(DramSystem.from_standard("lpddr5"), sequential(1000, 32))
    assert mobile.energy is not None and not mobile.energy.from_currents
    assert mobile.energy.low < mobile.energy.total < mobile.energy.high


def test_effective_bandwidth() -> None:
    system = DramSystem.from_standard("ddr4")
    stream = sustained_share(system, Pattern())
    assert 0.9 < stream < 1
    assert sustained_share(system, Pattern("random", 64)) < 0.5
    assert effective_bandwidth(system, Pattern()) == stream * system.peak_bytes_per_s
    mixed = sustained_share(system, Pattern("strided", 2048, 28672, 0.33))
    assert 0.5 < mixed < stream
