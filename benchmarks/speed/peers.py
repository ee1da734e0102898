"""Our time beside a peer's, on one thread, in the same run."""

from __future__ import annotations

import time
from collections.abc import Callable

from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.speed.conftest import Table

#: How often everything is run; the best time counts on both sides.
RUNS = 9


def best_ms(run: Callable[[], object]) -> float:
    """Return the best wall time of a function that has run before, in milliseconds."""
    run()
    found = []
    for _ in range(RUNS):
        start = time.perf_counter()
        run()
        found.append(time.perf_counter() - start)
    return min(found) * 1e3


def compared(
    table: Table, benchmark: BenchmarkFixture, what: str, ours: Callable[[], object],
    theirs: Callable[[], object], goal: float,
) -> None:  # fmt: skip
    """Add a row: our time, the goal as a multiple of the peer's time, and the peer's time."""
    benchmark.pedantic(ours, rounds=RUNS, warmup_rounds=2)
    limit = best_ms(theirs)
    table.add(what, benchmark.stats.stats.min * 1e3, goal * limit, limit, "ms")
