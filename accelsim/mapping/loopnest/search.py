"""Best-first branch and bound over unrollings and shares of memories, with a proven gap.

For one unrolling, and with a share of every memory for each operand in it, the best of all orders
and uneven placements is found exactly (``_core.chain``). What is left to search is the unrolling
and the shares. A node of the search is an unrolling and a range for every tile's size; its bound
lets all operands of a memory use their whole range at once. Unrollings are bounded in steps, each
dearer and tighter: with no tables, by the cheapest tile at every boundary, and with an order of
loops that two operands share. A node whose tiles fit together is solved; another one is split at a
size of one of its tiles.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from math import inf

import numpy as np

from accelsim.errors import MappingError
from accelsim.jit import Floats
from accelsim.mapping.loopnest.cost import latency_of
from accelsim.mapping.loopnest.frame import Frame, KPath, unrollings
from accelsim.mapping.loopnest.layer import Layer
from accelsim.mapping.loopnest.space import Chain, Space
from accelsim.spec.hierarchy import HierarchySpec

#: Nodes after which a search stops and says what gap is left.
MOST_NODES = 20_000
#: Mappings whose costs differ by less are equally good: the faster one is taken.
TIE = 1e-9
#: Sums of the same numbers in another order differ by less.
_LAST_DIGITS = 1e-12
#: Bytes of tables that a search keeps; beyond them tables are made when they are needed.
MOST_BYTES = 100 << 20
#: Nodes that are solved after the first best mapping to find equally good ones.
MOST_TIES = 64


@dataclass(frozen=True, slots=True)
class Room:
    """Bits that tiles may take: the least and the most per boundary."""

    least: dict[int, float]
    most: dict[int, float]


@dataclass(order=True, slots=True)
class _Node:
    bound: float
    number: int
    space: Space = field(compare=False)
    room: Room | None = field(compare=False, default=None)
    chain: Chain | None = field(compare=False, default=None)
    sizes: dict[int, float] = field(compare=False, default_factory=dict)
    coupled: bool = field(compare=False, default=False)


@dataclass(frozen=True, slots=True)
class Best:
    """A search's result.

    Attributes:
        space: tables of its unrolling.
        chain: its tiles.
        value: of the objective.
        bound: no mapping of the space is below it.
        nodes: that were solved.
    """

    space: Space
    chain: Chain
    value: float
    bound: float
    nodes: int

    @property
    def gap(self) -> float:
        """How far the value may lie above the best of the space, as a fraction."""
        return 0.0 if self.value <= self.bound else self.value / self.bound - 1.0


Weights = Callable[[Space], tuple[Floats, float]]


def energy_weights(space: Space) -> tuple[Floats, float]:
    """Return pJ per bit at every boundary, and the energy of the multipliers."""
    return space.energy, space.layer.macs * space.hierarchy.mac_pj


def spaces(layer: Layer, hierarchy: HierarchySpec, k_path: KPath | None = None) -> list[Space]:
    """Return the tables of all unrollings.

    Raises:
        MappingError: not even tiles of one element fit, or no unrolling has the K path.
    """
    path = k_path or KPath()
    listed = unrollings(layer, hierarchy, path)
    if not listed:
        raise MappingError(
            f"{layer.name}: no axis of {hierarchy.name} spreads C over {path.units} units"
        )
    frame = Frame(layer, hierarchy, path)
    return [Space(frame, unrolling) for unrolling in listed]


def branch_and_bound(
    listed: Sequence[Space], weights: Weights, *, twice: bool = False, gap: float = 0.0
) -> Best:
    """Find the cheapest mapping of several unrollings.

    Args:
        listed: unrollings.
        weights: cost per charged bit at every boundary, and a constant.
        twice: whether tiles that change have to fit twice (double buffering).
        gap: how close to the bound is good enough, as a fraction.

    Raises:
        MappingError: nothing fits.
    """
    job = _Job(weights, twice, keeps=_fit_memory(listed))
    numbers = itertools.count()
    spare = MOST_TIES
    # Of unrollings that look alike, those that use most units come first.
    ordered = sorted(listed, key=lambda space: space.compute_cycles)
    heap = [_Node(job.floor(space), next(numbers), space) for space in ordered]
    heapq.heapify(heap)
    best: _Node | None = None
    solved = 0
    while heap and (solved < MOST_NODES or best is None):
        if best is not None and _settled(best, heap[0].bound, gap, spare):
            break
        node = heapq.heappop(heap)
        if job.waits(node, best, heap[0].bound if heap else inf):
            # Something else looks better by now; the tables stay for later.
            heapq.heappush(heap, node)
            continue
        if _hopeless(node, best):
            job.close(node)
            continue
        solved += 1
        spare -= best is not None
        job.solve(node)
        if _hopeless(node, best):
            continue
        crowded = _crowded(node)
        if crowded is None:
            best = node if best is None else _better(best, node)
            continue
        for room in _split(node, crowded):
            heapq.heappush(heap, _Node(node.bound, next(numbers), node.space, room, coupled=True))
    if best is None or best.chain is None:
        raise MappingError(why_nothing_fits(listed, twice))
    bound = min(best.bound, heap[0].bound) if heap else best.bound
    return Best(best.space, best.chain, best.bound, bound, solved)


def _fit_memory(listed: Sequence[Space]) -> bool:
    """Whether the tables of all unrollings may lie in memory together."""
    total = 0
    for space in listed:
        total += space.table_bytes
        if total > MOST_BYTES:
            return False
    return True


def _settled(best: _Node, bound: float, gap: float, spare: int) -> bool:
    """Whether nothing left can improve on a mapping by more than the gap, nor be as good."""
    if gap > 0.0 or spare <= 0:
        return best.bound <= bound * (1.0 + gap)
    return best.bound * (1.0 + TIE) < bound


def _hopeless(node: _Node, best: _Node | None) -> bool:
    """Whether a node holds nothing as good as the best mapping so far."""
    return node.bound == inf or (best is not None and node.bound > best.bound * (1.0 + TIE))


def _better(one: _Node, other: _Node) -> _Node:
    """Return the cheaper of two solved nodes, and of equally cheap ones the faster."""
    if abs(one.bound - other.bound) > TIE * one.bound:
        return one if one.bound < other.bound else other
    cycles = [latency_of(node.space, node.chain or ()).cycles for node in (one, other)]
    return one if cycles[0] <= cycles[1] else other


@dataclass(slots=True)
class _Job:
    """What a search minimizes, and whether tiles have to fit twice.

    Attributes:
        weights: cost per charged bit at every boundary, and a constant.
        twice: whether tiles that change have to fit twice.
        keeps: whether tables stay in memory; else they are made again when they are needed.
        pair: the operands whose shared order bounds best; found out at the first node.
    """

    weights: Weights
    twice: bool
    keeps: bool
    pair: tuple[int, ...] | None = None

    def floor(self, space: Space) -> float:
        """Bound an unrolling without its tables."""
        per_bit, constant = self.weights(space)
        return constant + space.floor(per_bit)

    def waits(self, node: _Node, best: _Node | None, next_bound: float) -> bool:
        """Bound a node step by step; return whether another one looks better by now."""
        if node.room is None:
            self._open(node)
            if self.keeps and node.bound > next_bound:
                return True
        if not node.coupled and best is not None and not _hopeless(node, best):
            self._couple(node)
            return self.keeps and node.bound > next_bound
        return False

    def _open(self, node: _Node) -> None:
        """Bound a node by the cheapest tile at every boundary."""
        space = node.space
        per_bit, constant = self.weights(space)
        held = space.held(self.twice)
        room = Room({}, {})
        for memory, group in space.groups.items():
            capacity = space.hierarchy.memories[memory].capacity_bits
            smallest = {i: float(held[i].min()) for i in group}
            for i in group:
                room.least[i] = 0.0
                room.most[i] = capacity - sum(n for j, n in smallest.items() if j != i)
        bound = constant + space.fixed(per_bit)
        for i, prices in zip(space.moving, space.cost(per_bit), strict=True):
            limit = room.most.get(i, inf if space.all[i].lower is not None else 0.0)
            fits = prices[held[i] <= limit]
            bound += float(fits.min()) if fits.size else inf
        node.room, node.bound = room, max(node.bound, bound)

    def _couple(self, node: _Node) -> None:
        """Bound a node by the cheapest chain of two operands; they share an order of loops."""
        node.coupled = True
        space = node.space
        moves = [operand for operand, depth in enumerate(space.frame.depths) if depth > 0]
        if node.room is None or len(moves) < len(space.frame.depths):
            return
        pairs = list(itertools.combinations(moves, 2)) if self.pair is None else [self.pair]
        prices = self._prices(space, node.room)
        bounds = [space.coupled(prices, pair) for pair in pairs]
        self.pair = pairs[int(np.argmax(bounds))]
        per_bit, constant = self.weights(space)
        # Sums in another order differ in their last digit: a bound may not be above the value.
        bound = (max(bounds) + space.fixed(per_bit) + constant) * (1.0 - _LAST_DIGITS)
        node.bound = max(node.bound, bound)

    def _prices(self, space: Space, room: Room) -> Floats:
        """Return the cost of every tile, infinite outside of a node's ranges."""
        held = space.held(self.twice)
        prices = space.cost(self.weights(space)[0])
        for row, i in enumerate(space.moving):
            least = room.least.get(i, 0.0)
            most = room.most.get(i, 0.0 if space.all[i].lower is None else inf)
            prices[row, (held[i] < least) | (held[i] > most)] = inf
        return prices

    def solve(self, node: _Node) -> None:
        """Find the best chain within the node's ranges; its cost is the node's bound."""
        space, room = node.space, node.room
        if room is None:
            return
        per_bit, constant = self.weights(space)
        value, chain = space.cheapest(self._prices(space, room))
        node.bound = value + space.fixed(per_bit) + constant
        node.chain = chain
        if value < inf:
            held = space.held(self.twice)
            node.sizes = {i: float(held[i, point]) for i, point in chain}
        self.close(node)

    def close(self, node: _Node) -> None:
        """Drop the tables of a node where they may not stay."""
        if not self.keeps:
            node.space.release()


