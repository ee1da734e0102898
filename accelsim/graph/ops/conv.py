"""Two-dimensional convolution, grouped and depthwise included, lowered to matrix products."""

from __future__ import annotations

from accelsim.graph.ops.linear import widening
from accelsim.graph.ops.table import OPS, Attrs, Gemm, OpKind, Tensors


def out_size(size: int, kernel: int, stride: int, padding: int, dilation: int = 1) -> int:
    """Outputs along one axis: how often the dilated kernel fits into the padded size."""
    return (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1


def _gemm(ins: Tensors, outs: Tensors, attrs: Attrs) -> Gemm:
    batch, filters, out_h, out_w = outs[0].shape
    groups = int(attrs.get("groups", 1))
    _, channels, kernel_h, kernel_w = ins[1].shape
    return Gemm(groups, batch * out_h * out_w, filters // groups, channels * kernel_h * kernel_w)


def _check(ins: Tensors, outs: Tensors, attrs: Attrs) -> str | None:
    x, weight, out = ins[0].shape, ins[1].shape, outs[0].shape
    if len(x) != 4 or len(weight) != 4:
        return "input [B, C, H, W] and weight [N, C/groups, R, S] need four dimensions"
    groups = int(attrs.get("groups", 1))
    if x[1] != weight[1] * groups or weight[0] % groups:
        return f"{x[1]} channels and {weight[0]} filters do not split into {groups} groups"
    expected = tuple(
        out_size(
            x[2 + axis],
            weight[2 + axis],
            int(attrs.get(f"stride_{side}", 1)),
            int(attrs.get(f"padding_{side}", 0)),
            int(attrs.get(f"dilation_{side}", 1)),
        )
        for axis, side in enumerate("hw")
    )
    if min(expected) < 1:
        return "the kernel is larger than the padded input"
    needed = (x[0], weight[0], *expected)
    return None if out == needed else f"the output is {list(out)}, {list(needed)} is needed"


OPS.add(
    "conv2d",
    OpKind(
        "conv2d",
        "array",
        "x[B, C, H, W] with weight [N, C/groups, R, S], an optional bias; stride_h/w, padding_h/w, "
        "dilation_h/w, groups",
        gemm=_gemm,
        vector_work=widening,
        check=_check,
    ),
)
