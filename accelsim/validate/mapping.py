"""Mapping search and its cost model held to other tools.

Three tables: two tools side by side on one hardware (our optimum is not above either's), zigzag's
own mappings (costed again, its energies come out), and accelforge's optima.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from accelsim.errors import InputError
from accelsim.mapping.loopnest import zigzag
from accelsim.mapping.loopnest.cost import cost, roofline_cycles
from accelsim.mapping.loopnest.layer import Layer
from accelsim.mapping.loopnest.plan import OBJECTIVES, Objective, search
from accelsim.spec.hierarchy import HierarchySpec
from accelsim.validate.goals import goal
from accelsim.validate.mapping_rows import Row, hierarchy_of, is_padded, layer_of, strides
from accelsim.validate.result import Result
from accelsim.validate.score import Pair, percent_set
from accelsim.validate.subject import (
    Key,
    Prediction,
    Progress,
    find_file,
    number,
    read_rows,
    stem_of,
)

ENERGY, LATENCY = "energy_pj", "latency_cycles"
_SIDE_BY_SIDE, _ZIGZAG, _ACCELFORGE = "side_by_side_tpu_like", "zigzag_layers", "accelforge_layers"
_STRINGS = ("spatial_mapping", "temporal_mapping")
_NEEDED = {
    _SIDE_BY_SIDE: ("dims", "opt"),
    _ZIGZAG: ("hw", "dims", "type", "precision", *_STRINGS),
    _ACCELFORGE: ("hw", "dims", "opt"),
}
_OBJECTIVES: dict[str, Objective] = {name: name for name in OBJECTIVES}
#: Energy and latency of a row; None where it cannot be predicted.
_Values = tuple[float | None, int | None]


class MappingSubject:
    """Optima and costs of mappings."""

    name = "mapping"
    folder = "mapping"

    def predict(self, folder: Path, progress: Progress) -> Iterator[Prediction]:
        """Yield energy and latency of every row; result columns are not read."""
        for stem in _NEEDED:
            path = find_file(folder, stem)
            if path is None:
                continue
            rows = read_rows(path, _NEEDED[stem])
            for number_of, values in enumerate(_predicted(stem, rows)):
                yield Prediction(path.name, number_of, ENERGY, values[0])
                yield Prediction(path.name, number_of, LATENCY, values[1])
                progress(path.name, number_of + 1, len(rows))

    def compare(self, folder: Path, predicted: Mapping[Key, float | int]) -> tuple[Result, ...]:
        """Compare energies with those of the tables, and latencies with bounds."""
        sets: list[Result] = []
        for stem, compare in _COMPARED.items():
            path = find_file(folder, stem)
            if path is not None:
                rows = read_rows(path, _NEEDED[stem])
                sets += [found for found in compare(path, rows, predicted) if found.rows]
        return tuple(sets)


SUBJECT = MappingSubject()


def _predicted(stem: str, rows: Sequence[Row]) -> Iterator[_Values]:
    for row, layer, hierarchy in _read(stem, rows):
        if layer is None or hierarchy is None:
            yield None, None
        elif stem == _ZIGZAG:
            yield _recosted(row, layer, hierarchy)
        else:
            yield _optimum(row, layer, hierarchy)


def _read(
    stem: str, rows: Sequence[Row]
) -> Iterator[tuple[Row, Layer | None, HierarchySpec | None]]:
    if stem == _ZIGZAG:
        for row, stride in zip(rows, strides(rows), strict=True):
            yield row, layer_of(row, stride, is_padded(row)), hierarchy_of(row["hw"])
        return
    for row in rows:
        name = row["hw"] if stem == _ACCELFORGE else "tpu_like"
        # Side by side both tools have operands and partial sums of 8 bits.
        given = row if stem == _ACCELFORGE else {"dims": row["dims"], "layer": row.get("layer", "")}
        yield row, layer_of(given), hierarchy_of(name, per_bit=True)


def _optimum(row: Row, layer: Layer, hierarchy: HierarchySpec) -> _Values:
    objective = _OBJECTIVES.get(row["opt"])
    if objective is None:
        return None, None
    try:
        found = search(layer, hierarchy, objective)
    except InputError:
        return None, None
    return found.cost.energy_pj, found.cost.latency_cycles


def _recosted(row: Row, layer: Layer, hierarchy: HierarchySpec) -> _Values:
    """Return zigzag's energy of a mapping of its own, and our latency of it."""
    if not all(row[name] for name in _STRINGS):
        return None, None
    try:
        nest = zigzag.parse(row["spatial_mapping"], row["temporal_mapping"], hierarchy)
        energy = zigzag.energy_pj(nest, layer, hierarchy)
    except InputError:
        return None, None
    try:
        return energy, cost(nest, layer, hierarchy, check_room=False).latency_cycles
    except InputError:
        return energy, None


