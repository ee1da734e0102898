"""What answers the DMA's requests in the ``cycle`` fidelity: a memory, one quantum at a time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from accelsim.errors import InputError, UnknownNameError
from accelsim.jit import Floats, Ints
from accelsim.spec.arch import ArchSpec


class Memory(Protocol):
    """A memory that takes requests with a time and says when each is done.

    Attributes:
        request_bytes: what one request moves.
        path_ps: from the memory's answer to the chip; what is sent now is never answered before.
    """

    request_bytes: int
    path_ps: int

    def reset(self, words: Ints) -> None:
        """Forget everything; ``words`` are all requests that may be sent, top bit set: a write."""
        ...

    def send(self, which: Ints, at_ps: Floats) -> None:
        """Take requests in the order in which they are sent, each at its time."""
        ...

    def answers(self, until_ps: float) -> tuple[Ints, Floats]:
        """Return the requests that reach the chip before a time, each once, and when they do."""
        ...


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast a DRAM answers one plan's requests.

    Attributes:
        request_ps: time per request of a stream that never stops.
        apart_ps: the same when reads and writes come apart, so that the bus need not turn around.
        cold_ps: what the beginning takes longer, until rows are open and the stream flows.
        absorbed_ps: how long the writes take to drain that the controller has room for.
        refresh_ps: how long a refresh stops everything; 0: it is part of ``request_ps``.
        refresh_every_ps: from one refresh to the next.
    """

    request_ps: float
    apart_ps: float
    cold_ps: int = 0
    absorbed_ps: int = 0
    refresh_ps: int = 0
    refresh_every_ps: int = 0


class Dram(Protocol):
    """The main memory of a chip, as the engines ask about it.

    Attributes:
        request_bytes: what one request moves.
        channels: that answer independently.
        read_latency_ps: of an idle read, from its request to its first bits.
        write_latency_ps: of a write; it is done when the controller has taken it.
        paces: what is known already, by plan.
    """

    request_bytes: int
    channels: int
    read_latency_ps: int
    write_latency_ps: int
    paces: dict[Any, tuple[Floats, Pace]]

    @property
    def sustained_bytes_per_s(self) -> float:
        """Bandwidth of reads one behind the other, refreshes included."""
        ...

    def memory(self) -> Memory:
        """Return a memory that has seen nothing yet."""
        ...

    def pace(self, words: Ints, first: int) -> Pace:
        """Return how fast a stream of requests is answered.

        Args:
            words: byte addresses, top bit set for a write, as fast as they are taken.
            first: how many of them come before the first pause.
        """
        ...

    def answered(self, words: Ints, at_ps: Floats) -> Floats:
        """Return when the chip has the answers to requests that are sent in order at some times."""
        ...


class SteadyDram:
    """DRAM that is described by a sustained bandwidth and a latency."""

    channels = 1

    def __init__(self, bytes_per_s: float, latency_ps: int, request_bytes: int = 64) -> None:
        self.request_bytes = request_bytes
        self.sustained_bytes_per_s = self._bytes_per_s = bytes_per_s
        self.paces: dict[Any, tuple[Floats, Pace]] = {}
        self.read_latency_ps = self.write_latency_ps = latency_ps

    def memory(self) -> Memory:
        """Return a memory that has seen nothing yet."""
        return SteadyMemory(self._bytes_per_s, self.read_latency_ps, self.request_bytes)

    def pace(self, words: Ints, first: int) -> Pace:
        """Return the time per request, whatever its address."""
        each = 1e12 * self.request_bytes / self._bytes_per_s
        return Pace(each, each)

    def answered(self, words: Ints, at_ps: Floats) -> Floats:
        """Return when the chip has the answers: each request occupies the memory for its bytes."""
        each = 1e12 * self.request_bytes / self._bytes_per_s
        before = each * np.arange(words.size)
        begun = np.maximum.accumulate(at_ps - before) + before
        return np.asarray(begun + each + self.read_latency_ps, np.float64)


def dram_of(arch: ArchSpec) -> Dram:
    """Return the main memory of a chip.

    Raises:
        InputError: a standard or an address mapping that is not known.
    """
    dram = arch.dram
    latency = round(1e12 * dram.latency_s)
    if dram.timing == "sustained":
        return SteadyDram(dram.sustained_bytes_per_s, latency, dram.access_bytes)
    from accelsim.sim.commands import CommandDram
    from accelsim.sim.dram.system import DramSystem

    try:
        known = DramSystem.from_spec(dram)
    except UnknownNameError as error:
        raise InputError(
            f"{arch.name}: dram.standard: {error}; for any other one give dram.timing: sustained"
        ) from error
    controller = replace(known.controller, fair=True)
    return CommandDram(replace(known, mapping=dram.mapping, controller=controller), latency)


class SteadyMemory:
    """A memory with a bandwidth and a latency, for chips whose DRAM is described by these alone."""

    def __init__(self, bytes_per_s: float, latency_ps: int, request_bytes: int = 64) -> None:
        self.request_bytes = request_bytes
        self.path_ps = latency_ps
        self._ps_each = 1e12 * request_bytes / bytes_per_s
        self._free = 0.0
        self._waiting: list[tuple[float, int]] = []

    def reset(self, words: Ints) -> None:
        """Forget everything."""
        self._free, self._waiting = 0.0, []

    def send(self, which: Ints, at_ps: Floats) -> None:
        """Take requests: each occupies the memory for its bytes."""
        for number, at in zip(which.tolist(), at_ps.tolist(), strict=True):
            self._free = max(self._free, at) + self._ps_each
            self._waiting.append((self._free + self.path_ps, number))

    def answers(self, until_ps: float) -> tuple[Ints, Floats]:
        """Return what reaches the chip before a time."""
        count = sum(at < until_ps for at, _ in self._waiting)
        found, self._waiting = self._waiting[:count], self._waiting[count:]
        return (
            np.array([number for _, number in found], np.int64),
            np.array([at for at, _ in found], np.float64),
        )
