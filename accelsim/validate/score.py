"""Predictions against measurements: relative errors, or equality."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping
from typing import Any

from accelsim.validate.result import ExactSet, PercentSet

#: Where a pair comes from, what was predicted, and what was measured.
Pair = tuple[Mapping[str, Any], float | int | None, float]


def percent_set(name: str, pairs: Iterable[Pair], goal: Mapping[str, float]) -> PercentSet:
    """Return relative errors of a set in percent.

    Args:
        name: of the set.
        pairs: place (file, row, metric), prediction and measurement; rows without a measurement are
            left out by the caller. A prediction of None is a failure of the set.
        goal: largest allowed ``mean``, ``median`` and ``worst`` absolute error, and ``above``: how
            far a prediction may lie above its measurement.
    """
    errors: list[float] = []
    kept: list[tuple[float, float]] = []
    missing, worst_at = 0, None
    for place, predicted, measured in pairs:
        if predicted is None or not math.isfinite(predicted):
            missing += 1
            continue
        error = _percent(float(predicted), measured)
        if worst_at is None or abs(error) > abs(worst_at["error_pct"]):
            worst_at = {
                **place, "predicted": predicted, "measured": measured, "error_pct": error,
            }  # fmt: skip
        errors.append(error)
        kept.append((float(predicted), measured))
    sizes = [abs(error) for error in errors]
    return PercentSet(
        name=name,
        rows=len(errors) + missing,
        goal=dict(goal),
        not_predicted=missing,
        mean_abs_pct_error=statistics.fmean(sizes) if sizes else None,
        median_abs_pct_error=statistics.median(sizes) if sizes else None,
        bias=statistics.fmean(errors) if errors else None,
        above=max(errors, default=None),
        worst=worst_at,
        pairs=tuple(kept),
    )


def _percent(predicted: float, measured: float) -> float:
    if measured == 0:
        return 0.0 if predicted == 0 else math.copysign(1e9, predicted)
    return 100.0 * (predicted - measured) / abs(measured)


def exact_set(name: str, pairs: Iterable[Pair], goal: int) -> ExactSet:
    """Return how many predictions differ from their measurement; None differs from everything."""
    rows, mismatches, first = 0, 0, None
    for place, predicted, measured in pairs:
        rows += 1
        if predicted is not None and predicted == measured:
            continue
        mismatches += 1
        if first is None:
            first = {**place, "expected": measured, "computed": predicted}
    return ExactSet(name, rows, mismatches, first, goal)
