"""The graph of a model: tensors, ops, and the verifier that every graph passes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal

from accelsim.errors import GraphError

Attr = int | float | str | bool
Role = Literal["input", "weight", "activation", "cache", "constant"]

#: Bits per element of the formats that a graph can carry. ``recipe`` checks names against the
#: table of formats; here only storage matters. Weights may lie in formats that no array multiplies.
FORMAT_BITS: Mapping[str, int] = {
    "int2": 2, "int3": 3, "int4": 4, "int5": 5, "int6": 6, "int7": 7, "int8": 8, "int16": 16,
    "int32": 32, "int64": 64, "bool": 8, "uint8": 8, "fp4_e2m1": 4, "fp6_e2m3": 6, "fp6_e3m2": 6,
    "fp8_e4m3": 8, "fp8_e5m2": 8, "e8m0": 8, "ue4m3": 8, "fp16": 16, "bf16": 16, "fp32": 32,
    "fp64": 64,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Tensor:
    """One value of the graph.

    Attributes:
        name: unique in its graph; a weight carries the name it has in the checkpoint.
        shape: sizes in elements.
        role: where the value comes from; ``cache`` is a key-value cache that outlives the step:
            a graph input before it, and made by ``kv_append`` in it.
        format: name of the number format in which it is stored.
        metadata_bits: bits stored beside the codes: scales, zero points, sparsity indices.
        density: kept share of the elements (0.5 for 2:4); only kept elements are stored.
    """

    name: str
    shape: tuple[int, ...]
    role: Role = "activation"
    format: str = "bf16"
    metadata_bits: int = 0
    density: float = 1.0

    @property
    def numel(self) -> int:
        """Elements of the dense tensor."""
        return math.prod(self.shape)

    @property
    def bits(self) -> int:
        """Bits that are stored and moved: kept codes and metadata."""
        return round(self.numel * self.density) * FORMAT_BITS[self.format] + self.metadata_bits


@dataclass(frozen=True, slots=True)
class Op:
    """One operation.

    Attributes:
        name: unique in its graph: module path, function and ordinal.
        kind: a key of ``accelsim.graph.ops.OPS``.
        inputs, outputs: names of tensors.
        attrs: plain values that the kind's entry in the table documents.
        module: path of the module that called it, ``""`` at the top.
    """

    name: str
    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attrs: Mapping[str, Attr] = field(default_factory=dict)
    module: str = ""


@dataclass(frozen=True)
class Graph:
    """Ops in execution order over named tensors.

    Attributes:
        name: the model's name.
        tensors: by name.
        ops: in an order in which they can be executed.
        outputs: names of the tensors that the caller keeps.
        phase: ``prefill`` or ``decode``; vision models are ``prefill``.
        sizes: the sizes that the graph was made for: ``batch``, ``seq_len``, ``context_len``.
        tokens: tokens that one run yields per sequence (0: not a language model).
    """

    name: str
    tensors: Mapping[str, Tensor]
    ops: tuple[Op, ...]
    outputs: tuple[str, ...]
    phase: str = "prefill"
    sizes: Mapping[str, int] = field(default_factory=dict)
    tokens: int = 0

    def ins(self, op: Op) -> tuple[Tensor, ...]:
        """Return the input tensors of ``op``."""
        return tuple(self.tensors[name] for name in op.inputs)

    def outs(self, op: Op) -> tuple[Tensor, ...]:
        """Return the output tensors of ``op``."""
        return tuple(self.tensors[name] for name in op.outputs)

    @cached_property
    def producer(self) -> Mapping[str, int]:
        """Index of the op that makes each tensor."""
        return {name: i for i, op in enumerate(self.ops) for name in op.outputs}

    @cached_property
    def consumers(self) -> Mapping[str, tuple[int, ...]]:
        """Indices of the ops that read each tensor."""
        found: dict[str, list[int]] = {name: [] for name in self.tensors}
        for i, op in enumerate(self.ops):
            for name in dict.fromkeys(op.inputs):
                found[name].append(i)
        return {name: tuple(where) for name, where in found.items()}

    def with_ops(self, ops: tuple[Op, ...], tensors: Mapping[str, Tensor]) -> Graph:
        """Return the same graph with other ops and tensors."""
        return replace(self, ops=ops, tensors=tensors)


def check_structure(graph: Graph) -> None:
    """Check names, order and single assignment; shapes are checked per kind by ``ops.verify``.

    Raises:
        GraphError: the first thing that is wrong, with the op's name.
    """
    if not graph.ops:
        raise GraphError(f"graph {graph.name!r} has no ops: there is nothing to run")
    known = _there_before(graph)
    seen: set[str] = set()
    for op in graph.ops:
        if op.name in seen:
            raise GraphError(f"graph {graph.name!r}: two ops are named {op.name!r}")
        seen.add(op.name)
        _check_wiring(graph, op, known)
        known.update(op.outputs)
    for name in graph.outputs:
        if name not in known:
            raise GraphError(f"graph {graph.name!r}: output {name!r} is made by no op")


def _there_before(graph: Graph) -> set[str]:
    """Names of the tensors that exist before the first op; a cache may also be made by one."""
    made = {name for op in graph.ops for name in op.outputs}
    return {
        name
        for name, tensor in graph.tensors.items()
        if tensor.role != "activation" and not (tensor.role == "cache" and name in made)
    }


def _check_wiring(graph: Graph, op: Op, known: set[str]) -> None:
    for name in op.inputs:
        if name not in graph.tensors:
            raise GraphError(f"{op.name}: reads {name!r}, which is not a tensor of the graph")
        if name not in known:
            raise GraphError(f"{op.name}: reads {name!r} before any op makes it")
    for name in op.outputs:
        if name not in graph.tensors:
            raise GraphError(f"{op.name}: makes {name!r}, which is not a tensor of the graph")
        if name in known:
            raise GraphError(f"{op.name}: makes {name!r}, which already exists")
