"""What answers the DMA's requests in the ``cycle`` fidelity: a memory, one quantum at a time."""

from __future__ import annotations

from typing import Protocol

import numpy as np

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


class Dram(Protocol):
    """The main memory of a chip, as the engines ask about it.

    Attributes:
        request_bytes: what one request moves.
        channels: that answer independently.
    """

    request_bytes: int
    channels: int

    def memory(self) -> Memory:
        """Return a memory that has seen nothing yet."""
        ...

    def ps_per_request(self, words: Ints) -> float:
        """Return the time per request of a stream of them, in the long run."""
        ...


class SteadyDram:
    """DRAM that is described by a sustained bandwidth and a latency."""

    channels = 1

    def __init__(self, bytes_per_s: float, latency_ps: int, request_bytes: int = 64) -> None:
        self.request_bytes = request_bytes
        self._bytes_per_s, self._latency_ps = bytes_per_s, latency_ps

    def memory(self) -> Memory:
        """Return a memory that has seen nothing yet."""
        return SteadyMemory(self._bytes_per_s, self._latency_ps, self.request_bytes)

    def ps_per_request(self, words: Ints) -> float:
        """Return the time per request, whatever its address."""
        return 1e12 * self.request_bytes / self._bytes_per_s


def dram_of(arch: ArchSpec) -> Dram:
    """Return the main memory of a chip."""
    latency = round(1e12 * arch.dram.latency_s)
    return SteadyDram(arch.dram.sustained_bytes_per_s, latency)


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
