"""Single ops predicted, one by one or from a CSV: how measurements check the model."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from accelsim.errors import FileError, InputError, Mistake
from accelsim.graph.single import SINGLE_OPS, single_graph
from accelsim.sim.outcome import Fidelity
from accelsim.sim.result import LayerResult
from accelsim.sim.simulate import Simulator
from accelsim.spec.arch import ArchSpec

#: Columns that a prediction adds to a row.
RESULT_COLUMNS = (
    "cycles", "compute_cycles", "latency_us", "energy_pj", "utilization", "bound_by",
)  # fmt: skip


class Predictor:
    """Predicts single ops on one chip."""

    def __init__(self, arch: ArchSpec, fidelity: Fidelity = "tile") -> None:
        self._simulator = Simulator(arch, fidelity)
        self._found: dict[tuple[str, str, tuple[tuple[str, int], ...]], LayerResult] = {}

    def op(self, op: str, dtype: str, sizes: Mapping[str, int]) -> LayerResult:
        """Predict one op.

        Raises:
            InputError: unknown op or format, a missing size, or an op that does not fit.
        """
        key = (op, dtype, tuple(sorted(sizes.items())))
        if key not in self._found:
            graph = single_graph(op, dtype, sizes)
            self._found[key] = self._simulator.run(graph, dtype).layers[0]
        return self._found[key]


def result_cells(row: LayerResult) -> dict[str, Any]:
    """Return the added columns of a prediction."""
    return {
        "cycles": row.cycles,
        "compute_cycles": row.compute_cycles,
        "latency_us": row.duration_ps / 1e6,
        "energy_pj": row.energy_pj.typical,
        "utilization": row.utilization,
        "bound_by": row.bound_by,
    }


def predict_csv(
    text: str, where: str, predictor: Predictor, progress: Callable[[int], None] = lambda n: None
) -> str:
    """Return the rows of a CSV with the columns of ``RESULT_COLUMNS`` added.

    Args:
        text: the file's text; columns ``op``, ``dtype`` and the op's own, others pass through.
        where: its name, for messages.
        predictor: the chip.
        progress: told of every row.

    Raises:
        FileError: rows that cannot be predicted, all of them with their lines.
    """
    reader = csv.DictReader(io.StringIO(text), strict=True)
    columns = list(reader.fieldnames or ())
    _check_header(columns, where)
    mistakes: list[Mistake] = []
    found: list[dict[str, Any]] = []
    for row in _rows(reader, where):
        try:
            if None in row:
                raise InputError(f"{len(row[None])} more cells than the header has columns")
            predicted = predictor.op(_cell(row, "op"), _cell(row, "dtype"), _sizes(row))
            found.append({**row, **result_cells(predicted)})
        except InputError as error:
            mistakes.append(Mistake(f"{where}:{reader.line_num}:1", "", str(error)))
        progress(1)
    if mistakes:
        raise FileError(mistakes)
    if not found:
        raise FileError([Mistake(f"{where}:2:1", "", "there is no row to predict")])
    return _write([*columns, *RESULT_COLUMNS], found)


def _check_header(columns: list[str], where: str) -> None:
    wrong = [f"column {name!r} is missing" for name in ("op", "dtype") if name not in columns]
    doubles = sorted({name for name in columns if columns.count(name) > 1})
    wrong += [f"column {name!r} stands twice" for name in doubles]
    taken = [name for name in RESULT_COLUMNS if name in columns]
    wrong += [f"column {name!r} is one that the result adds" for name in taken]
    if wrong:
        raise FileError([Mistake(f"{where}:1:1", "", text) for text in wrong])


def _rows(reader: csv.DictReader[str], where: str) -> Iterator[dict[Any, Any]]:
    try:
        yield from reader
    except csv.Error as error:
        raise FileError([Mistake(f"{where}:{reader.line_num}:1", "", str(error))]) from error


def _cell(row: Mapping[str, str | None], column: str) -> str:
    text = (row.get(column) or "").strip()
    if not text:
        raise InputError(f"{column} is empty")
    return text


def _sizes(row: Mapping[str, str | None]) -> dict[str, int]:
    """Read the op's columns; empty ones are left to their defaults."""
    op = (row["op"] or "").strip()
    wanted = SINGLE_OPS[op].columns if op in SINGLE_OPS else ()
    found = {}
    for column in wanted:
        cell = (row.get(column) or "").strip()
        if not cell:
            continue
        if cell.lower() in ("true", "false"):
            cell = str(int(cell.lower() == "true"))
        try:
            found[column] = int(cell)
        except ValueError:
            raise InputError(f"{column} is {cell!r}, a whole number is needed") from None
    return found


def _write(columns: list[str], rows: list[dict[str, Any]]) -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()
