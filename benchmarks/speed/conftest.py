"""One table at the end: what was measured, its goal, and the limit of the same run."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import pytest


@dataclass
class Table:
    """Rows of the table."""

    rows: list[tuple[str, str, str, str, str]] = field(default_factory=list)

    def add(self, what: str, got: float, goal: float, limit: float, unit: str) -> None:
        """Add a figure with its goal and its limit, all in one unit."""
        verdict = "reached" if got <= goal else "MISSED"
        self.rows.append(
            (
                what,
                f"{got:,.3g} {unit}",
                f"{goal:,.3g} {unit} ({verdict})",
                f"{limit:,.3g} {unit}",
                f"{got / limit:.1f}x",
            )
        )


_TABLE = Table()


@pytest.fixture
def table() -> Table:
    """Return the table of the session."""
    return _TABLE


@pytest.fixture
def one_thread(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Run kernels and torch on one thread."""
    torch = pytest.importorskip("torch")
    monkeypatch.setenv("ACCELSIM_THREADS", "1")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def run_python() -> Callable[[Sequence[str]], tuple[float, float]]:
    """Return a function that runs the interpreter and gives wall seconds and peak memory in MB."""
    return python_cost


def python_cost(arguments: Sequence[str]) -> tuple[float, float]:
    """Best wall time of three runs in seconds, and the largest peak memory in MB."""
    best, peak = float("inf"), 0.0
    for _ in range(3):
        start = time.perf_counter()
        with subprocess.Popen([sys.executable, *arguments], stdout=subprocess.DEVNULL) as child:
            _, status, usage = os.wait4(child.pid, 0)
            child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            raise RuntimeError(f"{arguments} ended with {child.returncode}")
        best = min(best, time.perf_counter() - start)
        peak = max(peak, usage.ru_maxrss / 1024)
    return best, peak


@pytest.hookimpl(wrapper=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> Iterator[None]:
    """Print the table below pytest's own report."""
    yield
    if not _TABLE.rows:
        return
    heads = ("what", "measured", "goal", "limit of this run", "of limit")
    widths = [max(len(row[i]) for row in (*_TABLE.rows, heads)) for i in range(len(heads))]
    terminalreporter.section("speed and memory")
    for row in (heads, *_TABLE.rows):
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        terminalreporter.write_line(line)
