"""Matrix products: with a weight, and of two activations."""

from __future__ import annotations

import math
from collections.abc import Mapping

from accelsim.graph.ops.table import OPS, Access, Attrs, Gemm, OpKind, Tensors


def _matmul(ins: Tensors, outs: Tensors, attrs: Attrs) -> Gemm:
    x, k = ins[0], ins[0].shape[-1]
    return Gemm(1, math.prod(x.shape[:-1]), outs[0].shape[-1], k)


def widening(ins: Tensors, outs: Tensors, attrs: Attrs) -> Mapping[str, int]:
    """Vector work of making numbers of a weight's codes: each is converted and scaled."""
    return {name: ins[1].numel for name in ("convert", "mul")} if "widened" in attrs else {}


def _check_matmul(ins: Tensors, outs: Tensors, attrs: Attrs) -> str | None:
    x, weight, out = ins[0], ins[1], outs[0]
    n, k = reversed(weight.shape) if attrs.get("weight_is_kn") else weight.shape
    if x.shape[-1] != k:
        return f"the input has K={x.shape[-1]}, the weight K={k}"
    if out.shape != (*x.shape[:-1], n):
        return f"the output is {list(out.shape)}, {[*x.shape[:-1], n]} is needed"
    if len(ins) > 2 and ins[2].shape != (n,):
        return f"the bias is {list(ins[2].shape)}, [{n}] is needed"
    return None


def _batched(ins: Tensors, outs: Tensors, attrs: Attrs) -> Gemm:
    out = outs[0].shape
    return Gemm(math.prod(out[:-2]), out[-2], out[-1], ins[0].shape[-1])


def _check_batched(ins: Tensors, outs: Tensors, attrs: Attrs) -> str | None:
    a, b, out = ins[0].shape, ins[1].shape, outs[0].shape
    k, n = (b[-1], b[-2]) if attrs.get("transpose_b") else (b[-2], b[-1])
    if a[-1] != k:
        return f"the operands have K={a[-1]} and K={k}"
    return None if out[-2:] == (a[-2], n) else f"the output ends in {out[-2:]}, {(a[-2], n)} needed"


def active_experts(rows: int, experts: int) -> int:
    """Experts that get rows when routing is balanced: the declared distribution of a recording."""
    return min(rows, experts)


def _grouped(ins: Tensors, outs: Tensors, attrs: Attrs) -> Gemm:
    """One product per active expert; the fullest decides, so rows are rounded up."""
    rows, k = ins[0].shape
    active = max(1, active_experts(rows, ins[1].shape[0]))
    return Gemm(active, -(-rows // active), outs[0].shape[-1], k)


def _grouped_macs(ins: Tensors, outs: Tensors, attrs: Attrs) -> int:
    return outs[0].numel * ins[0].shape[-1]


def _grouped_access(ins: Tensors, outs: Tensors, attrs: Attrs) -> Access:
    """Only the weights of active experts are read."""
    x, weight, *rest = ins
    experts = weight.shape[0]
    read = {t.name: t.bits for t in (x, *rest)}
    read[weight.name] = weight.bits * active_experts(x.shape[0], experts) // max(1, experts)
    return Access(read, {t.name: t.bits for t in outs})


def _grouped_widening(ins: Tensors, outs: Tensors, attrs: Attrs) -> Mapping[str, int]:
    """As ``widening``, of the experts that are read."""
    experts = ins[1].shape[0]
    active = active_experts(ins[0].shape[0], experts)
    return {k: n * active // max(1, experts) for k, n in widening(ins, outs, attrs).items()}


def _check_grouped(ins: Tensors, outs: Tensors, attrs: Attrs) -> str | None:
    if len(ins[0].shape) != 2 or len(ins[1].shape) != 3:
        return "rows [S, K] and weights [E, N, K] are needed"
    n, k = ins[1].shape[1:]
    if attrs.get("weight_is_kn"):
        n, k = k, n
    if ins[0].shape[1] != k or outs[0].shape != (ins[0].shape[0], n):
        return f"weights with K={k} and N={n} do not fit"
    return None


OPS.add(
    "grouped_matmul",
    OpKind(
        "grouped_matmul",
        "array",
        "x[S, K], sorted by expert, times the weight of each row's expert in [E, N, K] ([E, K, N] "
        "with weight_is_kn); experts is E, top_k the experts per token; routing is balanced",
        gemm=_grouped,
        full_macs=_grouped_macs,
        vector_work=_grouped_widening,
        access=_grouped_access,
        check=_check_grouped,
    ),
)
OPS.add(
    "matmul",
    OpKind(
        "matmul",
        "array",
        "x[..., K] times a weight [N, K] ([K, N] with weight_is_kn), plus an optional bias [N]; "
        "codes of the weight become numbers of the format widened, if given, before they are used",
        gemm=_matmul,
        vector_work=widening,
        check=_check_matmul,
    ),
)
OPS.add(
    "batched_matmul",
    OpKind(
        "batched_matmul",
        "array",
        "a[..., M, K] times b[..., K, N] ([..., N, K] with transpose_b), both activations",
        gemm=_batched,
        check=_check_batched,
    ),
)
