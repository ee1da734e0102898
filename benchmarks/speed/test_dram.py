"""Command-level DRAM on one core: the traces that both peers were timed with."""

from __future__ import annotations

import csv
import os
import statistics
import time
from pathlib import Path

import pytest

from accelsim.sim.dram import peers
from accelsim.sim.dram.stream import Stream
from accelsim.sim.dram.system import DramSystem
from accelsim.validate.subject import read_rows
from accelsim.validate.traces import Words, random, sequential, sequential_mix
from benchmarks.speed.conftest import Table

REFERENCE = Path(os.environ.get("ACCELSIM_REFERENCE", "")) / "dram"
#: Goals in ns per request: 3 M/s in the geometric mean, 1.5 M/s at worst, 20 M/s sequential.
_MEAN, _WORST, _SEQUENTIAL = 1e3 / 3, 1e3 / 1.5, 1e3 / 20
_WIDTHS = {"hbm2_8ch": 8, "hbm2_2000_1ch": 2}


def trace_of(kind: str, count: int, size: int) -> Words:
    if kind == "mix":
        return sequential_mix(count, size, 11, 33)
    return sequential(count, size) if kind == "seq" else random(count, size, 1)


def nanoseconds(system: DramSystem, words: Words, width: int) -> float:
    """Return the best of three runs, per request."""
    best = float("inf")
    for _ in range(3):
        stream = Stream(system, len(words), width=width)
        stream.push(words)
        start = time.thread_time()
        stream.advance()
        best = min(best, time.thread_time() - start)
    return best / len(words) * 1e9


@pytest.mark.skipif(not REFERENCE.is_dir(), reason="ACCELSIM_REFERENCE is not set")
def test_peers_traces(table: Table) -> None:
    systems: dict[tuple[str, str], DramSystem] = {}
    for name, build in (("dramsim3", peers.dramsim3), ("ramulator2", peers.ramulator2)):
        named = peers.configurations(read_rows(REFERENCE / f"open_{name}_params.csv", ["config"]))
        systems |= {(name[:4], config): build(config, parts) for config, parts in named.items()}
    taken: dict[str, list[float]] = {"seq": [], "mix": [], "rand": []}
    theirs = []
    with (REFERENCE / "open_peer_speed.csv").open() as file:
        for row in csv.DictReader(file):
            system = systems[row["simulator"].lower()[:4], row["config"]]
            words = trace_of(row["trace"], int(row["requests"]), system.request_bytes)
            width = _WIDTHS.get(row["config"], 1)
            taken[row["trace"]].append(nanoseconds(system, words, width))
            theirs.append(1e6 / float(row["kreq_per_cpu_s"]))
    every = [each for part in taken.values() for each in part]
    peer = statistics.geometric_mean(theirs)
    table.add("DRAM request, geometric mean", statistics.geometric_mean(every), _MEAN, peer, "ns")
    table.add("DRAM request, slowest trace", max(every), _WORST, max(theirs), "ns")
    mean = statistics.geometric_mean(taken["seq"])
    table.add("DRAM request, sequential", mean, _SEQUENTIAL, min(theirs), "ns")
