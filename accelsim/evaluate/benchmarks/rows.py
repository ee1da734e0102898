"""Rows of a benchmark's files: JSON, one object per line, every mistake with its line."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accelsim.errors import FileError, InputError, Mistake
from accelsim.evaluate.benchmarks.catalog import Benchmark, Source, Type

Row = Mapping[str, Any]

#: Mistakes of one file that are told; a file of another kind has one per line.
_TOLD = 20
_WORDS: Mapping[Type, str] = {
    "text": "a text", "texts": "a list of texts", "integer": "a whole number",
    "objects": "a list of objects",
}  # fmt: skip


@dataclass(frozen=True)
class Data:
    """All rows of a benchmark by split, and what their bytes are."""

    splits: Mapping[str, Sequence[Row]]
    fingerprint: str


def read(benchmark: Benchmark, folder: Path) -> Data:
    """Read the files of a benchmark.

    Raises:
        InputError: a file is missing or cannot be read; all that are looked for are named.
        FileError: lines that are no rows, each with its number.
    """
    missing = [one for one in benchmark.sources if not (folder / one.file).is_file()]
    if missing:
        files = ", ".join(one.file for one in benchmark.sources)
        raise InputError(
            f"{benchmark.label}: its data is not there: {folder / missing[0].file} does not exist; "
            f"looked for in {folder} (--data DIR, or $ACCELSIM_REFERENCE/data): {files}"
        )
    whole = hashlib.sha256()
    splits = {}
    for source in benchmark.sources:
        raw = _bytes(folder / source.file)
        whole.update(raw)
        splits[source.split] = _rows(raw, folder / source.file, source)
    return Data(splits, whole.hexdigest())


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error


def _rows(raw: bytes, path: Path, source: Source) -> list[Row]:
    rows: list[Row] = []
    mistakes: list[Mistake] = []
    for number, line in enumerate(raw.split(b"\n"), 1):
        if not line.strip():
            continue
        found = _row(line, source.fields)
        if isinstance(found, str):
            mistakes.append(Mistake(f"{path}:{number}:1", "", found))
        else:
            rows.append(found)
    if len(mistakes) > _TOLD:
        more = f"and {len(mistakes) - _TOLD} lines more"
        mistakes = [*mistakes[:_TOLD], Mistake(str(path), "", more)]
    if mistakes:
        raise FileError(mistakes)
    if not rows:
        raise InputError(f"{path}: holds no rows")
    return rows


def _row(line: bytes, fields: Mapping[str, Type]) -> Row | str:
    """Return the row of a line, or what is wrong with it."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        return f"is not JSON: {error}"
    if not isinstance(row, dict):
        return f"an object is needed, found {type(row).__name__}"
    for name, wanted in fields.items():
        if name not in row:
            return f"{name!r} is missing; a row holds {', '.join(fields)}"
        if not _is(row[name], wanted):
            return f"{name!r} must be {_WORDS[wanted]}, found {row[name]!r:.60}"
    return _consistent(row)


def _is(value: Any, wanted: Type) -> bool:
    if wanted == "text":
        return isinstance(value, str)
    if wanted == "integer":
        return isinstance(value, int) and not isinstance(value, bool)
    inner = str if wanted == "texts" else dict
    return isinstance(value, list) and all(isinstance(one, inner) for one in value)


def _consistent(row: Row) -> Row | str:
    """Hold fields of a row to each other."""
    if "choices" in row:
        if len(row["choices"]) != 4:
            return f"'choices' must be 4 texts, found {len(row['choices'])}"
        if not 0 <= row["answer"] < 4:
            return f"'answer' must be the number of a choice, 0 to 3, found {row['answer']}"
    if "instruction_id_list" in row and len(row["kwargs"]) != len(row["instruction_id_list"]):
        return (
            f"'kwargs' must be one object per instruction, found {len(row['kwargs'])} for "
            f"{len(row['instruction_id_list'])}"
        )
    return row
