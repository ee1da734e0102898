"""Kernels held to vectors: every output array of a folder is computed and compared."""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import yaml

from accelsim.errors import InputError
from accelsim.validate.catalog import OUTPUTS, Output, find
from accelsim.validate.index import Arrays, Index, read_arrays, read_index

Array = npt.NDArray[Any]

#: The vectors that ship.
SHIPPED = Path(__file__).parent / "vectors"
#: The environment variable that names a folder of measurements, and the vectors' place in it.
REFERENCE, PART = "ACCELSIM_REFERENCE", "numerics"


@dataclass(frozen=True)
class SetResult:
    """What comparing one file gave.

    Attributes:
        name: of the set.
        rows: output elements that were compared.
        mismatches: how many of them differ.
        first_mismatch: array, index, what was expected and what was computed.
        not_computed: output arrays that nothing computes.
        goal: most mismatches with which the set passes.
    """

    name: str
    rows: int
    mismatches: int
    first_mismatch: dict[str, Any] | None
    not_computed: tuple[str, ...]
    goal: int

    @property
    def passed(self) -> bool:
        """Whether every output was computed and nothing differs."""
        return self.mismatches <= self.goal and not self.not_computed and self.rows > 0

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "name": self.name, "rows": self.rows, "passed": self.passed, "goal": self.goal,
            "mismatches": self.mismatches, "first_mismatch": self.first_mismatch,
            "not_computed": list(self.not_computed),
        }  # fmt: skip


@dataclass(frozen=True)
class Validation:
    """The sets of one folder."""

    what: str
    folder: Path
    sets: tuple[SetResult, ...]

    @property
    def passed(self) -> bool:
        """Whether every set passed."""
        return all(result.passed for result in self.sets)

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "schema_version": 1, "what": self.what, "passed": self.passed,
            "sets": [result.to_dict() for result in self.sets],
        }  # fmt: skip


def folder_of(data: str | None) -> Path:
    """Return the folder to validate with: the named one, the reference's, or the shipped one."""
    if data is not None:
        return Path(data)
    named = os.environ.get(REFERENCE)
    return Path(named) / PART if named else SHIPPED


@cache
def goal(what: str, name: str) -> Any:
    """Return a goal of goals.yaml."""
    text = (Path(__file__).parent / "goals.yaml").read_text(encoding="utf-8")
    return yaml.safe_load(text)[what][name]


def validate_kernels(folder: Path) -> Validation:
    """Compute and compare every output array of a folder.

    Raises:
        InputError: the folder, its index or a file cannot be read, or an array is in no rule.
    """
    index = read_index(folder)
    sets = tuple(_validate(index, name, path) for name, path in index.present())
    return Validation("kernels", folder, sets)


def _validate(index: Index, name: str, path: Path) -> SetResult:
    arrays = read_arrays(path)
    rows, mismatches, first, missing = 0, 0, None, []
    for array, expected in arrays.items():
        rule = index.rule(name, array)
        if rule in ("input", "info"):
            continue
        found = _computed(path, arrays, find(name, array))
        if found is None or rule.startswith("tolerance"):
            missing.append(array)
            continue
        wrong = _different(path, array, expected, found, rule == "nan_class")
        rows += expected.size
        mismatches += int(wrong.sum())
        if first is None and wrong.any():
            first = _first(array, wrong, expected, found)
    return SetResult(name, rows, mismatches, first, tuple(missing), goal("kernels", "mismatches"))


def _computed(
    path: Path, arrays: Arrays, found: tuple[Output, str, re.Match[str]] | None
) -> Array | None:
    """Return what a kernel makes of an array's operands; None when no kernel is known for it."""
    if found is None:
        return None
    output, name, match = found
    case = {
        key.removeprefix(f"{name}__"): value
        for key, value in arrays.items()
        if key.startswith(f"{name}__")
    }
    absent = [need for need in output.needs if need not in case]
    if absent:
        raise InputError(f"{path}: {name}__{output.role} needs {name}__{absent[0]}, not there")
    try:
        return output.compute(case, match)
    except (ValueError, TypeError, IndexError) as error:
        raise InputError(
            f"{path}: {name}__{output.role}: its operands do not fit: {error}"
        ) from None


def _different(
    path: Path, array: str, expected: Array, found: Array, any_nan: bool
) -> npt.NDArray[np.bool_]:
    if expected.shape != found.shape:
        raise InputError(
            f"{path}: {array} has the shape {expected.shape}; its operands give {found.shape}"
        )
    if not np.issubdtype(expected.dtype, np.floating):
        nans = np.zeros(expected.shape, np.bool_)
        if any_nan and array.partition("__")[0] in ("e4m3fn", "e5m2"):
            low = 0x7E if array.startswith("e4m3fn") else 0x7C
            nans = ((expected & 0x7F) > low) & ((found & 0x7F) > low)
        return np.asarray((expected != found) & ~nans)
    both = np.isnan(expected) & np.isnan(found) if any_nan else np.zeros(expected.shape, np.bool_)
    signs = np.signbit(expected) != np.signbit(found)
    return np.asarray(((expected != found) | signs) & ~both)


def _first(
    array: str, wrong: npt.NDArray[np.bool_], expected: Array, found: Array
) -> dict[str, Any]:
    place = tuple(int(i) for i in np.argwhere(wrong)[0])
    return {
        "array": array, "index": list(place), "expected": str(expected[place]),
        "computed": str(found[place]),
    }  # fmt: skip


def predictions(folder: Path) -> str:
    """Return a CSV with every output that the operands of a folder allow, a line per element.

    Columns: file, row (place of the element in the flattened array), metric (name of the array),
    predicted (the bits as a whole number, or the number itself). Expected arrays are not read.

    Raises:
        InputError: as ``validate_kernels``.
    """
    index = read_index(folder)
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(("file", "row", "metric", "predicted"))
    for name, path in index.present():
        arrays = read_arrays(path)
        operands = {key: v for key, v in arrays.items() if index.rule(name, key) == "input"}
        for array in _derivable(name, operands):
            found = _computed(path, operands, find(name, array))
            flat = [] if found is None else found.reshape(-1).tolist()
            writer.writerows((path.name, row, array, value) for row, value in enumerate(flat))
    return out.getvalue()


def _derivable(name: str, operands: Arrays) -> Iterator[str]:
    """Yield the outputs whose operands are all there, in the order of the table."""
    cases: Sequence[str] = list(dict.fromkeys(key.rpartition("__")[0] for key in operands))
    for output in OUTPUTS:
        if output.set != name:
            continue
        if not output.role:
            yield output.case
            continue
        for case in cases:
            here = all(f"{case}__{need}" in operands for need in output.needs)
            if here and re.fullmatch(output.case, case):
                yield f"{case}__{output.role}"