def _pairs(
    path: Path, rows: Sequence[Row], predicted: Mapping[Key, float | int], metric: str, column: str
) -> list[Pair]:
    found: list[Pair] = []
    for index, row in enumerate(rows):
        measured = number(row, column)
        if measured is not None:
            place = {"file": path.name, "row": index, "metric": metric}
            found.append((place, predicted.get((path.name, index, metric)), measured))
    return found


def _side_by_side(
    path: Path, rows: Sequence[Row], predicted: Mapping[Key, float | int]
) -> Iterator[Result]:
    name = stem_of(path)
    for tool in ("zigzag", "accelforge"):
        pairs = _pairs(path, rows, predicted, ENERGY, f"{tool}_energy_pJ")
        kept = [pair for pair in pairs if rows[pair[0]["row"]]["opt"] == "energy"]
        yield percent_set(f"{name}/{tool}/energy", kept, goal("mapping", "optimum"))
    for tool in ("zigzag", "accelforge"):
        pairs = _pairs(path, rows, predicted, LATENCY, f"{tool}_latency")
        kept = [pair for pair in pairs if rows[pair[0]["row"]]["opt"] == "latency"]
        yield percent_set(f"{name}/{tool}/latency", kept, goal("mapping", "optimum"))
    yield _against_roofline(path, rows, predicted)


def _zigzag(
    path: Path, rows: Sequence[Row], predicted: Mapping[Key, float | int]
) -> Iterator[Result]:
    energies = _pairs(path, rows, predicted, ENERGY, "energy_pJ")
    latencies = _pairs(path, rows, predicted, LATENCY, "latency_cycles")
    for hw in dict.fromkeys(row["hw"] for row in rows):
        for kind, pairs, limit in (
            ("energy", energies, goal("mapping", "recosted")),
            ("latency", latencies, goal("mapping", "reported")),
        ):
            kept = [pair for pair in pairs if rows[pair[0]["row"]]["hw"] == hw]
            yield percent_set(f"{stem_of(path)}/{hw}/{kind}", kept, limit)
    yield _against_roofline(path, rows, predicted)


def _accelforge(
    path: Path, rows: Sequence[Row], predicted: Mapping[Key, float | int]
) -> Iterator[Result]:
    for metric, column in ((ENERGY, "energy_pJ"), (LATENCY, "latency_cycles")):
        kind = column.split("_")[0]
        pairs = _pairs(path, rows, predicted, metric, column)
        for hw in dict.fromkeys(row["hw"] for row in rows):
            kept = [
                pair for pair in pairs
                if rows[pair[0]["row"]]["hw"] == hw and rows[pair[0]["row"]]["opt"] == kind
            ]  # fmt: skip
            yield percent_set(f"{stem_of(path)}/{hw}/{kind}", kept, goal("mapping", "optimum"))
    yield _against_roofline(path, rows, predicted)


def _against_roofline(
    path: Path, rows: Sequence[Row], predicted: Mapping[Key, float | int]
) -> Result:
    """Return how far latencies lie below the bound of every operand moved once: not at all."""
    stem = stem_of(path)
    found: list[Pair] = []
    for index, (_, layer, hierarchy) in enumerate(_read(stem, rows)):
        value = predicted.get((path.name, index, LATENCY))
        if layer is None or hierarchy is None or value is None:
            continue
        bound = roofline_cycles(layer, hierarchy)
        place = {"file": path.name, "row": index, "metric": LATENCY}
        found.append((place, min(float(value), bound), bound))
    return percent_set(f"{stem}/roofline", found, goal("mapping", "roofline"))


_COMPARED = {_SIDE_BY_SIDE: _side_by_side, _ZIGZAG: _zigzag, _ACCELFORGE: _accelforge}
