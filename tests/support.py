"""Types and small helpers that tests share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

#: The root of the checkout.
ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Outcome:
    """What a command left behind."""

    code: int
    out: str
    err: str


class Cli(Protocol):
    """Runs the command line."""

    def __call__(self, *arguments: str) -> Outcome:
        """Run it with these arguments."""
        ...
