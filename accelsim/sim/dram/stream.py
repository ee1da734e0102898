"""A DRAM system in the middle of a run: requests are pushed, time is advanced, ends are read.

The state is a handful of flat arrays, so a kernel can hold one too: see :attr:`Stream.arrays`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from accelsim.errors import RunError
from accelsim.jit import Ints
from accelsim.sim._core import dram_state as s
from accelsim.sim.dram.system import DramSystem

#: Bit of a request's word that marks a write.
WRITE = 1 << 63
Words = npt.NDArray[np.uint64]


class Stream:
    """Requests on their way through a DRAM system.

    Args:
        system: the DRAM.
        capacity: requests that can be pushed in all.
        interval: least clocks between the acceptance of two requests.
        chase: a request is offered only after the read before it has ended.
        width: requests that can be accepted per clock.
        log: commands to keep.
    """

    def __init__(
        self, system: DramSystem, capacity: int, *, interval: int = 0, chase: bool = False,
        width: int = 1, log: int = 0,
    ) -> None:  # fmt: skip
        self.system = system
        self.parameters = system.parameters.copy()
        self.parameters[[s.P_INTERVAL, s.P_CHASE, s.P_WIDTH]] = interval, int(chase), width
        par = self.parameters
        channels, banks = int(par[s.P_CHANNELS]), int(par[s.P_ALL_BANKS])
        nodes = banks + int(par[s.P_RANKS] * (par[s.P_GROUPS] + 1))
        columns = s.B_QUEUE + 4 * int(par[s.P_QUEUE])
        waiting = int(par[s.P_READS] + par[s.P_WRITES]) + banks
        self.chan = np.zeros((channels + 1, s.C_SIZE), np.int64)
        self.node = np.zeros((channels, nodes, columns), np.int64)
        self.slot = np.zeros((channels, waiting, s.S_SIZE), np.int64)
        self.probe = np.zeros((channels, 2, s.PROBES), np.int64)
        self.words = np.zeros(capacity, np.int64)
        self.times = np.zeros((s.TIMES, capacity), np.int64)
        self.log = np.zeros((log, 4), np.int64)
        self._reset(banks)

    def _reset(self, banks: int) -> None:
        par, flat = self.parameters, self.parameters[s.P_PROFILE] == s.RAMULATOR2
        # Ramulator counts the clock up before it looks at it.
        first = int(par[s.P_REFRESH]) - int(flat)
        self.chan[:-1, s.C_REFRESH] = first
        self.chan[:-1, s.C_NEXT] = first
        self.chan[:-1, s.C_REFRESHING] = -1
        self.chan[-1, [s.E_LAST_READ, s.E_DECODED]] = -1
        self.slot[:, :, s.S_NEXT] = np.arange(1, self.slot.shape[1] + 1)
        self.slot[:, -1, s.S_NEXT] = -1
        empty = [
            s.B_ROW, s.B_HEAD_RD, s.B_HEAD_WR, s.B_TAIL_RD, s.B_TAIL_WR, s.B_HIT_RD, s.B_HIT_WR,
            s.B_MISS_RD, s.B_MISS_WR, s.B_ACTIVE, s.B_BY,
        ]  # fmt: skip
        self.node[:, :banks, empty] = -1

    @property
    def arrays(self) -> tuple[Ints, Ints, Ints, Ints, Ints, Ints, Ints, Ints]:
        """What the kernel ``accelsim.sim._core.dram_engine.advance`` takes before ``until``.

        A kernel pushes a request with ``words[n], times[ARRIVAL, n] = word, clock`` and
        ``chan[-1, E_COUNT] = n + 1``.
        """
        return (
            self.parameters, self.chan, self.node, self.slot, self.probe, self.words, self.times,
            self.log,
        )  # fmt: skip

    @property
    def count(self) -> int:
        """Requests pushed so far."""
        return int(self.chan[-1, s.E_COUNT])

    @property
    def clock(self) -> int:
        """The first clock that has not been simulated."""
        return int(self.chan[-1, s.E_CLOCK])

    def push(self, words: Words, arrival: int | Ints = 0) -> range:
        """Append requests; return their numbers.

        Args:
            words: byte addresses; bit 63 is set for a write.
            arrival: from which clock on each may be accepted.

        Raises:
            RunError: more requests than the capacity.
        """
        first, after = self.count, self.count + len(words)
        if after > len(self.words):
            raise RunError(f"a stream for {len(self.words)} requests was given {after}")
        self.words[first:after] = words.view(np.int64)
        self.times[s.ARRIVAL, first:after] = arrival
        self.chan[-1, s.E_COUNT] = after
        return range(first, after)

    def advance(self, until: int | None = None) -> int:
        """Simulate up to a clock (exclusive), or until every request is done.

        Returns:
            The first clock that has not been simulated.
        """
        return self.step(int(s.NEVER) if until is None else until, stops=until is None)

    def step(self, until: int, *, stops: bool) -> int:
        """Simulate up to a clock, or less far where ``stops`` and every request is done."""
        from accelsim.sim._core.dram_engine import advance

        self.chan[-1, s.E_STOPS] = int(stops)
        return int(advance(*self.arrays, until))

    def ends(self) -> Ints:
        """Return the clock at which each request was done; negative: it is not done yet."""
        done = self.times[s.DONE, : self.count].copy()
        done[int(self.chan[-1, s.E_NEXT]) :] = s.PENDING
        return done

    def commands(self) -> npt.NDArray[Any]:
        """Return the log: clock, command, bank counted over all channels, row."""
        return self.log[: min(int(self.chan[-1, s.E_LOGGED]), len(self.log))]
