"""The kernels against plain controllers: same acceptances, same ends, same commands."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from accelsim.sim._core import dram_state as s
from accelsim.sim.dram.organization import Organization
from accelsim.sim.dram.replay import replay
from accelsim.sim.dram.stream import Words
from accelsim.sim.dram.system import Controller, DramSystem, default_controller
from accelsim.sim.dram.timing import Timing
from tests.sim.dram.twin import Banked, Twin

NAMES = {
    s.ACT: "ACT", s.PRE: "PRE", s.RD: "RD", s.WR: "WR", s.RDA: "RDA", s.WRA: "WRA", s.REF: "REF",
    s.PREAB: "PREAB",
}  # fmt: skip
TIMING = Timing(
    tCK=1.0, burst=4, CL=7, CWL=5, tRCD=6, tRP=5, tRAS=13, tRC=19, tRFC=40, tREFI=311, tRRD_S=4,
    tRRD_L=5, tFAW=21, tCCD_S=4, tCCD_L=6, tWR=8, tRTP=4, tWTR_S=3, tWTR_L=7, tRTRS=2,
)  # fmt: skip
SMALL = Organization(1, 2, 2, 2, 16, 32, 64, 8, 8)


def system(profile: str, **changes: Any) -> DramSystem:
    controller = replace(default_controller(profile), read_queue=6, write_buffer=10, bank_queue=3)
    made = DramSystem("small", SMALL, TIMING, controller, "rorababgchco")
    return replace(made, **changes)


def words(seed: int, count: int, rows: int, percent: int) -> Words:
    """Requests to few rows, so that addresses repeat and rows collide."""
    numbers = np.random.default_rng(seed)
    blocks = numbers.integers(0, rows, count) * 37 % 2048
    writes = numbers.integers(0, 100, count) < percent
    return blocks.astype(np.uint64) * np.uint64(64) | writes.astype(np.uint64) << np.uint64(63)


CASES = {
    "dramsim3": system("dramsim3"),
    "closed page": system("dramsim3", controller=Controller("dramsim3", 6, 10, 3, page="close")),
    "dual": system("dramsim3", dual=True),
    "two channels": system("dramsim3", organization=replace(SMALL, channels=2, ranks=1)),
    "precharges apart": system("dramsim3", timing=replace(TIMING, tPPD=3, AL=1)),
    "ramulator2": system("ramulator2"),
    "one rank": system("ramulator2", organization=replace(SMALL, ranks=1), mapping="MOP4CLXOR"),
}


#: Seed, rows, percent of writes; interval, chase, width.
LOADS = (
    ((1, 2048, 0), (0, False, 1)), ((2, 2048, 40), (0, False, 1)), ((3, 40, 50), (0, False, 2)),
    ((4, 300, 30), (9, False, 1)), ((5, 60, 20), (0, True, 1)), ((6, 12, 60), (2, False, 3)),
)  # fmt: skip


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize(("load", "driver"), LOADS)
def test_the_kernel_does_what_a_plain_controller_does(
    name: str, load: tuple[int, int, int], driver: tuple[int, bool, int]
) -> None:
    made, (seed, rows, percent) = CASES[name], load
    trace = words(seed, 90, rows, percent)
    found = replay(made, trace, *driver, log=5000)
    twin = Twin(made, trace.tolist(), *driver)
    assert found.cycles == twin.run()
    times = found.stream.times
    assert times[s.ACCEPTED].tolist() == [request.accepted for request in twin.requests]
    assert times[s.DONE].tolist() == [twin.done[n] for n in range(len(trace))]
    size = made.organization.all_banks
    commands = sorted(
        (clock, channel * size + bank, command)
        for channel, each in enumerate(twin.channels)
        for clock, command, bank in each.device.log
    )
    log = found.stream.commands()
    assert sorted((int(c), int(b), NAMES[int(k)]) for c, k, b, _ in log) == commands
    if not isinstance(twin.channels[0], Banked):
        counted = {"hit": found.counts.hits, "miss": found.counts.misses}
        assert counted == {k: twin.channels[0].counts[k] for k in counted}
