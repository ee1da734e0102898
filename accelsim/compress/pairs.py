"""Where a scale can move: from what makes an activation into the products that read it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from accelsim.compress.targets import Target
from accelsim.errors import RecipeError
from accelsim.graph.ir import Graph, Op
from accelsim.recipe.methods import Step
from accelsim.recipe.schema import Recipe

#: Functions of a gated activation: the second input is a factor of what comes out.
_GATED = ("gated_silu", "gated_gelu", "gated_gelu_tanh")
_NORMS = ("rms_norm", "layer_norm")


@dataclass(frozen=True)
class Pair:
    """What makes an activation, and all products that read it.

    Attributes:
        step: the method that moves a scale.
        source: a norm with a weight, or a product whose channels arrive unchanged.
        readers: products whose first input it is.
    """

    step: Step
    source: Op
    readers: Sequence[Op]

    @property
    def tensor(self) -> str:
        """The activation, as the first reader sees it."""
        return self.readers[0].inputs[0]


def readers_of(graph: Graph, name: str) -> list[Op] | None:
    """Return the products that read a tensor, through views too; None when anything else does."""
    if name in graph.outputs:
        return None
    found: list[Op] = []
    for index in graph.consumers[name]:
        op = graph.ops[index]
        if op.kind == "view" and _keeps_rows(graph, op):
            more = readers_of(graph, op.outputs[0])
            if more is None:
                return None
            found += more
        elif is_product(graph, op) and op.inputs[0] == name:
            found.append(op)
        else:
            return None
    return found


def is_product(graph: Graph, op: Op) -> bool:
    """Whether an op multiplies with a weight of the checkpoint."""
    return op.kind == "matmul" and graph.tensors[op.inputs[1]].role == "weight"


def _keeps_rows(graph: Graph, op: Op) -> bool:
    source, shown = graph.tensors[op.inputs[0]], graph.tensors[op.outputs[0]]
    return op.attrs.get("fn") in ("reshape", "slice") and source.shape[-1:] == shown.shape[-1:]


def _source(graph: Graph, op: Op) -> Op | None:
    """Return what a scale can move out of when an op's result is scaled."""
    if op.kind == "norm" and op.attrs.get("fn") in _NORMS and len(op.inputs) > 1:
        return op if graph.tensors[op.inputs[1]].role == "weight" else None
    if op.kind == "elementwise" and op.attrs.get("fn") in _GATED:
        maker = graph.producer.get(op.inputs[1])
        made = None if maker is None else graph.ops[maker]
        alone = len(graph.consumers[op.inputs[1]]) == 1
        return made if made is not None and alone and is_product(graph, made) else None
    return None


def pairs_of(graph: Graph, recipe: Recipe, targets: Sequence[Target]) -> list[Pair]:
    """Return the pairs that a recipe's methods scale, in the order of the graph.

    SmoothQuant moves scales out of norms alone, AWQ out of the products before gated activations
    too. Products that follow neither are left as they are.

    Raises:
        RecipeError: a rule with such a method, none of whose products follows any.
    """
    steps = {t.op.name: t.rule.step("prepare") for t in targets}
    found: list[Pair] = []
    for op in graph.ops:
        source = _source(graph, op)
        readers = readers_of(graph, op.outputs[0]) if source is not None else None
        if source is None or not readers:
            continue
        wanted = [step for one in readers if (step := steps.get(one.name)) is not None]
        if wanted and (source.kind == "norm" or wanted[0].name == "awq"):
            found.append(Pair(wanted[0], source, readers))
    _check_rules(recipe, targets, {one.name for pair in found for one in pair.readers})
    return found


def _check_rules(recipe: Recipe, targets: Sequence[Target], scaled: set[str]) -> None:
    for number, rule in enumerate(recipe.rules):
        step, mine = rule.step("prepare"), [t.op.name for t in targets if t.rule is rule]
        if step is not None and mine and not scaled.intersection(mine):
            raise RecipeError(
                f"recipe {recipe.name}: rules.{number}.method: {step.name} moves scales into what "
                f"stands before a product, and no norm stands before {', '.join(mine[:3])}"
            )
