"""Kernels held to vectors: every output array of a folder is computed and compared."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from accelsim.validate.catalog.bits import nans
from accelsim.validate.catalog.output import Arrays, Job, Unfit
from accelsim.validate.catalog.table import derivable, find
from accelsim.validate.goals import goal
from accelsim.validate.index import Index, array_names, read_arrays, read_index
from accelsim.validate.result import ExactSet, Validation

Array = npt.NDArray[Any]

#: The vectors that ship.
SHIPPED = Path(__file__).parent / "vectors"
#: The vectors' place in a folder of measurements.
PART = "numerics"
#: Rules of arrays that are not computed.
_GIVEN = ("input", "info")
#: Rules by which bits compare.
_BITWISE = ("exact", "nan_class")
_TOLERANCE = re.compile(r"tolerance ([0-9.e+-]+) relative to the row's norm")


def validate_kernels(folder: Path) -> Validation[ExactSet]:
    """Compute and compare every output array of a folder.

    An array that cannot be interpreted is never a pass: it is named in ``not_computed`` of its set.

    Raises:
        InputError: the folder, its index or a file cannot be read.
    """
    index = read_index(folder)
    sets = tuple(_validate(index, name, read_arrays(path)) for name, path in index.present())
    return Validation("kernels", folder, sets)


def _validate(index: Index, name: str, arrays: Arrays) -> ExactSet:
    rows, mismatches, first, not_computed = 0, 0, None, {}
    entries = index.entries.get(name, {})
    for array, expected in arrays.items():
        rule = index.rule(name, array)
        if rule in _GIVEN:
            continue
        try:
            found, wrong = _compared(rule, find(name, array, entries), arrays[array], arrays)
        except Unfit as why:
            not_computed[array] = str(why)
            continue
        rows += expected.size
        mismatches += int(wrong.sum())
        if first is None and wrong.any():
            first = _first(array, wrong, expected, found)
    return ExactSet(name, rows, mismatches, first, goal("kernels", "mismatches"), not_computed)


def _compared(
    rule: str | None, job: Job | None, expected: Array, arrays: Arrays
) -> tuple[Array, npt.NDArray[np.bool_]]:
    """Return an output as a kernel computes it, and where it differs from the expected one.

    Raises:
        Unfit: the array cannot be interpreted.
    """
    if rule is None:
        raise Unfit("no line of 'compare' in the index covers it")
    tolerance = _tolerance(rule)
    if job is None:
        raise Unfit("no kernel computes it")
    found = job.compute(arrays)
    if (expected.dtype, expected.shape) != (found.dtype, found.shape):
        raise Unfit(
            f"it is {expected.dtype} {expected.shape}; its operands give {found.dtype} "
            f"{found.shape}"
        )
    if tolerance is not None:
        return found, _far(expected, found, tolerance)
    return found, _different(expected, found, job.holds if rule == "nan_class" else "")


def _tolerance(rule: str) -> float | None:
    """Return the tolerance of a rule, relative to the norm of a row; None: bits are compared.

    Raises:
        Unfit: a tolerance that says something else.
    """
    if rule in _BITWISE:
        return None
    match = _TOLERANCE.fullmatch(rule)
    if match is None:
        raise Unfit(
            f"nothing compares by {rule!r}; 'tolerance X relative to the row's norm' is known"
        )
    return float(match[1])


def _far(expected: Array, found: Array, tolerance: float) -> npt.NDArray[np.bool_]:
    """Tell where two arrays of numbers, or of binary32 bits, are further apart than allowed."""
    wanted, got = (
        (a.view(np.float32) if a.dtype == np.uint32 else a).astype(np.float64)
        for a in (expected, found)
    )
    special = ~np.isfinite(wanted)
    norms = np.sqrt(np.sum(np.where(special, 0.0, wanted) ** 2, axis=-1, keepdims=True))
    with np.errstate(invalid="ignore"):
        near = np.abs(wanted - got) <= tolerance * norms
    same = (wanted == got) | (np.isnan(wanted) & np.isnan(got))
    return np.asarray(~np.where(special, same, near))


def _different(expected: Array, found: Array, holds: str) -> npt.NDArray[np.bool_]:
    """Tell where bits differ; ``holds``, where given, is the format whose NaNs are all equal."""
    if np.issubdtype(expected.dtype, np.floating):
        both = np.isnan(expected) & np.isnan(found)
        width = np.dtype(f"u{expected.dtype.itemsize}")
        wrong = np.ascontiguousarray(expected).view(width) != np.ascontiguousarray(found).view(
            width
        )
        return np.asarray(wrong & ~both if holds else wrong)
    wrong = expected != found
    return np.asarray(wrong & ~(nans(expected, holds) & nans(found, holds)) if holds else wrong)


def _first(
    array: str, wrong: npt.NDArray[np.bool_], expected: Array, found: Array
) -> dict[str, Any]:
    place = tuple(int(i) for i in np.argwhere(wrong)[0])
    return {
        "array": array, "index": list(place), "expected": _text(expected[place]),
        "computed": _text(found[place]),
    }  # fmt: skip


def _text(value: Any) -> str:
    """Return bits and codes in hexadecimal, everything else as it is."""
    if isinstance(value, np.unsignedinteger):
        return f"0x{int(value):0{2 * value.itemsize}x}"
    return str(value)


def predictions(folder: Path) -> str:
    """Return a CSV with every output that the operands of a folder allow, a line per element.

    Columns: file, row (place of the element in the flattened array), metric (name of the array),
    predicted (the bits as a whole number, or the number itself). Expected arrays are not read:
    what is computed from one is computed from its prediction, and one that nothing computes keeps
    one line, with an empty cell.

    Raises:
        InputError: the folder, its index or the operands cannot be read.
    """
    index = read_index(folder)
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(("file", "row", "metric", "predicted"))
    for name, path in index.present():
        rules = {array: index.rule(name, array) for array in array_names(path)}
        known = dict(read_arrays(path, [a for a, rule in rules.items() if rule == "input"]))
        asked = [array for array, rule in rules.items() if rule not in _GIVEN]
        for array in dict.fromkeys([*derivable(name, known), *asked]):
            found = _predicted(find(name, array, index.entries.get(name, {})), known)
            cells: list[Any] = [""] if found is None else found.reshape(-1).tolist()
            writer.writerows((path.name, row, array, cell) for row, cell in enumerate(cells))
            known |= {} if found is None else {array: found}
    return out.getvalue()


def _predicted(job: Job | None, known: Arrays) -> Array | None:
    """Return an output that follows from what is known; None when it does not."""
    try:
        return None if job is None else job.compute(known)
    except Unfit:
        return None
