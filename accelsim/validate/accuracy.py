"""Scores of a user's model against a table of published ones.

A table is a CSV, or JSON with a list of objects; every row is one published figure. Ours is
measured, never looked up: the model is run on the same benchmark in the same protocol. The two
agree when they are no further apart than their combined standard errors allow.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accelsim.errors import FileError, InputError, Mistake, UnknownNameError, nearest
from accelsim.evaluate.benchmarks.catalog import BENCHMARKS, PROTOCOLS, Asked, Benchmark, Metric
from accelsim.evaluate.benchmarks.result import Evaluation
from accelsim.evaluate.statistics import Z
from accelsim.validate.subject import read_text

NEEDED = ("model", "task", "value", "source")
OPTIONAL = ("recipe", "protocol", "metric", "num_fewshot", "n", "stderr")
#: Names of a table in a folder.
TABLES = ("accuracy.csv", "accuracy.json")
#: Recipes that leave a model as it is: torch runs it in its own type of numbers.
UNCOMPRESSED: Mapping[str, str] = {
    "": "auto", "none": "auto", "bf16": "bfloat16", "fp16": "float16", "fp32": "float32",
}  # fmt: skip

#: Runs a model on tasks: their settings, the recipe, and the type of numbers without one.
Evaluate = Callable[[Asked, str | None, str], Evaluation]


@dataclass(frozen=True)
class Published:
    """One row of a table.

    Attributes:
        where: file and line.
        model: as the table calls it.
        benchmark: with its protocol.
        metric: of the benchmark; its first one where the table names none.
        recipe: how the model was compressed; a name in ``UNCOMPRESSED``, or a recipe.
        num_fewshot: None: what lm-eval's task says.
        value: shares as such, in a table above 1 in percent.
        stderr: as published, or of a share over ``n`` items; None: not known.
        source: who says so.
    """

    where: str
    model: str
    benchmark: Benchmark
    metric: Metric
    recipe: str
    num_fewshot: int | None
    value: float
    stderr: float | None
    source: str


@dataclass(frozen=True)
class Agreement:
    """A published figure beside the measured one.

    Attributes:
        published: the row of the table.
        score: the measured score, as an evaluation gives it.
    """

    published: Published
    score: Mapping[str, Any]

    @property
    def tolerance(self) -> float | None:
        """Largest difference that chance explains in 95 of 100 cases; None when none is known."""
        errors = [e for e in (self.score["stderr"], self.published.stderr) if e is not None]
        return Z * math.hypot(*errors) if errors else None

    @property
    def passed(self) -> bool:
        """Whether the two agree."""
        return self.reason is None

    @property
    def reason(self) -> str | None:
        """Why they do not agree; None when they do."""
        value, allowed = self.score["value"], self.tolerance
        if value is None or allowed is None:
            return "no standard error is known: run more items"
        off = value - self.published.value
        if abs(off) <= allowed:
            return None
        return f"off by {off:+.4g}, {allowed:.4g} is allowed"

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        row, score = self.published, self.score
        named = "" if row.recipe in UNCOMPRESSED else f"/{row.recipe}"
        return {
            "name": f"{row.benchmark.label}/{row.metric.name}{named}", "rows": score["n"],
            "passed": self.passed, "goal": {"standard_errors": Z}, "where": row.where,
            "measured": score["value"], "measured_stderr": score["stderr"],
            "published": row.value, "published_stderr": row.stderr, "source": row.source,
            "tolerance": self.tolerance, "reason": self.reason,
            "higher_is_better": row.metric.higher_is_better,
        }  # fmt: skip


@dataclass(frozen=True)
class Agreements:
    """All rows of a table that are about one model."""

    sets: tuple[Agreement, ...]

    @property
    def passed(self) -> bool:
        """Whether every figure agrees."""
        return all(one.passed for one in self.sets)

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "schema_version": 1, "what": "accuracy", "passed": self.passed,
            "sets": [one.to_dict() for one in self.sets],
        }  # fmt: skip


def read_table(place: Path, model: str) -> list[Published]:
    """Return the rows of a table that are about a model.

    Args:
        place: the table, or a folder that holds ``accuracy.csv`` or ``accuracy.json``.
        model: what the table calls it, in any case.

    Raises:
        InputError: there is no such table, or nothing in it is about the model.
        FileError: rows that are none, each with its place.
    """
    path = place
    if place.is_dir():
        found = [place / name for name in TABLES if (place / name).is_file()]
        if not found:
            raise InputError(f"{place}: no table there: {' or '.join(TABLES)} is needed")
        path = found[0]
    rows: list[Published] = []
    mistakes: list[Mistake] = []
    models: set[str] = set()
    for where, row in _records(path):
        models.add(str(row.get("model", "")))
        if str(row.get("model", "")).lower() != model.lower():
            continue
        one = _published(where, row)
        if isinstance(one, str):
            mistakes.append(Mistake(where, "", one))
        else:
            rows.append(one)
    if mistakes:
        raise FileError(mistakes)
    if not rows:
        raise UnknownNameError(f"model of {path}", model, models)
    return rows


def _records(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    text = read_text(path)
    if path.suffix == ".json":
        try:
            listed = json.loads(text)
        except ValueError as error:
            raise InputError(f"{path}: is not JSON: {error}") from None
        if not isinstance(listed, list) or not all(isinstance(row, dict) for row in listed):
            raise InputError(f"{path}: a list of objects is needed, one per published figure")
        yield from ((f"{path}: row {number}", row) for number, row in enumerate(listed))
        return
    reader = csv.DictReader(io.StringIO(text))
    missing = [name for name in NEEDED if name not in (reader.fieldnames or ())]
    if missing:
        near = nearest(missing[0], reader.fieldnames or ())
        raise FileError([Mistake(f"{path}:1:1", "", f"column {missing[0]!r} is missing{near}")])
    for row in reader:
        yield f"{path}:{reader.line_num}:1", row


def _published(where: str, row: Mapping[str, Any]) -> Published | str:
    """Return a row, or what is wrong with it."""
    given = {name: row.get(name) for name in (*NEEDED, *OPTIONAL)}
    cells = {name: "" if cell is None else str(cell).strip() for name, cell in given.items()}
    gone = [name for name in NEEDED if not cells[name]]
    if gone:
        return f"{gone[0]!r} is missing; a row holds {', '.join(NEEDED)}"
    benchmark = _benchmark(cells["task"], cells["protocol"])
    if isinstance(benchmark, str):
        return benchmark
    named = cells["metric"] or benchmark.metrics[0].name
    metric = next((one for one in benchmark.metrics if one.name == named), None)
    if metric is None:
        return f"unknown metric {named!r}{nearest(named, [m.name for m in benchmark.metrics])}"
    try:
        value, stderr, count = (
            float(cells[name]) if cells[name] else None for name in ("value", "stderr", "n")
        )
        shots = int(cells["num_fewshot"]) if cells["num_fewshot"] else None
    except ValueError as error:
        return f"a number is needed: {error}"
    if value is None or not math.isfinite(value) or value < 0:
        return f"'value' must be a score, found {cells['value']!r}"
    if metric.kind == "share":
        unit = 100.0 if value > 1 else 1.0
        value, stderr = value / unit, None if stderr is None else stderr / unit
        if value > 1:
            return f"'value' must be a share or a percentage, found {cells['value']!r}"
        if stderr is None and count:
            stderr = math.sqrt(value * (1 - value) / count)
    return Published(
        where, cells["model"], benchmark, metric, cells["recipe"].lower(), shots, value, stderr,
        cells["source"],
    )  # fmt: skip


def _benchmark(task: str, protocol: str) -> Benchmark | str:
    mine = [one for one in BENCHMARKS if one.name == task.lower()]
    if not mine:
        return f"unknown task {task!r}{nearest(task, [one.name for one in BENCHMARKS])}"
    if len(mine) == 1:
        return mine[0]
    protocols = [one.protocol for one in mine]
    if not protocol:
        return f"'protocol' is missing; perplexities need one of {', '.join(protocols)}"
    if protocol not in protocols:
        return f"unknown protocol {protocol!r}{nearest(protocol, protocols)}"
    return mine[protocols.index(protocol)]


def validate_accuracy(
    rows: Sequence[Published], evaluate: Evaluate, limit: int | None = None
) -> Agreements:
    """Measure every published figure, running each setting of the model once.

    Args:
        rows: of one model.
        evaluate: runs the model.
        limit: rows of each task; the fewer, the wider what is allowed.
    """
    settings: dict[tuple[str, int | None], list[int]] = {}
    for number, row in enumerate(rows):
        settings.setdefault((row.recipe, row.num_fewshot), []).append(number)
    found: dict[int, Agreement] = {}
    for (recipe, shots), numbers in settings.items():
        mine = [rows[number].benchmark for number in numbers]
        protocols = tuple(dict.fromkeys(one.protocol for one in mine if one.protocol))
        asked = Asked(
            tuple(dict.fromkeys(one.name for one in mine)), protocols or PROTOCOLS[:1], limit, shots
        )
        plain = recipe in UNCOMPRESSED
        run = evaluate(asked, None if plain else recipe, UNCOMPRESSED.get(recipe, "auto"))
        for number in numbers:
            found[number] = Agreement(rows[number], _score(run, rows[number]))
    return Agreements(tuple(found[number] for number in range(len(rows))))


def _score(run: Evaluation, row: Published) -> Mapping[str, Any]:
    protocol = row.benchmark.protocol or "lm-eval"
    task = next(
        one
        for one in run.tasks
        if one["task"] == row.benchmark.name and one["protocol"] == protocol
    )
    score: Mapping[str, Any] = next(
        one for one in task["scores"] if one["metric"] == row.metric.name
    )
    return score
