"""A plan: how one workload runs on one chip, and its lowering to flat arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from accelsim.jit import Floats, Ints
from accelsim.mapping._core import layout as at
from accelsim.mapping._core.array import fill_drain_cycles
from accelsim.mapping._core.banks import bank_ps, banks_ps, moving_ps
from accelsim.mapping._core.cost import turnaround_ps
from accelsim.mapping._core.steps import (
    W_ARRAY,
    W_READ,
    W_SIZE,
    W_VECTOR,
    W_WRITTEN,
    unit_bits,
    unit_port_ps,
)
from accelsim.mapping.machine import Machine
from accelsim.mapping.workload import Workload


@dataclass(frozen=True)
class Steps:
    """A plan as tile steps.

    Attributes:
        bits: int64 ``[links, 4, steps]``, loaded per operand (A, W, C) and stored, per link.
        work: int64 ``[steps, W_SIZE]``.
        drain_cycles: from the last operand into the array to the last result out of it.
        on_array: False when the main unit is the vector unit.
    """

    bits: Ints
    work: Ints
    drain_cycles: int
    on_array: bool


def empty_steps(links: int, steps: int) -> tuple[Ints, Ints]:
    """Return zeroed step arrays."""
    return np.zeros((links, 4, steps), np.int64), np.zeros((steps, W_SIZE), np.int64)


@dataclass(frozen=True)
class Plan:
    """How a workload runs.

    Attributes:
        workload, machine: what runs on what.
        choice: int64 vector; its meaning depends on the kind of workload.
        latency_ps: closed-form latency, dispatch included.
        evaluated: plans that the search costed.
        steps: the tile steps.
        traffic: bits over each link, loaded and stored.
        nest: the plan as a loop nest, for people.
        computed_macs: MACs that the array computes, where it computes more than are needed.
        score: what was searched for: latency in ps, energy of data movement in fJ, their product.
        gap: how far the score may lie above the best of the map space, as a part of that; 0 is
            proven to be the best.
    """

    workload: Workload
    machine: Machine
    choice: Ints
    latency_ps: int
    evaluated: int
    steps: Steps
    traffic: tuple[int, ...]
    nest: str
    computed_macs: int = 0
    score: float = 0.0
    gap: float = 0.0


def drain_of(machine: Machine, dataflow: int) -> int:
    """Cycles from the last operand in to the last result out."""
    return int(fill_drain_cycles(machine.vector, dataflow))


def closed_form_ps(machine: Machine, steps: Steps) -> int:
    """Latency of tile steps when every resource overlaps perfectly between first and last tile."""
    rates, work, bits = machine.rates, steps.work, steps.bits
    per_cycle = rates[at.R_PS_PER_CYCLE]
    vector = np.ceil(work[:, W_VECTOR] * 1e-3 * per_cycle)
    occupied = float((np.maximum(main_ps(machine, steps), array_port_ps(machine, steps))).sum())
    occupied += float(rates[at.R_TILE]) * work.shape[0]
    links = bits.shape[0]
    per_bit = rates[at.R_LINK0 : at.R_LINK0 + links]
    moving = link_times(machine, steps)
    busy = [occupied, float(vector.sum()), total_port_ps(machine, steps), *moving]
    for link in range(links):
        spent = moving[link] + (occupied if link == 0 else 0.0)
        loads = int(bits[link, :3].any(axis=0).sum())
        buffers = machine.arch.memories[link].buffers
        busy.append(turnaround_ps(loads, float(rates[at.R_SETUP0 + link]), spent, buffers))
    drain = float(steps.drain_cycles * per_cycle)
    results = int(((work[:, W_VECTOR] > 0) | (bits[0, 3] > 0)).sum())
    held = int(machine.vector[at.C_RESULT_BUFFERS])
    busy.append(turnaround_ps(results, drain, occupied + float(vector.sum()), held))
    setup = float(rates[at.R_SETUP0 : at.R_SETUP0 + links].sum())
    slowest = float(per_bit.max())
    banks = rates[at.R_LINK_BANKS0 :][: at.BANK_GROUPS * links].reshape(links, -1).max(axis=0)
    first = max(float(bits[0, :3, 0].sum()) * slowest, float((bits[0, :3, 0] * banks).max()))
    lead = (setup if bits[:, :3].any() else 0.0) + first
    stored = np.flatnonzero(bits[0, 3])
    last = max(slowest, float(banks[at.OP_C]))
    tail = (setup + float(bits[0, 3, stored[-1]]) * last) if stored.size else 0.0
    tail += drain + float(vector[-1])
    return int(np.ceil(rates[at.R_OVERHEAD] + lead + max(busy) + tail))


def moved_fj(machine: Machine, steps: Steps) -> float:
    """Energy of the data movement of tile steps; 0 where the machine has no costs."""
    if not machine.cost_fj:
        return 0.0
    port = int(steps.work[:, W_READ].sum() + steps.work[:, W_WRITTEN].sum())
    links = [int(link.sum()) for link in steps.bits]
    return float(np.dot(machine.cost_fj[: 1 + len(links)], (port, *links)))


def scored(machine: Machine, latency_ps: int, steps: Steps) -> tuple[float, float]:
    """Return what a search minimizes, and what tells plans of equal score apart."""
    cost = moved_fj(machine, steps)
    orders = {
        "latency": (float(latency_ps), cost),
        "energy": (cost, float(latency_ps)),
        "edp": (cost * latency_ps, float(latency_ps)),
    }
    return orders[machine.objective]


def main_ps(machine: Machine, steps: Steps) -> Floats:
    """Time of the main unit per step."""
    return np.asarray(np.ceil(steps.work[:, W_ARRAY] * machine.rates[at.R_PS_PER_CYCLE]))


def array_port_ps(machine: Machine, steps: Steps) -> Floats:
    """Time of the nearest level's port per step, without the DMA's accesses."""
    found = np.empty(steps.work.shape[0], np.float64)
    unit_port_ps(steps.work, machine.levels, machine.rates, found)
    return found


def total_port_ps(machine: Machine, steps: Steps) -> float:
    """Time of the nearest level's port for the whole op, the DMA's accesses included."""
    whole = steps.work.sum(axis=0)
    dma = tuple(steps.bits[0].sum(axis=1))
    return float(bank_ps(machine.levels, machine.rates, unit_bits(whole), dma))


def link_times(machine: Machine, steps: Steps) -> list[float]:
    """Time of each link, or of the banks at its ends, for the whole op."""
    queues = steps.bits.sum(axis=2)
    return [
        float(moving_ps(machine.levels, machine.rates, link, tuple(moved), 0))
        for link, moved in enumerate(queues)
    ]


def bank_times(machine: Machine, steps: Steps) -> list[float]:
    """Time of the busiest banks at the ends of each link; 0 where all are shared."""
    return [
        float(banks_ps(machine.levels, machine.rates, link, tuple(moved)))
        for link, moved in enumerate(steps.bits.sum(axis=2))
    ]