def _crowded(node: _Node) -> int | None:
    """Return a memory whose tiles do not fit together, or None."""
    for memory, group in node.space.groups.items():
        capacity = node.space.hierarchy.memories[memory].capacity_bits
        if sum(node.sizes[i] for i in group) > capacity:
            return memory
    return None


def _split(node: _Node, memory: int) -> Iterator[Room]:
    """Split a node at a size of the tile whose range is widest: up to it, and above it."""
    room, sizes = node.room, node.sizes
    if room is None:
        return
    group = node.space.groups[memory]
    capacity = node.space.hierarchy.memories[memory].capacity_bits
    chosen = max(group, key=lambda i: sizes[i] - room.least[i])
    others = sum(sizes[i] for i in group if i != chosen)
    # Both sides leave out this node's own solution: above the cut, the others have too little.
    low = max(room.least[chosen], capacity - others, 0.0)
    cut = float(np.floor((low + sizes[chosen] - 1.0) / 2.0))
    yield Room(room.least, {**room.most, chosen: min(cut, room.most[chosen])})
    least = {**room.least, chosen: cut + 1.0}
    most = dict(room.most)
    for i in group:
        if i != chosen:
            taken = sum(least[j] for j in group if j != i)
            most[i] = min(most[i], capacity - taken)
    yield Room(least, most)


def why_nothing_fits(listed: Sequence[Space], twice: bool) -> str:
    """Say which level is too small for which operands, and by how many bytes, at the least."""
    nearest: tuple[float, str] | None = None
    for space in listed:
        held = space.held(twice)
        for memory, group in space.groups.items():
            smallest = {i: float(held[i].min()) for i in group}
            over = sum(smallest.values()) - space.hierarchy.memories[memory].capacity_bits
            if over > 0 and (nearest is None or over < nearest[0]):
                level = space.hierarchy.memories[memory].name
                parts = " and ".join(space.all[i].operand for i in group)
                what = f"the smallest tiles of {parts} are {over / 8:,.3g} bytes over in {level}"
                nearest = (over, f"{space.layer.name}: nothing fits: {what}")
    if nearest is not None:
        return nearest[1]
    return f"{listed[0].layer.name}: no tiles fit together in {listed[0].hierarchy.name}"
