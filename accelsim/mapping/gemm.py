"""Plans of matrix products and convolutions."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np

from accelsim.errors import MappingError
from accelsim.jit import DOOR, Ints
from accelsim.mapping import store
from accelsim.mapping._core import layout as at
from accelsim.mapping._core.array import early_cycles
from accelsim.mapping._core.cost import link_traffic, tensor_bits
from accelsim.mapping._core.search import score, search
from accelsim.mapping._core.steps import count_steps, gemm_steps
from accelsim.mapping._core.tile import a_tile_bits, array_share, w_tile_bits
from accelsim.mapping.machine import DATAFLOWS, Machine
from accelsim.mapping.nest import gemm_nest
from accelsim.mapping.plan import Plan, Steps, drain_of, empty_steps
from accelsim.mapping.workload import Conv, GemmWorkload
from accelsim.spec.memory import BANKED

#: Smallest power-of-two tile that is tried; smaller ones never pay.
_SMALLEST_TILE = 16
#: More tiles than this are not simulated one by one; a plan with so many is refused.
_MOST_STEPS = 4_000_000


def problem_vector(workload: GemmWorkload, machine: Machine) -> Ints:
    """Return the problem vector of the kernels."""
    mode = machine.mode
    if mode is None:
        raise ValueError("a matrix product needs an array mode")
    found = np.zeros(at.P_SIZE, np.int64)
    found[at.P_B : at.P_B + 4] = workload.batch, workload.m, workload.n, workload.k
    found[at.P_A_BITS], found[at.P_W_BITS] = workload.a_bits, workload.w_bits
    found[at.P_O_BITS], found[at.P_X_BITS] = workload.o_bits, workload.x_bits
    found[at.P_ACC_BITS] = machine.accumulator_bits
    found[at.P_W_BATCHED] = workload.w_batched
    found[at.P_K_NUM], found[at.P_K_DEN] = (2, 4) if workload.sparse else (1, 1)
    found[at.P_K_PER_CYCLE], found[at.P_CYCLES_PER_STEP] = mode.k_per_cycle, mode.cycles_per_step
    found[at.P_GROUP] = workload.group
    found[at.P_GROUP_CYCLES] = machine.arch.conversions.group_rescale_cycles
    found[at.P_A_ELEMENT_BITS] = workload.element_bits
    found[at.P_TAPS], found[at.P_OUT_W], found[at.P_OUT_H] = 1, 1, 1
    found[at.P_VECTOR_MILLICYCLES] = machine.milli_cycles(workload.work)
    found[at.P_ACCESS_BITS] = 8 * machine.arch.dram.access_bytes
    resident = workload.resident
    found[at.P_A_HERE], found[at.P_W_HERE] = resident.first, resident.second
    found[at.P_X_HERE_BITS] = resident.x_bits
    found[at.P_O_HERE_BITS] = resident.o_bits
    if workload.conv is not None:
        conv = workload.conv
        found[at.P_CONV] = 1
        found[at.P_OUT_W], found[at.P_OUT_H] = conv.out_w, conv.out_h
        found[at.P_STRIDE_H], found[at.P_KERNEL_H] = conv.stride_h, conv.kernel_h
        found[at.P_IN_H], found[at.P_IN_ROW_BITS] = conv.in_h, conv.in_row_bits
        found[at.P_TAPS] = conv.taps
    return found


def tile_sizes(workload: GemmWorkload, machine: Machine) -> Ints:
    """Return ``[4, 1 + max]``: per dimension how many tile sizes are tried, then the sizes.

    They depend on the op and the array, never on the size of a memory.
    """
    sides = (machine.array.rows, machine.array.columns) if machine.array else (1, 1)
    sizes = [_batch_sizes(workload.batch)]
    for dim in (workload.m, workload.n, workload.k):
        found = {dim}
        for base in (_SMALLEST_TILE, *sides):
            found.update(base << i for i in range(20) if base << i < dim)
        sizes.append(sorted(found))
    if workload.conv is not None:
        sizes[at.M] = _row_tiles(workload.m, workload.conv)
        sizes[at.K] = _channel_tiles(workload.k, workload.conv.taps)
    table = np.zeros((4, 1 + max(len(s) for s in sizes)), np.int64)
    for row, found_sizes in zip(table, sizes, strict=True):
        row[0] = len(found_sizes)
        row[1 : 1 + len(found_sizes)] = found_sizes
    return table


def _batch_sizes(batch: int) -> list[int]:
    return sorted({batch, *(1 << i for i in range(20) if 1 << i < batch)})


def _row_tiles(m: int, conv: Conv) -> list[int]:
    """Tiles of a convolution are whole output rows of one image, or whole images.

    So halos are whole input rows, and no tile pays the halo of two images.
    """
    image = conv.out_w * conv.out_h
    rows = {conv.out_w << i for i in range(20) if conv.out_w << i < min(m, image)}
    images = {image << i for i in range(20) if image << i < m}
    return sorted({m, *rows, *images})


def _channel_tiles(k: int, taps: int) -> list[int]:
    """Tiles along K of a convolution are whole channels with all their taps."""
    return sorted({k, *(taps << i for i in range(20) if taps << i < k)})


def heads(machine: Machine, workload: GemmWorkload) -> Ints:
    """Return every dataflow with every split of the arrays over batch, rows and columns."""
    if machine.array is None:
        raise ValueError("a matrix product needs an array")
    count = machine.array.count
    splits = [
        (b, m, count // (b * m))
        for b, m in product(range(1, count + 1), repeat=2)
        if count % (b * m) == 0 and (b == 1 or b <= workload.batch)
    ]
    flows = [DATAFLOWS.index(name) for name in machine.array.dataflows]
    return np.array([(f, *s) for f, s in product(flows, splits)], np.int64)


#: How far above the best plan's score a plan of another dataflow may lie to be looked at again.
_NEAR = 1.05


def plan_gemm(workload: GemmWorkload, machine: Machine, name: str) -> Plan:
    """Search the best plan by closed form; see ``Machine.objective``.

    Raises:
        MappingError: nothing fits; the message names level, tensor and bytes.
    """
    asked = heads(machine, workload)
    found = _search(workload, machine, name, asked, np.inf)
    if found is None:
        problem, sizes = problem_vector(workload, machine), tile_sizes(workload, machine)
        raise MappingError(_why(workload, machine, name, problem, sizes))
    return found


def near_gemm(workload: GemmWorkload, machine: Machine, name: str, best: Plan) -> list[Plan]:
    """Return the best plans of the other dataflows that are about as good as the best one."""
    found = []
    for flow in range(len(DATAFLOWS)):
        asked = heads(machine, workload)
        asked = np.ascontiguousarray(asked[asked[:, 0] == flow])
        if not asked.size or flow == best.choice[at.S_DATAFLOW]:
            continue
        try:
            plan = _search(workload, machine, name, asked, _NEAR * best.score)
        except MappingError:
            continue
        if plan is not None:
            found.append(plan)
    return found


def _search(
    workload: GemmWorkload, machine: Machine, name: str, asked: Ints, limit: float
) -> Plan | None:
    problem = problem_vector(workload, machine)
    vector, rates = machine.vector, machine.rates
    levels = machine.free_levels(workload.resident.held_bits)
    sizes = tile_sizes(workload, machine)
    found = _remembered((problem, vector, levels, rates, asked, sizes, np.float64(limit)))
    if found is None:
        return None
    choice, latency, cost, evaluated = found
    return Plan(
        workload=workload,
        machine=machine,
        choice=choice,
        latency_ps=int(np.ceil(latency)),
        evaluated=int(evaluated),
        steps=_steps(problem, machine, choice, name),
        traffic=tuple(
            int(sum(link_traffic(problem, vector, choice, link)[:2]))
            for link in range(machine.levels_used)
        ),
        nest=gemm_nest(workload, machine, choice),
        score=float(score(rates, latency, cost)),
    )


#: What is kept of a search.
_KEPT = ("choice", "latency_ps", "cost_fj", "evaluated")


def _remembered(arguments: tuple[Any, ...]) -> tuple[Ints, float, float, int] | None:
    """Search, or return what the same search found before; None when nothing fits.

    The key is everything that the search looks at, and its own code.
    """
    digest = hashlib.sha256(DOOR.name.encode())
    for part in arguments:
        digest.update(np.asarray(part).tobytes())
    key = digest.hexdigest()[:32]
    kept = store.get(key, _KEPT)
    if kept is None:
        choice, latency, cost, evaluated = search(*arguments)
        fits = bool(np.isfinite(latency))
        kept = {
            "choice": choice.tolist(), "latency_ps": float(latency) if fits else None,
            "cost_fj": float(cost) if fits else None, "evaluated": int(evaluated),
        }  # fmt: skip
        store.put(key, kept)
    if kept["latency_ps"] is None:
        return None
    return (
        np.array(kept["choice"], np.int64),
        kept["latency_ps"],
        kept["cost_fj"],
        kept["evaluated"],
    )


def _steps(problem: Ints, machine: Machine, choice: Ints, name: str) -> Steps:
    count = int(count_steps(problem, machine.vector, choice))
    if count > _MOST_STEPS:
        raise MappingError(
            f"{name}: the best plan has {count:,} tiles, above the {_MOST_STEPS:,} that are "
            "simulated; the nearest memory level is too small for an op of this size"
        )
    bits, work = empty_steps(machine.levels_used, count)
    gemm_steps(problem, machine.vector, choice, bits[:, :3], bits[:, 3], work)
    drain = drain_of(machine, int(choice[at.S_DATAFLOW])) - _early(problem, machine, choice)
    return Steps(bits, work, drain, on_array=True)


def _early(problem: Ints, machine: Machine, choice: Ints) -> int:
    """Cycles that the last results come early because no fold follows, or precedes, a short one."""
    tile = choice[at.S_LEVEL0 : at.S_LEVEL0 + at.DIMS]
    if choice[at.S_DATAFLOW] != at.OS:
        # The last fold of the last tile, which may be cut in every dimension.
        tile = (problem[: at.DIMS] - 1) % tile + 1
    _, m, n = array_share(choice, int(tile[at.B]), int(tile[at.M]), int(tile[at.N]))
    flow = int(choice[at.S_DATAFLOW])
    return int(early_cycles(problem, machine.vector, flow, m, n, int(tile[at.K])))


def _why(workload: GemmWorkload, machine: Machine, name: str, problem: Ints, sizes: Ints) -> str:
    """Say which level is too small for even the smallest tile, by how much, and what fills it."""
    b, m, n, k = (int(row[1 : 1 + row[0]].min()) for row in sizes)
    choice = np.zeros(at.S_SIZE, np.int64)
    for level in range(machine.levels_used):
        base = at.S_LEVEL0 + at.S_STRIDE * level
        choice[base : base + 4] = b, m, n, k
    vector, levels = machine.vector, machine.levels
    needs = [
        tuple(int(bits) // 8 for bits in tensor_bits(problem, vector, levels, choice, level, True))
        for level in range(machine.levels_used)
    ]
    memories = machine.arch.memories
    whole = [sum(parts) for parts in needs]
    whole[-1] += workload.resident.held_bits // 8
    over = [need - level.size_bytes for need, level in zip(whole, memories, strict=True)]
    worst = max(range(len(over)), key=lambda level: over[level])
    memory = memories[worst]
    if over[worst] <= 0:
        return _why_banks(machine, name, needs)
    tensors = {
        "first operand": int(a_tile_bits(problem, b, m, k)) // 8,
        "second operand": int(w_tile_bits(problem, b, n, k)) // 8,
        "partial sums": b * m * n * machine.accumulator_bits // 8,
    }
    largest = max(tensors, key=lambda key: tensors[key])
    return (
        f"{name}: no tile fits level {memory.name!r} of {machine.arch.name}: the smallest one "
        f"(m={m}, n={n}, k={k}) needs {whole[worst]:,} bytes with {memory.buffers} buffers, the "
        f"level holds {memory.size_bytes:,}, {over[worst]:,} bytes over; the {largest} take"
        f"{'' if largest == 'partial sums' else 's'} {tensors[largest]:,} bytes per buffer"
    )


def _why_banks(machine: Machine, name: str, needs: Sequence[tuple[int, ...]]) -> str:
    """Say whose banks are too few, where the level as a whole would be large enough."""
    asked = [
        (need - room, memory, tensor, need, room)
        for memory, parts in zip(machine.arch.memories, needs, strict=True)
        for tensor, need, room in zip(BANKED, parts, memory.tensor_bytes, strict=True)
        if memory.banking != "interleaved"
    ]
    over, memory, tensor, need, room = max(asked, key=lambda one: one[0])
    return (
        f"{name}: no tile fits level {memory.name!r} of {machine.arch.name}: the smallest one "
        f"needs {need:,} bytes of the banks of {tensor} with {memory.buffers} buffers, they hold "
        f"{room:,}, {over:,} bytes over"
    )
