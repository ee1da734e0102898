"""The shipped models: recorded graph families, no torch needed to read them."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from accelsim.errors import UnknownNameError
from accelsim.graph.family_file import FamilyModel
from accelsim.graph.family_file import load as load_file

FOLDER = Path(__file__).parent


@cache
def names() -> tuple[str, ...]:
    """Return the names of the shipped models."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.json")))


@cache
def load(name: str) -> FamilyModel:
    """Return a shipped model.

    Raises:
        UnknownNameError: there is none of that name.
    """
    if name not in names():
        raise UnknownNameError("model", name, names())
    return load_file(FOLDER / f"{name}.json")
