"""Scaled dot-product attention, kept whole: grouped heads and the causal half stay visible."""

from __future__ import annotations

from collections.abc import Mapping

from accelsim.graph.ops.table import OPS, Attrs, Gemm, OpKind, Tensors

#: Vector primitives per score: scale, running maximum, subtract, exponential, running sum.
SCORE_WORK = {"mul": 1, "max": 1, "sub": 1, "exp": 1, "add": 1}
#: And where scores are capped: divide, hyperbolic tangent, multiply.
SOFTCAP_WORK = {"mul": 2, "tanh": 1}
#: Vector primitives per output element of a row, once: divide by the sum.
OUTPUT_WORK = {"mul": 1}


def _gemm(ins: Tensors, outs: Tensors, attrs: Attrs) -> Gemm:
    """Both products in one figure: QK^T has K = d, PV has N = d_v; MACs are S*T*(d + d_v)."""
    batch, heads, queries, depth = ins[0].shape
    keys, value_depth = ins[2].shape[-2], ins[2].shape[-1]
    return Gemm(batch * heads, queries, keys, depth + value_depth)


def visible_scores(queries: int, keys: int, causal: bool, window: int = 0) -> int:
    """Scores that are used: query i of ``queries`` sees ``keys - queries + i + 1`` keys if causal.

    With a window it sees at most the last ``window`` of them.
    """
    if not causal:
        return queries * keys
    first = keys - queries + 1
    hidden = max(0, 1 - first)  # queries that would see fewer than one key
    rows, first = queries - hidden, first + hidden
    if not window or rows <= 0:
        return rows * first + rows * (rows - 1) // 2
    growing = min(rows, max(0, window - first))  # queries that see less than the window
    return growing * first + growing * (growing - 1) // 2 + (rows - growing) * window


def _scores(queries: int, keys: int, attrs: Attrs) -> int:
    return visible_scores(
        queries, keys, bool(attrs.get("causal", False)), int(attrs.get("window", 0))
    )


def _executed(ins: Tensors, outs: Tensors, attrs: Attrs) -> int:
    lowered = _gemm(ins, outs, attrs)
    return lowered.batch * _scores(lowered.m, lowered.n, attrs) * lowered.k


def _work(ins: Tensors, outs: Tensors, attrs: Attrs) -> Mapping[str, int]:
    batch, heads, queries, _ = ins[0].shape
    scores = batch * heads * _scores(queries, ins[1].shape[-2], attrs)
    work = {name: count * scores for name, count in SCORE_WORK.items()}
    if attrs.get("softcap"):
        for name, count in SOFTCAP_WORK.items():
            work[name] = work.get(name, 0) + count * scores
    if len(ins) > 3:
        work["add"] += scores
    work["mul"] += outs[0].numel * OUTPUT_WORK["mul"]
    for name, count in widening(ins, attrs).items():
        work[name] = work.get(name, 0) + count
    return work


def widening(ins: Tensors, attrs: Attrs) -> Mapping[str, int]:
    """Vector work of making numbers of the codes of keys and values, once each."""
    if "widened" not in attrs:
        return {}
    count = ins[1].numel + ins[2].numel
    return {"convert": count, "mul": count}


def _check(ins: Tensors, outs: Tensors, attrs: Attrs) -> str | None:
    q, k, v, out = ins[0].shape, ins[1].shape, ins[2].shape, outs[0].shape
    if len(q) != 4 or len(k) != 4 or len(v) != 4:
        return "query, key and value need four dimensions [batch, heads, tokens, depth]"
    if q[0] != k[0] or k[:3] != v[:3] or q[3] != k[3]:
        return "query, key and value do not belong together"
    if q[1] % k[1]:
        return f"{q[1]} query heads are not a multiple of {k[1]} key heads"
    return None if out == (*q[:3], v[3]) else f"the output is {list(out)}"


OPS.add(
    "attention",
    OpKind(
        "attention",
        "array",
        "softmax(scale q k^T) v with q[B, H, S, D], k and v[B, H_kv, T, D], an optional mask "
        "(a bool shows, with mask_hides it hides; another is added); "
        "causal: query i sees the first T - S + i + 1 keys, of which window (0: all) the "
        "last; softcap bounds the scores; codes of keys and values become numbers of the format "
        "widened, if given",
        gemm=_gemm,
        executed_macs=_executed,
        vector_work=_work,
        check=_check,
    ),
)
