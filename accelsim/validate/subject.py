"""What a subject of validation is: predictions first, a comparison over them second.

A prediction never sees a result: ``--predict-only`` works on files that lack them. The comparison
reads predictions and measurements and nothing else.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from accelsim.errors import FileError, InputError, Mistake, nearest
from accelsim.validate.result import Result

HEADER = ("file", "row", "metric", "predicted")

#: Told what is being computed, how much of it is done, and how much there is.
Progress = Callable[[str, int, int], None]
#: A file, a row counted from 0, a metric.
Key = tuple[str, int, str]


@dataclass(frozen=True, slots=True)
class Prediction:
    """A line of ``predictions.csv``; None is an empty cell: it cannot be predicted."""

    file: str
    row: int
    metric: str
    predicted: float | int | None


class Subject(Protocol):
    """One thing to validate.

    Attributes:
        name: what the command calls it.
        folder: its part of ``$ACCELSIM_REFERENCE``.
    """

    name: str
    folder: str

    def predict(self, folder: Path, progress: Progress) -> Iterator[Prediction]:
        """Yield a prediction per input row and metric; result columns are never read."""
        ...

    def compare(self, folder: Path, predicted: Mapping[Key, float | int]) -> tuple[Result, ...]:
        """Hold predictions to the measurements of a folder."""
        ...


def to_csv(predictions: Iterable[Prediction]) -> str:
    """Return ``predictions.csv``; floats keep all their digits."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(HEADER)
    for one in predictions:
        writer.writerow((one.file, one.row, one.metric, _cell(one.predicted)))
    return out.getvalue()


def _cell(value: float | int | None) -> str:
    return "" if value is None else repr(value)


def by_key(text: str, where: str) -> dict[Key, float | int]:
    """Return the values of ``predictions.csv`` by file, row and metric; empty cells are left out.

    Args:
        text: the file.
        where: its name, for messages.

    Raises:
        FileError: the file is not one of predictions; every bad line is named.
    """
    found: dict[Key, float | int] = {}
    mistakes: list[Mistake] = []
    reader = csv.reader(io.StringIO(text))
    if tuple(next(reader, ())) != HEADER:
        raise FileError([Mistake(f"{where}:1:1", "", f"the header must be {','.join(HEADER)}")])
    for cells in reader:
        try:
            file, row, metric, value = cells
            if value:
                found[file, int(row), metric] = _value(value)
        except ValueError:
            what = f"found {','.join(cells)!r}; a file, a row, a metric and a number are needed"
            mistakes.append(Mistake(f"{where}:{reader.line_num}:1", "", what))
    if mistakes:
        raise FileError(mistakes)
    return found


def _value(text: str) -> float | int:
    return int(text) if text.lstrip("-").isdigit() else float(text)


def find_file(folder: Path, stem: str, suffix: str = ".csv") -> Path | None:
    """Return a file of a folder, with or without the prefix ``open_``; None when it is absent."""
    for name in (f"open_{stem}{suffix}", f"{stem}{suffix}"):
        if (folder / name).is_file():
            return folder / name
    return None


def stem_of(path: Path) -> str:
    """Return the name that sets have: without folder, suffix and the prefix ``open_``."""
    return path.stem.removeprefix("open_")


def read_rows(path: Path, needed: Sequence[str]) -> list[dict[str, str]]:
    """Return the rows of a CSV with a header.

    Raises:
        FileError: the file cannot be read, a needed column is missing, or a row is too long.
    """
    text = read_text(path)
    reader = csv.DictReader(io.StringIO(text), strict=True)
    try:
        columns = list(reader.fieldnames or ())
        _check_columns(path, columns, needed)
        rows = []
        for row in reader:
            if None in row:
                where = f"{path}:{reader.line_num}:1"
                what = f"more cells than the {len(columns)} columns of the header"
                raise FileError([Mistake(where, "", what)])
            rows.append({name: value or "" for name, value in row.items()})
        return rows
    except csv.Error as error:
        where = f"{path}:{reader.line_num}:1"
        raise FileError([Mistake(where, "", f"not a CSV file: {error}")]) from error


def read_text(path: Path) -> str:
    """Return a text file.

    Raises:
        InputError: it cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: cannot be read: it is not UTF-8 text") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error


def _check_columns(path: Path, columns: Sequence[str], needed: Sequence[str]) -> None:
    mistakes = [
        Mistake(f"{path}:1:1", "", f"column {name!r} is missing{nearest(name, columns)}")
        for name in needed
        if name not in columns
    ]
    if mistakes:
        raise FileError(mistakes)


def number(row: Mapping[str, str], column: str) -> float | None:
    """Return a cell as a number; None when the column is absent or the cell holds none."""
    try:
        return float(row[column])
    except (KeyError, ValueError):
        return None
