"""Every check of the timing model in one table, and tile over cycle as a picture.

``python -m benchmarks.validation.timing -o DIR`` writes ``timing.csv``, ``tile_over_cycle.csv`` and
``tile_over_cycle.svg``, prints the table and exits with 1 when a goal is missed. What is compared
with other tools' results needs ``ACCELSIM_REFERENCE``; without it those lines are left out.
"""

from __future__ import annotations

import argparse
import csv
import os
import statistics
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from accelsim import api
from accelsim.mapping._core.steps import W_ARRAY
from accelsim.mapping.plan import Plan
from accelsim.mapping.search import plan
from accelsim.mapping.workload import (
    AttentionWorkload,
    GemmWorkload,
    StreamWorkload,
    Workload,
)
from accelsim.report.plots.scatter import plot_scatter
from accelsim.report.style import save
from accelsim.sim.cycle import clocked_work, run_plan
from accelsim.sim.memory import dram_of
from accelsim.sim.outcome import time_plan
from accelsim.spec.arch import ArchSpec
from accelsim.spec.load import load_arch

#: Chips, and a pair of formats that each multiplies.
CHIPS = {"edge_npu": ("int8", 8), "cloud_npu": ("int8", 8), "tpu_v4": ("bf16", 16)}
#: Largest mean and single error of tile against cycle, in percent.
MEAN_GOAL, WORST_GOAL = 3.0, 8.0


@dataclass(frozen=True, slots=True)
class Compared:
    """One small op at both fidelities, in cycles of the chip."""

    chip: str
    kind: str
    tile: float
    cycle: int
    roofline: float
    array_equal: bool

    @property
    def error_pct(self) -> float:
        """How far tile lies above cycle."""
        return 100 * (self.tile / self.cycle - 1)


def _size(rng: np.random.Generator, low: int, high: int) -> int:
    return int(2 ** rng.uniform(np.log2(low), np.log2(high)))


def gemm(chip: str, m: int, n: int, k: int) -> GemmWorkload:
    """Return a matrix product in the chip's narrowest formats, its output in the same."""
    name, bits = CHIPS[chip]
    return GemmWorkload(
        1, m, n, k, name, name, m * k * bits, n * k * bits, m * n * bits, 0, bits, False, False,
        0, (),
    )  # fmt: skip


def small_ops(chip: str, count: int, seed: int) -> Iterator[tuple[str, Workload]]:
    """Yield random small ops: seven in ten products, the rest vector work and attention."""
    rng = np.random.default_rng(seed)
    name, bits = CHIPS[chip]
    for number in range(count):
        if number % 10 < 7:
            yield "gemm", gemm(chip, *(_size(rng, 8, 512) for _ in range(3)))
        elif number % 10 < 9:
            elements = _size(rng, 1 << 10, 1 << 17)
            work = (("add", elements), ("mul", elements))
            yield "vector", StreamWorkload(16 * elements, 16 * elements, 1 << 6, work)
        else:
            units, queries, keys = _size(rng, 1, 8), _size(rng, 16, 128), _size(rng, 16, 256)
            scores = (("exp", units * queries * keys), ("sub", units * queries * keys))
            yield "attention", AttentionWorkload(
                units, 1, queries, keys, 64, 64, False, 0, name, name,
                units * queries * 64 * bits, 0, 0, 1, scores, (("mul", units * queries * 64),),
            )  # fmt: skip


def compared(chip: str, count: int, seed: int) -> Iterator[Compared]:
    """Run small ops of a chip at both fidelities."""
    arch = load_arch(chip)
    dram = dram_of(arch)
    for kind, workload in small_ops(chip, count, seed):
        found = plan(workload, arch, kind)
        clocked = run_plan(found, dram.memory())
        tile = time_plan(found, "tile", dram).end_ps / clocked.ps_per_cycle
        equal = bool((clocked_work(found)[:, W_ARRAY] == found.steps.work[:, W_ARRAY]).all())
        yield Compared(chip, kind, tile, clocked.end, _roofline(found, arch), equal)


