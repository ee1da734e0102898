"""Mappings as zigzag writes and counts them.

Its counting differs from ours in four ways. A loop spread over units that do not divide it counts
as a fraction of a unit more. Every transfer is of a whole tile, rounded up to the smallest charged
access. The first visit to an output reads it back like any other. Outputs have their final width
from the level on above which nothing more is added. Facts read in zigzag-dse 3.9.1 (KU Leuven,
MIT); the formulas here are our own wording of them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from accelsim.errors import InputError, MappingError
from accelsim.mapping.loopnest.layer import DIMS, Layer
from accelsim.mapping.loopnest.nest import Loop, Nest
from accelsim.spec.hierarchy import OPERANDS, HierarchySpec, Operand, movement

_LOOP = re.compile(r"\(\s*([A-Z]+\d*)\s*,\s*([0-9.]+)\s*\)")
_OPERAND = re.compile(r"([IWO]):\s*(\[(?:[^\[\]]|\[[^\[\]]*\])*\])")
_LEVEL = re.compile(r"\[([^\[\]]*)\]")
#: Loop names of its GEMM layers.
_GEMM_NAMES = {"D0": "B", "D1": "K", "D2": "C"}


def parse_loops(text: str) -> tuple[Loop, ...]:
    """Read ``[(K, 32.0), (C, 2)]``.

    Raises:
        InputError: it is not a list of loops.
    """
    rest = _LOOP.sub("", text).strip("[] ,\t\n")
    if rest:
        raise InputError(f"found {rest!r} in {text!r}; loops such as (K, 32) are needed")
    found = [(_GEMM_NAMES.get(name, name), float(size)) for name, size in _LOOP.findall(text)]
    for name, size in found:
        if name not in DIMS:
            raise InputError(f"unknown loop {name!r}; known: {', '.join(DIMS)}")
        if size <= 0:
            raise InputError(f"loop {name} of {size:g}; at least 1 is needed")
    return tuple(found)


def parse_temporal(text: str) -> dict[Operand, tuple[tuple[Loop, ...], ...]]:
    """Read ``{O: [[(C, 4)], []], W: [...], I: [...]}``.

    Raises:
        InputError: it is not a mapping of this form, or an operand is missing.
    """
    found: dict[Operand, tuple[tuple[Loop, ...], ...]] = {}
    for operand, levels in _OPERAND.findall(text):
        inner = levels[1:-1]
        found[operand] = tuple(parse_loops(level) for level in _LEVEL.findall(inner))
    missing = [operand for operand in OPERANDS if operand not in found]
    if missing:
        raise InputError(f"the temporal mapping has no loops for {', '.join(missing)}: {text!r}")
    return found


def parse(spatial: str, temporal: str, hierarchy: HierarchySpec) -> Nest:
    """Read zigzag's two strings.

    Args:
        spatial: loops over the array; an axis is found for each by what the axis unrolls and by its
            size.
        temporal: loops per operand and level.
        hierarchy: for its axes.

    Raises:
        InputError: a string cannot be read.
        MappingError: no axis is left for a loop.
    """
    return Nest(place(parse_loops(spatial), hierarchy), parse_temporal(temporal))


def place(loops: Sequence[Loop], hierarchy: HierarchySpec) -> tuple[tuple[Loop, ...], ...]:
    """Give each loop over the array an axis: the first free one that takes it.

    Raises:
        MappingError: no axis is left for a loop.
    """
    placed: list[list[Loop]] = [[] for _ in hierarchy.axes]
    for loop in loops:
        name, size = loop
        free = [
            index
            for index, axis in enumerate(hierarchy.axes)
            if math.prod(s for _, s in placed[index]) * size <= axis.size * (1 + 1e-9)
        ]
        # An axis that names the loop goes first, then one that takes any, then an empty one.
        free.sort(key=lambda i: (_liking(hierarchy, i, name), len(placed[i])))
        if not free:
            raise MappingError(f"no axis of {hierarchy.name} is left for ({name}, {size:g})")
        placed[free[0]].append(loop)
    return tuple(tuple(loops) for loops in placed)


def _liking(hierarchy: HierarchySpec, index: int, name: str) -> int:
    dims = hierarchy.axes[index].dims
    return 0 if name in dims else 1 if not dims else 2


@dataclass(frozen=True, slots=True)
class Charge:
    """Energy of an operand at a level in pJ."""

    operand: Operand
    level: str
    energy_pj: float


@dataclass(frozen=True, slots=True)
class _Flow:
    """One operand's loops between the levels that hold it.

    Attributes:
        layer: what runs.
        hierarchy: where.
        operand: which.
        levels: indices of its memories.
        over: loops over units below each of them (``over[m]`` lies right below memory ``m``).
        inside: loops in time inside each of them, stationary ones moved inward.
        held: cycles that a value stays at the multipliers.
    """

    layer: Layer
    hierarchy: HierarchySpec
    operand: Operand
    levels: tuple[int, ...]
    over: tuple[tuple[Loop, ...], ...]
    inside: tuple[tuple[Loop, ...], ...]
    held: float


def _sunk(
    loops: Sequence[Sequence[Loop]], relevant: frozenset[str]
) -> tuple[tuple[tuple[Loop, ...], ...], float]:
    """Move loops that do not index the operand inward while they are a level's innermost."""
    levels = [list(level) for level in loops]
    for index in range(len(levels) - 1, -1, -1):
        while levels[index] and levels[index][0][0] not in relevant and index > 0:
            levels[index - 1].append(levels[index].pop(0))
    for index in range(1, len(levels)):
        while levels[index] and levels[index][0][0] not in relevant:
            levels[index - 1].append(levels[index].pop(0))
    held = 1.0
    for name, size in levels[0]:
        if name in relevant:
            break
        held *= size
    return tuple(tuple(level) for level in levels), held


