"""What stays on chip between ops: an output that fits need not go to DRAM and come back.

Each activation is looked at in the order in which it is made. It stays in the outermost level on
chip from the op that makes it to the last one that reads it, when there is room all along and the
ops in between, planned with what room is left to them, are together no slower than without it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from accelsim.graph.ir import Graph
from accelsim.graph.ops import kind_of
from accelsim.mapping.fuse import Group, roots
from accelsim.mapping.workload import Resident

#: Closed-form latency in ps of a group with what lies on chip; None when no plan fits.
Cost = Callable[[int, Resident], int | None]


@dataclass(frozen=True, slots=True)
class Life:
    """A tensor between ops: the groups that make it and that read it last, and its size."""

    name: str
    first: int
    last: int
    bits: int


def lives(graph: Graph, groups: Sequence[Group]) -> list[Life]:
    """Return the activations that one group makes and a later one reads, as they are made."""
    root = roots(graph)
    made: dict[str, tuple[int, int]] = {}
    last: dict[str, int] = {}
    for number, group in enumerate(groups):
        for name in group.reads:
            last[root[name]] = number
        for name, bits in group.writes.items():
            made[root[name]] = (number, bits)
    return [
        Life(name, first, last[name], bits)
        for name, (first, bits) in made.items()
        if graph.tensors[name].role == "activation" and last.get(name, first) > first
    ]


def place(graph: Graph, groups: Sequence[Group], room_bits: int, cost: Cost) -> list[Resident]:
    """Return, for every group, what of it lies on chip.

    Args:
        graph: the graph that the groups are of.
        groups: in order of execution.
        room_bits: capacity of the outermost level on chip.
        cost: of a group; equal questions are asked often, so it should remember its answers.
    """
    chosen: list[dict[str, int]] = [{} for _ in groups]
    view = _View(graph, groups)
    for life in lives(graph, groups):
        span = range(life.first, life.last + 1)
        if any(sum(chosen[g].values()) + life.bits > room_bits for g in span):
            continue
        if _pays(span, view, chosen, life, cost):
            for g in span:
                chosen[g][life.name] = life.bits
    return [view.resident(g, held) for g, held in enumerate(chosen)]


def _pays(span: range, view: _View, chosen: list[dict[str, int]], life: Life, cost: Cost) -> bool:
    before, after = 0, 0
    for g in span:
        with_it = cost(g, view.resident(g, {**chosen[g], life.name: life.bits}))
        without = cost(g, view.resident(g, chosen[g]))
        if with_it is None or without is None:
            return False
        before, after = before + without, after + with_it
    return after <= before


class _View:
    """Groups as residency sees them: by the tensors whose bytes they touch."""

    def __init__(self, graph: Graph, groups: Sequence[Group]) -> None:
        self.groups = groups
        self.root = roots(graph)
        self.kept = {self.root[name] for name in graph.outputs}

    def resident(self, number: int, held: Mapping[str, int]) -> Resident:
        """Return what of a group lies on chip when these tensors do."""
        group = self.groups[number]
        if not held:
            return Resident()
        first, second = self._operands(group)
        late = sum(bits for name, bits in self._others(group) if self.root[name] in held)
        stays = [
            bits
            for name, bits in group.writes.items()
            if self.root[name] in held and self.root[name] not in self.kept
        ]
        return Resident(
            first=bool(first) and first <= held.keys(),
            second=bool(second) and second <= held.keys(),
            x_bits=late,
            o_bits=sum(stays),
            held_bits=sum(held.values()),
        )

    def _operands(self, group: Group) -> tuple[set[str], set[str]]:
        """Tensors that the array's two operands are; nothing where the anchor streams."""
        if not _has_operands(group):
            return set(), set()
        names = [self.root[name] for name in group.anchor.inputs[:3]]
        second = names[1:3] if group.anchor.kind == "attention" else names[1:2]
        return {names[0]}, set(second)

    def _others(self, group: Group) -> Iterator[tuple[str, int]]:
        """What the epilogue reads; all that is read where the anchor streams."""
        if not _has_operands(group):
            yield from group.reads.items()
            return
        yield from group.late_reads.items()
        if group.anchor.kind != "attention":
            extra = group.anchor.inputs[2:]
            yield from ((name, group.reads[name]) for name in extra if name in group.reads)


def _has_operands(group: Group) -> bool:
    return kind_of(group.anchor).engine == "array"
