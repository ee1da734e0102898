"""What a group asks of a chip, as plain numbers: equal workloads are mapped and simulated once."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

from accelsim.graph.ir import FORMAT_BITS, Graph, Op, Tensor
from accelsim.graph.ops import kind_of, vector_work
from accelsim.graph.ops.attention import SCORE_WORK, SOFTCAP_WORK, widening
from accelsim.mapping.fuse import Group
from accelsim.spec.compute import ConversionSpec

Work = tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Conv:
    """What a convolution adds to a matrix product: where the halo of a tile comes from."""

    out_h: int
    out_w: int
    stride_h: int
    kernel_h: int
    in_h: int
    in_row_bits: int
    taps: int


@dataclass(frozen=True, slots=True)
class Resident:
    """What of a workload stays in the outermost level on chip, and never crosses the DRAM link.

    Attributes:
        first, second: the operand lies there, left by an op before (K and V are the second one).
        x_bits: of the other inputs, those that lie there.
        o_bits: of the outputs, those that stay.
        held_bits: room that all of it takes, and what waits there for later ops.
    """

    first: bool = False
    second: bool = False
    x_bits: int = 0
    o_bits: int = 0
    held_bits: int = 0


NOTHING = Resident()


@dataclass(frozen=True, slots=True)
class GemmWorkload:
    """A batch of matrix products with a fused epilogue. Bits are of whole operands.

    ``work`` is the vector unit's, ``drain_work`` what the accumulators' drain or the DMA does.
    """

    batch: int
    m: int
    n: int
    k: int
    activation: str
    weight: str
    a_bits: int
    w_bits: int
    o_bits: int
    x_bits: int
    element_bits: int
    w_batched: bool
    sparse: bool
    group: int
    work: Work
    drain_work: Work = ()
    conv: Conv | None = None
    resident: Resident = NOTHING


@dataclass(frozen=True, slots=True)
class AttentionWorkload:
    """Attention over grouped heads; ``work`` is that of the epilogue.

    A causal query sees its own and earlier keys, of which ``window`` (0: all) the last. ``units``
    are pairs of sequence and key head, each with ``group`` query heads;
    ``mask_planes`` sequences, or heads of them, have a mask of their own. Keys and values are
    multiplied in ``k_format`` and lie in ``kept_format``; empty: in the same.
    """

    units: int
    group: int
    queries: int
    keys: int
    depth: int
    value_depth: int
    causal: bool
    window: int
    q_format: str
    k_format: str
    o_bits: int
    x_bits: int
    mask_bits: int
    mask_planes: int
    score_work: Work
    output_work: Work
    resident: Resident = NOTHING
    kept_format: str = ""


@dataclass(frozen=True, slots=True)
class StreamWorkload:
    """Vector work, or plain movement, over data that flows through once.

    ``rows`` is the number of independent pieces that the data can be cut into; ``macs`` are
    multiply-accumulates that the lanes execute, a product and a sum each.
    """

    in_bits: int
    out_bits: int
    rows: int
    work: Work
    macs: int = 0
    resident: Resident = NOTHING


Workload = GemmWorkload | AttentionWorkload | StreamWorkload


def lower(
    graph: Graph, group: Group, where: ConversionSpec, resident: Resident = NOTHING
) -> Workload:
    """Return the workload of a group.

    Args:
        graph: the graph that the group is of.
        group: what runs as one.
        where: what the vector unit is spared.
        resident: what of it lies on chip.
    """
    kind = kind_of(group.anchor)
    if group.anchor.kind == "attention":
        return replace(_attention(graph, group, where), resident=resident)
    if kind.engine == "array":
        return replace(_gemm(graph, group, where), resident=resident)
    return replace(_stream(graph, group, where), resident=resident)


def spared(op: Op, where: ConversionSpec) -> bool:
    """Whether an op runs beside the vector unit: in the accumulator's drain or in the DMA."""
    if op.kind == "rescale":
        return where.rescale == "accumulator"
    return op.kind == "quantize" and where.quantize == "dma"


def _work(graph: Graph, ops: tuple[Op, ...], where: ConversionSpec, beside: bool = False) -> Work:
    """Add up the vector work of the ops that the vector unit does, or of those ``beside`` it."""
    total: Counter[str] = Counter()
    for op in ops:
        if spared(op, where) == beside:
            total.update(vector_work(graph, op))
    return tuple(sorted(total.items()))


def _gemm(graph: Graph, group: Group, where: ConversionSpec) -> GemmWorkload:
    op = group.anchor
    ins, outs = graph.ins(op), graph.outs(op)
    lowered = kind_of(op).gemm(ins, outs, op.attrs)
    if lowered is None:
        raise ValueError(f"{op.name}: an array op without matrix products")
    own = op.inputs[:2]
    return GemmWorkload(
        batch=lowered.batch,
        m=lowered.m,
        n=lowered.n,
        k=lowered.k,
        activation=ins[0].format,
        weight=str(op.attrs.get("widened", ins[1].format)),
        a_bits=group.reads.get(own[0], ins[0].bits),
        w_bits=group.reads.get(own[1], ins[1].bits),
        o_bits=sum(group.writes.values()),
        x_bits=sum(group.late_reads.values()) + sum(group.reads[t.name] for t in ins[2:]),
        element_bits=FORMAT_BITS[ins[0].format],
        w_batched=lowered.batch > 1,
        sparse=ins[1].density < 1,
        group=0 if "widened" in op.attrs else int(op.attrs.get("group", 0)),
        work=_work(graph, group.ops, where),
        drain_work=_work(graph, group.ops, where, beside=True),
        conv=_conv(op, ins, outs) if op.kind == "conv2d" else None,
    )