def _flow(operand: Operand, nest: Nest, layer: Layer, hierarchy: HierarchySpec) -> _Flow:
    levels = hierarchy.levels_of(operand)
    shared_before: set[str] = set()
    over = []
    for index in levels:
        per = set(hierarchy.memories[index].per)
        here = [a.name for a in hierarchy.axes if a.name not in per and a.name not in shared_before]
        shared_before |= set(here)
        over.append(
            tuple(
                loop
                for axis, loops in zip(hierarchy.axes, nest.spatial, strict=True)
                if axis.name in here
                for loop in loops
            )
        )
    inside, held = _sunk(nest.temporal[operand], layer.relevant(operand))
    if operand == "O":
        held = 1.0
    return _Flow(layer, hierarchy, operand, levels, tuple(over), inside, held)


def _tile(layer: Layer, operand: Operand, loops: Sequence[Loop]) -> float:
    """Elements of an operand under loops; parts of a unit count in full loops alone."""
    sizes = dict.fromkeys(DIMS, 1.0)
    for name, size in loops:
        sizes[name] *= size
    relevant = layer.relevant(operand)
    if not layer.slides(operand):
        return math.prod(sizes[dim] for dim in relevant)
    plain = math.prod(sizes[dim] for dim in relevant - {"OX", "FX", "OY", "FY"})
    rows = layer.window("Y", int(sizes["OY"]), int(sizes["FY"]))
    return plain * rows * layer.window("X", int(sizes["OX"]), int(sizes["FX"]))


def _adds(layer: Layer, loops: Sequence[Loop]) -> bool:
    """Whether loops sum into outputs."""
    return any(name not in layer.relevant("O") and size > 1 for name, size in loops)


def charges(nest: Nest, layer: Layer, hierarchy: HierarchySpec) -> tuple[Charge, ...]:
    """Return zigzag's energy of a mapping, per operand and level; multiplications are left out."""
    found = []
    for operand in OPERANDS:
        if not layer.bits[operand]:
            continue
        flow = _flow(operand, nest, layer, hierarchy)
        found += [
            Charge(operand, hierarchy.memories[flow.levels[m]].name, energy)
            for m, energy in enumerate(_level_energies(flow))
        ]
    return tuple(found)


def energy_pj(nest: Nest, layer: Layer, hierarchy: HierarchySpec) -> float:
    """Return zigzag's energy of a mapping in pJ."""
    return layer.macs * hierarchy.mac_pj + sum(
        charge.energy_pj for charge in charges(nest, layer, hierarchy)
    )


def _level_energies(flow: _Flow) -> Iterator[float]:
    last = len(flow.levels) - 1
    for m, index in enumerate(flow.levels):
        memory = flow.hierarchy.memories[index]
        energy = 0.0
        for reads, count in _accesses(flow, m, top=m == last):
            energy += count * (memory.read_pj if reads else memory.write_pj)
        yield energy


def _accesses(flow: _Flow, m: int, *, top: bool) -> Iterator[tuple[bool, float]]:
    """Yield (is a read, accesses of full width) of a level, below and above."""
    below = tuple(loop for level in flow.inside[:m] for loop in level)
    spread = tuple(loop for level in flow.over[:m] for loop in level)
    total = math.prod(size for level in flow.inside for _, size in level)
    units = round(math.prod(size for level in flow.over[m + 1 :] for _, size in level))
    piece = round(_tile(flow.layer, flow.operand, (*below, *spread))) * _lanes(flow, m)
    cycles = math.prod(size for _, size in below) if m else flow.held
    yield from _charged(flow, m, piece, total // cycles * units, below=True)
    if top:
        return
    inside = (*below, *flow.inside[m])
    tile = round(_tile(flow.layer, flow.operand, (*inside, *spread, *flow.over[m])))
    cycles = math.prod(size for _, size in inside)
    yield from _charged(flow, m, tile, total // cycles * units, below=False)


def _lanes(flow: _Flow, m: int) -> int:
    """Lower units with data of their own under one unit of a level."""
    spread = tuple(loop for level in flow.over[:m] for loop in level)
    grown = (*spread, *flow.over[m])
    return round(_tile(flow.layer, flow.operand, grown) / _tile(flow.layer, flow.operand, spread))


def _charged(
    flow: _Flow, m: int, elements: float, times: float, *, below: bool
) -> Iterator[tuple[bool, float]]:
    memory = flow.hierarchy.memories[flow.levels[m]]
    partial = flow.operand == "O" and _partial_above(flow, m if below else m + 1)
    bits = flow.layer.bits[flow.operand]
    if flow.operand == "O" and not partial:
        bits = flow.layer.final_bits
    inward = flow.operand != "O"
    directions = [True, False] if partial else [inward == below]
    for reads in directions:
        port = memory.port(movement(flow.operand, below=below), reads)
        accesses = math.ceil(elements * bits / port.charged_bits - 1e-9)
        # Parts of an access are dropped once, over all transfers.
        yield reads, int(accesses * (port.charged_bits / port.bits) * times)


def _partial_above(flow: _Flow, m: int) -> bool:
    """Whether sums are unfinished between memory ``m - 1`` and memory ``m``."""
    if m >= len(flow.levels):
        return False
    loops = [loop for level in (*flow.inside[m:], *flow.over[m + 1 :]) for loop in level]
    return _adds(flow.layer, loops)


def costed(strings: Mapping[str, str], layer: Layer, hierarchy: HierarchySpec) -> float:
    """Return zigzag's energy of its two strings in pJ."""
    nest = parse(strings["spatial_mapping"], strings["temporal_mapping"], hierarchy)
    return energy_pj(nest, layer, hierarchy)
