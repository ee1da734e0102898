"""Spans for the trace: what every unit does while an op runs."""

from __future__ import annotations

from collections.abc import Iterator

from accelsim.jit import Ints
from accelsim.mapping.plan import Plan
from accelsim.sim._core import queues
from accelsim.sim.outcome import Outcome
from accelsim.sim.result import Span

#: Tiles of an op that are shown one by one; the rest of it is one span per unit.
_DETAILED_TILES = 64
_QUEUE_NAMES = ("A", "W", "C", "store")


def spans_of(plan: Plan, outcome: Outcome, name: str, start_ps: int, detailed: bool) -> list[Span]:
    """Return the spans of one op that starts at ``start_ps``.

    The first op of each kind of work shows its first tiles one by one, with the transfers that feed
    them; later ones show one span per unit.
    """
    overhead = int(plan.machine.rates[1])
    found = [Span("dispatch", name, start_ps, min(overhead, outcome.end_ps))]
    if outcome.spans is None or outcome.steps is None:
        found.append(Span("array" if plan.steps.on_array else "vector", name, start_ps + overhead,
                          outcome.end_ps - overhead))  # fmt: skip
        return found
    limit = _DETAILED_TILES if detailed else 0
    found += _unit(outcome.steps[0], outcome.steps[1], _main(plan), name, start_ps, limit)
    if plan.steps.work[:, 3].any():
        found += _unit(outcome.steps[2], outcome.steps[3], "vector", name, start_ps, limit)
    found += _links(plan, outcome.spans, name, start_ps, limit)
    return found


def _main(plan: Plan) -> str:
    return "array" if plan.steps.on_array else "vector"


def _unit(
    starts: Ints, ends: Ints, unit: str, name: str, offset: int, limit: int
) -> Iterator[Span]:
    shown = min(limit, starts.size)
    for step in range(shown):
        if ends[step] > starts[step]:
            yield Span(unit, f"{name} [{step}]", offset + int(starts[step]),
                       int(ends[step] - starts[step]))  # fmt: skip
    rest = [i for i in range(shown, starts.size) if ends[i] > starts[i]]
    if rest:
        first, last = int(starts[rest[0]]), int(ends[rest[-1]])
        yield Span(unit, name, offset + first, last - first)


def _links(plan: Plan, spans: Ints, name: str, offset: int, limit: int) -> Iterator[Span]:
    names = [memory.name for memory in plan.machine.arch.memories[1:]] + ["dram"]
    for link, unit in enumerate(names):
        for which in range(queues.QUEUES):
            ends = spans[1, link, which]
            moved = int((ends > 0).sum())
            shown = min(limit, moved)
            track = f"{unit} {_QUEUE_NAMES[which]}"
            for tile in range(shown):
                start = int(spans[0, link, which, tile])
                yield Span(track, f"{name} [{tile}]", offset + start, int(ends[tile]) - start)
            if moved > shown:
                start = int(spans[0, link, which, shown])
                yield Span(track, name, offset + start, int(ends[moved - 1]) - start)
