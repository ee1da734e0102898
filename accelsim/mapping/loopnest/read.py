"""The file of ``accelsim replay mapping``: a layer, a hierarchy, and a mapping or none."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import BeforeValidator, ConfigDict, Field

from accelsim.errors import FileError, InputError, Mistake
from accelsim.mapping.loopnest import zigzag
from accelsim.mapping.loopnest.layer import DIMS, Kind, Layer
from accelsim.mapping.loopnest.nest import Loop, Nest, check
from accelsim.spec.explain import build
from accelsim.spec.hierarchy import (
    OPERANDS,
    Dim,
    HierarchySpec,
    Operand,
    contradictions,
    load_hierarchy,
)
from accelsim.spec.locate import Document, Place, read
from accelsim.spec.quantity import Section

Result = TypeVar("Result")
Length = Annotated[int, Field(ge=1, le=1 << 31)]
Step = Annotated[int, Field(ge=1, le=1 << 20)]
Width = Annotated[int, Field(ge=1, le=64)]
_STEP = re.compile(r"\s*([A-Z]{1,2})\s+(\d+)\s*")


def _listed(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


Pair = Annotated[tuple[Step, Step], BeforeValidator(_listed)]


class _Plain(Section):
    model_config = ConfigDict(frozen=True, extra="forbid")


class BitsSection(_Plain):
    """Widths of elements."""

    I: Width = 8  # noqa: E741  # the operand's name
    W: Annotated[int, Field(ge=0, le=64)] = 8
    O: Width = 16  # noqa: E741  # likewise
    final: Width = 8


class LayerSection(_Plain):
    """What runs."""

    kind: Kind = "gemm"
    name: str = "layer"
    sizes: dict[Dim, Length] = Field(min_length=1)
    bits: BitsSection = BitsSection()
    stride: Pair = Field(default=(1, 1), description="Of the window: rows, columns.")
    input: Pair | None = Field(
        default=None, description="Stored rows and columns; none: all that windows touch."
    )


class MappingSection(_Plain):
    """A mapping: by hand, or zigzag's two strings."""

    spatial: dict[str, str] = Field(
        default={}, description="Axis to the loop unrolled on it: D1: K 32."
    )
    loops: tuple[str, ...] | None = Field(
        default=None, description="Loops in time, innermost first: C 128."
    )
    keep: dict[Operand, dict[str, int]] = Field(
        default={},
        description="How many of the loops, counted from the innermost, run inside a level.",
    )
    spatial_mapping: str | None = None
    temporal_mapping: str | None = None


class ReplayFile(_Plain):
    """A file of ``accelsim replay mapping``."""

    layer: LayerSection
    hierarchy: str | HierarchySpec | None = None
    objective: Literal["energy", "latency", "edp"] = "energy"
    mapping: MappingSection | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """What a file asks for.

    Attributes:
        layer: what runs.
        hierarchy: where.
        objective: of the search.
        nest: a mapping to cost, or None.
        strings: zigzag's two strings, where the mapping is given by them.
        where: position of the mapping (of the layer, where there is none).
    """

    layer: Layer
    hierarchy: HierarchySpec
    objective: Literal["energy", "latency", "edp"]
    nest: Nest | None
    strings: Mapping[str, str]
    where: str


def read_case(path: Path, shown: str, hierarchy: str | None = None) -> Case:
    """Read a file.

    Args:
        path: the file.
        shown: its name in messages.
        hierarchy: takes the place of the file's.

    Raises:
        FileError: the file holds mistakes, all with lines.
        InputError: the hierarchy cannot be loaded.
    """
    document = read(path, shown)
    found, mistakes = build(ReplayFile, document)
    if found is None or mistakes:
        raise FileError(mistakes)
    spec = _hierarchy(found, document, hierarchy)
    layer = _layer(found.layer, document)
    nest = _nest(found.mapping, spec, document) if found.mapping else None
    place: Place = ("mapping",) if found.mapping else ("layer",)
    where = document.mark(place).where
    if nest is not None:
        _located(partial(check, nest, layer, spec), where, "mapping")
    strings = {
        name: value
        for name in ("spatial_mapping", "temporal_mapping")
        if found.mapping and (value := getattr(found.mapping, name)) is not None
    }
    return Case(layer, spec, found.objective, nest, strings, where)


def _located(run: Callable[[], Result], where: str, key: str) -> Result:
    """Call something; an error that names no place gets one."""
    try:
        return run()
    except FileError:
        raise
    except InputError as error:
        raise FileError([Mistake(where, key, str(error))]) from None


def _hierarchy(found: ReplayFile, document: Document, given: str | None) -> HierarchySpec:
    if given is not None:
        return load_hierarchy(given)
    if isinstance(found.hierarchy, HierarchySpec):
        mistakes = [
            Mistake(document.mark(("hierarchy", *place)).where, f"hierarchy.{_dots(place)}", what)
            for place, what in contradictions(found.hierarchy)
        ]
        if mistakes:
            raise FileError(mistakes)
        return found.hierarchy
    if found.hierarchy is None:
        mark = document.mark(())
        what = "is missing: name one, spell it out here, or give --hierarchy"
        raise FileError([Mistake(mark.where, "hierarchy", what)])
    where = document.mark(("hierarchy",)).where
    # A path is looked for beside the file that names it, then where the command runs.
    beside = Path(document.sources[0]).parent / found.hierarchy
    name = str(beside) if beside.is_file() else found.hierarchy
    return _located(partial(load_hierarchy, name), where, "hierarchy")


