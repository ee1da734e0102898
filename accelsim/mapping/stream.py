"""Plans of vector work and of plain movement: data flows through once, chunk by chunk."""

from __future__ import annotations

import numpy as np

from accelsim.errors import MappingError
from accelsim.jit import Ints
from accelsim.mapping._core import layout as at
from accelsim.mapping._core.banks import holds
from accelsim.mapping._core.steps import W_ARRAY, W_READ, W_READ_A, W_WRITTEN
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
    work[:, W_READ_A] = work[:, W_READ]
    return Steps(bits, work, 0, on_array=False)


def _chunk_counts(workload: StreamWorkload, machine: Machine) -> list[int]:
    """Numbers of chunks of whole rows that fit; what is tried depends on the op alone."""
    levels = machine.free_levels(workload.resident.held_bits)
    limit = min(workload.rows, _MOST_CHUNKS)
    tried = sorted({limit, *(1 << i for i in range(limit.bit_length()))})
    came, left = workload.in_bits, workload.out_bits
    if machine.levels_used == 1:
        # What lies in the level already needs no room for chunks of it.
        came, left = came - workload.resident.x_bits, left - workload.resident.o_bits
    return [
        count
        for count in tried
        if all(
            _holds(levels, level, -(-workload.rows // count), (came, left), workload.rows)
            for level in range(machine.levels_used)
        )
    ]


def _holds(levels: Ints, level: int, rows: int, moved: tuple[int, int], of_rows: int) -> bool:
    """Whether a level holds a chunk with its buffers; shared outer levels are never smaller."""
    buffers = int(levels[level, at.L_BUFFERS])
    if levels[level, at.L_BANKING] == at.INTERLEAVED:
        row = -(-sum(moved) // of_rows)
        return level > 0 or bool(holds(levels, level, rows * row * buffers, 0, 0))
    came, left = (rows * -(-bits // of_rows) * buffers for bits in moved)
    return bool(holds(levels, level, came, 0, left))


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
    banked = next((m for m in machine.arch.memories if m.banking != "interleaved"), None)
    if piece * level.buffers <= level.size_bytes and banked is not None:
        first, _, results = banked.tensor_bytes
        return (
            f"{name}: {what} of {piece:,} bytes does not fit the banks of level {banked.name!r} of "
            f"{machine.arch.name} with {banked.buffers} buffers: what comes in has {first:,} bytes,"
            f" what goes out {results:,}"
        )
    return (
        f"{name}: {what} of {piece:,} bytes does not fit level {level.name!r} of "
        f"{machine.arch.name}: {piece * level.buffers:,} bytes with {level.buffers} buffers, the "
        f"level holds {level.size_bytes:,}, {piece * level.buffers - level.size_bytes:,} bytes over"
    )
