"""Sustained bandwidth of access patterns, sampled from the command model."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np

from accelsim.errors import InputError
from accelsim.sim._core.dram_state import ACCEPTED, DONE
from accelsim.sim.dram.stream import WRITE, Stream, Words
from accelsim.sim.dram.system import DramSystem

#: Requests per channel of a sample, and the part of it that is not counted: queues fill first.
_SAMPLE, _WARM = 4096, 512
_GOLDEN = 0x9E3779B97F4A7C15


@dataclass(frozen=True, slots=True)
class Pattern:
    """How memory is walked through.

    Attributes:
        kind: ``sequential``, ``strided`` (segments ``pitch_bytes`` apart, as rows of a tile are)
            or ``random`` (segments anywhere).
        segment_bytes: contiguous bytes; of no influence where sequential.
        pitch_bytes: from the beginning of a segment to that of the next; strided only.
        write_share: share of the segments that are written, to a region of their own.
    """

    kind: Literal["sequential", "strided", "random"] = "sequential"
    segment_bytes: int = 4096
    pitch_bytes: int = 0
    write_share: float = 0.0

    def __post_init__(self) -> None:
        """Check what was given.

        Raises:
            InputError: there is no such pattern.
        """
        if self.kind not in ("sequential", "strided", "random"):
            raise InputError(f"unknown access pattern {self.kind!r}")
        if self.segment_bytes < 1 or self.pitch_bytes < 0 or not 0 <= self.write_share <= 1:
            raise InputError(f"{self}: sizes are positive, and a share lies between 0 and 1")


@lru_cache(maxsize=4096)
def effective_bandwidth(system: DramSystem, pattern: Pattern) -> float:
    """Return the bytes per second that a system sustains; remembered by what it is made of."""
    words = requests_of(system, pattern)
    channels = system.organization.channels
    stream = Stream(system, len(words), width=max(1, 2 * channels))
    stream.push(words)
    stream.advance()
    first = min(_WARM * channels, len(words) // 2)
    ends = np.sort(stream.times[DONE])
    start = int(stream.times[ACCEPTED, 0]) if first == 0 else int(ends[first - 1])
    clocks = max(1, int(ends[-1]) - start)
    moved = (len(words) - first) * system.request_bytes
    return float(min(system.peak_bytes_per_s, moved / (clocks * system.tck_ns) * 1e9))


def sustained_share(system: DramSystem, pattern: Pattern) -> float:
    """Return the sustained share of the peak bandwidth."""
    return effective_bandwidth(system, pattern) / system.peak_bytes_per_s


def requests_of(system: DramSystem, pattern: Pattern) -> Words:
    """Return the requests that a pattern is sampled with."""
    size = system.request_bytes
    count = _SAMPLE * system.organization.channels
    per = max(1, -(-pattern.segment_bytes // size))
    segment, inside = np.divmod(np.arange(count, dtype=np.int64), per)
    share = pattern.write_share
    writes = np.floor((segment + 1) * share) > np.floor(segment * share)
    half = system.size_bytes // 2
    if pattern.kind == "sequential":
        at = np.arange(count, dtype=np.int64) * size
    elif pattern.kind == "strided":
        at = segment * max(pattern.pitch_bytes, per * size) // size * size + inside * size
    else:
        with np.errstate(over="ignore"):
            mixed = (segment.astype(np.uint64) + np.uint64(1)) * np.uint64(_GOLDEN)
            mixed = (mixed ^ (mixed >> np.uint64(29))) * np.uint64(0xBF58476D1CE4E5B9)
        places = (mixed >> np.uint64(11)) % np.uint64(max(1, half // (per * size)))
        at = places.astype(np.int64) * per * size + inside * size
    at = at % half + np.where(writes, half, 0)
    return at.astype(np.uint64) | np.where(writes, np.uint64(WRITE), np.uint64(0))
