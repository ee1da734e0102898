"""What a comparison found, set by set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class SetResult:
    """What comparing one file gave.

    Attributes:
        name: of the set.
        rows: output elements that were compared.
        mismatches: how many of them differ.
        first_mismatch: array, index, what was expected and what was computed.
        not_computed: output arrays that could not be computed or compared, and why.
        goal: most mismatches with which the set passes.
    """

    name: str
    rows: int
    mismatches: int
    first_mismatch: dict[str, Any] | None
    not_computed: Mapping[str, str]
    goal: int

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
