"""``validate array``: cycles without stalls and SRAM accesses against SCALE-Sim's own results.

Files: ``scalesim300_compute_only.csv`` and ``scalesim300_full_runs.csv``, a row per layer of a run,
and the tables ``look_up_table*.csv`` that LLMCompass keeps (no header; M, N, K, rows, columns,
dataflow, cycles). They may lie in a folder ``llmcompass_lut``.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TypeVar

from accelsim.errors import FileError, Mistake
from accelsim.graph.scalesim import Layer
from accelsim.sim.scalesim.config import DATAFLOWS, ScaleConfig
from accelsim.sim.scalesim.counts import Counts, count
from accelsim.validate.goals import goal
from accelsim.validate.result import Result
from accelsim.validate.score import Pair, exact_set
from accelsim.validate.subject import (
    Key,
    Prediction,
    Progress,
    find_file,
    number,
    read_rows,
    read_text,
    stem_of,
)

Row = TypeVar("Row")

_RUNS = ("scalesim300_compute_only", "scalesim300_full_runs")
_TABLES, _TABLE_FOLDER = "look_up_table*.csv", "llmcompass_lut"
#: Metrics of a run, and the field of ``Counts`` that answers each.
METRICS: Mapping[str, str] = {
    "cycles": "cycles", "ifmap_sram_reads": "ifmap_reads", "filter_sram_reads": "filter_reads",
    "ofmap_sram_writes": "ofmap_writes",
}  # fmt: skip
_CONV = ("ifmap_h", "ifmap_w", "filt_h", "filt_w", "channels", "num_filt", "stride")
_TABLE_COLUMNS = 7  # M, N, K, rows, columns, dataflow, cycles; more may follow


class _Array:
    """Closed forms of the array against SCALE-Sim's counts."""

    name, folder = "array", "array"

    def predict(self, folder: Path, progress: Progress) -> Iterator[Prediction]:
        """Yield a prediction per row and metric; columns with results are not read."""
        for path in _run_files(folder):
            rows = read_rows(path, ("dataflow", "rows", "cols"))
            for row, counts in enumerate(_each(path, rows, _of_run, first_line=2)):
                progress(path.name, row + 1, len(rows))
                values = asdict(counts)
                for metric, field in METRICS.items():
                    yield Prediction(path.name, row, metric, _whole(values[field]))
        for path in _table_files(folder):
            cells = _cells(path)
            for row, counts in enumerate(_each(path, cells, _of_table)):
                yield Prediction(path.name, row, "cycles", counts.cycles)
            progress(path.name, len(cells), len(cells))

    def compare(self, folder: Path, predicted: Mapping[Key, float | int]) -> tuple[Result, ...]:
        """Hold predictions to the counts of a folder; every one must be equal."""
        most = int(goal(self.name, "mismatches"))
        sets = [(path, _run_pairs(path, predicted)) for path in _run_files(folder)]
        sets += [(path, _table_pairs(path, predicted)) for path in _table_files(folder)]
        return tuple(exact_set(stem_of(path), pairs, most) for path, pairs in sets)


SUBJECT = _Array()


def _run_files(folder: Path) -> list[Path]:
    return [path for stem in _RUNS if (path := find_file(folder, stem)) is not None]


def _table_files(folder: Path) -> list[Path]:
    found = {
        path.name: path
        for place in (folder / _TABLE_FOLDER, folder)
        for pattern in (_TABLES, f"open_{_TABLES}")
        for path in sorted(place.glob(pattern))
    }
    return [found[name] for name in sorted(found)]


def _each(
    path: Path, rows: Sequence[Row], counts_of: Callable[[Row], Counts], first_line: int = 1
) -> list[Counts]:
    """Return the counts of every row, or name every row that has none."""
    found: list[Counts] = []
    mistakes: list[Mistake] = []
    for line, row in enumerate(rows, first_line):
        try:
            found.append(counts_of(row))
        except ValueError as error:
            mistakes.append(Mistake(f"{path}:{line}:1", "", str(error)))
    if mistakes:
        raise FileError(mistakes)
    return found


def _of_run(row: Mapping[str, str]) -> Counts:
    ratio = row.get("sparsity", "").strip()
    sparse = ":" in ratio
    kept, of = (int(part) for part in ratio.split(":")) if sparse else (1, 1)
    if not 1 <= kept <= of:
        raise ValueError(f"sparsity is {ratio!r}, N:M keeps N of M")
    if all(row.get(column) for column in "MNK"):
        m, n, k = (_size(row[column], column) for column in "MNK")
        layer = Layer(row.get("layer", ""), m, k, 1, k, 1, n, 1, kept, of)
    else:
        sizes = (_size(row.get(column, ""), column) for column in _CONV)
        in_h, in_w, filter_h, filter_w, channels, filters, stride = sizes
        layer = Layer(
            row.get("layer", ""),
            in_h,
            in_w,
            filter_h,
            filter_w,
            channels,
            filters,
            stride,
            kept,
            of,
        )
    return count(layer, _config(row["rows"], row["cols"], row["dataflow"], sparse))


def _of_table(cells: list[str]) -> Counts:
    if len(cells) < _TABLE_COLUMNS - 1:
        raise ValueError(f"{len(cells)} cells; M, N, K, rows, columns and dataflow are needed")
    m, n, k = (_size(cell, name) for cell, name in zip(cells, "MNK", strict=False))
    return count(Layer("", m, k, 1, k, 1, n, 1), _config(cells[3], cells[4], cells[5], False))


def _config(rows: str, columns: str, dataflow: str, sparse: bool) -> ScaleConfig:
    if dataflow not in DATAFLOWS:
        raise ValueError(f"dataflow is {dataflow!r}; allowed: {', '.join(DATAFLOWS)}")
    return ScaleConfig(
        "", _size(rows, "rows"), _size(columns, "cols"), dataflow, 1, 1, 1, sparse=sparse
    )


def _size(text: str, name: str) -> int:
    value = text.strip()
    if not (value.isdecimal() and int(value) >= 1):
        raise ValueError(f"{name} is {text!r}, a whole number from 1 on is needed")
    return int(value)


def _whole(value: float | int) -> float | int:
    return int(value) if value == int(value) else value


def _cells(path: Path) -> list[list[str]]:
    return [row for row in csv.reader(io.StringIO(read_text(path))) if row]


def _run_pairs(path: Path, predicted: Mapping[Key, float | int]) -> Iterator[Pair]:
    for row, cells in enumerate(read_rows(path, ())):
        for metric in METRICS:
            measured = _cycles(cells) if metric == "cycles" else number(cells, metric)
            if measured is not None:
                yield _pair(path, row, metric, predicted, measured)


def _cycles(cells: Mapping[str, str]) -> float | None:
    """Cycles without stalls: in mode USER the total has them in it."""
    total = number(cells, "total_cycles")
    return None if total is None else total - (number(cells, "stall_cycles") or 0)


def _table_pairs(path: Path, predicted: Mapping[Key, float | int]) -> Iterator[Pair]:
    for row, cells in enumerate(_cells(path)):
        measured = number({"cycles": "".join(cells[_TABLE_COLUMNS - 1 : _TABLE_COLUMNS])}, "cycles")
        if measured is not None:
            yield _pair(path, row, "cycles", predicted, measured)


def _pair(
    path: Path, row: int, metric: str, predicted: Mapping[Key, float | int], measured: float
) -> Pair:
    place = {"file": path.name, "row": row, "metric": metric}
    return place, predicted.get((path.name, row, metric)), _whole(measured)
