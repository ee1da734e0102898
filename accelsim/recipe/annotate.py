"""A recipe applied to a graph: formats of every tensor, and the conversions that follow."""

from __future__ import annotations

import difflib
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from fnmatch import fnmatchcase

from accelsim.errors import RecipeError
from accelsim.graph.ir import FORMAT_BITS, Attr, Graph, Op, Tensor
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
    _check_cache(graph, recipe)
    return verify(compressed(replace(graph, tensors=stored(graph, recipe.storage)), recipe))


def compressed(graph: Graph, recipe: Recipe) -> Graph:
    """Return a graph, whole or a part of one, with the ops that the recipe's rules insert.

    Tensors that no rule covers keep their formats.
    """
    return _Annotator(graph, recipe).run()


def _check_patterns(graph: Graph, recipe: Recipe) -> None:
    """Refuse patterns that match nothing: a misspelt one would silently compress nothing."""
    names = [op.name for op in graph.ops if op.kind in ("matmul", "grouped_matmul", "conv2d")]
    patterns = [(f"rules.{n}.names", p) for n, rule in enumerate(recipe.rules) for p in rule.names]
    if recipe.rotation is not None:
        patterns += [("rotation.online", pattern) for pattern in recipe.rotation.online]
    for where, pattern in patterns:
        if pattern != "*" and not any(fnmatchcase(name, pattern) for name in names):
            close = _near(pattern, names)
            near = f"; near misses: {', '.join(close)}" if close else ""
            raise RecipeError(
                f"recipe {recipe.name}: {where}: {pattern!r} matches no op of {graph.name}{near}"
            )


def _check_cache(graph: Graph, recipe: Recipe) -> None:
    """Refuse a format of a cache that there is not, or that something else than attention reads."""
    if recipe.kv_cache is None:
        return
    caches = [op for op in graph.ops if op.kind == "kv_append"]
    if not caches:
        raise RecipeError(f"recipe {recipe.name}: kv_cache: {graph.name} keeps no cache")
    for op in caches:
        for reader in (graph.ops[i] for i in graph.consumers[op.outputs[0]]):
            if reader.kind != "attention":
                raise RecipeError(
                    f"recipe {recipe.name}: kv_cache: {reader.name} ({reader.kind}) reads the "
                    "cache that attention alone can read in codes"
                )


def _near(pattern: str, names: Sequence[str]) -> list[str]:
    """Return the first names that are like a pattern, or hold a part that is like its core."""
    close = difflib.get_close_matches(pattern, names, n=2, cutoff=0.6)
    if close:
        return close
    parts = {part: name for name in reversed(names) for part in name.split(".")}
    core = pattern.strip("*.")
    alike = difflib.get_close_matches(core, parts, n=2, cutoff=0.6)
    alike = alike or difflib.get_close_matches(core.rpartition(".")[2], parts, n=2, cutoff=0.6)
    found = [parts[part] for part in alike]
    return found or difflib.get_close_matches(pattern, names, n=2, cutoff=0.3)


def stored(graph: Graph, storage: str) -> dict[str, Tensor]:
    """Return the tensors with those in the model's own number type in the storage format.

    What a model widens on purpose, such as rotary angles in FP32 amid BF16, stays wide. In a model
    that is FP32 throughout, what positions alone decide stays so: 257 is no BF16 number.
    """
    used = Counter(t.format for t in graph.tensors.values() if t.role == "weight")
    own = used.most_common(1)[0][0] if used else None
    fixed = _of_positions(graph) if own == "fp32" else frozenset()

    def new(tensor: Tensor) -> Tensor:
        mine = tensor.format == own if own else tensor.format in FLOATS
        return replace(tensor, format=storage) if mine and tensor.name not in fixed else tensor

    return {name: new(tensor) for name, tensor in graph.tensors.items()}


def _of_positions(graph: Graph) -> frozenset[str]:
    """Names of the tensors that follow from constants and sizes alone."""
    found = {name for name, t in graph.tensors.items() if t.role == "constant"}
    for op in graph.ops:
        if found.issuperset(op.inputs) and op.kind != "kv_append":
            found.update(op.outputs)
    return frozenset(found)


