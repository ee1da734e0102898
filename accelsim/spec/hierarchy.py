"""A memory hierarchy around an array, as mapping searches see it.

It is a smaller thing than a chip: levels that hold operands, ports, the axes along which units are
repeated, and an energy per access. Published designs are given in this form by other tools.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, ConfigDict, Field

from accelsim.errors import Mistake, SpecError, UnknownNameError
from accelsim.spec.explain import build
from accelsim.spec.load import specs_folder
from accelsim.spec.locate import Document, Place, read
from accelsim.spec.quantity import Section

Operand = Literal["I", "W", "O"]
OPERANDS: tuple[Operand, ...] = ("I", "W", "O")
#: Traffic of an operand with the level below (nearer to the array) or above.
Movement = Literal["I.below", "W.below", "O.below", "I.above", "W.above", "O.above"]
_BELOW: dict[Operand, Movement] = {"I": "I.below", "W": "W.below", "O": "O.below"}
_ABOVE: dict[Operand, Movement] = {"I": "I.above", "W": "W.above", "O": "O.above"}
#: Batch, groups, output channels, input channels, output and filter rows and columns.
Dim = Literal["B", "G", "K", "C", "OY", "FY", "OX", "FX"]

Picojoules = Annotated[float, Field(ge=0, le=1e9)]
Bits = Annotated[int, Field(gt=0, le=1 << 24)]


def _listed(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


def movement(operand: Operand, *, below: bool) -> Movement:
    """Name an operand's traffic with the level below, or with the one above."""
    return (_BELOW if below else _ABOVE)[operand]


class AxisSpec(Section):
    """A direction in which units are repeated."""

    name: str = Field(min_length=1)
    size: int = Field(ge=1, le=1 << 20)
    dims: tuple[Dim, ...] = Field(
        default=(), description="Loops that a search may unroll here; empty: any."
    )
    systolic: bool = Field(
        default=False, description="Values move from unit to unit, one a cycle: skew on this axis."
    )


class PortSpec(Section):
    """A port of one instance of a level."""

    kind: Literal["read", "write", "read_write"]
    bits: Bits = Field(description="Width: bits a cycle, and the access that the energy is for.")
    min_bits: Bits | None = Field(
        default=None, description="Smallest part of an access that is charged; none: the width."
    )
    serves: Annotated[tuple[Movement, ...], BeforeValidator(_listed)] = Field(
        default=(), description="Movements such as I.below; empty: all of this kind."
    )

    @property
    def charged_bits(self) -> int:
        """The unit that an access is rounded up to."""
        return self.min_bits or self.bits


class HierarchyLevel(Section):
    """A level of memory."""

    name: str = Field(min_length=1)
    holds: Annotated[tuple[Operand, ...], BeforeValidator(_listed)] = Field(min_length=1)
    size_bits: int | None = Field(default=None, gt=0, description="Of an instance; null: no end.")
    per: tuple[str, ...] = Field(
        default=(), description="Axes along which it is repeated; none: one for the whole array."
    )
    read_pj: Picojoules
    write_pj: Picojoules
    ports: tuple[PortSpec, ...] = Field(min_length=1)
    double_buffered: bool = Field(default=False, description="Tiles take half of it at most.")

    @property
    def capacity_bits(self) -> float:
        """Bits that tiles may take."""
        if self.size_bits is None:
            return math.inf
        return self.size_bits // 2 if self.double_buffered else self.size_bits

    def port(self, movement: Movement, reads: bool) -> PortSpec:
        """Return the port that carries a movement."""
        return self.ports[self.port_index(movement, reads)]

    def port_index(self, movement: Movement, reads: bool) -> int:
        """Return which port carries a movement, checked to exist when the file was read."""
        index = _serving(self, movement, reads)
        if index is None:
            raise SpecError(f"{self.name} has no port for {movement}")
        return index


def _serving(level: HierarchyLevel, movement: Movement, reads: bool) -> int | None:
    kinds = ("read" if reads else "write", "read_write")
    for index, port in enumerate(level.ports):
        if port.kind in kinds and (not port.serves or movement in port.serves):
            return index
    return None


