"""What a comparison found, set by set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar


@dataclass(frozen=True)
class ExactSet:
    """A set whose values must be equal.

    Attributes:
        name: of the set.
        rows: values that were compared.
        mismatches: how many of them differ.
        first_mismatch: where, what was expected and what was computed.
        goal: most mismatches with which the set passes.
        not_computed: output arrays that could not be computed or compared, and why.
    """

    name: str
    rows: int
    mismatches: int
    first_mismatch: dict[str, Any] | None
    goal: int
    not_computed: Mapping[str, str] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """Whether something was compared, every output was, and no more differ than the goal."""
        return self.reason is None

    @property
    def reason(self) -> str | None:
        """Why the set did not pass; None when it did."""
        if self.mismatches > self.goal:
            return f"{self.mismatches} of {self.rows} elements differ"
        for array, why in self.not_computed.items():
            more = len(self.not_computed) - 1
            return f"{array}: {why}" + (f", and {more} arrays more" if more else "")
        return None if self.rows else "nothing to compare"

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "name": self.name, "rows": self.rows, "passed": self.passed, "goal": self.goal,
            "mismatches": self.mismatches, "first_mismatch": self.first_mismatch,
            "reason": self.reason, "not_computed": list(self.not_computed),
        }  # fmt: skip


@dataclass(frozen=True)
class PercentSet:
    """A set whose values must be close; errors in percent of the measurement.

    Attributes:
        name: of the set.
        rows: measurements that were compared with, those without a prediction included.
        goal: largest allowed ``mean``, ``median`` and ``worst`` absolute error, and ``above``.
        not_predicted: measurements for which there is no prediction; more than none fails.
        bias: mean signed error; positive when predictions are too large.
        above: largest signed error.
        worst: the pair with the largest absolute error.
        pairs: predictions and measurements, for a plot; not part of the JSON form.
    """

    name: str
    rows: int
    goal: Mapping[str, float]
    not_predicted: int
    mean_abs_pct_error: float | None
    median_abs_pct_error: float | None
    bias: float | None
    above: float | None
    worst: Mapping[str, Any] | None
    pairs: tuple[tuple[float, float], ...] = ()

    @property
    def passed(self) -> bool:
        """Whether everything was predicted and every limit holds."""
        return self.reason is None

    @property
    def reason(self) -> str | None:
        """Why the set did not pass; None when it did."""
        if not self.rows:
            return "nothing to compare"
        if self.not_predicted:
            return f"{self.not_predicted} of {self.rows} rows have no prediction"
        found = {
            "mean": self.mean_abs_pct_error,
            "median": self.median_abs_pct_error,
            "worst": None if self.worst is None else abs(self.worst["error_pct"]),
            "above": self.above,
        }
        for limit, most in self.goal.items():
            value = found[limit]
            if value is not None and value > most:
                return f"{limit} error {value:.3g} % is above {most:g} %"
        return None

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "name": self.name, "rows": self.rows, "passed": self.passed, "goal": dict(self.goal),
            "mean_abs_pct_error": self.mean_abs_pct_error,
            "median_abs_pct_error": self.median_abs_pct_error,
            "bias": self.bias, "worst": None if self.worst is None else dict(self.worst),
            "not_predicted": self.not_predicted, "reason": self.reason,
        }  # fmt: skip


#: A set of either kind.
Result = ExactSet | PercentSet
Kind = TypeVar("Kind", bound=Result, covariant=True)


@dataclass(frozen=True)
class Validation(Generic[Kind]):
    """The sets of one folder."""

    what: str
    folder: Path
    sets: tuple[Kind, ...]

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
