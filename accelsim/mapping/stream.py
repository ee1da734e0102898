"""Plans of vector work and of plain movement: data flows through once, chunk by chunk."""

from __future__ import annotations

import numpy as np

from accelsim.errors import MappingError
from accelsim.jit import Ints
from accelsim.mapping._core import layout as at
from accelsim.mapping._core.steps import W_ARRAY, W_READ, W_WRITTEN
from accelsim.mapping.machine import Machine
from accelsim.mapping.plan import Plan, Steps, closed_form_ps, empty_steps, scored
from accelsim.mapping.workload import StreamWorkload

#: Finest cut that is tried.
_MOST_CHUNKS = 1 << 14


def _spread(total: int, chunks: int) -> Ints:
    """Split a whole into nearly equal integers that sum to it."""
    edges = [total * i // chunks for i in range(chunks + 1)]
    found = np.array(edges, dtype=np.int64)
    return found[1:] - found[:-1]


def _steps(workload: StreamWorkload, machine: Machine, chunks: int) -> Steps:
    bits, work = empty_steps(machine.levels_used, chunks)
    bits[:, 0] = _spread(workload.in_bits, chunks)
    bits[:, 3] = _spread(workload.out_bits, chunks)
    bits[-1, 0] = _spread(workload.in_bits - workload.resident.x_bits, chunks)
    bits[-1, 3] = _spread(workload.out_bits - workload.resident.o_bits, chunks)
    cycles = -(-machine.milli_cycles(workload.work) // 1000)
    work[:, W_ARRAY] = _spread(cycles, chunks)
    work[:, W_READ] = _spread(workload.in_bits, chunks)
    work[:, W_WRITTEN] = _spread(workload.out_bits, chunks)
    if not workload.work:
        # Plain movement passes through the level without the lanes touching it.
        work[:, W_READ] = work[:, W_WRITTEN] = 0
    return Steps(bits, work, 0, on_array=False)


def _chunk_counts(workload: StreamWorkload, machine: Machine) -> list[int]:
    """Numbers of chunks of whole rows that fit; what is tried depends on the op alone."""
    level = machine.free_levels(workload.resident.held_bits)[0]
    limit = min(workload.rows, _MOST_CHUNKS)
    tried = sorted({limit, *(1 << i for i in range(limit.bit_length()))})
    moved = workload.in_bits + workload.out_bits
    if machine.levels_used == 1:
        # What lies in the level already needs no room for chunks of it.
        moved -= workload.resident.x_bits + workload.resident.o_bits
    row = -(-moved // workload.rows)
    room = int(level[at.L_BITS]) // int(level[at.L_BUFFERS])
    return [count for count in tried if -(-workload.rows // count) * row <= room]


def plan_stream(workload: StreamWorkload, machine: Machine, name: str) -> Plan:
    """Choose the number of chunks by closed form.

    Raises:
        MappingError: a single row does not fit the nearest level.
    """
    counts = _chunk_counts(workload, machine)
    if not counts:
        raise MappingError(_why(workload, machine, name))
    plans = [
        (closed_form_ps(machine, s), s) for s in (_steps(workload, machine, c) for c in counts)
    ]
    latency, steps = min(plans, key=lambda plan: plan[0])
    chunks = steps.work.shape[0]
    unit = "vector unit" if workload.work else "DMA"
    nest = f"{machine.arch.dram.standard}: in, out\n  for chunk in {chunks}:\n    {unit}"
    traffic = tuple(int(link.sum()) for link in steps.bits)
    choice = np.array([chunks], np.int64)
    score, _ = scored(machine, latency, steps)
    return Plan(workload, machine, choice, latency, len(plans), steps, traffic, nest, score=score)


def _why(workload: StreamWorkload, machine: Machine, name: str) -> str:
    level = machine.arch.memories[0]
    rows = -(-workload.rows // min(workload.rows, _MOST_CHUNKS))
    piece = -(-rows * (workload.in_bits + workload.out_bits) // (8 * workload.rows))
    what = "a row" if rows == 1 else f"a piece of {rows:,} rows"
    return (
        f"{name}: {what} of {piece:,} bytes does not fit level {level.name!r} of "
        f"{machine.arch.name}: {piece * level.buffers:,} bytes with {level.buffers} buffers, the "
        f"level holds {level.size_bytes:,}, {piece * level.buffers - level.size_bytes:,} bytes over"
    )
