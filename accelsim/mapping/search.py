"""The plan of a workload on a chip: which array, then how."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from accelsim.errors import MappingError, RecipeError
from accelsim.mapping.attention import plan_attention
from accelsim.mapping.gemm import near_gemm, plan_gemm
from accelsim.mapping.machine import Machine
from accelsim.mapping.plan import Plan
from accelsim.mapping.stream import plan_stream
from accelsim.mapping.workload import (
    AttentionWorkload,
    GemmWorkload,
    StreamWorkload,
    Workload,
    on_lanes,
)
from accelsim.spec.arch import ArchSpec


def machines(
    arch: ArchSpec,
    activation: str,
    weight: str,
    sparse: bool,
    cost_fj: Sequence[float] = (),
    objective: str = "latency",
) -> list[Machine]:
    """Return a machine per array that multiplies a pair of formats."""
    found = []
    for array in arch.arrays:
        mode = array.mode(activation, weight)
        if mode is not None and (mode.sparse_2to4 or not sparse):
            found.append(Machine(arch, array, mode, tuple(cost_fj), objective))
    return found


def plan(
    workload: Workload,
    arch: ArchSpec,
    name: str,
    cost_fj: Sequence[float] = (),
    objective: str = "latency",
) -> Plan:
    """Return the best plan over all arrays that build the formats.

    Args:
        workload: what to run.
        arch: the chip.
        name: the op's name, for messages.
        cost_fj: energy per bit in fJ at the nearest level's port and of each link; it chooses among
            equally fast plans.
        objective: ``latency``, ``energy`` (of data movement) or ``edp``, their product.

    Raises:
        RecipeError: no array multiplies these formats.
        MappingError: nothing fits.
    """
    lanes = Machine(arch, None, None, tuple(cost_fj), objective)
    if isinstance(workload, StreamWorkload):
        return plan_stream(workload, lanes, name)
    pair, sparse = _formats(workload)
    found = machines(arch, *pair, sparse, cost_fj, objective)
    if not found:
        raise RecipeError(refusal(arch, *pair, sparse))
    tries: list[Callable[[], Plan]] = [partial(_on_array, workload, m, name) for m in found]
    if isinstance(workload, GemmWorkload) and workload.conv is not None and workload.batch > 1:
        tries.append(partial(plan_stream, on_lanes(workload), lanes, name))
    return min(_that_fit(tries), key=lambda p: p.score)


def rivals(best: Plan, name: str) -> list[Plan]:
    """Return plans by other dataflows that the closed form finds about as good as the best one."""
    if isinstance(best.workload, GemmWorkload) and best.machine.mode is not None:
        return near_gemm(best.workload, best.machine, name, best)
    return []


def _formats(workload: GemmWorkload | AttentionWorkload) -> tuple[tuple[str, str], bool]:
    if isinstance(workload, GemmWorkload):
        return (workload.activation, workload.weight), workload.sparse
    return (workload.q_format, workload.k_format), False


def _on_array(workload: GemmWorkload | AttentionWorkload, machine: Machine, name: str) -> Plan:
    if isinstance(workload, GemmWorkload):
        return plan_gemm(workload, machine, name)
    return plan_attention(workload, machine, name)


def _that_fit(tries: Sequence[Callable[[], Plan]]) -> list[Plan]:
    """Return the plans of those that fit; when none does, the first one's reason is raised."""
    plans, reasons = [], []
    for attempt in tries:
        try:
            plans.append(attempt())
        except MappingError as reason:
            reasons.append(reason)
    if not plans:
        raise reasons[0]
    return plans


def refusal(arch: ArchSpec, activation: str, weight: str, sparse: bool) -> str:
    """Say which formats a chip does not build, and which it does."""
    wanted = f"{activation} x {weight}" + (" with 2:4 weights" if sparse else "")
    built = [
        f"{mode.activation} x {mode.weight}" + (" (2:4)" if mode.sparse_2to4 else "")
        for array in arch.arrays
        for mode in array.modes
    ]
    return f"{arch.name} does not build {wanted}; it has {', '.join(dict.fromkeys(built))}"
