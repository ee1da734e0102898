"""Which weights of a graph a recipe compresses, and by which rule."""

from __future__ import annotations

from dataclasses import dataclass

from accelsim.errors import RecipeError
from accelsim.graph.ir import Graph, Op
from accelsim.recipe.annotate import annotate
from accelsim.recipe.schema import FLOATS, Recipe, Rule


@dataclass(frozen=True)
class Target:
    """A product whose weight is compressed.

    Attributes:
        op: the product, as it was recorded.
        weight: name of its weight.
        rule: what the recipe says about it.
    """

    op: Op
    weight: str
    rule: Rule


def targets_of(graph: Graph, recipe: Recipe) -> list[Target]:
    """Return the products that a recipe compresses, in the order in which they run.

    Raises:
        RecipeError: a pattern that matches nothing; a product that no method is built for; a weight
            that is also read as a table.
    """
    annotate(graph, recipe)
    found: list[Target] = []
    for op in graph.ops:
        rule = recipe.rule_for(op.kind, op.name)
        if rule is None or len(op.inputs) < 2 or graph.tensors[op.inputs[1]].role != "weight":
            continue
        if rule.weight.format in FLOATS and rule.weight.pattern is None:
            continue
        _check(graph, recipe, op)
        found.append(Target(op, op.inputs[1], rule))
    return found


def _check(graph: Graph, recipe: Recipe, op: Op) -> None:
    if op.kind != "matmul":
        raise RecipeError(
            f"recipe {recipe.name}: {op.name} is a {op.kind}; codes are found for the weights of "
            "matmul alone: exclude it"
        )
    weight = op.inputs[1]
    others = [graph.ops[i].name for i in graph.consumers[weight] if graph.ops[i].name != op.name]
    if others:
        raise RecipeError(
            f"recipe {recipe.name}: {op.name} shares its weight {weight!r} with {', '.join(others)}"
            ": exclude it, or untie them in the checkpoint"
        )
