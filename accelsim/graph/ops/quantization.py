"""Kinds that a recipe inserts: none of them is free, the chip says where each runs."""

from __future__ import annotations

from collections.abc import Mapping

from accelsim.graph.ops.table import OPS, Attrs, OpKind, Tensors

#: Per element: multiply by the reciprocal scale, round, convert with saturation.
QUANTIZE: Mapping[str, int] = {"mul": 1, "round": 1, "convert": 1}
#: Per element: magnitude and running maximum; one division per scale.
ABSMAX: Mapping[str, int] = {"abs": 1, "max": 1}
#: Per element: convert the accumulator and multiply by the scale.
RESCALE: Mapping[str, int] = {"convert": 1, "mul": 1}


def _quantize(ins: Tensors, outs: Tensors, attrs: Attrs) -> Mapping[str, int]:
    return {name: n * ins[0].numel for name, n in QUANTIZE.items()}


def _absmax(ins: Tensors, outs: Tensors, attrs: Attrs) -> Mapping[str, int]:
    work = {name: n * ins[0].numel for name, n in ABSMAX.items()}
    return {**work, "div": outs[0].numel}


def _rescale(ins: Tensors, outs: Tensors, attrs: Attrs) -> Mapping[str, int]:
    return {name: n * outs[0].numel for name, n in RESCALE.items()}


def _hadamard(ins: Tensors, outs: Tensors, attrs: Attrs) -> Mapping[str, int]:
    """Butterflies, then the sums of a matrix four times the odd part of the order; one product."""
    size = ins[0].shape[-1]
    odd = size // (size & -size)
    rest = 1 if odd == 1 else 4 * odd
    added = max(0, (size // rest).bit_length() - 1) + rest - 1
    return {"add": added * ins[0].numel, "mul": ins[0].numel}


def _check_same(ins: Tensors, outs: Tensors, attrs: Attrs) -> str | None:
    return None if ins[0].numel == outs[0].numel else "input and output differ in size"


OPS.add(
    "quantize",
    OpKind(
        "quantize",
        "vector",
        "codes of x by scales known beforehand or given as a second input",
        vector_work=_quantize,
        check=_check_same,
    ),
)
OPS.add(
    "absmax",
    OpKind(
        "absmax",
        "vector",
        "scale of each row from its largest magnitude, for codes of the format `codes`",
        vector_work=_absmax,
    ),
)
OPS.add(
    "rescale",
    OpKind(
        "rescale",
        "vector",
        "accumulators or codes times their scales",
        vector_work=_rescale,
        check=_check_same,
    ),
)
OPS.add(
    "hadamard",
    OpKind(
        "hadamard",
        "vector",
        "x H / sqrt(n) along the last axis of length n, H a Hadamard matrix",
        vector_work=_hadamard,
        check=_check_same,
    ),
)
