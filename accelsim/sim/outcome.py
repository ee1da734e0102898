"""One plan timed: by its closed form, tile by tile, or clock by clock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from accelsim.errors import InputError
from accelsim.jit import Ints
from accelsim.mapping._core import layout as at
from accelsim.mapping._core.steps import W_ARRAY, W_READ, W_SUMS, W_VECTOR, W_WRITTEN
from accelsim.mapping.plan import Plan, bank_times, total_port_ps
from accelsim.sim import tiled
from accelsim.sim._core import engine
from accelsim.sim.cycle import run_plan
from accelsim.sim.memory import Dram
from accelsim.sim.result import STALLS

Fidelity = Literal["analytical", "tile", "cycle"]
FIDELITIES: tuple[Fidelity, ...] = ("analytical", "tile", "cycle")


@dataclass(frozen=True)
class Counters:
    """What moved, in bits; the same plan moves the same bits at every fidelity.

    Attributes:
        links: loaded and stored over each link, from the nearest level outward.
        port_read, port_written: accesses of array and vector unit to the nearest level.
        sums: traffic of accumulator memory.
    """

    links: tuple[tuple[int, int], ...]
    port_read: int
    port_written: int
    sums: int


@dataclass(frozen=True)
class Outcome:
    """Timing of one workload, dispatch included.

    Attributes:
        end_ps: when its last store is done.
        compute_cycles: cycles in which its main unit (array, or vector unit) works.
        stalls_ps: the rest of the time by cause.
        busy_ps: busy time per resource: compute or vector, dram, sram, overhead.
        counters: what moved.
        spans, steps: transfers and unit times of the tile engine, for the trace; else None.
    """

    end_ps: int
    compute_cycles: int
    stalls_ps: Mapping[str, int]
    busy_ps: Mapping[str, int]
    counters: Counters
    spans: Ints | None = None
    steps: Ints | None = None


def counters(plan: Plan) -> Counters:
    """Count what a plan moves."""
    bits, work = plan.steps.bits, plan.steps.work
    links = tuple((int(link[:3].sum()), int(link[3].sum())) for link in bits)
    return Counters(
        links,
        int(work[:, W_READ].sum()),
        int(work[:, W_WRITTEN].sum()),
        int(work[:, W_SUMS].sum()),
    )


def time_plan(plan: Plan, fidelity: Fidelity, dram: Dram) -> Outcome:
    """Time a plan at a fidelity; ``dram`` is the chip's main memory."""
    if fidelity == "cycle":
        return _cycle(plan, dram)
    return _tile(plan, dram) if fidelity == "tile" else _analytical(plan)


#: Clocks of an op by closed form, and bytes over its outermost link, up to which it is clocked.
_MOST_CLOCKS, _MOST_BYTES = 20_000_000, 256 << 20


def _cycle(plan: Plan, dram: Dram) -> Outcome:
    clocks = int(plan.latency_ps / plan.machine.ps_per_cycle)
    if clocks > _MOST_CLOCKS or plan.traffic[-1] > 8 * _MOST_BYTES:
        raise InputError(
            f"an op of about {clocks:,} cycles that moves {plan.traffic[-1] // 8:,} bytes is too "
            f"large for --fidelity cycle: up to {_MOST_CLOCKS:,} cycles and {_MOST_BYTES:,} bytes "
            "are run clock by clock; use tile"
        )
    chip = run_plan(plan, dram.memory())
    ps = chip.ps_per_cycle
    stalls = {cause: round(clocks * ps) for cause, clocks in zip(STALLS, chip.stalls, strict=True)}
    links = [round(clocks * ps) for clocks in chip.busy]
    cycles = int(chip.work[:, W_ARRAY].sum())
    vector = int(np.ceil(plan.steps.work[:, W_VECTOR].sum() * 1e-3 * ps))
    busy = _busy(plan, int(np.ceil(cycles * ps)), vector, links, stalls)
    return Outcome(round(chip.end * ps), cycles, stalls, busy, counters(plan))


def _tile(plan: Plan, dram: Dram) -> Outcome:
    machine = plan.machine
    result, spans, steps = tiled.run(plan, dram, *tiled.sampled(plan, dram))
    stalls = {
        cause: int(ps) for cause, ps in zip(STALLS, result[engine.RES_STALL0 :], strict=False)
    }
    links = [int(ps) for ps in result[engine.RES_LINK0 :][: machine.levels_used]]
    busy = _busy(plan, int(result[engine.RES_ARRAY]), int(result[engine.RES_VECTOR]), links, stalls)
    cycles = int(plan.steps.work[:, W_ARRAY].sum())
    return Outcome(int(result[engine.RES_END]), cycles, stalls, busy, counters(plan), spans, steps)


def _busy(
    plan: Plan, main: int, vector: int, links: list[int], stalls: Mapping[str, int]
) -> Mapping[str, int]:
    compute = {"compute": main, "vector": vector} if plan.steps.on_array else {"vector": main}
    port = int(total_port_ps(plan.machine, plan.steps))
    banks = [int(ps) for ps in bank_times(plan.machine, plan.steps)]
    return {
        **compute,
        "dram": links[-1],
        "sram": max([port, *banks, *links[:-1]]),
        "overhead": stalls["overhead"],
    }


def _analytical(plan: Plan) -> Outcome:
    machine = plan.machine
    rates, work = machine.rates, plan.steps.work
    per_cycle = float(rates[at.R_PS_PER_CYCLE])
    cycles = int(work[:, W_ARRAY].sum())
    main = int(np.ceil(cycles * per_cycle))
    vector = int(np.ceil(work[:, W_VECTOR].sum() * 1e-3 * per_cycle))
    links = [
        int(np.ceil(float(moved) * rates[at.R_LINK0 + link]))
        for link, moved in enumerate(plan.traffic)
    ]
    overhead = int(rates[at.R_OVERHEAD] + rates[at.R_TILE] * work.shape[0])
    drain = int(np.ceil(plan.steps.drain_cycles * per_cycle))
    stalls = dict.fromkeys(STALLS, 0)
    stalls["overhead"] = min(overhead, max(0, plan.latency_ps - main))
    left = max(0, plan.latency_ps - main - overhead)
    stalls["fill_drain"] = min(drain, left)
    busy = _busy(plan, main, vector, links, stalls)
    # What is left is charged to the slowest of what the main unit waits for.
    waits = {"dram": busy["dram"], "sram": busy["sram"]}
    if plan.steps.on_array:
        waits["vector"] = vector
    stalls[max(waits, key=lambda cause: waits[cause])] += left - stalls["fill_drain"]
    return Outcome(plan.latency_ps, cycles, stalls, busy, counters(plan))


def bound_by(busy: Mapping[str, int]) -> str:
    """Return the resource that is busy longest: one of ``sim.result.BOUNDS``."""
    return max(busy, key=lambda name: busy[name])