def _depth(op: Op, weight: Tensor) -> int:
    """Length of K of a weight: channels and taps of a convolution, one axis of a matrix."""
    if op.kind == "conv2d":
        return math.prod(weight.shape[1:])
    return weight.shape[-2] if op.attrs.get("weight_is_kn") else weight.shape[-1]


class _Annotator:
    def __init__(self, graph: Graph, recipe: Recipe) -> None:
        self.graph = graph
        self.recipe = recipe
        self.tensors = dict(graph.tensors)
        self.ops: list[Op] = []
        self.quantized: dict[tuple[str, ActivationFormat], str] = {}

    def run(self) -> Graph:
        for op in self.graph.ops:
            op = self._cached(self._rotate(op))
            rule = self.recipe.rule_for(op.kind, op.name)
            if rule is None or not self._has_weight(op):
                self.ops.append(op)
            else:
                self._compress(op, rule)
        return self.graph.with_ops(tuple(self.ops), self.tensors)

    def _has_weight(self, op: Op) -> bool:
        return len(op.inputs) > 1 and self.tensors[op.inputs[1]].role == "weight"

    def _cached(self, op: Op) -> Op:
        """Return an append of codes, or attention that reads them; other ops as they are."""
        wanted = self.recipe.kv_cache
        if wanted is None or op.kind not in ("kv_append", "attention"):
            return op
        if op.kind == "attention":
            kept = self.tensors[op.inputs[1]].format
            if kept in FLOATS:
                return op
            # Codes become numbers on their way into the array.
            return replace(op, attrs={**op.attrs, "widened": self.tensors[op.inputs[0]].format})
        coded = ActivationFormat(format=wanted.format, scale_format=wanted.scale_format)
        new = self._quantize(op.inputs[0], coded)
        for name in (*op.inputs[1:], *op.outputs):
            cache = self.tensors[name]
            bits = math.prod(cache.shape[:-1]) * FORMAT_BITS[wanted.scale_format]
            self._add(replace(cache, format=wanted.format, metadata_bits=bits))
        return replace(op, inputs=(new, *op.inputs[1:]))

    def _rotate(self, op: Op) -> Op:
        """Return a product with its input rotated at run time, if the recipe says so."""
        wanted = self.recipe.rotation
        if op.kind != "matmul" or wanted is None or not wanted.is_online(op.name):
            return op
        source = self.tensors[op.inputs[0]]
        made = replace(source, name=f"{source.name}.hadamard", role="activation")
        if made.name not in self.tensors:
            self.ops.append(Op(made.name, "hadamard", (source.name,), (self._add(made),)))
        return replace(op, inputs=(made.name, *op.inputs[1:]))

    def _compress(self, op: Op, rule: Rule) -> None:
        source = self._quantize(op.inputs[0], rule.activation)
        weight = self._weight(op, rule.weight)
        inputs = (source, weight, *op.inputs[2:])
        coded = (rule.activation.format, rule.weight.format)
        if all(name in FLOATS for name in coded):
            self.ops.append(replace(op, inputs=inputs))
            return
        scales: dict[str, Attr] = {
            "group": rule.weight.group,
            "scale_format": rule.weight.scale_format,
        }
        if rule.weight.sparsity not in ("dense", "2:4"):
            scales["sparsity"] = rule.weight.sparsity  # a density of one half means 2:4
        if rule.weight.scale_rule:
            scales["scale_rule"] = rule.weight.scale_rule
        if rule.activation.format in FLOATS:
            # Codes become numbers on their way into the array: products and sums are plain.
            scales["widened"] = self.tensors[source].format
            self.ops.append(replace(op, inputs=inputs, attrs={**op.attrs, **scales}))
            return
        # Scales of either operand are applied to the sums.
        out = self.tensors[op.outputs[0]]
        whole = all(name.startswith("int") for name in coded) and not rule.weight.group
        accumulator = "int32" if whole else "fp32"
        sums = self._add(replace(out, name=f"{out.name}.sums", format=accumulator))
        attrs = {**op.attrs, **scales}
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
            codes_of: dict[str, Attr] = {"codes": wanted.format}
            self.ops.append(Op(f"{name}.absmax", "absmax", (name,), (scale,), codes_of))
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
