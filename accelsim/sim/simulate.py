"""A graph on a chip: every group planned and timed once, every executed op a row."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from accelsim.errors import MappingError
from accelsim.graph.ir import Graph
from accelsim.graph.ops import executed_macs, kind_of, macs, vector_work
from accelsim.ids import content_id
from accelsim.mapping.fuse import Group, fuse
from accelsim.mapping.plan import Plan
from accelsim.mapping.residency import place
from accelsim.mapping.search import plan, rivals
from accelsim.mapping.workload import Resident, Workload, lower, shape_of
from accelsim.sim.energy import EnergyModel
from accelsim.sim.memory import dram_of
from accelsim.sim.notes import notes
from accelsim.sim.outcome import Fidelity, Outcome, bound_by, time_plan
from accelsim.sim.result import STALLS, LayerResult, SimResult, Span
from accelsim.sim.rounding import share_cycles
from accelsim.sim.timeline import DETAILED_TILES, Position, spans_of
from accelsim.sim.totals import chip_facts, totals
from accelsim.spec.arch import ArchSpec
from accelsim.units import Range
from accelsim.version import __version__


@dataclass(frozen=True)
class Timed:
    """A workload with its plan and its timing.

    ``regret`` is what the plan that is best by closed form would have cost more, as a part.
    """

    plan: Plan
    outcome: Outcome
    regret: float = 0.0


class Simulator:
    """One chip at one fidelity; equal workloads are planned and timed once."""

    def __init__(self, arch: ArchSpec, fidelity: Fidelity, objective: str = "latency") -> None:
        self.arch = arch
        self.fidelity = fidelity
        self.objective = objective
        self.energy = EnergyModel.of(arch)
        self.dram = dram_of(arch)
        self._costs = self.energy.cost_fj()
        self._timed: dict[Workload, Timed] = {}
        self._plans: dict[Workload, Plan] = {}
        self._latency: dict[Workload, int | None] = {}
        self._energy: dict[tuple[Workload, int, Any], Mapping[str, Range]] = {}

    def time(self, workload: Workload, name: str) -> Timed:
        """Plan and time a workload, or return what was found before."""
        if workload not in self._timed:
            self._timed[workload] = self._best(self._plan(workload, name), name)
        return self._timed[workload]

    def _best(self, found: Plan, name: str) -> Timed:
        """Time the plan that is best by closed form, and at ``tile`` those that come close."""
        first = Timed(found, time_plan(found, self.fidelity, self.dram))
        if self.fidelity != "tile" or self.objective != "latency":
            return first
        tries = [Timed(p, time_plan(p, "tile", self.dram)) for p in rivals(found, name)]
        best = min((first, *tries), key=lambda timed: timed.outcome.end_ps)
        return replace(best, regret=first.outcome.end_ps / best.outcome.end_ps - 1)

    def _plan(self, workload: Workload, name: str) -> Plan:
        if workload not in self._plans:
            self._plans[workload] = plan(workload, self.arch, name, self._costs, self.objective)
        return self._plans[workload]

    def run(self, graph: Graph, recipe: str) -> SimResult:
        """Simulate an annotated graph.

        Raises:
            RecipeError: a format that the chip does not build.
            MappingError: an op, or the model as a whole, does not fit.
        """
        groups = fuse(graph)
        _check_capacity(graph, groups, self.arch)
        placed = self._placed(graph, groups)
        layers: list[LayerResult] = []
        spans: list[Span] = []
        workloads: list[Workload] = []
        seen: set[Workload] = set()
        now = 0
        for group, workload in zip(groups, placed, strict=True):
            timed = self.time(workload, group.anchor.name)
            first = workload not in seen
            seen.add(workload)
            workloads.append(workload)
            position = Position(group.anchor.name, now, 1 + len(layers) * DETAILED_TILES)
            spans += spans_of(timed.plan, timed.outcome, position, detailed=first)
            layers.append(self._row(graph, group, workload, timed, now))
            now += timed.outcome.end_ps
        counts = Counter(workloads)
        rows = tuple(
            replace(row, repeats=counts[workload])
            for row, workload in zip(_whole_cycles(layers, self.arch), workloads, strict=True)
        )
        return self._result(graph, recipe, rows, tuple(spans))

    def _placed(self, graph: Graph, groups: Sequence[Group]) -> list[Workload]:
        """Lower groups, with the outputs kept on chip that cost no time by closed form."""
        workloads = [lower(graph, group, self.arch.conversions) for group in groups]

        def cost(number: int, resident: Resident) -> int | None:
            workload = replace(workloads[number], resident=resident)
            if workload not in self._latency:
                self._latency[workload] = self._closed_form(workload, groups[number].anchor.name)
            return self._latency[workload]

        room = 8 * self.arch.memories[-1].shared_bytes
        placed = place(graph, groups, room, cost)
        return [replace(w, resident=r) for w, r in zip(workloads, placed, strict=True)]

    def _closed_form(self, workload: Workload, name: str) -> int | None:
        try:
            return self._plan(workload, name).latency_ps
        except MappingError:
            return None

    @property
    def _sustained(self) -> float:
        """Bytes per second that the fidelity lets the DRAM give at best in the long run."""
        if self.fidelity == "analytical":
            return self.arch.dram.sustained_bytes_per_s
        return self.dram.sustained_bytes_per_s

    def _row(
        self, graph: Graph, group: Group, workload: Workload, timed: Timed, start_ps: int
    ) -> LayerResult:
        outcome, found = timed.outcome, timed.plan
        seconds = outcome.end_ps / 1e12
        executed = sum(executed_macs(graph, op) for op in group.ops)
        parts = self._energy_of(graph, group, workload, timed, executed)
        level_bytes = self.energy.level_bytes(outcome.counters)
        formats = _formats(graph, group)
        peak = self._peak(timed.plan, formats)
        return LayerResult(
            name=group.anchor.name,
            op="+".join(op.kind for op in group.ops),
            shape=shape_of(graph, group),
            formats=formats,
            macs=sum(macs(graph, op) for op in group.ops),
            executed_macs=executed,
            cycles=0,
            compute_cycles=outcome.compute_cycles,
            stalls=outcome.stalls_ps,
            bound_by=bound_by(outcome.busy_ps),
            dram_bytes=level_bytes["dram"],
            sram_bytes=sum(level_bytes.values()) - level_bytes["dram"],
            energy_pj=Range.total(parts.values()),
            utilization=executed / (peak * seconds) if executed and peak else 0.0,
            bytes_by_level=level_bytes,
            energy_by_part=parts,
            start_ps=start_ps,
            duration_ps=outcome.end_ps,
            peak_macs_per_s=peak if executed else 0.0,
            nest=found.nest,
            mapping=_mapping(timed),
            fused=tuple(op.name for op in group.ops[1:]),
        )

    def _energy_of(
        self, graph: Graph, group: Group, workload: Workload, timed: Timed, executed: int
    ) -> Mapping[str, Range]:
        """Return the energy by part; equal work on equal plans is counted once."""
        work = _all_work(graph, group)
        key = (workload, executed, tuple(sorted(work.items())))
        if key not in self._energy:
            self._energy[key] = self.energy.op_energy(
                timed.plan.machine,
                timed.outcome.counters,
                max(executed, timed.plan.computed_macs),
                work,
                timed.outcome.end_ps / 1e12,
            )
        return self._energy[key]

    def _peak(self, found: Plan, formats: Mapping[str, str]) -> float:
        """MACs per second of what runs the op: the arrays, or the lanes where they multiply."""
        if found.machine.mode is None and "weight" in formats:
            vector = self.arch.vector
            cycles = vector.cycles("mul") + vector.cycles("add")
            return vector.lanes * self.arch.clock_hz / cycles
        return self.arch.peak_macs_per_s(formats["activation"], formats.get("weight", ""))

    def _result(
        self, graph: Graph, recipe: str, rows: tuple[LayerResult, ...], spans: tuple[Span, ...]
    ) -> SimResult:
        arch = self.arch
        return SimResult(
            id=content_id(
                [
                    _identity(graph, recipe),
                    arch.model_dump(mode="json"),
                    self.fidelity,
                    self.objective,
                ]
            ),
            arch=arch.name,
            model=graph.name,
            recipe=recipe,
            fidelity=self.fidelity,
            phase=graph.phase,
            validation=_validation(arch),
            totals=totals(graph, rows, self.energy),
            layers=rows,
            sizes=dict(graph.sizes),
            chip=chip_facts(self.energy, rows, self._sustained),
            notes=notes(arch),
            spans=spans,
        )


def _mapping(timed: Timed) -> Mapping[str, float]:
    """Return how good the plan is known to be."""
    return {
        "evaluated": timed.plan.evaluated,
        "gap": timed.plan.gap,
        "regret": round(timed.regret, 6),
    }


def _all_work(graph: Graph, group: Group) -> Mapping[str, int]:
    found: Counter[str] = Counter()
    for op in group.ops:
        found.update(vector_work(graph, op))
    return found


def _formats(graph: Graph, group: Group) -> dict[str, str]:
    op = group.anchor
    ins = graph.ins(op)
    out = graph.tensors[group.ops[-1].outputs[0]].format
    first = ins[0].format if ins else out
    if kind_of(op).engine == "array":
        # Codes that are widened on their way into the array are multiplied as plain numbers.
        weight = str(op.attrs.get("widened", ins[1].format))
        stored = {"stored": ins[1].format} if weight != ins[1].format else {}
        return {"activation": first, "weight": weight, "output": out, **stored}
    return {"activation": first, "output": out}


def _identity(graph: Graph, recipe: str) -> list[Any]:
    """Return all of an annotated graph that shapes a result, and the version that computes it."""
    ops = [[op.name, op.kind, op.inputs, op.outputs, dict(op.attrs)] for op in graph.ops]
    tensors = [
        [t.name, t.shape, t.role, t.format, t.metadata_bits, t.density]
        for t in graph.tensors.values()
    ]
    named = [graph.name, graph.phase, dict(graph.sizes), graph.outputs, recipe]
    return [__version__, named, ops, tensors]


def _check_capacity(graph: Graph, groups: Sequence[Group], arch: ArchSpec) -> None:
    """Weights, caches, inputs and what the largest op reads and writes must fit the DRAM."""
    by_role: Counter[str] = Counter()
    read = {name for op in graph.ops for name in op.inputs}
    # What a cache grows into holds what it was.
    grown = {name for op in graph.ops if op.kind == "kv_append" for name in op.inputs[1:]}
    for name in read - grown:
        tensor = graph.tensors[name]
        by_role[tensor.role] += -(-tensor.bits // 8)
    live = max(_live_bytes(graph, group) for group in groups)
    need = sum(size for role, size in by_role.items() if role != "activation") + live
    over = need - arch.dram.size_bytes
    if over > 0:
        raise MappingError(
            f"{graph.name}: weights ({by_role['weight']:,} bytes), cache "
            f"({by_role['cache']:,} bytes) and activations ({live:,} bytes) do not fit the DRAM of "
            f"{arch.name}: {arch.dram.size_bytes:,} bytes, {over:,} over"
        )


def _live_bytes(graph: Graph, group: Group) -> int:
    """Bytes of the activations that a group reads and writes."""
    moved = {**group.reads, **group.writes}
    return sum(-(-b // 8) for n, b in moved.items() if graph.tensors[n].role == "activation")


def _whole_cycles(layers: list[LayerResult], arch: ArchSpec) -> list[LayerResult]:
    """Round rows to cycles so that they sum to the rounded total, and stalls to their row."""
    found = []
    for row in layers:
        first = math.floor(row.start_ps * 1e-12 * arch.clock_hz + 0.5)
        last = math.floor((row.start_ps + row.duration_ps) * 1e-12 * arch.clock_hz + 0.5)
        cycles = last - first
        compute = min(row.compute_cycles, cycles)
        stalls = share_cycles({cause: row.stalls[cause] for cause in STALLS}, cycles - compute)
        found.append(replace(row, cycles=cycles, compute_cycles=compute, stalls=stalls))
    return found


def _validation(arch: ArchSpec) -> Any:
    if not arch.validation:
        return "unvalidated"
    return [item.model_dump(mode="json", exclude_none=True) for item in arch.validation]
