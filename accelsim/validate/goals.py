"""What a set has to reach: ``goals.yaml``, and nothing in code."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import yaml


@cache
def _goals() -> Any:
    return yaml.safe_load((Path(__file__).parent / "goals.yaml").read_text(encoding="utf-8"))


def goal(what: str, kind: str) -> Any:
    """Return the goal of a kind of set, of one subject."""
    return _goals()[what][kind]
