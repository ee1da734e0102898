"""A chip's main memory at command level: banks, rows and refresh, as the engines ask about it."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from accelsim.jit import Floats, Ints
from accelsim.sim.dram.bandwidth import Pattern, effective_bandwidth
from accelsim.sim.dram.replay import replay
from accelsim.sim.dram.stream import Stream
from accelsim.sim.dram.system import DramSystem
from accelsim.sim.memory import Pace

#: Requests per channel from which on a stream shows how fast it flows: twice what waits in queues.
_LONG = 64


class CommandDram:
    """DRAM that is simulated command by command.

    Args:
        system: organisation, timings and controller.
        latency_ps: first byte of an idle access; what the device itself does not take of it is the
            path between chip and controller.
    """

    def __init__(self, system: DramSystem, latency_ps: int) -> None:
        self.system = system
        self.request_bytes = system.request_bytes
        self.channels = system.organization.channels
        self._ps = 1e3 * system.tck_ns
        idle = replay(system, np.zeros(1, np.uint64)).cycles
        self._idle_clocks = idle
        self.write_latency_ps = max(0, latency_ps - round(idle * self._ps))
        self.read_latency_ps = max(latency_ps, round(idle * self._ps))
        self.paces: dict[Any, tuple[Floats, Pace]] = {}
        self._known: dict[bytes, Pace] = {}

    @cached_property
    def sustained_bytes_per_s(self) -> float:
        """Bandwidth of reads one behind the other, refreshes included."""
        return effective_bandwidth(self.system, Pattern("sequential"))

    def memory(self) -> CommandMemory:
        """Return a memory that has seen nothing yet."""
        return CommandMemory(self.system, self.write_latency_ps)

    def pace(self, words: Ints, first: int) -> Pace:
        """Return how fast a stream is answered, by running it, its beginning and all of it."""
        key = words.tobytes() + first.to_bytes(8, "little")
        if key not in self._known:
            self._known[key] = self._measured(words, first)
        return self._known[key]

    def answered(self, words: Ints, at_ps: Floats) -> Floats:
        """Return when the chip has the answers to requests that are sent in order at some times."""
        clocks = np.ceil(at_ps / self._ps).astype(np.int64)
        done = replay(self.system, words.view(np.uint64), width=self.channels, arrival=clocks)
        return np.asarray(done.stream.ends() * self._ps + self.write_latency_ps, np.float64)

    def _measured(self, words: Ints, first: int) -> Pace:
        begun = self._flowing(words[:first])
        mixed = self._rate(words, first)
        reads, writes = words[words >= 0], words[words < 0]
        apart = sum(self._rate(part, 0) * part.size for part in (reads, writes))
        apart = apart / words.size if words.size else mixed
        # What the beginning takes beyond its share is the price of starting.
        cold = max(0.0, begun - first * apart)
        timing = self.system.timing
        room = self.system.controller.write_buffer * self.channels
        return Pace(
            request_ps=max(mixed, apart),
            apart_ps=apart,
            cold_ps=round(cold),
            absorbed_ps=round(room * apart),
            refresh_ps=round(self._refresh * self._ps),
            refresh_every_ps=round(timing.tREFI * self._ps),
        )

    def _rate(self, words: Ints, first: int) -> float:
        """Return the ps per request of a stream after its beginning, in the long run."""
        least = 1e12 * self.request_bytes / self.system.peak_bytes_per_s
        rest = words.size - first
        if rest < _LONG * self.channels:
            return least
        return max(least, (self._flowing(words) - self._flowing(words[:first])) / rest)

    @property
    def _refresh(self) -> int:
        """Clocks of a refresh, and of closing and opening rows around it."""
        timing = self.system.timing
        return timing.tRP + timing.tRFC + timing.tRCD

    def _flowing(self, words: Ints) -> float:
        """Return the ps of a stream without its first latency and without refreshes."""
        if not words.size:
            return 0.0
        done = replay(self.system, words.view(np.uint64), width=self.channels)
        # One channel that is refreshed holds up all: requests are taken in order.
        refreshes = -(-done.counts.refreshes // (self.channels * self.system.organization.ranks))
        return max(0.0, (done.cycles - self._idle_clocks - refreshes * self._refresh) * self._ps)


class CommandMemory:
    """A run of a system: requests in, answers out, a quantum at a time."""

    def __init__(self, system: DramSystem, path_ps: int) -> None:
        self.request_bytes = system.request_bytes
        self.path_ps = path_ps
        self._system = system
        self._ps = 1e3 * system.tck_ns
        self.reset(np.zeros(0, np.int64))

    def reset(self, words: Ints) -> None:
        """Forget everything; ``words`` are all requests that may be sent."""
        self._words = words
        channels = self._system.organization.channels
        self._stream = Stream(self._system, words.size, width=channels)
        self._sent = np.zeros(words.size, np.int64)
        self._waiting = np.zeros(0, np.int64)

    def send(self, which: Ints, at_ps: Floats) -> None:
        """Offer requests from their times on, in this order."""
        clocks = np.ceil(at_ps / self._ps).astype(np.int64)
        pushed = self._stream.push(self._words[which].view(np.uint64), clocks)
        self._sent[pushed.start : pushed.stop] = which
        self._waiting = np.append(self._waiting, np.arange(pushed.start, pushed.stop))

    def answers(self, until_ps: float) -> tuple[Ints, Floats]:
        """Return what reaches the chip before a time."""
        self._stream.advance(max(0, int(np.ceil((until_ps - self.path_ps) / self._ps))))
        ends = self._stream.ends()[self._waiting]
        times = ends * self._ps + self.path_ps
        there = (ends >= 0) & (times < until_ps)
        found = self._waiting[there]
        self._waiting = self._waiting[~there]
        return self._sent[found], np.asarray(times[there], np.float64)
