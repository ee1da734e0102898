"""Spans for the trace: what every unit does while an op runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from accelsim.jit import Ints
from accelsim.mapping._core import layout as at
from accelsim.mapping._core.steps import W_VECTOR
from accelsim.mapping.plan import Plan
from accelsim.sim._core import queues
from accelsim.sim.outcome import Outcome
from accelsim.sim.result import Span


@dataclass(frozen=True, slots=True)
class Position:
    """Where an op stands in a run: its name, its start, and the first number of its arrows."""

    name: str
    start_ps: int
    first_flow: int


#: Tiles of an op that are shown one by one; the rest of it is one span per unit.
DETAILED_TILES = 64
_QUEUE_NAMES = ("A", "W", "C", "store")


def spans_of(plan: Plan, outcome: Outcome, op: Position, detailed: bool) -> list[Span]:
    """Return the spans of one op.

    The first op of each kind of work shows its first tiles one by one, each with an arrow from the
    transfer that it waited for; later ones show one span per unit.
    """
    overhead = int(plan.machine.rates[at.R_OVERHEAD])
    found = [Span("dispatch", op.name, op.start_ps, min(overhead, outcome.end_ps))]
    main = "array" if plan.steps.on_array else "vector"
    if outcome.spans is None or outcome.steps is None:
        busy = outcome.end_ps - overhead
        return [*found, Span(main, op.name, op.start_ps + overhead, busy)] if busy > 0 else found
    limit = DETAILED_TILES if detailed else 0
    feeds = _feeds(plan, outcome.spans, limit)
    starts = outcome.steps[[queues.ARRAY_START, queues.VECTOR_START]]
    ends = outcome.steps[[queues.ARRAY_END, queues.VECTOR_END]]
    arrows = {step: op.first_flow + step for step in feeds}
    found += _unit((starts[0], ends[0]), main, op, limit, arrows)
    if plan.steps.work[:, W_VECTOR].any():
        found += _unit((starts[1], ends[1]), "vector", op, limit, {})
    found += _links(plan, outcome.spans, op, limit, {feed: arrows[s] for s, feed in feeds.items()})
    return found


def _feeds(plan: Plan, spans: Ints, limit: int) -> dict[int, tuple[int, int]]:
    """Return, per step, the queue and number of the tile on link 0 that arrived last for it."""
    bits = plan.steps.bits[0, : queues.LOADS, :limit]
    found: dict[int, tuple[int, int]] = {}
    for step in np.flatnonzero(bits.any(axis=0)):
        tiles = [
            (which, int((bits[which, :step] > 0).sum()))
            for which in range(queues.LOADS)
            if bits[which, step]
        ]
        found[int(step)] = max(tiles, key=lambda tile: spans[queues.END, 0, tile[0], tile[1]])
    return found


def _unit(
    times: tuple[Ints, Ints], unit: str, op: Position, limit: int, arrows: Mapping[int, int]
) -> Iterator[Span]:
    starts, ends = times
    shown = min(limit, starts.size)
    for step in range(shown):
        start, duration = int(starts[step]), int(ends[step] - starts[step])
        if duration > 0:
            flow = arrows.get(step, 0)
            yield Span(unit, f"{op.name} [{step}]", op.start_ps + start, duration, flow)
    rest = shown + np.flatnonzero(ends[shown:] > starts[shown:])
    if rest.size:
        first, last = int(starts[rest[0]]), int(ends[rest[-1]])
        yield Span(unit, op.name, op.start_ps + first, last - first)


def _links(
    plan: Plan, spans: Ints, op: Position, limit: int, arrows: Mapping[tuple[int, int], int]
) -> Iterator[Span]:
    units = [memory.name for memory in plan.machine.arch.memories[1:]] + ["dram"]
    for link, unit in enumerate(units):
        for which in range(queues.QUEUES):
            starts, ends = spans[queues.START, link, which], spans[queues.END, link, which]
            moved = int((ends > 0).sum())
            shown = min(limit, moved)
            track = f"{unit} {_QUEUE_NAMES[which]}"
            for tile in range(shown):
                start, duration = int(starts[tile]), int(ends[tile] - starts[tile])
                flow = arrows.get((which, tile), 0) if link == 0 else 0
                yield Span(track, f"{op.name} [{tile}]", op.start_ps + start, duration, flow)
            if moved > shown:
                start, end = int(starts[shown]), int(ends[moved - 1])
                yield Span(track, op.name, op.start_ps + start, end - start)
