"""DRAM held to two simulators: cycles and read latency per trace and configuration.

Of a folder, ``dramsim3.csv`` and ``ramulator2.csv`` name configuration, trace, interval, chase,
width and number of requests per row; ``*_params.csv`` hold the parameters of every configuration.
All may carry the prefix ``open_``. The result columns are ``cycles`` and ``avg_read_lat_cyc``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from accelsim.errors import FileError, Mistake, nearest
from accelsim.validate import dram_knockouts
from accelsim.validate.goals import goal
from accelsim.validate.result import Result
from accelsim.validate.score import percent_set
from accelsim.validate.subject import Key, Prediction, Progress, find_file, number, read_rows
from accelsim.validate.traces import SUITE

if TYPE_CHECKING:
    from accelsim.sim.dram.stream import Stream
    from accelsim.sim.dram.system import DramSystem

#: Tables, and whose controller each measures.
SIMULATORS = ("dramsim3", "ramulator2")
#: Metric, name of its sets.
METRICS = {"cycles": "cycles", "avg_read_lat_cyc": "latency"}
_INPUTS = ("config", "trace", "interval", "chase", "width", "requests")
_PARAMETERS = ("config", "section", "param", "value")


class Dram:
    """The subject ``dram``."""

    name = "dram"
    folder = "dram"

    def predict(self, folder: Path, progress: Progress) -> Iterator[Prediction]:
        """Yield cycles and read latency of every row of both tables."""
        for simulator in SIMULATORS:
            path = find_file(folder, simulator)
            if path is None:
                continue
            rows = read_rows(path, _INPUTS)
            systems = _systems(folder, simulator)
            _check(path, rows, systems)
            for place, row in enumerate(rows):
                progress(f"traces of {simulator}", place, len(rows))
                cycles, latency = _run(systems[row["config"]], row)
                yield Prediction(path.name, place, "cycles", cycles)
                yield Prediction(path.name, place, "avg_read_lat_cyc", latency)
        if find_file(folder, dram_knockouts.STEM) and find_file(folder, "dramsim3_params"):
            yield from dram_knockouts.predict(folder, _systems(folder, "dramsim3"), progress)

    def compare(self, folder: Path, predicted: Mapping[Key, float | int]) -> tuple[Result, ...]:
        """Return a set per simulator, configuration and metric; colliding streams are their own."""
        found: list[Result] = []
        for simulator in SIMULATORS:
            path = find_file(folder, simulator)
            if path is None:
                continue
            pairs: dict[
                tuple[str, str], list[tuple[Mapping[str, object], float | None, float]]
            ] = {}
            for place, row in enumerate(read_rows(path, _INPUTS)):
                for metric, kind in METRICS.items():
                    measured = number(row, metric)
                    if measured is None:
                        continue
                    trace = SUITE.get(row["trace"])
                    part = "streams" if trace is not None and trace.colliding else kind
                    where = {
                        "file": path.name,
                        "row": place,
                        "trace": row["trace"],
                        "metric": metric,
                    }
                    value = predicted.get((path.name, place, metric))
                    pairs.setdefault((row["config"], part), []).append((where, value, measured))
            found += [
                percent_set(f"{simulator}/{config}/{part}", rows, goal("dram", part))
                for (config, part), rows in pairs.items()
            ]
        return (*found, *dram_knockouts.compare(folder, predicted))


def _systems(folder: Path, simulator: str) -> dict[str, DramSystem]:
    from accelsim.sim.dram import peers

    path = find_file(folder, f"{simulator}_params")
    if path is None:
        where = str(folder / f"{simulator}_params.csv")
        raise FileError([Mistake(where, "", f"missing: the parameters that {simulator}.csv needs")])
    build = peers.dramsim3 if simulator == "dramsim3" else peers.ramulator2
    named = peers.configurations(read_rows(path, _PARAMETERS))
    return {name: build(name, sections) for name, sections in named.items()}


def _check(path: Path, rows: list[dict[str, str]], systems: Mapping[str, DramSystem]) -> None:
    mistakes = []
    for place, row in enumerate(rows):
        where = f"{path}:{place + 2}:1"  # the header is line 1
        for column, known in (("config", systems), ("trace", SUITE)):
            if row[column] not in known:
                what = f"unknown {column} {row[column]!r}{nearest(row[column], known)}"
                mistakes.append(Mistake(where, column, what))
        for column in ("interval", "chase", "width", "requests"):
            least = 1 if column in ("width", "requests") else 0
            if not row[column].isdigit() or int(row[column]) < least:
                what = f"found {row[column]!r}; a whole number from {least} is needed"
                mistakes.append(Mistake(where, column, what))
    if mistakes:
        raise FileError(mistakes)


@cache
def _words(trace: str, count: int, size: int) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
    return SUITE[trace].make(count, size)


def _run(system: DramSystem, row: Mapping[str, str]) -> tuple[int, float]:
    """Return cycles and mean latency of a row, as its table measures them."""
    from accelsim.sim.dram.replay import replay

    words = _words(row["trace"], int(row["requests"]), system.request_bytes)
    interval, chase = int(row["interval"]), row["chase"] == "1"
    found = replay(system, words, interval, chase, int(row["width"]))
    if system.controller.profile == "ramulator2" and found.reads < found.requests:
        return _with_writes(found.stream)
    return found.cycles, found.latency.mean or 0.0


def _with_writes(stream: Stream) -> tuple[int, float]:
    """Return what the driver of the Ramulator measurements reports where a trace writes.

    It counts a write when it is accepted and again when it reaches the array, so it stops as soon
    as all requests are accepted and that many ends were counted; its latencies hold the writes
    that reached the array by then. Every such row of the table shows this, to the clock.
    """
    from accelsim.sim._core import dram_state as s

    accepted, done, written = stream.times[[s.ACCEPTED, s.DONE, s.WRITTEN]]
    writes = stream.words < 0
    reached = written[writes & (written > 0)]
    ends = np.sort(np.concatenate([done, reached]))
    stop = max(int(accepted.max()), int(ends[len(done) - 1]))
    reads = (done - accepted)[~writes & (done <= stop)]
    served = (written - accepted)[writes & (written > 0) & (written <= stop)]
    clocks = np.concatenate([reads, served])
    return stop + 1, float(clocks.mean()) if len(clocks) else 0.0


SUBJECT = Dram()
