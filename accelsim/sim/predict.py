"""Single ops predicted, one by one or from a CSV: how measurements check the model."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping
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

    def op(self, op: str, dtype: str, sizes: Mapping[str, int]) -> LayerResult:
        """Predict one op.

        Raises:
            InputError: unknown op or format, a missing size, or an op that does not fit.
        """
        graph = single_graph(op, dtype, sizes)
        return self._simulator.run(graph, dtype).layers[0]


def result_cells(row: LayerResult) -> dict[str, Any]:
    """Return the added columns of a prediction."""
    return {
        "cycles": row.cycles,
        "compute_cycles": row.compute_cycles,
        "latency_us": row.duration_ps * 1e-6,
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
    reader = csv.DictReader(io.StringIO(text))
    columns = list(reader.fieldnames or ())
    missing = [name for name in ("op", "dtype") if name not in columns]
    if missing:
        raise FileError(
            [Mistake(f"{where}:1:1", "", f"column {name!r} is missing") for name in missing]
        )
    mistakes: list[Mistake] = []
    found: list[dict[str, Any]] = []
    for row in reader:
        try:
            predicted = predictor.op(row["op"].strip(), row["dtype"].strip(), _sizes(row))
            found.append({**row, **result_cells(predicted)})
        except InputError as error:
            mistakes.append(Mistake(f"{where}:{reader.line_num}:1", "", str(error)))
        progress(1)
    if mistakes:
        raise FileError(mistakes)
    if not found:
        raise FileError([Mistake(f"{where}:2:1", "", "there is no row to predict")])
    return _write([*columns, *(c for c in RESULT_COLUMNS if c not in columns)], found)


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
    writer = csv.DictWriter(out, columns, lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()
