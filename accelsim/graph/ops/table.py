"""What every op kind states about itself: one entry per kind, and the functions that read it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from accelsim.errors import GraphError
from accelsim.graph.ir import Attr, Graph, Op, Tensor
from accelsim.registry import Registry

Tensors = Sequence[Tensor]
Attrs = Mapping[str, Attr]

#: Which part of a chip executes a kind. ``free`` kinds rename or reshape and cost nothing.
Engine = Literal["array", "vector", "memory", "free"]


@dataclass(frozen=True, slots=True)
class Gemm:
    """A batch of matrix products ``[m, k] x [k, n]``: what the array sees of a kind."""

    batch: int
    m: int
    n: int
    k: int

    @property
    def macs(self) -> int:
        """Multiply-accumulates of the full products."""
        return self.batch * self.m * self.n * self.k


@dataclass(frozen=True, slots=True)
class Access:
    """Bits that an op must read from and write to memory when nothing is kept on chip."""

    read: Mapping[str, int]
    written: Mapping[str, int]


def _no_gemm(ins: Tensors, outs: Tensors, attrs: Attrs) -> Gemm | None:
    return None


def _no_work(ins: Tensors, outs: Tensors, attrs: Attrs) -> Mapping[str, int]:
    return {}


def _whole(ins: Tensors, outs: Tensors, attrs: Attrs) -> Access:
    """Every input is read once, every output written once."""
    return Access({t.name: t.bits for t in ins}, {t.name: t.bits for t in outs})


def _anything(ins: Tensors, outs: Tensors, attrs: Attrs) -> str | None:
    return None


@dataclass(frozen=True)
class OpKind:
    """Facts of one op kind. Every function takes ``(inputs, outputs, attrs)``.

    Attributes:
        name: the kind.
        engine: the part of the chip that executes it.
        summary: one line for people, naming the attributes.
        gemm: matrix products that it lowers to, for array kinds.
        full_macs: MACs of the full arithmetic; None: those of ``gemm``.
        executed_macs: MACs that hardware executes (causal halves left out); None: as ``gemm``.
        vector_work: elementary vector operations by primitive, over all elements.
        access: bits that it reads and writes.
        check: a sentence when shapes or attributes do not fit, else None.
    """

    name: str
    engine: Engine
    summary: str
    gemm: Callable[[Tensors, Tensors, Attrs], Gemm | None] = _no_gemm
    full_macs: Callable[[Tensors, Tensors, Attrs], int] | None = None
    executed_macs: Callable[[Tensors, Tensors, Attrs], int] | None = None
    vector_work: Callable[[Tensors, Tensors, Attrs], Mapping[str, int]] = _no_work
    access: Callable[[Tensors, Tensors, Attrs], Access] = _whole
    check: Callable[[Tensors, Tensors, Attrs], str | None] = _anything


#: Every op kind by name.
OPS: Registry[OpKind] = Registry("op kind")


def kind_of(op: Op) -> OpKind:
    """Return the entry of an op.

    Raises:
        GraphError: the kind is not in the table; the message names the op.
    """
    if op.kind not in OPS:
        raise GraphError(f"{op.name}: no model for op kind {op.kind!r} (known: {', '.join(OPS)})")
    return OPS[op.kind]


def macs(graph: Graph, op: Op) -> int:
    """Multiply-accumulates of the full arithmetic of ``op``; 0 outside array kinds."""
    kind = kind_of(op)
    if kind.full_macs is not None:
        return kind.full_macs(graph.ins(op), graph.outs(op), op.attrs)
    lowered = kind.gemm(graph.ins(op), graph.outs(op), op.attrs)
    return lowered.macs if lowered else 0


def executed_macs(graph: Graph, op: Op) -> int:
    """Multiply-accumulates that the array executes: causal halves and pruned weights left out."""
    kind = kind_of(op)
    ins, outs = graph.ins(op), graph.outs(op)
    density = min((t.density for t in ins), default=1.0)
    if kind.executed_macs is not None:
        return round(kind.executed_macs(ins, outs, op.attrs) * density)
    return round(macs(graph, op) * density)


def vector_work(graph: Graph, op: Op) -> Mapping[str, int]:
    """Elementary vector operations of ``op`` by primitive."""
    return kind_of(op).vector_work(graph.ins(op), graph.outs(op), op.attrs)


def access(graph: Graph, op: Op) -> Access:
    """Bits that ``op`` reads and writes by tensor."""
    return kind_of(op).access(graph.ins(op), graph.outs(op), op.attrs)


def check_op(graph: Graph, op: Op) -> None:
    """Check the shapes and attributes of one op.

    Raises:
        GraphError: the kind is unknown or the shapes do not fit; the message names the op.
    """
    kind = kind_of(op)
    ins, outs = graph.ins(op), graph.outs(op)
    for tensor in (*ins, *outs):
        if any(size < 0 for size in tensor.shape):
            raise GraphError(f"{op.name}: {tensor.name} has a negative size {tensor.shape}")
    try:
        wrong = kind.check(ins, outs, op.attrs)
    except (IndexError, KeyError, ValueError) as error:
        wrong = f"shapes or attributes are missing ({error})"
    if wrong:
        shapes = ", ".join(f"{t.name}{list(t.shape)}" for t in (*ins, *outs))
        raise GraphError(f"{op.name} ({op.kind}): {wrong}; tensors: {shapes}")