def _roofline(found: Plan, arch: ArchSpec) -> float:
    """Cycles that neither arrays at their peak nor DRAM at its peak can go below."""
    moved = found.traffic[-1] / 8 / arch.dram.bandwidth_bytes_per_s * arch.clock_hz
    workload = found.workload
    if not isinstance(workload, GemmWorkload):
        return moved
    macs = workload.batch * workload.m * workload.n * workload.k
    peak = arch.peak_macs_per_s(workload.activation, workload.weight) / arch.clock_hz
    return max(moved, macs / peak)


#: A line of the table: what, rows, what was found, the goal, whether it is reached.
Line = tuple[str, int, str, str, bool]


def lines_of(rows: Sequence[Compared]) -> Iterator[Line]:
    """Yield the lines that need no reference."""
    for chip in CHIPS:
        sizes = [abs(row.error_pct) for row in rows if row.chip == chip]
        mean, worst = statistics.fmean(sizes), max(sizes)
        found = f"mean {mean:.2f} %, worst {worst:.2f} %"
        reached = mean <= MEAN_GOAL and worst <= WORST_GOAL
        goal = f"mean {MEAN_GOAL:g} %, worst {WORST_GOAL:g} %"
        yield f"tile against cycle, {chip}", len(sizes), found, goal, reached
    wrong = sum(not row.array_equal for row in rows)
    yield "array cycles against the clocked array", len(rows), f"{wrong} differ", "0", wrong == 0
    below = min(min(row.tile, row.cycle) / max(row.roofline, 1e-9) for row in rows)
    yield "latency over roofline", len(rows), f"at least {below:.3f}", "1", below >= 1


def reference_lines(folder: Path) -> Iterator[Line]:
    """Yield a line per subject of ``accelsim validate``."""
    for what in ("array", "dram", "mapping"):
        found = api.validate(what, folder / what)
        passed = sum(one.passed for one in found.sets)
        count = sum(one.rows for one in found.sets)
        total = len(found.sets)
        yield f"validate {what}", count, f"{passed} of {total} sets", "all", found.passed


def main(arguments: Sequence[str] | None = None) -> int:
    """Write and print everything."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output-dir", type=Path, required=True)
    parser.add_argument("--ops", type=int, default=40, help="small ops per chip")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args(arguments)
    rows: list[Compared] = []
    for chip in CHIPS:
        sys.stderr.write(f"{chip}: {asked.ops} small ops, clock by clock ...\n")
        rows += compared(chip, asked.ops, asked.seed)
    table = list(lines_of(rows))
    reference = os.environ.get("ACCELSIM_REFERENCE")
    if reference:
        table += reference_lines(Path(reference))
    asked.output_dir.mkdir(parents=True, exist_ok=True)
    _write(asked.output_dir, rows, table)
    for what, count, found, goal, reached in table:
        mark = "reached" if reached else "MISSED"
        sys.stdout.write(f"{what:40} {count:6d}  {found:30} goal {goal:24} {mark}\n")
    return 0 if all(line[-1] for line in table) else 1


def _write(folder: Path, rows: Sequence[Compared], table: Sequence[Line]) -> None:
    with (folder / "tile_over_cycle.csv").open("w", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(("chip", "op", "tile_cycles", "cycle_cycles", "error_pct", "roofline"))
        for row in rows:
            figures = (round(row.tile, 3), row.cycle, round(row.error_pct, 3))
            writer.writerow((row.chip, row.kind, *figures, round(row.roofline, 1)))
    with (folder / "timing.csv").open("w", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(("what", "rows", "found", "goal", "reached"))
        writer.writerows(table)
    sets = {
        chip: [(row.tile, float(row.cycle)) for row in rows if row.chip == chip] for chip in CHIPS
    }
    axes = plot_scatter("Cycles of small ops: tile engine over the clocked chip", sets)
    axes.set_xlabel("cycle: clocked array and command-level DRAM")
    axes.set_ylabel("tile")
    save(axes, folder / "tile_over_cycle.svg")


if __name__ == "__main__":
    raise SystemExit(main())
