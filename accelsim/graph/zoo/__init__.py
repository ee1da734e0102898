"""The shipped models: recorded graph families, no torch needed to read them.

``tiny`` ships with its weights, in a Hugging Face folder beside its graph.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np

from accelsim.errors import UnknownNameError
from accelsim.graph.checkpoint import read_checkpoint
from accelsim.graph.family_file import FamilyModel
from accelsim.graph.family_file import load as load_file
from accelsim.graph.values import ModelValues

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
    model = load_file(FOLDER / f"{name}.json")
    checkpoint = read_checkpoint(FOLDER / name) if (FOLDER / name).is_dir() else None
    if checkpoint is None:
        return model
    constants = {key: np.array(row, np.float32) for key, row in model.constants.items()}
    return replace(model, values=ModelValues(checkpoint, constants, FOLDER / name))
