"""Plans of fused attention."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import numpy as np

from accelsim.errors import MappingError
from accelsim.graph.ir import FORMAT_BITS
from accelsim.jit import Ints
from accelsim.mapping._core import attention as core
from accelsim.mapping._core import layout as at
from accelsim.mapping._core.banks import holds
from accelsim.mapping.machine import DATAFLOWS, Machine
from accelsim.mapping.nest import attention_nest
from accelsim.mapping.plan import Plan, Steps, closed_form_ps, drain_of, empty_steps, scored
from accelsim.mapping.workload import AttentionWorkload

#: Blocks of queries and keys that are tried.
_BLOCKS = (32, 64, 128, 256, 512, 1024)
#: Plans with more blocks than this are not tried while one with fewer exists.
_MANY_STEPS = 200_000


def attention_vector(workload: AttentionWorkload, machine: Machine) -> Ints:
    """Return the attention vector of the kernels."""
    found = np.zeros(core.T_SIZE, np.int64)
    found[core.T_UNITS], found[core.T_GROUP] = workload.units, workload.group
    found[core.T_QUERIES], found[core.T_KEYS] = workload.queries, workload.keys
    found[core.T_DEPTH], found[core.T_VALUE_DEPTH] = workload.depth, workload.value_depth
    found[core.T_CAUSAL], found[core.T_WINDOW] = workload.causal, workload.window
    found[core.T_Q_BITS] = found[core.T_P_BITS] = FORMAT_BITS[workload.q_format]
    found[core.T_K_BITS] = FORMAT_BITS[workload.kept_format or workload.k_format]
    found[core.T_O_BITS], found[core.T_X_BITS] = workload.o_bits, workload.x_bits
    found[core.T_MASK_BITS], found[core.T_MASK_PLANES] = workload.mask_bits, workload.mask_planes
    found[core.T_X_HERE_BITS] = workload.resident.x_bits
    found[core.T_O_HERE_BITS] = workload.resident.o_bits
    found[core.T_SCORE_MC] = machine.milli_cycles(workload.score_work)
    found[core.T_OUTPUT_MC] = machine.milli_cycles(workload.output_work)
    found[core.T_ACC_BITS] = machine.accumulator_bits
    return found


def _mode_vector(machine: Machine) -> Ints:
    found = np.zeros(at.P_SIZE, np.int64)
    found[at.P_K_NUM] = found[at.P_K_DEN] = 1
    if machine.mode is not None:
        found[at.P_K_PER_CYCLE] = machine.mode.k_per_cycle
        found[at.P_CYCLES_PER_STEP] = machine.mode.cycles_per_step
    return found


def _candidates(workload: AttentionWorkload, machine: Machine) -> Iterator[Ints]:
    array = machine.array
    if array is None:
        raise ValueError("attention needs an array")
    most = min(array.count, workload.units)
    together = sorted({most, *(h for h in range(1, most + 1) if array.count % h == 0)})
    splits = [(heads, array.count // heads) for heads in together]
    queries = [min(block, workload.queries) for block in _BLOCKS]
    # Where the chip's arithmetic has blocks, values depend on them: the plan has the same.
    fixed = machine.arch.attends.block
    keys = [min(block, workload.keys) for block in ((fixed,) if fixed else _BLOCKS)]
    flows = [DATAFLOWS.index(name) for name in array.dataflows]
    resident = (0, 1) if machine.levels_used > 1 else (0,)
    for flow, split, *blocks in product(
        flows, splits, dict.fromkeys(queries), dict.fromkeys(keys), resident
    ):
        yield np.array((flow, *split, *blocks), np.int64)


def _fits(workload: AttentionWorkload, vector: Ints, machine: Machine, choice: Ints) -> bool:
    levels = machine.free_levels(workload.resident.held_bits)
    queries, keys, rest = core.block_parts(vector, choice)
    depths = workload.depth + workload.value_depth
    whole = int(choice[core.H_HEADS]) * workload.keys * depths * int(vector[core.T_K_BITS])
    for level in range(machine.levels_used):
        held = keys + (whole if level > 0 and choice[core.H_RESIDENT] else 0)
        buffers = levels[level, at.L_BUFFERS]
        if not holds(levels, level, queries * buffers, held * buffers, rest * buffers):
            return False
    return True


def plan_attention(workload: AttentionWorkload, machine: Machine, name: str) -> Plan:
    """Try all block sizes and keep the best by closed form; see ``Machine.objective``.

    Raises:
        MappingError: not even the smallest block fits.
    """
    vector, mode = attention_vector(workload, machine), _mode_vector(machine)
    best: tuple[tuple[float, float], int, Ints, Steps] | None = None
    tried = 0
    fitting = [c for c in _candidates(workload, machine) if _fits(workload, vector, machine, c)]
    if not fitting:
        raise MappingError(_why(workload, vector, machine, name))
    counts = [int(core.count_attention_steps(vector, choice)) for choice in fitting]
    limit = max(_MANY_STEPS, min(counts))
    for choice, count in zip(fitting, counts, strict=True):
        if count > limit:
            continue
        bits, work = empty_steps(machine.levels_used, count)
        core.attention_steps(mode, machine.vector, vector, choice, bits, work)
        for operand, here in enumerate((workload.resident.first, workload.resident.second)):
            if here:
                bits[-1, operand] = 0
        steps = Steps(bits, work, drain_of(machine, int(choice[core.H_DATAFLOW])), on_array=True)
        latency = closed_form_ps(machine, steps)
        key = scored(machine, latency, steps)
        tried += 1
        if best is None or key < best[0]:
            best = (key, latency, choice, steps)
    if best is None:
        raise MappingError(_why(workload, vector, machine, name))
    key, latency, choice, steps = best
    traffic = tuple(int(link.sum()) for link in steps.bits)
    nest = attention_nest(workload, machine, choice)
    scores = int(core.visited_scores(vector, choice))
    return Plan(
        workload, machine, choice, latency, tried, steps, traffic, nest,
        computed_macs=scores * (workload.depth + workload.value_depth), score=key[0],
    )  # fmt: skip


def _why(workload: AttentionWorkload, vector: Ints, machine: Machine, name: str) -> str:
    smallest = min(_candidates(workload, machine), key=lambda c: int(core.block_bits(vector, c)))
    level = machine.arch.memories[0]
    need = -(-int(core.block_bits(vector, smallest)) * level.buffers // 8)
    return (
        f"{name}: no block fits level {level.name!r} of {machine.arch.name}: {smallest[3]} queries "
        f"against {smallest[4]} keys need {need:,} bytes with {level.buffers} buffers, the level "
        f"holds {level.size_bytes:,}, {need - level.size_bytes:,} bytes over"
    )
