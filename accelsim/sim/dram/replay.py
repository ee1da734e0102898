"""A trace through a DRAM system: time, latencies, commands, energy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from accelsim.jit import Ints
from accelsim.sim._core import dram_state as s
from accelsim.sim.dram.energy import Energy, energy_of
from accelsim.sim.dram.stream import Stream, Words
from accelsim.sim.dram.system import DramSystem

#: Told what is being done, how much of it is done, and how much there is.
Progress = Callable[[str, int, int], None]
#: Clocks between two reports of progress.
_STEP = 1 << 22


@dataclass(frozen=True, slots=True)
class Latency:
    """Clocks from acceptance to completion of the reads; all None when there are none."""

    mean: float | None
    least: int | None
    median: int | None
    p99: int | None
    most: int | None


@dataclass(frozen=True, slots=True)
class Counts:
    """Commands of all channels.

    Attributes:
        hits: requests that found their row open.
        misses: requests that found no row open.
        conflicts: requests that found another row open; dramsim3 counts them among the misses.
        open_clocks: clocks with an open row, summed over ranks.
    """

    reads: int
    writes: int
    activates: int
    precharges: int
    refreshes: int
    hits: int
    misses: int
    conflicts: int
    open_clocks: int


@dataclass(frozen=True)
class Replay:
    """What a trace came to.

    Attributes:
        system: the DRAM.
        requests: of the trace.
        reads: of them.
        cycles: clock of the last completion, plus one; a write is complete when it is accepted.
        latency: of reads.
        counts: of commands.
        energy: None when nothing is known of it.
        stream: the state at the end, with the times of every request and the command log.
    """

    system: DramSystem
    requests: int
    reads: int
    cycles: int
    latency: Latency
    counts: Counts
    energy: Energy | None
    stream: Stream

    @property
    def seconds(self) -> float:
        """Time of the run."""
        return self.cycles * self.system.tck_ns * 1e-9

    @property
    def bytes_per_s(self) -> float:
        """Bandwidth of the run."""
        moved = self.requests * self.system.request_bytes
        return moved / self.seconds if self.cycles else 0.0

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "schema_version": 1, "standard": self.system.name,
            "profile": self.system.controller.profile, "requests": self.requests,
            "reads": self.reads, "writes": self.requests - self.reads,
            "request_bytes": self.system.request_bytes, "cycles": self.cycles,
            "tck_ns": self.system.tck_ns, "seconds": self.seconds,
            "bytes_per_s": self.bytes_per_s, "peak_bytes_per_s": self.system.peak_bytes_per_s,
            "read_latency_clocks": asdict(self.latency), "commands": asdict(self.counts),
            "energy_nj": None if self.energy is None else asdict(self.energy),
        }  # fmt: skip


def _quiet(what: str, done: int, total: int) -> None:
    """Tell nobody."""


def replay(  # noqa: PLR0913 - the driver's settings
    system: DramSystem, requests: Words, interval: int = 0, chase: bool = False, width: int = 1,
    *, arrival: int | Ints = 0, log: int = 0, progress: Progress = _quiet,
) -> Replay:  # fmt: skip
    """Run a trace to its end.

    Args:
        system: the DRAM.
        requests: byte addresses, uint64; bit 63 is set for a write.
        interval: least clocks between the acceptance of two requests.
        chase: a request is offered only after the read before it has ended.
        width: requests that can be accepted per clock.
        arrival: from which clock on each request may be accepted.
        log: commands to keep, for :mod:`accelsim.sim.dram.check`.
        progress: told how many requests were accepted.
    """
    stream = Stream(system, len(requests), interval=interval, chase=chase, width=width, log=log)
    stream.push(requests, arrival)
    cycles = _run(stream, progress) if len(requests) else 0
    reads = stream.words >= 0
    counts = _counts(stream, cycles)
    return Replay(
        system, len(requests), int(reads.sum()), cycles, latency(stream.times, reads), counts,
        energy_of(system, counts, cycles), stream,
    )  # fmt: skip


def _run(stream: Stream, progress: Progress) -> int:
    until = _STEP
    while True:
        progress("requests", int(stream.chan[-1, s.E_NEXT]), stream.count)
        clock = stream.step(until, stops=True)
        if clock < until:
            return clock
        until += _STEP


def latency(times: Ints, which: Any) -> Latency:
    """Return the latencies of some requests.

    Args:
        times: [TIMES, requests].
        which: mask or numbers of the requests.
    """
    clocks = (times[s.DONE] - times[s.ACCEPTED])[which]
    if not len(clocks):
        return Latency(None, None, None, None, None)
    ordered = np.sort(clocks)
    middle, tail = (int(ordered[int(share * (len(ordered) - 1))]) for share in (0.5, 0.99))
    return Latency(float(clocks.mean()), int(ordered[0]), middle, tail, int(ordered[-1]))


def _counts(stream: Stream, cycles: int) -> Counts:
    par, total = stream.parameters, stream.chan[:-1].sum(axis=0)
    ranks = stream.node[:, -int(par[s.P_RANKS]) :]
    still_open = ranks[:, :, s.K_OPEN] > 0
    clocks = int(ranks[:, :, s.K_ACTIVE].sum())
    clocks += int((cycles - ranks[:, :, s.K_SINCE])[still_open].sum())
    reads, writes = int(total[s.N_RD]), int(total[s.N_WR])
    if par[s.P_PROFILE] == s.RAMULATOR2:
        hits, misses = int(total[s.N_SERVED]), int(total[s.N_MISS])
        conflicts = int(total[s.N_CONFLICT])
    else:
        hits, conflicts = int(total[s.N_HIT]), 0
        misses = reads + writes - hits
    return Counts(
        reads, writes, int(total[s.N_ACT]), int(total[s.N_PRE]), int(total[s.N_REF]), hits, misses,
        conflicts, clocks,
    )  # fmt: skip