def _dots(place: Place) -> str:
    return ".".join(str(part) for part in place)


def _layer(section: LayerSection, document: Document) -> Layer:
    bits: dict[Operand, int] = {"I": section.bits.I, "W": section.bits.W, "O": section.bits.O}
    if section.bits.final > bits["O"]:
        place: Place = ("layer", "bits", "final")
        at = document.mark(place if place in document.keys else ("layer", "bits")).where
        what = (
            f"{section.bits.final} bits, partial sums have {bits['O']}: finished outputs have no "
            "more than those"
        )
        raise FileError([Mistake(at, "layer.bits.final", what)])
    sizes = {str(dim): size for dim, size in section.sizes.items()}
    layer = Layer(section.kind, sizes, bits, section.bits.final, section.stride, None, section.name)
    return replace(layer, input_size=section.input)


def _nest(section: MappingSection, spec: HierarchySpec, document: Document) -> Nest:
    spatial, temporal = section.spatial_mapping, section.temporal_mapping
    where = document.mark(("mapping",)).where
    if spatial is not None and temporal is not None:
        if section.loops is not None or section.keep or section.spatial:
            what = "gives zigzag's strings and loops of its own: one of them is needed"
            raise FileError([Mistake(where, "mapping", what)])
        return _located(partial(zigzag.parse, spatial, temporal, spec), where, "mapping")
    if spatial is not None or temporal is not None or section.loops is None:
        what = "spatial_mapping and temporal_mapping are needed, or spatial, loops and keep"
        raise FileError([Mistake(where, "mapping", what)])
    mistakes: list[Mistake] = []
    loops: list[Loop] = []
    for index, text in enumerate(section.loops):
        loop = _step(text, ("mapping", "loops", index), document, mistakes)
        loops += [loop] if loop else []
    unrolled = _spatial(section, spec, document, mistakes)
    kept = {
        operand: _kept(operand, section, spec, loops, (document, mistakes)) for operand in OPERANDS
    }
    if mistakes:
        raise FileError(mistakes)
    return Nest(unrolled, kept)


def _step(text: str, place: Place, document: Document, mistakes: list[Mistake]) -> Loop | None:
    match = _STEP.fullmatch(text)
    if match is None or int(match[2]) < 1 or match[1] not in DIMS:
        names = ", ".join(DIMS)
        what = f"found {text!r}; a loop ({names}) and how often it runs are needed, as in C 128"
        mistakes.append(Mistake(document.mark(place).where, _dots(place), what))
        return None
    return match[1], int(match[2])


def _spatial(
    section: MappingSection, spec: HierarchySpec, document: Document, mistakes: list[Mistake]
) -> tuple[tuple[Loop, ...], ...]:
    names = [axis.name for axis in spec.axes]
    found: dict[str, tuple[Loop, ...]] = {}
    for axis, text in section.spatial.items():
        place: Place = ("mapping", "spatial", axis)
        if axis not in names:
            what = f"{spec.name} has no axis {axis!r}; it has {', '.join(names)}"
            mistakes.append(Mistake(document.mark(place).where, _dots(place), what))
            continue
        loop = _step(text, place, document, mistakes)
        found[axis] = (loop,) if loop else ()
    return tuple(found.get(name, ()) for name in names)


def _kept(
    operand: Operand,
    section: MappingSection,
    spec: HierarchySpec,
    loops: list[Loop],
    told: tuple[Document, list[Mistake]],
) -> tuple[tuple[Loop, ...], ...]:
    """Cut the loops at an operand's levels; the outermost level takes what is left."""
    document, mistakes = told
    names = [spec.memories[i].name for i in spec.levels_of(operand)]
    given = section.keep.get(operand, {})
    place: Place = ("mapping", "keep", operand)
    for name in given:
        if name not in names[:-1]:
            what = f"cuts of {operand} are needed at {', '.join(names[:-1]) or 'no level'}"
            mistakes.append(
                Mistake(document.mark((*place, name)).where, _dots((*place, name)), what)
            )
    cuts = [0]
    for name in names[:-1]:
        cut = given.get(name)
        if cut is None:
            what = f"is missing: how many loops of {operand} run inside {name}"
            at = document.mark(place if place in document.keys else ("mapping",)).where
            mistakes.append(Mistake(at, _dots((*place, name)), what))
            cut = cuts[-1]
        elif not cuts[-1] <= cut <= len(loops):
            what = f"found {cut}; {cuts[-1]} to {len(loops)} loops can run inside {name}"
            mistakes.append(
                Mistake(document.mark((*place, name)).where, _dots((*place, name)), what)
            )
            cut = cuts[-1]
        cuts.append(cut)
    edges = [*cuts, len(loops)]
    return tuple(tuple(loops[a:b]) for a, b in pairwise(edges))
