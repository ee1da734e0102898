"""Kinds that look along a row: norms, softmax, reductions and pooling."""

from __future__ import annotations

from collections.abc import Mapping

from accelsim.graph.ops.table import OPS, Attrs, OpKind, Tensors

#: Vector primitives per element, and per row, of each norm.
NORMS: Mapping[str, tuple[Mapping[str, int], Mapping[str, int]]] = {
    # mean, centre, square, sum, scale, gamma, beta
    "layer_norm": ({"add": 3, "sub": 1, "mul": 3}, {"mul": 2, "rsqrt": 1, "add": 1}),
    "group_norm": ({"add": 3, "sub": 1, "mul": 3}, {"mul": 2, "rsqrt": 1, "add": 1}),
    # square, sum, scale, gamma
    "rms_norm": ({"add": 1, "mul": 3}, {"mul": 1, "rsqrt": 1, "add": 1}),
    # At inference the statistics are constants: one scale and one shift per element.
    "batch_norm": ({"mul": 1, "add": 1}, {}),
}

#: Per element: running maximum, subtract, exponential, sum, scale; per row one division.
SOFTMAX: tuple[Mapping[str, int], Mapping[str, int]] = (
    {"max": 1, "sub": 1, "exp": 1, "add": 1, "mul": 1},
    {"div": 1},
)

#: Vector primitives per input element (window element for pools) of each reduction.
REDUCTIONS: Mapping[str, Mapping[str, int]] = {
    "sum": {"add": 1},
    "mean": {"add": 1},
    "max": {"max": 1},
    "min": {"min": 1},
    "all": {"compare": 1},
    "any": {"compare": 1},
    "argmax": {"compare": 1},
    "cumsum": {"add": 1},
    "max_pool": {"max": 1},
    "avg_pool": {"add": 1},
    "topk": {"compare": 1},
    "sort": {"compare": 1},
    "histogram": {"add": 1},
}


def _rows(
    per_element: Mapping[str, int], per_row: Mapping[str, int], count: int, rows: int
) -> Mapping[str, int]:
    work = {name: n * count for name, n in per_element.items()}
    for name, n in per_row.items():
        work[name] = work.get(name, 0) + n * rows
    return work


def _norm(ins: Tensors, outs: Tensors, attrs: Attrs) -> Mapping[str, int]:
    per_element, per_row = NORMS[str(attrs["fn"])]
    count = outs[0].numel
    return _rows(per_element, per_row, count, count // max(1, int(attrs["row"])))


def _softmax(ins: Tensors, outs: Tensors, attrs: Attrs) -> Mapping[str, int]:
    count = outs[0].numel
    return _rows(*SOFTMAX, count, count // max(1, int(attrs["row"])))


def _visits(fn: str, ins: Tensors, outs: Tensors, attrs: Attrs) -> int:
    """How often an element is looked at: a heap of k for topk, a merge sort for sort."""
    if fn.endswith("_pool"):
        return outs[0].numel * int(attrs["window"])
    if fn == "topk":
        return ins[0].numel * int(attrs["k"]).bit_length()
    if fn == "sort":
        return ins[0].numel * max(1, (int(attrs["row"]) - 1).bit_length())
    return ins[0].numel


def _reduce(ins: Tensors, outs: Tensors, attrs: Attrs) -> Mapping[str, int]:
    fn = str(attrs["fn"])
    visits = _visits(fn, ins, outs, attrs)
    return {name: n * visits for name, n in REDUCTIONS[fn].items()}


def _check_row(ins: Tensors, outs: Tensors, attrs: Attrs) -> str | None:
    row = int(attrs["row"])
    if outs[0].shape != ins[0].shape:
        return "input and output differ in shape"
    return None if row > 0 and ins[0].numel % row == 0 else f"rows of {row} do not tile the input"


def _check_norm(ins: Tensors, outs: Tensors, attrs: Attrs) -> str | None:
    fn = attrs.get("fn")
    if fn not in NORMS:
        return f"no model for fn {fn!r} (known: {', '.join(NORMS)})"
    return _check_row(ins, outs, attrs)


def _check_reduce(ins: Tensors, outs: Tensors, attrs: Attrs) -> str | None:
    fn = attrs.get("fn")
    if fn not in REDUCTIONS:
        return f"no model for fn {fn!r} (known: {', '.join(REDUCTIONS)})"
    if str(fn).endswith("_pool") and int(attrs.get("window", 0)) < 1:
        return "a pool needs its window in elements"
    return None


OPS.add(
    "norm",
    OpKind(
        "norm",
        "vector",
        f"normalization over rows of `row` elements; fn is one of {', '.join(NORMS)}",
        vector_work=_norm,
        check=_check_norm,
    ),
)
OPS.add(
    "softmax",
    OpKind(
        "softmax",
        "vector",
        "softmax over rows of `row` elements",
        vector_work=_softmax,
        check=_check_row,
    ),
)
OPS.add(
    "reduce",
    OpKind(
        "reduce",
        "vector",
        "reduction, pool of `window` elements, topk of `k` or sort of rows of `row`; "
        f"fn is one of {', '.join(REDUCTIONS)}",
        vector_work=_reduce,
        check=_check_reduce,
    ),
)
