"""The shipped model as tests use it: its tokens, and it running in a recipe on a chip."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from accelsim.evaluate.model import RunningModel
from accelsim.evaluate.sample import Encoder, sample
from accelsim.graph.values import ModelValues
from accelsim.graph.zoo import load
from accelsim.recipe.load import load_recipe, shipped
from accelsim.sim.interpret import StoredModel
from accelsim.sim.numerics import ChipNumerics, numerics_of
from accelsim.spec.load import load_arch

VOCABULARY = 384


def plain_recipes() -> list[str]:
    """Return the shipped recipes that say formats alone, and do not change weights."""
    loaded = {name: load_recipe(name) for name in sorted(shipped())}
    return [
        name
        for name, recipe in loaded.items()
        if recipe.rotation is None and not any(rule.method for rule in recipe.rules)
    ]


def values() -> ModelValues:
    found = load("tiny").values
    assert found is not None
    return found


def encoder() -> Encoder:
    return Encoder(values().folder, VOCABULARY)


def tokens_of(batch: int, length: int) -> npt.NDArray[np.int64]:
    return sample(encoder(), batch, length)


def chip(name: str = "edge_npu") -> ChipNumerics:
    return numerics_of(load_arch(name))


def running(recipe: str, arch: str = "edge_npu") -> RunningModel:
    return RunningModel(load("tiny"), StoredModel(values()), load_recipe(recipe), chip(arch))
