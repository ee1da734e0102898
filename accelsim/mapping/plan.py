"""A plan: how one workload runs on one chip, and its lowering to flat arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from accelsim.jit import Ints
from accelsim.mapping._core import layout as at
from accelsim.mapping._core.array import fill_drain_cycles
from accelsim.mapping._core.steps import W_SIZE
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
    """

    workload: Workload
    machine: Machine
    choice: Ints
    latency_ps: int
    evaluated: int
    steps: Steps
    traffic: tuple[int, ...]
    nest: str


def drain_of(machine: Machine, dataflow: int) -> int:
    """Cycles from the last operand in to the last result out."""
    return int(fill_drain_cycles(machine.vector, dataflow))


def closed_form_ps(machine: Machine, steps: Steps) -> int:
    """Latency of tile steps when every resource overlaps perfectly between first and last tile."""
    rates, work, bits = machine.rates, steps.work, steps.bits
    ports = machine.arch.memories[0].ports
    main = np.ceil(work[:, 0] * rates[at.R_PS_PER_CYCLE])
    read, written = work[:, 1], work[:, 2]
    port = np.ceil(_port(ports, read, written) * rates[at.R_PORT0])
    vector = np.ceil(work[:, 3] * 1e-3 * rates[at.R_PS_PER_CYCLE])
    dma_read, dma_written = bits[0, 3].sum(), bits[0, :3].sum()
    busy = [
        float((np.maximum(main, port) + rates[at.R_TILE]).sum()),
        float(vector.sum()),
        float(_port(ports, read.sum() + dma_read, written.sum() + dma_written) * rates[at.R_PORT0]),
    ]
    links = bits.shape[0]
    per_bit = rates[at.R_LINK0 : at.R_LINK0 + links]
    moving = [float(b * r) for b, r in zip(bits.sum(axis=(1, 2)), per_bit, strict=True)]
    used = [max(moving[0], busy[0]), *moving[1:]]
    busy += moving + [_turnaround(machine, bits, link, used[link]) for link in range(links)]
    setup = float(rates[at.R_SETUP0 : at.R_SETUP0 + links].sum())
    lead = (setup if bits[:, :3].any() else 0.0) + float(bits[0, :3, 0].sum()) * per_bit.max()
    stored = np.flatnonzero(bits[0, 3])
    last = float(bits[0, 3, stored[-1]]) if stored.size else 0.0
    tail = (setup if stored.size else 0.0) + last * float(per_bit.max()) + float(vector[-1])
    tail += steps.drain_cycles * rates[at.R_PS_PER_CYCLE]
    return int(np.ceil(rates[at.R_OVERHEAD] + lead + max(busy) + tail))


def _turnaround(machine: Machine, bits: Ints, link: int, used: float) -> float:
    """Time when buffers limit: each waits for its transfer to be set up, is filled and is used."""
    waits = int((bits[link, :3].sum(axis=0) > 0).sum())
    if waits < 2:
        return 0.0
    setup = float(machine.rates[at.R_SETUP0 + link])
    return (waits * setup + used) / machine.arch.memories[link].buffers


def _port(ports: int, read: Ints | int, written: Ints | int) -> Ints:
    return np.asarray(np.maximum(read, written) if ports == 2 else np.add(read, written))