class HierarchySpec(Section):
    """Memories from the array outward, the array's axes, and what a multiply-accumulate costs."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1)
    mac_pj: Picojoules
    axes: tuple[AxisSpec, ...] = Field(min_length=1, max_length=4)
    memories: tuple[HierarchyLevel, ...] = Field(min_length=1, max_length=12)
    hold_operands: bool = Field(
        default=True,
        description="Inputs and weights stay at the multiplier while they do not change; false: "
        "each multiplication reads both.",
    )

    def levels_of(self, operand: Operand) -> tuple[int, ...]:
        """Return the indices of the levels that hold an operand, from the array outward."""
        return tuple(i for i, level in enumerate(self.memories) if operand in level.holds)

    @property
    def units(self) -> int:
        """Multipliers of the array."""
        return math.prod(axis.size for axis in self.axes)


def load_hierarchy(name_or_path: str | os.PathLike[str]) -> HierarchySpec:
    """Load a hierarchy by its shipped name or from a YAML file.

    Raises:
        UnknownNameError: no shipped hierarchy has this name, and there is no such file.
        SpecError: the file holds mistakes; all of them are listed with their lines.
    """
    given = os.fspath(name_or_path)
    path, shown = Path(given), given
    if given in shipped_hierarchies():
        path = _folder() / f"{given}.yaml"
        near = os.path.relpath(path)
        shown = str(path) if near.startswith("..") else near
    elif path.suffix not in (".yaml", ".yml") and not path.exists():
        raise UnknownNameError("hierarchy", given, shipped_hierarchies())
    return hierarchy_of(read(path, shown))


def hierarchy_of(document: Document) -> HierarchySpec:
    """Return the hierarchy of a document.

    Raises:
        SpecError: it holds mistakes; all of them are listed with their lines.
    """
    spec, mistakes = build(HierarchySpec, document)
    if spec is not None:
        mistakes += [
            Mistake(document.mark(place).where, ".".join(str(p) for p in place), what)
            for place, what in contradictions(spec)
        ]
    if mistakes or spec is None:
        raise SpecError(mistakes)
    return spec


def shipped_hierarchies() -> tuple[str, ...]:
    """Return the names of the hierarchies that come with accelsim."""
    return tuple(sorted(path.stem for path in _folder().glob("*.yaml")))


def _folder() -> Path:
    return specs_folder() / "hierarchies"


def contradictions(spec: HierarchySpec) -> Iterator[tuple[Place, str]]:
    """Yield places and sentences of what does not go together in a hierarchy."""
    axes = [axis.name for axis in spec.axes]
    if len(set(axes)) < len(axes):
        yield ("axes",), "two axes have the same name"
    names = [level.name for level in spec.memories]
    for index, level in enumerate(spec.memories):
        place: Place = ("memories", index)
        if level.name in names[:index]:
            yield (*place, "name"), f"the name {level.name!r} is taken by a level before"
        for axis in level.per:
            if axis not in axes:
                yield (*place, "per"), f"{axis!r} is no axis; there are {', '.join(axes)}"
        for number, port in enumerate(level.ports):
            if port.charged_bits > port.bits:
                what = f"{port.min_bits} bits are more than the port's {port.bits}"
                yield (*place, "ports", number, "min_bits"), what
        yield from _port_gaps(spec, index, place)
    for operand in OPERANDS:
        yield from _ladder(spec, operand)


def _port_gaps(spec: HierarchySpec, index: int, place: Place) -> Iterator[tuple[Place, str]]:
    """Find movements of a level that no port carries."""
    level = spec.memories[index]
    for operand in level.holds:
        top = spec.levels_of(operand)[-1] == index
        needed: list[tuple[Movement, bool]] = [(movement(operand, below=True), True)]
        if operand == "O":
            needed.append(("O.below", False))
        if not top:
            needed.append((movement(operand, below=False), False))
            if operand == "O":
                needed.append(("O.above", True))
        for one, reads in needed:
            if _serving(level, one, reads) is None:
                kind = "read" if reads else "write"
                what = f"no {kind} port serves {one} of {level.name}"
                yield (*place, "ports"), what


def _ladder(spec: HierarchySpec, operand: Operand) -> Iterator[tuple[Place, str]]:
    """Check one operand's levels: they end in the outermost, and are repeated ever less."""
    levels = spec.levels_of(operand)
    last = len(spec.memories) - 1
    if not levels or levels[-1] != last:
        what = f"the outermost level has to hold {operand}: everything comes from there"
        yield ("memories", last, "holds"), what
        return
    for lower, upper in pairwise(levels):
        extra = set(spec.memories[upper].per) - set(spec.memories[lower].per)
        if extra:
            what = (
                f"{spec.memories[upper].name} is repeated along {', '.join(sorted(extra))}, where "
                f"{spec.memories[lower].name} below it is shared"
            )
            yield ("memories", upper, "per"), what
    if spec.memories[last].size_bits is not None and spec.memories[last].per:
        yield ("memories", last, "per"), "the outermost level is one for all"