def _conv(op: Op, ins: tuple[Tensor, ...], outs: tuple[Tensor, ...]) -> Conv:
    x, weight, out = ins[0], ins[1], outs[0]
    return Conv(
        out_h=out.shape[2],
        out_w=out.shape[3],
        stride_h=int(op.attrs.get("stride_h", 1)),
        kernel_h=(weight.shape[2] - 1) * int(op.attrs.get("dilation_h", 1)) + 1,
        in_h=x.shape[2],
        in_row_bits=x.shape[3] * FORMAT_BITS[x.format],
        taps=weight.shape[2] * weight.shape[3],
    )


def _attention(graph: Graph, group: Group, where: ConversionSpec) -> AttentionWorkload:
    op = group.anchor
    q, k, v = graph.ins(op)[:3]
    mask = graph.ins(op)[3:]
    scores = q.shape[0] * q.shape[1] * q.shape[2] * k.shape[2]
    per_score = Counter(SCORE_WORK)
    if op.attrs.get("softcap"):
        per_score.update(SOFTCAP_WORK)
    if mask:
        per_score["add"] += 1
    return AttentionWorkload(
        units=k.shape[0] * k.shape[1],
        group=q.shape[1] // k.shape[1],
        queries=q.shape[2],
        keys=k.shape[2],
        depth=q.shape[3],
        value_depth=v.shape[3],
        causal=bool(op.attrs.get("causal", False)),
        window=int(op.attrs.get("window", 0)),
        q_format=q.format,
        k_format=str(op.attrs.get("widened", k.format)),
        kept_format=k.format,
        o_bits=sum(group.writes.values()),
        x_bits=sum(group.late_reads.values()) + k.metadata_bits + v.metadata_bits,
        mask_bits=sum(group.reads.get(t.name, 0) for t in mask),
        mask_planes=max([math.prod(t.shape[:-2]) for t in mask], default=1),
        score_work=tuple(sorted((name, n * scores) for name, n in per_score.items())),
        output_work=_merge(_work(graph, group.ops[1:], where), _beside_scores(graph, op)),
    )


def _beside_scores(graph: Graph, op: Op) -> Work:
    """Work of attention that no score asks for: outputs, and codes that become numbers."""
    more = widening(graph.ins(op), op.attrs)
    return _merge((("mul", graph.outs(op)[0].numel),), tuple(more.items()))


def _merge(first: Work, second: Work) -> Work:
    total = dict(first)
    for name, count in second:
        total[name] = total.get(name, 0) + count
    return tuple(sorted(total.items()))


#: Kinds that look along rows of the last axis.
_WHOLE_ROWS = ("absmax", "softmax", "norm", "reduce")


def _stream(graph: Graph, group: Group, where: ConversionSpec) -> StreamWorkload:
    outs = graph.outs(group.anchor)
    rows = [graph.ins(op)[0] for op in group.ops if op.kind in _WHOLE_ROWS and op.inputs]
    elements = max(t.numel for t in (*graph.ins(group.anchor), *outs))
    # A statistic needs a whole row of its input on chip.
    longest = max((t.shape[-1] for t in rows if t.shape), default=1)
    return StreamWorkload(
        in_bits=sum(group.reads.values()),
        out_bits=sum(group.writes.values()),
        rows=max(1, elements // max(1, longest)),
        work=_work(graph, group.ops, where),
    )


def on_lanes(workload: GemmWorkload) -> StreamWorkload:
    """Return a grouped convolution as vector work: every lane multiplies and adds.

    Depthwise filters fill one column of a matrix array; lanes take them as they come.
    """
    macs = workload.batch * workload.m * workload.n * workload.k
    return StreamWorkload(
        in_bits=workload.a_bits + workload.w_bits + workload.x_bits,
        out_bits=workload.o_bits,
        rows=workload.batch * workload.m,
        work=_merge(_merge(workload.work, workload.drain_work), (("add", macs), ("mul", macs))),
        macs=macs,
        resident=replace(
            workload.resident,
            x_bits=workload.resident.x_bits
            + workload.resident.first * workload.a_bits
            + workload.resident.second * workload.w_bits,
        ),
    )


def shape_of(graph: Graph, group: Group) -> Mapping[str, int]:
    """Return the named sizes of a group for people."""
    op = group.anchor
    if op.kind == "attention":
        q, k = graph.ins(op)[:2]
        return {
            "batch": q.shape[0],
            "heads": q.shape[1],
            "kv_heads": k.shape[1],
            "seq_q": q.shape[2],
            "seq_kv": k.shape[2],
            "head_dim": q.shape[3],
        }
    lowered = kind_of(op).gemm(graph.ins(op), graph.outs(op), op.attrs)
    if lowered is not None:
        return {"batch": lowered.batch, "m": lowered.m, "n": lowered.n, "k": lowered.k}
    # A statistic is as large as what it looks at.
    seen = graph.ins(op) if op.kind in ("absmax", "reduce") else graph.outs(op)
    return {"elements": seen[0].numel}
