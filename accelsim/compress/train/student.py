"""A torch model that computes as its recipe says while gradients flow: what is trained.

``coded_model`` is the fast way: linear modules multiply what codes stand for, in FP32.
``on_chip_with_gradients`` is the exact way: every op's result is overwritten by the chip's, and the
gradient is that of torch's own op, at the chip's values.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import torch

from accelsim.compress.train.coding import Coding, coded, mask_of, whole_scale
from accelsim.errors import RecipeError
from accelsim.evaluate.live import LiveModel, on_chip
from accelsim.graph.ir import Op
from accelsim.graph.record_call import Draft
from accelsim.recipe.schema import Recipe, Rule
from accelsim.sim.numerics import ChipNumerics

#: What a linear module is called in a recorded graph: the module, and its function.
FUNCTION = "linear"
#: Methods whose codes follow from the weights alone, as those of training do.
NEAREST = frozenset({"rtn", "magnitude"})


def covered(model: Any, recipe: Recipe) -> dict[str, tuple[Any, Rule]]:
    """Return the linear modules that a recipe covers, with their rules.

    Raises:
        RecipeError: it covers none, or finds codes in another way than training does.
    """
    steps = [step for rule in recipe.rules for step in rule.method]
    asked: list[str] = sorted({step.name for step in steps} - NEAREST)
    if recipe.rotation is not None:
        asked.insert(0, "rotation")
    if asked:
        raise RecipeError(
            f"recipe {recipe.name}: training rounds to nearest, the recipe asks for "
            f"{', '.join(asked)}: leave that out of the recipe that is trained with"
        )
    found = {}
    for name, part in model.named_modules():
        if isinstance(part, torch.nn.Linear):
            rule = recipe.rule_for("matmul", f"{name}.{FUNCTION}")
            if rule is not None:
                found[name] = (part, rule)
    if recipe.rules and not found:
        raise RecipeError(f"recipe {recipe.name}: covers no linear module of the model")
    return found


def masks_of(model: Any, recipe: Recipe) -> dict[str, Any]:
    """Return by module which weights are kept, where a recipe prunes 2:4 or the like."""
    found = {}
    for name, (part, rule) in covered(model, recipe).items():
        coding = Coding.of_weight(rule.weight)
        if coding.kept is not None:
            found[name] = mask_of(part.weight, coding.kept)
    return found


def apply_masks(model: Any, masks: dict[str, Any]) -> None:
    """Put zeros where nothing is kept."""
    for name, mask in masks.items():
        weight = model.get_submodule(name).weight
        weight.data.mul_(mask)


@contextmanager
def coded_model(model: Any, recipe: Recipe, masks: dict[str, Any]) -> Iterator[None]:
    """Let a model in FP32 compute with what a recipe's codes stand for.

    Weights are rounded to the recipe's storage format first: so the checkpoint that is written
    afterwards has the very codes that were trained.

    Args:
        model: the student.
        recipe: how it is compressed.
        masks: as ``masks_of`` gives them.
    """
    changed = []
    try:
        for name, (part, rule) in covered(model, recipe).items():
            codings = Coding.of_weight(rule.weight), Coding.of_activation(rule.activation)
            stored = Coding(recipe.storage)
            part.forward = partial(_forward, part, (stored, *codings), masks.get(name))
            changed.append(part)
        yield
    finally:
        for part in changed:
            del part.forward


def _forward(part: Any, codings: tuple[Coding, Coding, Coding], mask: Any, x: Any) -> Any:
    stored, of_weight, of_activation = codings
    weight = coded(part.weight, stored)
    if mask is not None:
        weight = weight * mask
    weight = coded(weight, of_weight, whole_scale(weight, of_weight))
    if of_activation.plain:
        # Codes become numbers of the activations' format on their way into the array.
        weight = coded(weight, of_activation)
    return torch.nn.functional.linear(coded(x, of_activation), weight, part.bias)


class _Trained(LiveModel):
    """Answers by the chip, and leaves the gradient of torch's op in place."""

    def _answer(self, op: Op, draft: Draft, made: tuple[Any, ...]) -> None:
        given = [tensor.data for tensor in made]
        with torch.no_grad():
            super()._answer(op, draft, tuple(given))


@contextmanager
def on_chip_with_gradients(model: Any, recipe: Recipe, chip: ChipNumerics) -> Iterator[LiveModel]:
    """Let a model compute as a chip does, its gradients those of torch at the chip's values.

    Weights must not change while the context is open.

    Args:
        model: on the CPU, in the recipe's storage format.
        recipe: how it is compressed.
        chip: the arithmetic.

    Raises:
        InputError: as ``on_chip``.
    """
    with on_chip(model, recipe, chip, _Trained) as live, torch.enable_grad():
        yield live


def finite(name: str, weight: Any) -> np.ndarray[Any, Any]:
    """Return a trained weight in FP32.

    Raises:
        RecipeError: training left the numbers.
    """
    values = weight.detach().float().cpu().numpy()
    if not np.isfinite(values).all():
        raise RecipeError(f"{name} is NaN or infinite after training: take a smaller rate")
    return np.ascontiguousarray(values)
