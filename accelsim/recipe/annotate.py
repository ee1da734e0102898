"""A recipe applied to a graph: formats of every tensor, and the conversions that follow."""

from __future__ import annotations

import difflib
import math
from dataclasses import replace
from fnmatch import fnmatchcase

from accelsim.errors import RecipeError
from accelsim.graph.ir import FORMAT_BITS, Graph, Op, Tensor
from accelsim.graph.ops import verify
from accelsim.recipe.schema import FLOATS, ActivationFormat, Recipe, Rule, WeightFormat


def annotate(graph: Graph, recipe: Recipe) -> Graph:
    """Return the graph with the recipe's formats and explicit absmax, quantize and rescale ops.

    Ops of the original keep their names. A tensor that several products read is quantized once.

    Raises:
        RecipeError: a pattern over names that matches no op.
        GraphError: the result does not verify.
    """
    _check_patterns(graph, recipe)
    tensors = {name: _stored(t, recipe.storage) for name, t in graph.tensors.items()}
    return verify(_Annotator(graph, recipe, tensors).run())


def _check_patterns(graph: Graph, recipe: Recipe) -> None:
    """Refuse patterns that match nothing: a misspelt one would silently compress nothing."""
    names = [op.name for op in graph.ops if op.kind in ("matmul", "grouped_matmul", "conv2d")]
    for number, rule in enumerate(recipe.rules):
        for pattern in rule.names:
            if pattern != "*" and not any(fnmatchcase(name, pattern) for name in names):
                close = difflib.get_close_matches(pattern, names, n=2, cutoff=0.3)
                near = f"; near misses: {', '.join(close)}" if close else ""
                raise RecipeError(
                    f"recipe {recipe.name}: rules.{number}.names: {pattern!r} matches no op of "
                    f"{graph.name}{near}"
                )


def _stored(tensor: Tensor, storage: str) -> Tensor:
    return replace(tensor, format=storage) if tensor.format in FLOATS else tensor


def _depth(op: Op, weight: Tensor) -> int:
    """Length of K of a weight: channels and taps of a convolution, one axis of a matrix."""
    if op.kind == "conv2d":
        return math.prod(weight.shape[1:])
    return weight.shape[-2] if op.attrs.get("weight_is_kn") else weight.shape[-1]


class _Annotator:
    def __init__(self, graph: Graph, recipe: Recipe, tensors: dict[str, Tensor]) -> None:
        self.graph = graph
        self.recipe = recipe
        self.tensors = tensors
        self.ops: list[Op] = []
        self.quantized: dict[tuple[str, ActivationFormat], str] = {}

    def run(self) -> Graph:
        for op in self.graph.ops:
            rule = self.recipe.rule_for(op.kind, op.name)
            if rule is None or not self._has_weight(op):
                self.ops.append(op)
            else:
                self._compress(op, rule)
        return self.graph.with_ops(tuple(self.ops), self.tensors)

    def _has_weight(self, op: Op) -> bool:
        return len(op.inputs) > 1 and self.tensors[op.inputs[1]].role == "weight"

    def _compress(self, op: Op, rule: Rule) -> None:
        source = self._quantize(op.inputs[0], rule.activation)
        weight = self._weight(op, rule.weight)
        inputs = (source, weight, *op.inputs[2:])
        coded = (rule.activation.format, rule.weight.format)
        if all(name in FLOATS for name in coded):
            self.ops.append(replace(op, inputs=inputs))
            return
        # Scales of either operand are applied to the sums.
        out = self.tensors[op.outputs[0]]
        accumulator = "int32" if all(name.startswith("int") for name in coded) else "fp32"
        sums = self._add(replace(out, name=f"{out.name}.sums", format=accumulator))
        attrs = {**op.attrs, "group": rule.weight.group}
        self.ops.append(replace(op, inputs=inputs, outputs=(sums,), attrs=attrs))
        self.ops.append(Op(f"{op.name}.rescale", "rescale", (sums,), (out.name,), {}, op.module))

    def _add(self, tensor: Tensor) -> str:
        self.tensors[tensor.name] = tensor
        return tensor.name

    def _weight(self, op: Op, wanted: WeightFormat) -> str:
        weight = self.tensors[op.inputs[1]]
        k = _depth(op, weight)
        channels = weight.numel // k
        coded = replace(
            weight,
            format=wanted.format,
            density=wanted.density,
            metadata_bits=wanted.metadata_bits(channels, k),
        )
        # A table that something else reads too (tied embeddings) keeps its own copy.
        if len(self.graph.consumers[weight.name]) > 1:
            coded = replace(coded, name=f"{weight.name}.{wanted.format}")
        return self._add(coded)

    def _quantize(self, name: str, wanted: ActivationFormat) -> str:
        if wanted.format in FLOATS:
            return name
        key = (name, wanted)
        if key not in self.quantized:
            self.quantized[key] = self._insert_quantize(name, wanted)
        return self.quantized[key]

    def _insert_quantize(self, name: str, wanted: ActivationFormat) -> str:
        source = self.tensors[name]
        rows = math.prod(source.shape[:-1]) if wanted.granularity == "token" else 1
        inputs: tuple[str, ...] = (name,)
        if wanted.granularity == "token":
            scale = self._add(
                Tensor(f"{name}.scale", (*source.shape[:-1], 1), format=wanted.scale_format)
            )
            self.ops.append(Op(f"{name}.absmax", "absmax", (name,), (scale,)))
            inputs = (name, scale)
        codes = replace(
            source,
            name=f"{name}.{wanted.format}",
            role="activation",
            format=wanted.format,
            metadata_bits=rows * FORMAT_BITS[wanted.scale_format],
        )
        self._add(codes)
        self.ops.append(Op(f"{name}.quantize", "quantize", inputs, (codes.name,)))
        return codes.name
